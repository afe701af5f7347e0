"""Whether a JSON value fits a schema, in the keywords that schemas of Python types have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]

_DEEPEST = 40

DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:Z|[-+]\d\d:?\d\d)?"
# What text of a format looks like.
FORMATS: Mapping[str, str] = {
    "date": DATE,
    "date-time": f"{DATE}[T ]{TIME}",
    "time": TIME,
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "uri": r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)]",
    "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "decimal": r"[-+]?\d+(?:\.\d+)?",
}
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    ),
}


def resolve(schema: Any, root: JSON) -> JSON:
    """The schema that a `$ref` stands for, with what stands beside it; empty where it leads nowhere
    or allows anything."""
    for _ in range(_DEEPEST):
        if not isinstance(schema, dict):
            return {}
        if not isinstance(reference := schema.get("$ref"), str):
            return schema
        target: Any = root
        for step in reference.removeprefix("#").strip("/").split("/"):
            target = target.get(step, {}) if isinstance(target, dict) and step else target
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**target, **beside} if isinstance(target, dict) else beside
    return {}


def types_of(schema: JSON) -> list[str]:
    """The types that it names; none where it allows any."""
    given = schema.get("type")
    if isinstance(given, list):
        return [name for name in given if isinstance(name, str)]
    return [given] if isinstance(given, str) else []


def fits(value: Any, schema: Any, root: JSON, depth: int = 0) -> bool:
    if depth > _DEEPEST or schema is False:
        return False
    schema = resolve(schema, root)
    types = types_of(schema)
    if types and not any(_TYPES.get(name, bool)(value) for name in types):
        return False
    return (
        _is_allowed(value, schema)
        and _fits_choices(value, schema, root, depth)
        and _fits_limits(value, schema)
        and _fits_parts(value, schema, root, depth)
    )


def _is_allowed(value: Any, schema: JSON) -> bool:
    options = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if not isinstance(options, list):
        return True
    same = (each for each in options if isinstance(value, bool) == isinstance(each, bool))
    return any(value == each for each in same)


def _fits_choices(value: Any, schema: JSON, root: JSON, depth: int) -> bool:
    def count(keyword: str) -> int:
        return sum(fits(value, each, root, depth + 1) for each in schema[keyword])

    return (
        ("anyOf" not in schema or count("anyOf") > 0)
        and ("oneOf" not in schema or count("oneOf") == 1)
        and ("allOf" not in schema or count("allOf") == len(schema["allOf"]))
    )


def _fits_limits(value: Any, schema: JSON) -> bool:
    if isinstance(value, str):
        return _fits_pattern(value, schema) and _is_within(len(value), schema, "Length")
    if isinstance(value, list):
        return _is_within(len(value), schema, "Items")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    above, below = _limit(schema, "exclusiveMinimum"), _limit(schema, "exclusiveMaximum")
    if (above is not None and value <= above) or (below is not None and value >= below):
        return False
    return _is_within(value, schema, "imum")


def _is_within(size: float, schema: JSON, word: str) -> bool:
    least, most = _limit(schema, f"min{word}"), _limit(schema, f"max{word}")
    return (least is None or size >= least) and (most is None or size <= most)


def _limit(schema: JSON, keyword: str) -> float | None:
    given = schema.get(keyword)
    return given if isinstance(given, int | float) and not isinstance(given, bool) else None


def _fits_pattern(value: str, schema: JSON) -> bool:
    shape = FORMATS.get(schema.get("format", ""))
    if shape and not re.fullmatch(shape, value):
        return False
    try:
        return re.search(schema.get("pattern", ""), value) is not None
    except re.error:  # of another dialect
        return True


def _fits_parts(value: Any, schema: JSON, root: JSON, depth: int) -> bool:
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        rest = schema.get("items", True)
        wanted = [*first, *[rest] * (len(value) - len(first))]
        return all(fits(v, s, root, depth + 1) for v, s in zip(value, wanted, strict=False))
    if not isinstance(value, dict):
        return True
    known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    return all(name in value for name in schema.get("required", [])) and all(
        fits(each, known.get(name, more), root, depth + 1) for name, each in value.items()
    )
