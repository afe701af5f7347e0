"""A JSON value checked against a JSON schema, with errors that name the place.

Checked: type, enum, const, properties, required, additionalProperties, minProperties,
maxProperties, items, prefixItems, minItems, maxItems, uniqueItems, minimum, maximum,
exclusiveMinimum, exclusiveMaximum, multipleOf, minLength, maxLength, pattern, anyOf, oneOf, allOf,
not, and `$ref` within the schema. Other keywords (`format` among them) are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from qwen_magic.errors import QwenError, UsageError
from qwen_magic.protocol.fields import JSON

MOST_FAULTS: Final = 10
_DEEPEST: Final = 60
_LONGEST_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Fault:
    """`path` is like `items[2].price`, empty for the whole value."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'the whole'}: {self.message}"


class SchemaMismatchError(QwenError):
    """JSON that is missing, or does not fit its schema. `faults` lists what is wrong, for the
    model to mend."""

    def __init__(self, message: str, faults: Sequence[Fault] = (), *, hint: str = "") -> None:
        super().__init__(message, why="; ".join(map(str, faults)), hint=hint)
        self.faults = tuple(faults)


def find_faults(value: object, schema: JSON) -> list[Fault]:
    """What is wrong with `value`, at most `MOST_FAULTS`; nothing where it fits.

    Raises `UsageError` where a `$ref` of the schema leads nowhere.
    """
    return list(islice(_Check(schema).faults(value, schema, "", 0), MOST_FAULTS))


def resolve(schema: Mapping[str, Any], root: JSON) -> Mapping[str, Any]:
    """The schema that a `$ref` stands for, however long its chain; else `schema` itself."""
    seen: list[str] = []
    while isinstance(reference := schema.get("$ref"), str):
        if reference in seen:
            raise _dead(reference)
        seen.append(reference)
        target: Any = root
        for step in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            step = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or step not in target:
                raise _dead(reference)
            target = target[step]
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**target, **rest} if isinstance(target, Mapping) else {}
    return schema


def _dead(reference: str) -> UsageError:
    return UsageError(
        f"The schema's reference {reference!r} leads nowhere.",
        hint='References look like {"$ref": "#/$defs/Name"}, with Name under "$defs".',
    )


class _Check:
    """One schema's walk through a value."""

    def __init__(self, root: JSON) -> None:
        self._root = root

    def faults(self, value: Any, schema: object, path: str, depth: int) -> Iterator[Fault]:
        if schema is True or depth > _DEEPEST:
            return
        if schema is False:
            yield Fault(path, "nothing is allowed here")
            return
        if not isinstance(schema, Mapping):
            return
        schema = resolve(schema, self._root)
        wrong = wrong_type(value, schema)
        if wrong:
            yield Fault(path, f"expected {wrong}, got {shown(value)}")
            return
        yield from self._fixed(value, schema, path)
        yield from self._choices(value, schema, path, depth)
        if isinstance(value, str):
            yield from _of_text(value, schema, path)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from _of_number(value, schema, path)
        elif isinstance(value, list):
            yield from self._of_array(value, schema, path, depth)
        elif isinstance(value, dict):
            yield from self._of_object(value, schema, path, depth)

    def fits(self, value: Any, schema: object, depth: int) -> bool:
        return next(self.faults(value, schema, "", depth), None) is None

    def _fixed(self, value: Any, schema: Mapping[str, Any], path: str) -> Iterator[Fault]:
        options = schema.get("enum")
        if isinstance(options, list) and not any(_same(value, option) for option in options):
            allowed = ", ".join(map(shown, options))
            yield Fault(path, f"expected one of {allowed}, got {shown(value)}")
        if "const" in schema and not _same(value, schema["const"]):
            yield Fault(path, f"expected {shown(schema['const'])}, got {shown(value)}")

    def _choices(
        self, value: Any, schema: Mapping[str, Any], path: str, depth: int
    ) -> Iterator[Fault]:
        for part in schema.get("allOf", ()):
            yield from self.faults(value, part, path, depth + 1)
        for keyword in ("anyOf", "oneOf"):
            options = schema.get(keyword)
            if not isinstance(options, list):
                continue
            fitting = [option for option in options if self.fits(value, option, depth + 1)]
            if not fitting:
                yield from self._nearest(value, options, path, depth)
            elif keyword == "oneOf" and len(fitting) > 1:
                yield Fault(path, f"fits {len(fitting)} of the options, where one is asked for")
        if "not" in schema and self.fits(value, schema["not"], depth + 1):
            yield Fault(path, f"{shown(value)} is what may not stand here")

    def _nearest(
        self, value: Any, options: Sequence[object], path: str, depth: int
    ) -> Iterator[Fault]:
        """The faults of the one option whose type is right, or that none fits."""
        right = [
            option
            for option in options
            if isinstance(option, Mapping) and not wrong_type(value, resolve(option, self._root))
        ]
        if len(right) == 1:
            yield from self.faults(value, right[0], path, depth + 1)
        else:
            yield Fault(path, f"{shown(value)} fits none of the {len(options)} options")

    def _of_array(
        self, value: list[Any], schema: Mapping[str, Any], path: str, depth: int
    ) -> Iterator[Fault]:
        yield from _bounds(len(value), schema, path, "Items", "items")
        first = schema.get("prefixItems", [])
        for place, item in enumerate(value):
            one = first[place] if place < len(first) else schema.get("items", True)
            yield from self.faults(item, one, f"{path}[{place}]", depth + 1)
        if schema.get("uniqueItems") is True:
            written = [json.dumps(item, sort_keys=True) for item in value]
            if len(set(written)) < len(written):
                yield Fault(path, "has an item twice")

    def _of_object(
        self, value: dict[str, Any], schema: Mapping[str, Any], path: str, depth: int
    ) -> Iterator[Fault]:
        yield from _bounds(len(value), schema, path, "Properties", "properties")
        known = schema.get("properties", {})
        for name in schema.get("required", ()):
            if name not in value:
                yield Fault(join(path, name), "is missing")
        for name, item in value.items():
            if name in known:
                yield from self.faults(item, known[name], join(path, name), depth + 1)
            elif schema.get("additionalProperties") is False:
                listed = ", ".join(known) or "none"
                yield Fault(join(path, name), f"is not known; the names are {listed}")
            else:
                more = schema.get("additionalProperties", True)
                yield from self.faults(item, more, join(path, name), depth + 1)


def join(path: str, name: str) -> str:
    """`path` with one more name."""
    if not name.isidentifier():
        return f"{path}[{json.dumps(name, ensure_ascii=False)}]"
    return f"{path}.{name}" if path else name


def shown(value: object) -> str:
    """`value` as short JSON."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
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


def wrong_type(value: object, schema: Mapping[str, Any]) -> str:
    """The types that were expected, in words; empty where `value` has one of them."""
    given = schema.get("type")
    names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    known = [name for name in names if name in _TYPES]
    return "" if not known or any(_TYPES[n](value) for n in known) else " or ".join(known)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _of_text(value: str, schema: Mapping[str, Any], path: str) -> Iterator[Fault]:
    yield from _bounds(len(value), schema, path, "Length", "characters")
    pattern = schema.get("pattern")
    if not isinstance(pattern, str):
        return
    try:
        found = re.search(pattern, value)
    except re.error:  # of another dialect
        return
    if found is None:
        yield Fault(path, f"{shown(value)} does not match the pattern {pattern}")


def _of_number(value: float, schema: Mapping[str, Any], path: str) -> Iterator[Fault]:
    limits: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
        ("minimum", "at least", lambda limit: value >= limit),
        ("maximum", "at most", lambda limit: value <= limit),
        ("exclusiveMinimum", "more than", lambda limit: value > limit),
        ("exclusiveMaximum", "less than", lambda limit: value < limit),
    )
    for keyword, words, holds in limits:
        limit = schema.get(keyword)
        if isinstance(limit, int | float) and not isinstance(limit, bool) and not holds(limit):
            yield Fault(path, f"expected {words} {limit}, got {value}")
    step = schema.get("multipleOf")
    if isinstance(step, int | float) and step and abs(value / step - round(value / step)) > 1e-9:
        yield Fault(path, f"expected a multiple of {step}, got {value}")


def _bounds(
    count: int, schema: Mapping[str, Any], path: str, keyword: str, noun: str
) -> Iterator[Fault]:
    least, most = schema.get(f"min{keyword}"), schema.get(f"max{keyword}")
    if isinstance(least, int) and count < least:
        yield Fault(path, f"expected at least {least} {noun}, got {count}")
    if isinstance(most, int) and count > most:
        yield Fault(path, f"expected at most {most} {noun}, got {count}")
