"""What a value is made of, read without running any of its code."""

from __future__ import annotations

import types
from collections.abc import Iterator
from itertools import islice
from typing import Final

_MOST: Final = 2_000  # parts of one value


def parts_of(value: object) -> Iterator[tuple[str, object]]:
    """Items and attributes, each with its name there (a dict's key), or ""."""
    kind = type(value)
    if issubclass(kind, dict):
        assert isinstance(value, dict)
        for name, part in islice(list(dict.items(value)), _MOST):
            yield (name if isinstance(name, str) else ""), part
    elif issubclass(kind, list | tuple | set | frozenset):
        yield from _items(value)
    elif not issubclass(kind, type | types.ModuleType | types.FunctionType):
        yield from _attributes(value)


def _items(value: object) -> Iterator[tuple[str, object]]:
    """With the names of the fields where it is a named tuple."""
    names = getattr(type(value), "_fields", ())
    for number, part in enumerate(islice(_elements(value), _MOST)):
        named = isinstance(names, tuple) and number < len(names)
        yield (str(names[number]) if named else ""), part


def _elements(value: object) -> Iterator[object]:
    match value:
        case list():
            return list.__iter__(value)
        case tuple():
            return tuple.__iter__(value)
        case set():
            return set.__iter__(value)
        case frozenset():
            return frozenset.__iter__(value)
    return iter(())


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = {}
    if type(own) is dict:
        yield from ((name, part) for name, part in islice(list(own.items()), _MOST))
    for base in type(value).__mro__:
        for name, member in list(base.__dict__.items()):
            if isinstance(member, types.MemberDescriptorType):  # of `__slots__`
                try:
                    yield name, member.__get__(value)
                except AttributeError:  # not set
                    continue
