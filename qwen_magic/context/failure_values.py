"""The values that failing statements name, described for a model, without secrets."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Any, Final

from qwen_magic.context.description import describe
from qwen_magic.context.failure_frames import Place
from qwen_magic.context.failure_secrets import MASKED, Secrets, is_secret_name, without_secrets

MAX_VALUES: Final = 12
MAX_CHARS: Final = 500  # of one value
_LOOKED_AT: Final = 20_000  # characters of a text
# Of these the name says nothing about what is in them.
_CODE: Final = (
    bool,
    types.ModuleType,
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    type,
)


def named_values(places: Iterable[Place], secrets: Secrets) -> dict[str, str]:
    """Name → description, of the user's places in the order given; each object once."""
    told: dict[str, str] = {}
    seen: set[int] = set()
    for place in places:
        for name, value in place.named() if place.is_users else ():
            if id(value) in seen and name in told:
                continue
            seen.add(id(value))
            label = name if name not in told else f"{name} in {place.function}"
            if label not in told:
                told[label] = _told(name, value, secrets)
            if len(told) == MAX_VALUES:
                return told
    return told


def _told(name: str, value: object, secrets: Secrets) -> str:
    """` = 5` for what fits a line, else the text in lines below; always with the type."""
    kind = secrets.mask(type(value).__name__)
    text = _described(name, value, secrets)
    return f"{kind} = {text}" if "\n" not in text else f"{kind}\n{_indented(text)}"


def _described(name: str, value: object, secrets: Secrets) -> str:
    try:
        if _is_secret(name, value):
            return MASKED
        _search_table(value, secrets)
        secrets.search(value)
        given = value[:_LOOKED_AT] if isinstance(value, str) else without_secrets(value)
        text = describe(given)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a `__repr__` may even raise SystemExit
        return "(it cannot be described)"
    masked = secrets.mask_cut(text.rstrip().partition("…\n(cut: ")[0])
    return masked if len(masked) <= MAX_CHARS else f"{masked[:MAX_CHARS]}… (cut)"


def _is_secret(name: str, value: object) -> bool:
    if value is None or isinstance(value, _CODE):
        return False
    column = getattr(value, "name", None) if hasattr(type(value), "dtype") else None
    names = [*name.split("."), column if isinstance(column, str) else ""]
    return any(map(is_secret_name, names))


def _search_table(value: Any, secrets: Secrets) -> None:
    """Keep back the first cells of a table's columns that have a secret's name."""
    if not hasattr(type(value), "shape"):
        return
    for name in _columns(value):
        if any(is_secret_name(part) for part in _strings(name)):
            column = value.column(name) if hasattr(value, "column_names") else value[name]
            for cell in list(column[:10]):
                secrets.add(str(cell))


def _columns(value: Any) -> list[object]:
    for attribute in ("column_names", "columns"):
        if hasattr(type(value), attribute) or attribute == "columns":
            found = getattr(value, attribute, ())
            return list(found)
    return []


def _strings(name: object) -> Iterator[str]:
    for part in name if isinstance(name, tuple) else (name,):
        if isinstance(part, str):
            yield part


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
