"""The values that failing statements name, described for a model, without secrets."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any, Final

from qwen_magic.context.description import CALLABLE, describe
from qwen_magic.context.exception.masking import MASKED, Secrets, is_secret_name, without_secrets
from qwen_magic.context.exception.places import Place

MAX_VALUES: Final = 12
_LONGEST_VALUE: Final = 500  # characters
_LOOKED_AT: Final = 20_000  # characters of a text
# Of these the name says nothing about what is in them.
_CODE: Final = (bool, types.ModuleType, *CALLABLE)


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
    if "\n" not in text:
        return f"{kind} = {text}"
    return "\n".join([kind, *(f"    {line}" for line in text.splitlines())])


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
    return masked if len(masked) <= _LONGEST_VALUE else f"{masked[:_LONGEST_VALUE]}… (cut)"


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
    arrow = hasattr(type(value), "column_names")  # whose `columns` are the data
    for name in list(value.column_names if arrow else getattr(value, "columns", ())):
        parts = name if isinstance(name, tuple) else (name,)
        if any(is_secret_name(part) for part in parts if isinstance(part, str)):
            column = value.column(name) if arrow else value[name]
            for cell in list(column[:10]):
                secrets.add(str(cell))
