"""Which columns are kept back: named to the model, their values never."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any, Final

MASKED: Final = "[masked]"
MOST_ITEMS: Final = 100_000  # of a list: no more than a few thousand can ever show


def is_masked(label: object, mask: Collection[str]) -> bool:
    """True where `label` (any part of a nested one) is in `mask`: a name, or a pattern with `*`
    or `?`. Upper and lower case count as the same: too much kept back does no harm."""
    if isinstance(label, tuple):
        return any(is_masked(part, mask) for part in label)
    name = str(label).casefold()
    return any(name == given.casefold() or fnmatchcase(name, given.casefold()) for given in mask)


def without_masked(value: Any, mask: Collection[str]) -> Any:
    """`value` with `[masked]` for what is called by a masked name: keys of dicts, fields of
    records and of arrays, named indexes, at any depth. Records become dicts; an object with
    `__llm__` is left to tell what it tells."""
    if not mask or isinstance(value, str | type) or hasattr(type(value), "__llm__"):
        return value
    fields = _fields(value)
    if fields is not None:
        return {
            key: MASKED if is_masked(key, mask) else without_masked(item, mask)
            for key, item in fields.items()
        }
    if isinstance(value, list | tuple | deque):
        value = list(value)
        return [without_masked(item, mask) for item in value[:MOST_ITEMS]]
    return _array(value, mask)


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """What has names for its parts, as a mapping."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        named: Mapping[Any, Any] = value._asdict()
        return named
    if isinstance(value, SimpleNamespace):
        return vars(value)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _array(value: Any, mask: Collection[str]) -> Any:
    """Arrays of numpy have fields, indexes of pandas a name."""
    if not hasattr(type(value), "dtype"):
        return value
    name = getattr(value, "name", None)
    if name is not None and is_masked(name, mask):
        return MASKED
    names = getattr(value.dtype, "names", None)
    if not names or not any(is_masked(one, mask) for one in names):
        return value
    kept = [one for one in names if not is_masked(one, mask)]
    return value[kept] if kept else MASKED
