"""Build Python objects from JSON.

`coerce` converts values that models write in the wrong type (`"5"` for 5); `build` then makes
objects of a type from a value that fits the type's schema.
"""

from __future__ import annotations

import enum
import json
import operator
import re
import types
import typing
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Final, Literal, Union, get_args, get_origin

from qwen_magic.protocol.fields import JSON, json_value
from qwen_magic.tools.type_schema import (
    ARRAYS,
    BOUNDS,
    OBJECTS,
    SETS,
    enum_values,
    field_hints,
    is_model,
    is_record,
    limits_of,
    name_of,
    peeled,
    schema_of,
    simple_type,
    type_adapter,
    unwrapped,
)
from qwen_magic.tools.validation import (
    SchemaFault,
    SchemaMismatchError,
    find_faults,
    join,
    resolve,
    shown,
    wrong_type,
)

_INTEGER: Final = re.compile(r"[+-]?\d{1,18}(?:\.0*)?")
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_COMPARED: Final = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
_TRUTHS: Final = {"true": True, "false": False}


def coerce(value: Any, schema: JSON) -> Any:
    """Convert text to a number, truth value, list or object where the schema allows only that, and
    whole floats to integers. Values that cannot be converted are left for validation to report.
    """
    return _coerced(value, schema, schema)


def _coerced(value: Any, schema: object, root: JSON) -> Any:
    if not isinstance(schema, Mapping):
        return value
    schema = resolve(schema, root)
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            return _of_options(value, schema[keyword], root)
    if isinstance(value, str) and wrong_type(value, schema):
        value = _read_text(value, schema)
    if schema.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        items = schema.get("items")
        return [_coerced(item, items, root) for item in value]
    if isinstance(value, dict):
        known, more = schema.get("properties", {}), schema.get("additionalProperties")
        return {name: _coerced(item, known.get(name, more), root) for name, item in value.items()}
    return value


def _of_options(value: Any, options: list[Any], root: JSON) -> Any:
    """Return the value if it fits an alternative, else convert it for the first one possible.

    For `int | list[int]` the text "6" becomes 6, and "[6]" becomes [6]; for `int | str`, "6" stays.
    """
    for made in (value, *(_coerced(value, option, root) for option in options)):
        for option in options:
            if isinstance(option, dict) and not find_faults(made, _within(root, option)):
                return made
    return value


def _within(root: JSON, option: JSON) -> JSON:
    return {"$defs": root.get("$defs", {}), **option}


def _read_text(text: str, schema: Mapping[str, Any]) -> Any:
    kind, bare = schema.get("type"), text.strip()
    if kind == "integer" and _INTEGER.fullmatch(bare):
        return int(bare.partition(".")[0])
    if kind == "number" and _NUMBER.fullmatch(bare):
        return float(bare)
    if kind == "boolean":
        return _TRUTHS.get(bare.lower(), text)
    if kind in ("array", "object"):
        made = json_value(bare)
        return text if wrong_type(made, schema) else made
    return text


# Building ----------------------------------------------------------------------------------------


def build(hint: Any, value: Any, path: str = "") -> Any:
    """Build an object of type `hint` from `value` (JSON that is valid for `schema_of(hint)`).

    Raises `SchemaMismatchError` for faults that only the type can find: an invalid date, a check in
    `__post_init__`, a validator of pydantic.
    """
    bare, notes = peeled(hint)
    made = _built(bare, value, path)
    return _within_limits(hint, made, notes, path) if notes else made


def _within_limits(hint: Any, made: Any, notes: tuple[Any, ...], path: str) -> Any:
    """Check a built object against limits that a JSON schema cannot express.

    These are limits of dates, and functions that check or change the value (pydantic's validators).
    """
    adapter = type_adapter(hint)
    if adapter is not None and not all(isinstance(note, str) for note in notes):
        return _validated(lambda: adapter.validate_python(made), path, name_of(hint))
    for name, limit in limits_of(notes).items():
        if name in _COMPARED and not _COMPARED[name](made, limit):
            fault = SchemaFault(path, f"expected {BOUNDS[name][1]} {limit}, got {made}")
            raise SchemaMismatchError("A value is out of bounds.", [fault])
    return made


def _built(hint: Any, value: Any, path: str) -> Any:
    if is_model(hint):
        return _by_pydantic(hint, value, path)
    if is_record(hint):
        return _record(hint, value, path)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return list(hint)[_index_of(value, enum_values(hint))]
    simple = simple_type(hint)
    if simple is not None:
        read = simple.read
        return value if read is None else _attempt(lambda: read(value), path, shown(value))
    return _generic(get_origin(hint) or hint, get_args(hint), value, path)


def _generic(origin: Any, arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if origin in (Union, types.UnionType):
        return _union(arguments, value, path)
    if origin is Literal:
        return arguments[_index_of(value, [getattr(a, "value", a) for a in arguments])]
    if origin is tuple and arguments and arguments[-1] is not ...:
        pairs = enumerate(zip(arguments, value, strict=True))
        return tuple(build(one, item, f"{path}[{n}]") for n, (one, item) in pairs)
    if origin in ARRAYS:
        one = arguments[0] if arguments else Any
        items = [build(one, item, f"{path}[{n}]") for n, item in enumerate(value)]
        if origin in SETS:
            return frozenset(items) if origin is frozenset else set(items)
        return tuple(items) if origin is tuple else items
    if origin in OBJECTS and unwrapped([*arguments, Any][0]) in (str, Any):
        inside = arguments[1] if arguments else Any
        return {key: build(inside, item, join(path, key)) for key, item in value.items()}
    return _by_pydantic(origin[arguments] if arguments else origin, value, path)


def _index_of(value: Any, options: list[Any]) -> int:
    """The index of `value` among the options; unlike `list.index`, true is not 1."""
    return next(
        place
        for place, option in enumerate(options)
        if option == value and isinstance(option, bool) == isinstance(value, bool)
    )


def _union(options: tuple[Any, ...], value: Any, path: str) -> Any:
    """Build the first alternative that fits; whole numbers stay integers if the union has int."""
    fitting = [option for option in options if _fits(value, option)]
    if isinstance(value, float) and float in fitting:
        return value
    failure: SchemaMismatchError | None = None
    for option in fitting:
        try:
            return build(option, value, path)
        except SchemaMismatchError as error:
            failure = error
    raise failure or SchemaMismatchError(
        "The value fits none of the types.", [SchemaFault(path, f"{shown(value)} fits no type")]
    )


def _record(record: Any, value: dict[str, Any], path: str) -> Any:
    fields = field_hints(record)
    made = {name: build(fields[name][0], item, join(path, name)) for name, item in value.items()}
    if typing.is_typeddict(record):
        return made
    return _attempt(lambda: record(**made), path, record.__name__)


def _by_pydantic(hint: Any, value: Any, path: str) -> Any:
    adapter = type_adapter(hint)
    assert adapter is not None  # it wrote the schema
    return _validated(lambda: adapter.validate_json(json.dumps(value)), path, name_of(hint))


def _validated(make: Callable[[], Any], path: str, name: str) -> Any:
    """Build with pydantic, and convert its errors."""
    try:
        return make()
    except Exception as error:  # its own, or of a validator of the user's
        listed = getattr(error, "errors", None)
        if not callable(listed):
            fault = SchemaFault(path, f"{type(error).__name__}: {error}")
            raise SchemaMismatchError("It was refused.", [fault]) from error
        faults = [SchemaFault(reduce(join, one["loc"], path), str(one["msg"])) for one in listed()]
        raise SchemaMismatchError(f"It does not fit {name}.", faults) from error


def by_alias(hint: Any, value: Any) -> Any:
    """`value` with the names of pydantic fields replaced by their aliases, which the schema uses,
    at any depth.
    """
    hint = unwrapped(hint)
    arguments = get_args(hint)
    if isinstance(value, list) and arguments:
        each = arguments if len(arguments) == len(value) else [arguments[0]] * len(value)
        return [by_alias(one, item) for one, item in zip(each, value, strict=True)]
    if get_origin(hint) in (Union, types.UnionType):
        made = [by_alias(option, value) for option in arguments]
        fitting = (one for one, option in zip(made, arguments, strict=True) if _fits(one, option))
        return next(fitting, value)
    if not isinstance(value, dict):
        return value
    if get_origin(hint) in OBJECTS and len(arguments) == 2:
        return {key: by_alias(arguments[1], item) for key, item in value.items()}
    if is_record(hint):
        fields = field_hints(hint)
        return {
            key: by_alias(fields[key][0], item) if key in fields else item
            for key, item in value.items()
        }
    for name, field in getattr(hint, "__pydantic_fields__", {}).items():
        given = field.validation_alias or field.alias or name
        choices: list[Any] = getattr(given, "choices", [given])
        told = choices[0]
        found = next((key for key in (*choices, name) if key in value), None)
        if found is not None and isinstance(told, str):
            rest = {key: item for key, item in value.items() if key != found}
            value = {**rest, told: by_alias(field.annotation, value[found])}
    return value


def _fits(value: Any, hint: Any) -> bool:
    return not find_faults(value, schema_of(hint))


def _attempt(make: Callable[[], Any], path: str, what: str) -> Any:
    try:
        return make()
    except Exception as error:  # what it checks is the user's
        fault = SchemaFault(path, f"{what} was refused: {type(error).__name__}: {error}")
        raise SchemaMismatchError("A value was refused.", [fault]) from error
