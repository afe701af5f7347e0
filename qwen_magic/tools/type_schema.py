"""Types of Python, and the JSON schemas that ask for them."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import inspect
import pathlib
import re
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON


@dataclasses.dataclass(frozen=True, slots=True)
class SimpleType:
    """How a type that is no collection stands in JSON; `read` makes one of it (None: it is one)."""

    schema: JSON
    read: Callable[[Any], Any] | None = None


SIMPLE_TYPES: Final[Mapping[Any, SimpleType]] = {
    str: SimpleType({"type": "string"}),
    bool: SimpleType({"type": "boolean"}),
    int: SimpleType({"type": "integer"}, int),
    float: SimpleType({"type": "number"}, float),
    type(None): SimpleType({"type": "null"}),
    None: SimpleType({"type": "null"}),
    datetime.datetime: SimpleType(
        {"type": "string", "format": "date-time"}, datetime.datetime.fromisoformat
    ),
    datetime.date: SimpleType({"type": "string", "format": "date"}, datetime.date.fromisoformat),
    datetime.time: SimpleType({"type": "string", "format": "time"}, datetime.time.fromisoformat),
    decimal.Decimal: SimpleType(
        {"type": ["string", "number"], "format": "decimal"},
        lambda value: decimal.Decimal(str(value)),
    ),
    uuid.UUID: SimpleType({"type": "string", "format": "uuid"}, uuid.UUID),
    pathlib.Path: SimpleType({"type": "string"}, pathlib.Path),
    Any: SimpleType({}),
    object: SimpleType({}),
}
SETS: Final = (set, frozenset, collections.abc.Set, collections.abc.MutableSet)
ARRAYS: Final = (
    list,
    tuple,
    *SETS,
    collections.abc.Sequence,
    collections.abc.Iterable,
    collections.abc.Collection,
    collections.abc.MutableSequence,
)
OBJECTS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
SCALARS: Final = (str, int, float, bool)
_LITERALS: Final = (*SCALARS, type(None))


def schema_of(hint: Any) -> JSON:
    """The JSON schema of a type, with what it refers to under `$defs`.

    Known: str, int, float, bool, None, dates, Decimal, UUID, Path, Any, lists and other
    collections, tuples, dicts with text keys, unions, Literal, Enum, NewType, Annotated (its text
    is the description; its limits, of pydantic's `Field` or annotated_types, are the schema's),
    dataclasses, TypedDicts, named tuples; where pydantic is installed its models, and all other
    types that its `TypeAdapter` takes. Every array says its `items`, if only `{}`: OpenAI refuses a
    function whose schema has one without. Raises `UsageError` for others.
    """
    writer = _Writer()
    schema = writer.of(hint)
    return {**schema, "$defs": writer.definitions} if writer.definitions else schema


def simple_type(hint: Any) -> SimpleType | None:
    """How `hint` stands in JSON, where it is a simple type."""
    return SIMPLE_TYPES.get(hint) if isinstance(hint, collections.abc.Hashable) else None


def is_model(hint: object) -> bool:
    """True for a model or a dataclass of pydantic's."""
    return isinstance(hint, type) and hasattr(hint, "__pydantic_validator__")


def type_adapter(hint: Any) -> Any | None:
    """pydantic's own way with a type; None without pydantic, and for what it does not take. (A
    function it would take, and call.)"""
    if inspect.isroutine(hint):
        return None
    try:
        from pydantic import TypeAdapter

        return TypeAdapter(hint)
    except Exception:  # not installed; or an error of its own, or of what the annotation runs
        return None


def is_record(hint: object) -> bool:
    """True for a dataclass, a TypedDict, a named tuple."""
    if not isinstance(hint, type):
        return False
    named = issubclass(hint, tuple) and hasattr(hint, "_fields")
    return dataclasses.is_dataclass(hint) or typing.is_typeddict(hint) or named


def enum_values(hint: type[enum.Enum]) -> list[Any]:
    """What stands for the members: their values where JSON has them all, else their names."""
    values = [member.value for member in hint]
    plain = all(type(value) in _LITERALS for value in values)
    return values if plain else [member.name for member in hint]


def field_hints(record: Any) -> dict[str, tuple[Any, bool, str]]:
    """The fields of a record: type, whether it is required, description.

    Raises `UsageError` where an annotation cannot be read.
    """
    hints = resolved_hints(record)
    if dataclasses.is_dataclass(record):
        return {
            field.name: (
                hints[field.name],
                field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING,
                str(field.metadata.get("description", "")),
            )
            for field in dataclasses.fields(record)
            if field.init
        }
    if typing.is_typeddict(record):
        return {
            name: (_bare(hint), _is_required(record, name, hint), "")
            for name, hint in hints.items()
        }
    defaults = record._field_defaults
    return {name: (hints.get(name, Any), name not in defaults, "") for name in record._fields}


def _is_required(record: Any, name: str, hint: Any) -> bool:
    """Asked of the hint first: annotations that were text when the class was made hid it."""
    qualifier = _qualifier(hint)
    return name in record.__required_keys__ if not qualifier else qualifier != "NotRequired"


def _qualifier(hint: Any) -> str:
    name = str(getattr(get_origin(hint), "_name", ""))
    return name if name in ("Required", "NotRequired") else ""


def _bare(hint: Any) -> Any:
    """Without the Required or NotRequired of a TypedDict."""
    return get_args(hint)[0] if _qualifier(hint) else hint


def resolved_hints(owner: Any) -> dict[str, Any]:
    """Its annotations as types. Raises `UsageError` where a name in them is not known."""
    try:
        return typing.get_type_hints(owner, include_extras=True)
    except Exception as error:  # annotations are expressions, and may raise anything
        name = getattr(owner, "__name__", type(owner).__name__)
        raise UsageError(
            f"The type annotations of {name} cannot be read.",
            why=f"{type(error).__name__}: {error}",
        ) from error


def unwrapped(hint: Any) -> Any:
    """The type behind Annotated, NewType and the `type` statement's names."""
    return peeled(hint)[0]


def peeled(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """`unwrapped`, with what was noted about the type on the way there: what stands in Annotated,
    and what is inside of a `Field`."""
    notes: list[Any] = []
    while True:
        if get_origin(hint) is Annotated:
            hint, *more = get_args(hint)
            for note in more:
                notes += [note, *(getattr(note, "metadata", None) or ())]
        elif hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint, tuple(notes)


# Limits by their names in annotated_types and pydantic (and msgspec), with what they are in words.
BOUNDS: Final = {
    "ge": ("minimum", "at least"),
    "gt": ("exclusiveMinimum", "more than"),
    "le": ("maximum", "at most"),
    "lt": ("exclusiveMaximum", "less than"),
    "multiple_of": ("multipleOf", "a multiple of"),
}
_LENGTHS: Final = {"array": "Items", "object": "Properties"}  # else of text: `minLength`


def limits_of(notes: tuple[Any, ...]) -> dict[str, Any]:
    """The limits among `notes`, by their names there: `{"ge": 1, "max_length": 5}`."""
    names = (*BOUNDS, "min_length", "max_length", "pattern")
    return {
        name: limit
        for note in notes
        if not isinstance(note, str | type)
        for name in names
        if (limit := getattr(note, name, None)) is not None and not callable(limit)
    }


def _limits(notes: tuple[Any, ...], schema: JSON) -> JSON:
    """The keywords of a schema for the limits of its type. What JSON has no number for (the
    earliest of dates) is told in words."""
    kinds = [str(one.get("type")) for one in (schema, *schema.get("anyOf", ()))]
    of_length = next((_LENGTHS[kind] for kind in kinds if kind in _LENGTHS), "Length")
    keywords, words = {}, []
    for name, limit in limits_of(notes).items():
        if name == "pattern":
            keywords[name] = getattr(limit, "pattern", limit)
        elif name in ("min_length", "max_length"):
            keywords[name[:3] + of_length] = limit
        elif isinstance(limit, int | float | decimal.Decimal):
            keywords[BOUNDS[name][0]] = limit if isinstance(limit, int) else float(limit)
        else:
            words.append(f"{BOUNDS[name][1]} {limit}")
    told = [_description_in(notes), f"({', '.join(words)})" if words else ""]
    description = " ".join(part for part in told if part)
    return {**keywords, **({"description": description} if description else {})}


class _Writer:
    def __init__(self) -> None:
        self.definitions: dict[str, JSON] = {}
        self._named: dict[Any, str] = {}

    def of(self, hint: Any) -> JSON:
        bare, notes = peeled(hint)
        schema = self._of(bare)
        return {**schema, **_limits(notes, schema)}

    def _of(self, hint: Any) -> JSON:
        simple = simple_type(hint)
        if simple is not None:
            return dict(simple.schema)
        if is_model(hint) or is_record(hint):
            return {"$ref": f"#/$defs/{self._definition(hint)}"}
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return _of_values(enum_values(hint))
        origin, arguments = get_origin(hint) or hint, get_args(hint)
        if origin in (Union, types.UnionType):
            return {"anyOf": [self.of(option) for option in arguments]}
        if origin is Literal:
            return _of_values(
                [value.value if isinstance(value, enum.Enum) else value for value in arguments]
            )
        if origin is tuple and arguments and arguments[-1] is not ...:
            items = [self.of(item) for item in arguments]
            exactly = {"minItems": len(items), "maxItems": len(items)}
            return {"type": "array", "prefixItems": items, "items": {"anyOf": items}, **exactly}
        if origin in ARRAYS:
            unique = {"uniqueItems": True} if origin in SETS else {}
            item = self.of(arguments[0]) if arguments else {}
            return {"type": "array", "items": item, **unique}
        if origin in OBJECTS and (not arguments or unwrapped(arguments[0]) in (str, Any)):
            more = self.of(arguments[1]) if arguments else {}
            return {"type": "object", **({"additionalProperties": more} if more else {})}
        return self._of_pydantic(hint)

    def _definition(self, hint: Any) -> str:
        """The name under `$defs`: known before it is written, so that types may hold themselves."""
        if hint in self._named:
            return self._named[hint]
        written = self._of_pydantic(hint) if is_model(hint) else None
        if written and "$ref" in written:  # a model that holds itself has its name already
            self._named[hint] = written["$ref"].removeprefix("#/$defs/")
            return self._named[hint]
        own = re.sub(r"[^\w.-]", "_", hint.__name__)  # of a generic model: Page[Item]
        name, count = own, 2
        while name in self.definitions:
            name, count = f"{own}{count}", count + 1
        self._named[hint] = name
        self.definitions[name] = {}
        self.definitions[name] = written or self._record(hint)
        return name

    def _of_pydantic(self, hint: Any) -> JSON:
        """The schema that pydantic writes, its definitions put among ours. Raises `UsageError`
        where it writes none."""
        adapter: Any = type_adapter(hint)
        prefix = ""
        while True:
            try:
                template = f"#/$defs/{prefix}{{model}}"
                schema: JSON = _with_items(adapter.json_schema(ref_template=template))
            except Exception as error:  # there is no adapter; or the type has none, as a Callable
                raise UsageError(
                    f"The type {name_of(hint)} has no JSON schema.",
                    hint="Use str, int, float, bool, list, dict[str, …], Literal, Enum, a "
                    "dataclass, a TypedDict or a pydantic model.",
                ) from error
            named = {prefix + name: one for name, one in schema.pop("$defs", {}).items()}
            if all(self.definitions.get(name, one) == one for name, one in named.items()):
                self.definitions |= named
                return schema
            prefix += "_"  # another type has such a name

    def _record(self, record: Any) -> JSON:
        fields = field_hints(record)
        properties = {}
        for name, (hint, _, told) in fields.items():
            properties[name] = {**self.of(hint), **({"description": told} if told else {})}
        written = inspect.cleandoc(record.__doc__ or "")
        own = "" if written.startswith(f"{record.__name__}(") else written
        return {
            "type": "object",
            **({"description": own} if own else {}),
            "properties": properties,
            "required": [name for name, (_, required, _) in fields.items() if required],
            "additionalProperties": False,
        }


def _with_items(schema: Any) -> Any:
    """A schema of pydantic's in which each array says its items."""
    if isinstance(schema, list):
        return [_with_items(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _with_items(part) for key, part in schema.items()}
    if made.get("type") == "array" and "items" not in made:
        several = made.get("prefixItems")
        made["items"] = {"anyOf": several} if several else {}
    return made


def _description_in(notes: tuple[Any, ...]) -> str:
    """The text among them: "text" itself, of `Field(description=…)` or of `Doc(…)`."""
    for note in notes:
        for text in (
            note,
            getattr(note, "description", None),
            getattr(note, "documentation", None),
        ):
            if isinstance(text, str):
                return text
    return ""


def _of_values(values: list[Any]) -> JSON:
    if not all(type(value) in _LITERALS for value in values):
        raise UsageError(f"The values {values!r} of a Literal cannot stand in JSON.")
    kinds = {SIMPLE_TYPES[type(value)].schema["type"] for value in values}
    return {**({"type": kinds.pop()} if len(kinds) == 1 else {}), "enum": values}


def name_of(hint: object) -> str:
    return str(hint.__name__) if isinstance(hint, type) else str(hint)
