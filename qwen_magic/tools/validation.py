"""A JSON value checked against a JSON schema, with errors that name the place.

The check is jsonschema's, of the draft that `$schema` names (else 2020-12), without `format`; the
library is imported with the first check. Its errors are worded anew, for a model to mend: the
place, what was expected, what came, in bounded length.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Final
from urllib.parse import unquote

from qwen_magic.document.words import clipped
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.protocol.fields import JSON

MOST_FAULTS: Final = 10
_DEEPEST: Final = (
    60  # levels that are checked: Python's stack is not deep, nor is rpds' (it aborts)
)
_LONGEST_SHOWN: Final = 60
_LONGEST_MESSAGE: Final = 300


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """`path` is like `items[2].price`, empty for the whole value."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or 'the whole'}: {self.message}"


class SchemaMismatchError(QwenError):
    """JSON that is missing, or does not fit its schema. `faults` lists what is wrong, for the
    model to mend."""

    def __init__(self, message: str, faults: Sequence[SchemaFault] = (), *, hint: str = "") -> None:
        others = faults[1:] if faults and str(faults[0]) in message else faults
        super().__init__(message, why="; ".join(map(str, others)), hint=hint)
        self.faults = tuple(faults)


def find_faults(value: object, schema: JSON) -> list[SchemaFault]:
    """What is wrong with `value`, at most `MOST_FAULTS`; nothing where it fits. What is nested more
    than 60 deep counts as fitting.

    Raises `UsageError` where a `$ref` of the schema leads nowhere (nothing is ever fetched for
    one), or the schema is none.
    """
    from referencing.exceptions import Unresolvable

    _check_references(schema, schema)
    found: dict[SchemaFault, None] = {}
    try:
        for fault in _faults(value, schema):
            found[fault] = None
            if len(found) == MOST_FAULTS:
                break
    except Unresolvable as error:
        raise _dead(str(error.ref)) from error
    except (TypeError, ValueError, AttributeError) as error:  # of keywords with odd values
        raise UsageError("The schema is no valid JSON schema.", why=str(error)) from error
    return list(found)


def resolve(schema: Mapping[str, Any], root: JSON) -> Mapping[str, Any]:
    """The schema that a `$ref` into `root` stands for, however long its chain; else, and where a
    reference leads elsewhere, as it is. Raises `UsageError` where one leads back to itself."""
    seen: list[str] = []
    while isinstance(reference := schema.get("$ref"), str):
        if reference in seen:
            raise _dead(reference)
        seen.append(reference)
        target = _target(reference, root)
        if not isinstance(target, Mapping):
            break
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _target(reference: str, root: JSON) -> Any:
    """What a JSON pointer (RFC 6901, in a fragment: "#/$defs/a%25b") leads to; None: nowhere."""
    target: Any = root
    head, *steps = unquote(reference).split("/")
    if head != "#":
        return None
    for step in steps:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(target, list) and step.isdecimal() and int(step) < len(target):
            target = target[int(step)]
        elif isinstance(target, Mapping) and step in target:
            target = target[step]
        else:
            return None
    return target


def is_schema(value: Mapping[str, Any]) -> bool:
    """Whether a dict has any word of JSON Schema."""
    from jsonschema import Draft202012Validator

    words = Draft202012Validator.VALIDATORS
    return any(str(key).startswith("$") or key in words or key == "then" for key in value)


def _check_references(part: object, root: JSON) -> None:
    """Raises `UsageError` where a reference leads back to itself alone: the check would not end."""
    if isinstance(part, Mapping):
        resolve(part, root)
    for inner in part.values() if isinstance(part, Mapping) else ():
        for each in inner if isinstance(inner, list) else [inner]:
            _check_references(each, root)


def _dead(reference: str) -> UsageError:
    return UsageError(
        f"The schema's reference {reference!r} leads nowhere.",
        hint='References look like {"$ref": "#/$defs/Name"}, with Name under "$defs".',
    )


def join(path: str, step: str | int) -> str:
    """`path` with one more name, or place in a list."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if not step.isidentifier():
        return f"{path}[{json.dumps(step, ensure_ascii=False)}]"
    return f"{path}.{step}" if path else step


def shown(value: object) -> str:
    """`value` as short JSON."""
    return clipped(json.dumps(value, ensure_ascii=False, default=str), _LONGEST_SHOWN)


# Checking ----------------------------------------------------------------------------------------

_TYPES: Final = ("string", "boolean", "null", "array", "object", "number", "integer")


def wrong_type(value: object, schema: Mapping[str, Any]) -> str:
    """The types that were expected, in words; empty where `value` has one of them. A type that JSON
    Schema does not know allows anything."""
    from jsonschema import Draft202012Validator

    given = schema.get("type", [])
    names = [given] if isinstance(given, str) else given
    known = [name for name in names if name in _TYPES]
    is_type = Draft202012Validator.TYPE_CHECKER.is_type
    return "" if not known or any(is_type(value, name) for name in known) else " or ".join(known)


def _wrong_pattern(value: object, pattern: str) -> bool:
    """A pattern of another dialect of regular expressions allows anything."""
    try:
        return isinstance(value, str) and not re.search(pattern, value)
    except re.error:
        return False


def _wrong_multiple(value: Any, step: float) -> bool:
    """Of the numbers as they are written: 0.3 is a multiple of 0.1, though not in binary."""
    if wrong_type(value, {"type": "number"}):
        return False
    return not math.isfinite(value) or bool(Fraction(str(value)) % Fraction(str(step)))


@cache
def _checker(draft: Any) -> Any:
    """The validator of a draft, with keywords in which models and people are less strict."""
    from jsonschema import ValidationError
    from jsonschema.validators import extend

    def keyword(is_wrong: Callable[[Any, Any], object]) -> Callable[..., Iterator[Exception]]:
        def check(checker: Any, limit: Any, value: Any, schema: Any) -> Iterator[Exception]:
            if is_wrong(value, limit):
                yield ValidationError("")

        return check

    wrong: dict[str, Callable[[Any, Any], object]] = {
        "type": lambda value, types: wrong_type(value, {"type": types}),
        "pattern": _wrong_pattern,
        "multipleOf": _wrong_multiple,
    }
    return extend(draft, {name: keyword(is_wrong) for name, is_wrong in wrong.items()})


def _faults(value: object, schema: JSON) -> Iterator[SchemaFault]:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from jsonschema_specifications import REGISTRY  # without it jsonschema would ask the network

    kind = _checker(validator_for(schema, default=Draft202012Validator))
    checker = kind(schema, registry=REGISTRY)
    for error in checker.iter_errors(_pruned(value, _DEEPEST)):
        if len(error.absolute_path) < _DEEPEST:
            yield from _worded(error, "", checker)


def _pruned(value: Any, levels: int) -> Any:
    """`value` with empty lists and objects below so many levels."""
    match value:
        case list():
            return [_pruned(item, levels - 1) for item in value] if levels else []
        case dict():
            inside = value.items() if levels else ()
            return {name: _pruned(item, levels - 1) for name, item in inside}
    return value


# Wording -----------------------------------------------------------------------------------------

_BOUNDS: Final = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minProperties": "at least {} properties",
    "maxProperties": "at most {} properties",
}


def _worded(error: Any, path: str, checker: Any) -> Iterator[SchemaFault]:
    """An error of jsonschema's as faults; `path` leads to where its own path begins."""
    for step in error.relative_path:
        path = join(path, step)
    keyword, limit, value = error.validator, error.validator_value, error.instance
    match keyword:
        case "required":  # an error for each that is missing, which does not tell them apart
            missing = [name for name in limit if name not in value]
            yield from (SchemaFault(join(path, name), "is missing") for name in missing)
        case "additionalProperties" if limit is False:
            yield from _unknown(error, path)
        case "anyOf" | "oneOf" if error.context:
            yield from _nearest(error, path, checker)
        case "items" if limit is False:
            for place in range(len(error.schema.get("prefixItems", [])), len(value)):
                yield SchemaFault(join(path, place), "nothing is allowed here")
        case "enum" | "const" if wrong_type(value, error.schema):
            return  # which is said already
        case _:
            yield SchemaFault(path, _message(error, checker))


def _message(error: Any, checker: Any) -> str:
    limit, value = error.validator_value, error.instance
    match error.validator:
        case "type":
            return f"expected {wrong_type(value, error.schema)}, got {shown(value)}"
        case "enum":
            return f"expected one of {', '.join(map(shown, limit))}, got {shown(value)}"
        case "const":
            return f"expected {shown(limit)}, got {shown(value)}"
        case "pattern":
            return f"{shown(value)} does not match the pattern {limit}"
        case "uniqueItems":
            return "has an item twice"
        case "not":
            return f"{shown(value)} is what may not stand here"
        case "oneOf":
            fitting = sum(checker.evolve(schema=option).is_valid(value) for option in limit)
            return f"fits {fitting} of the options, where one is asked for"
        case None:  # the schema is `false`
            return "nothing is allowed here"
        case bound if bound in _BOUNDS:
            came = len(value) if isinstance(value, str | list | dict) else value
            return f"expected {_BOUNDS[bound].format(limit)}, got {came}"
    return clipped(error.message.replace(repr(value), shown(value)), _LONGEST_MESSAGE)


def _unknown(error: Any, path: str) -> Iterator[SchemaFault]:
    """A fault for each name that the schema does not know."""
    known = error.schema.get("properties", {})
    patterns = error.schema.get("patternProperties", {})
    listed = ", ".join(known) or "none"
    for name in error.instance:
        if name not in known and not any(re.search(pattern, name) for pattern in patterns):
            yield SchemaFault(join(path, name), f"is not known; the names are {listed}")


def _nearest(error: Any, path: str, checker: Any) -> Iterator[SchemaFault]:
    """The faults of the one option whose type is right, or that none fits.

    Of `anyOf: [an object with a name, null]` the value `{}` gets "name: is missing", since only the
    first option is of its type; 5 gets "5 fits none of the 2 options". jsonschema lists the errors
    of all options in `context`, each with the option's number at the front of its schema path.
    """
    options: dict[int, list[Any]] = {}
    for each in error.context:
        number = next(iter(each.relative_schema_path), -1)  # the schema `false` has no path
        options.setdefault(number, []).append(each)
    right = [
        faults
        for faults in options.values()
        if not any(each.validator == "type" and not each.relative_path for each in faults)
    ]
    if len(right) == 1:
        for each in right[0]:
            yield from _worded(each, path, checker)
    else:
        count = len(error.validator_value)
        yield SchemaFault(path, f"{shown(error.instance)} fits none of the {count} options")
