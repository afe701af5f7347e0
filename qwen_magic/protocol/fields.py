"""Fields of JSON objects: read leniently, and declared once where they are read and written.

Absent, null or of the wrong kind is empty: for fields that no answer depends on. What must be right
is checked where it is used.

A dataclass whose values stand in JSON declares how, field by field:

    @dataclass(frozen=True, slots=True)
    class McpListTools:
        id: str                                                  # text, under its own name
        tools: tuple[JSON, ...] = wire(mappings, ())             # another kind of value
        error: str = wire(json_text, optional=True)              # not written where it is empty
        seen: int = wire(None, 0)                                # not on the wire at all

`read_fields(McpListTools, raw)` makes one, `write_fields(it)` gives its JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Final, TypeAlias, cast

JSON: TypeAlias = dict[str, Any]
# Lists and objects within each other. What reads, masks, copies and writes JSON goes down by
# recursion, which ends at some 300. A file holds what came over the wire, a few levels further in.
DEEPEST: Final = 100
DEEPEST_ON_WIRE: Final = 80


def text(value: object) -> str:
    """A string; a number as text (some servers send numeric error codes)."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return ""


def json_text(value: object) -> str:
    """JSON as text, also if the server sends the object itself."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return text(value)


def json_value(text: str) -> Any:
    """Parse JSON text; None if it is invalid. (`NaN` is not JSON.)"""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def json_object(text: str) -> JSON | None:
    """Parse JSON text that must be an object; None otherwise."""
    value = json_value(text)
    return value if isinstance(value, dict) else None


def _no_constant(name: str) -> None:
    raise ValueError(name)


def levels(value: object, most: int) -> Iterator[list[Any]]:
    """The values at each depth of a JSON value, starting with itself; at most `most` levels.

    Not recursive, so that deeply nested values can be examined.
    """
    level = [value]
    for _ in range(most):
        if not level:
            return
        yield level
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]


def is_deep(value: object, most: int = DEEPEST) -> bool:
    """Whether the value is nested more than `most` levels deep."""
    return sum(1 for _ in levels(value, most + 1)) > most


def bounded(value: Any, data: str) -> Any:
    """Return `value` (parsed from `data`), or raise `ValueError` if it is nested too deep."""
    opened = data.count("{") + data.count("[")
    if opened > DEEPEST_ON_WIRE and is_deep(value, DEEPEST_ON_WIRE):
        raise ValueError(f"it is nested more than {DEEPEST_ON_WIRE} levels deep")
    return value


def integer(value: object) -> int | None:
    """An integer, also if written as `3.0`; None for anything else."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def count(value: object) -> int:
    """A non-negative integer; 0 for anything else."""
    return max(0, integer(value) or 0)


def number(value: object) -> float:
    """A float; 0.0 for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return 0.0


def mapping(value: object) -> JSON:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[JSON]:
    """The objects in a list; other elements are left out."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def strings(value: object) -> tuple[str, ...]:
    """The non-empty strings of a list."""
    if not isinstance(value, list):
        return ()
    return tuple(each for each in value if isinstance(each, str) and each)


@dataclass(frozen=True, slots=True)
class _Wire:
    """How one field of a dataclass stands in JSON. `read` None: it does not."""

    read: Callable[[object], Any] | None = text
    write: Callable[[Any], object] | None = None
    optional: bool = False


def wire(
    read: Callable[[object], Any] | None = text,
    default: Any = "",
    *,
    write: Callable[[Any], object] | None = None,
    optional: bool = False,
    streams: tuple[str, ...] = (),
) -> Any:
    """Declare a dataclass field that is read from and written to JSON under its own name.

    - `read`: converts the JSON value; a list becomes a tuple. None: the field is not in the JSON;
    - `write`: converts the value back, if it is not written as it is;
    - `optional`: an empty value is not written;
    - `streams`: the kinds of text (`items.TextKind`) whose deltas are appended to it.
    """
    how = _Wire(read, write, optional)
    return field(default=default, metadata={"wire": how, "streams": streams})


def read_fields(cls: type, raw: JSON) -> Any:
    """Build a dataclass from `raw` as its fields declare. Never raises."""
    values: dict[str, Any] = {}
    for name, how in _wires(cls):
        if how.read is not None:
            value = how.read(raw.get(name))
            values[name] = tuple(value) if isinstance(value, list) else value
    return cast(Any, cls)(**values)


def write_fields(value: Any) -> JSON:
    """The JSON of a dataclass value, in the order of its fields."""
    written: JSON = {}
    for name, how in _wires(value.__class__):
        held = getattr(value, name)
        if how.read is not None and (held or not how.optional):
            plain = list(held) if isinstance(held, tuple) else held
            written[name] = how.write(held) if how.write else plain
    return written


@cache
def _wires(cls: type) -> tuple[tuple[str, _Wire], ...]:
    return tuple((each.name, each.metadata.get("wire", _Wire())) for each in fields(cast(Any, cls)))
