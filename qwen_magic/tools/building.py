"""Python objects out of JSON.

`coerce` makes right what means the right thing in the wrong type (models write `"5"` for 5); what
then fits the schema of a type, `build` makes an object of it.
"""

from __future__ import annotations

import enum
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Final, Literal, Union, get_args, get_origin

from qwen_magic.protocol.fields import JSON
from qwen_magic.tools.type_schema import (
    ARRAYS,
    OBJECTS,
    SETS,
    enum_values,
    field_hints,
    is_model,
    is_record,
    schema_of,
    simple_type,
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
_TRUTHS: Final = {"true": True, "false": False}


def coerce(value: Any, schema: JSON) -> Any:
    """`value` with text read as number, truth value, list or object where only that fits, and whole
    floats as integers. What cannot be read stays, for the check to name."""
    return _coerced(value, schema, schema)


def _coerced(value: Any, schema: object, root: JSON) -> Any:
    if not isinstance(schema, Mapping):
        return value
    schema = resolve(schema, root)
    for keyword in ("anyOf", "oneOf"):
        if isinstance(schema.get(keyword), list):
            return _of_options(value, schema[keyword], root)
    if isinstance(value, str) and wrong_type(value, schema):
        value = _read(value, schema)
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
    """As it is where it fits one of them; else as the first that it can be read as.

    Of `int | list[int]` the text "6" becomes 6, "[6]" becomes [6]; of `int | str` "6" stays text.
    """
    for made in (value, *(_coerced(value, option, root) for option in options)):
        for option in options:
            if isinstance(option, dict) and not find_faults(made, _within(root, option)):
                return made
    return value


def _within(root: JSON, option: JSON) -> JSON:
    return {"$defs": root.get("$defs", {}), **option}


def _read(text: str, schema: Mapping[str, Any]) -> Any:
    kind, bare = schema.get("type"), text.strip()
    if kind == "integer" and _INTEGER.fullmatch(bare):
        return int(bare.partition(".")[0])
    if kind == "number" and _NUMBER.fullmatch(bare):
        return float(bare)
    if kind == "boolean":
        return _TRUTHS.get(bare.lower(), text)
    if kind in ("array", "object"):
        try:
            made = json.loads(bare)
        except (ValueError, RecursionError):
            return text
        return text if wrong_type(made, schema) else made
    return text


# Building ----------------------------------------------------------------------------------------


def build(hint: Any, value: Any, path: str = "") -> Any:
    """`value` (JSON, valid for `schema_of(hint)`) as an object of the type `hint`.

    Raises `SchemaMismatchError` for what only the type can tell: a date that is none, a check in
    `__post_init__`, a validator of pydantic.
    """
    hint = unwrapped(hint)
    if is_model(hint):
        return _model(hint, value, path)
    if is_record(hint):
        return _record(hint, value, path)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return list(hint)[_place(value, enum_values(hint))]
    simple = simple_type(hint)
    if simple is not None:
        read = simple.read
        return value if read is None else _attempt(lambda: read(value), path, shown(value))
    return _generic(get_origin(hint) or hint, get_args(hint), value, path)


def _generic(origin: Any, arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if origin in (Union, types.UnionType):
        return _union(arguments, value, path)
    if origin is Literal:
        return arguments[_place(value, [getattr(a, "value", a) for a in arguments])]
    if origin is tuple and arguments and arguments[-1] is not ...:
        pairs = enumerate(zip(arguments, value, strict=True))
        return tuple(build(one, item, f"{path}[{n}]") for n, (one, item) in pairs)
    if origin in ARRAYS:
        one = arguments[0] if arguments else Any
        items = [build(one, item, f"{path}[{n}]") for n, item in enumerate(value)]
        if origin in SETS:
            return frozenset(items) if origin is frozenset else set(items)
        return tuple(items) if origin is tuple else items
    if origin in OBJECTS and arguments:
        return {key: build(arguments[1], item, join(path, key)) for key, item in value.items()}
    return value


def _place(value: Any, options: list[Any]) -> int:
    """Where it stands among the options: true is not 1."""
    return next(
        place
        for place, option in enumerate(options)
        if option == value and isinstance(option, bool) == isinstance(value, bool)
    )


def _union(options: tuple[Any, ...], value: Any, path: str) -> Any:
    """The first option that fits; whole numbers stay whole where the union has int."""
    fitting = [option for option in options if not find_faults(value, schema_of(option))]
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


def _model(model: Any, value: Any, path: str) -> Any:
    try:
        return model.model_validate_json(json.dumps(value))
    except ValueError as error:
        listed = getattr(error, "errors", None)
        if not callable(listed):
            raise SchemaMismatchError(
                "The model refused it.", [SchemaFault(path, str(error))]
            ) from error
        faults = [SchemaFault(reduce(join, one["loc"], path), str(one["msg"])) for one in listed()]
        raise SchemaMismatchError(f"It does not fit {model.__name__}.", faults) from error


def _attempt(make: Callable[[], Any], path: str, what: str) -> Any:
    try:
        return make()
    except Exception as error:  # what it checks is the user's
        fault = SchemaFault(path, f"{what} was refused: {type(error).__name__}: {error}")
        raise SchemaMismatchError("A value was refused.", [fault]) from error
