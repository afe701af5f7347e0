"""Python objects out of JSON that fits their type."""

from __future__ import annotations

import collections.abc
import datetime
import decimal
import enum
import json
import pathlib
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Union, get_args, get_origin

from qwen_magic.tools.schema.hints import (
    ARRAYS,
    OBJECTS,
    SETS,
    enum_values,
    field_hints,
    is_model,
    is_record,
    schema_of,
    unwrapped,
)
from qwen_magic.tools.schema.validation import (
    Fault,
    SchemaMismatchError,
    find_faults,
    join,
    shown,
)

_READ: Final[Mapping[Any, Callable[[Any], Any]]] = {
    datetime.datetime: datetime.datetime.fromisoformat,
    datetime.date: datetime.date.fromisoformat,
    datetime.time: datetime.time.fromisoformat,
    decimal.Decimal: lambda value: decimal.Decimal(str(value)),
    uuid.UUID: uuid.UUID,
    pathlib.Path: pathlib.Path,
}


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
    if isinstance(hint, collections.abc.Hashable) and hint in _READ:
        return _attempt(lambda: _READ[hint](value), path, shown(value))
    if hint is int:
        return int(value)
    if hint is float:
        return float(value)
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
        "The value fits none of the types.", [Fault(path, f"{shown(value)} fits no type")]
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
            raise SchemaMismatchError("The model refused it.", [Fault(path, str(error))]) from error
        faults = [Fault(_place_of(path, one["loc"]), str(one["msg"])) for one in listed()]
        raise SchemaMismatchError(f"It does not fit {model.__name__}.", faults) from error


def _place_of(path: str, steps: tuple[str | int, ...]) -> str:
    for step in steps:
        path = f"{path}[{step}]" if isinstance(step, int) else join(path, step)
    return path


def _attempt(make: Callable[[], Any], path: str, what: str) -> Any:
    try:
        return make()
    except Exception as error:  # what it checks is the user's
        fault = Fault(path, f"{what} was refused: {type(error).__name__}: {error}")
        raise SchemaMismatchError("A value was refused.", [fault]) from error
