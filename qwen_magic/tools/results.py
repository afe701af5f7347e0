"""What a function gave back, as text for the model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any, Final

from qwen_magic.context.dataframe.describing import describe_value, visible_part
from qwen_magic.context.description import describe, json_text, own_words, rows_text
from qwen_magic.context.kept_back import without_masked

MAX_RESULT_BYTES: Final = 100_000  # of UTF-8, about 30,000 tokens


def result_text(value: object, limit: int = MAX_RESULT_BYTES, mask: Collection[str] = ()) -> str:
    """`value` for a `function_call_output`, at most `limit` bytes and a note about the rest.

    Text as it is; an object with `__llm__` in its own words; tables as CSV; what JSON can hold as
    JSON (dataclasses and models as objects, dates as text); others described. Columns and keys
    that `mask` names are kept back. Never raises.
    """
    if mask:
        try:
            value = _kept_back(value, mask)
        except Exception:  # what is looked at is the user's
            return f"an object of type {type(value).__name__}, kept back"
    for way in (_own, _table, _json):
        try:
            text = way(value, limit)
        except Exception:  # what is looked at is the user's
            continue
        if text is not None:
            return _cut(text, limit)
    return _cut(describe(value), limit)


def _kept_back(value: Any, mask: Collection[str]) -> Any:
    """`value` without what `mask` names, at any depth. Models are looked into as JSON, tables
    inside of others only described."""
    if isinstance(value, str) or own_words(value):
        return value
    if _is_table(value):
        return visible_part(value, mask)
    value = without_masked(value, mask)
    try:
        plain = _plain(value)
    except TypeError:
        return describe_value(value, mask=mask)
    described = partial(_part, describing=partial(describe_value, mask=mask))
    return without_masked(json.loads(json.dumps(plain, default=described)), mask)


def _is_table(value: object) -> bool:
    return hasattr(type(value), "shape") and hasattr(type(value), "head")


def _own(value: Any, limit: int) -> str | None:
    if isinstance(value, str):
        return str(value)
    return describe(value, whole=True) if own_words(value) else None


def _table(value: Any, limit: int) -> str | None:
    """No more rows than can show: a row takes two bytes at the least."""
    if not _is_table(value):
        return None
    return rows_text(value.head(limit // 2 + 1))


def _json(value: object, limit: int) -> str | None:
    return json_text(_plain(value), limit, _part)  # its bytes are at least as many


def _plain(value: Any) -> Any:
    """`value` where JSON knows it or a part of it; else raises `TypeError`."""
    if value is None or isinstance(value, bool | int | float | list | tuple | dict):
        return value
    return _part(value, whole=True)


def _part(value: Any, whole: bool = False, describing: Callable[[object], str] = describe) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    dump = getattr(type(value), "model_dump", None)
    if callable(dump):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, AbstractSet):
        return sorted(value, key=repr)
    if whole:
        raise TypeError("not for JSON")
    if hasattr(type(value), "isoformat"):  # dates
        return value.isoformat()
    if hasattr(type(value), "item") and getattr(value, "ndim", None) == 0:  # scalars of numpy
        return value.item()
    return describing(value)


def _cut(text: str, limit: int) -> str:
    raw = text.encode("utf-8", "replace")
    if len(raw) <= limit:
        return text
    kept = raw[:limit].decode("utf-8", "ignore")
    return f"{kept}…\n(cut: the first {limit:,} bytes of more; ask for less at a time)"
