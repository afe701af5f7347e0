"""Lenient reading of JSON fields: absent, null or of the wrong kind is empty.

For fields that no answer depends on. What must be right is checked where it is used.
"""

from __future__ import annotations

from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]


def text(value: object) -> str:
    """A string; a number as its digits (some servers give error codes as numbers)."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return ""


def integer(value: object) -> int | None:
    """An integer, also written as `3.0`; None for anything else."""
    if type(value) is int:
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None


def count(value: object) -> int:
    """A number of things: an integer that is not negative, else 0."""
    return max(0, integer(value) or 0)


def number(value: object) -> float:
    """A finite or infinite float, else 0.0."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return 0.0


def mapping(value: object) -> JSON:
    """An object, else an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[JSON]:
    """The objects of a list; what else is in it is left out."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def strings(value: object) -> tuple[str, ...]:
    """The non-empty strings of a list."""
    if not isinstance(value, list):
        return ()
    return tuple(each for each in value if isinstance(each, str) and each)
