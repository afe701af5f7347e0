"""What a value of the notebook looks like in a prompt: short, telling, never the whole of a table.

Tables, columns and arrays are known by their shape (duck typing: pandas, polars, pyarrow, numpy,
torch), so that nothing of the kind is imported here.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import inspect
import json
import pathlib
import reprlib
import types
import uuid
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, Final

MAX_CHARS: Final = 2_000  # of one value; strings are never cut
FIRST_ROWS: Final = 5
MAX_COLUMNS: Final = 60

_SIMPLE: Final = (
    bool,
    int,
    float,
    complex,
    types.NoneType,
    decimal.Decimal,
    fractions.Fraction,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    pathlib.PurePath,
    uuid.UUID,
)
CALLABLE: Final = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, type)


def describe(value: object) -> str:
    """The text that stands for `value` in a prompt.

    Strings and simple values as they are; containers as JSON; tables with shape, columns, types and
    the first rows; functions with signature and docstring; an object with `__llm__()` as that says;
    others by type and `repr`. All but strings and `__llm__()` are cut at `MAX_CHARS`. Never raises.
    """
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return str.__str__(value)
    for look in (_own_words, _description, _other):
        try:
            text = look(value)
        except Exception:  # a value of the user's may raise anything when looked at
            continue
        if text is not None:
            return text
    return f"an object of type {_type_name(value)}"


def cut(text: str, whole: str = "", limit: int = MAX_CHARS) -> str:
    """`text` no longer than `limit` characters, with a word about `whole` where it was cut."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}…\n(cut: the first {limit:,} characters of {whole or 'it'})"


def _own_words(value: Any) -> str | None:
    own = getattr(type(value), "__llm__", None)
    return str(own(value)) if callable(own) else None


def _description(value: Any) -> str:
    if isinstance(value, _SIMPLE):
        return cut(str(value), f"a {_type_name(value)}")
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, Mapping | AbstractSet | list | tuple):
        return _container(value)
    if isinstance(value, CALLABLE):
        return _callable(value)
    if _is_table(value):
        return _table(value)
    if _has(value, "shape") and _has(value, "dtype"):
        return _array(value)
    return _other(value)


def _type_name(value: object) -> str:
    return type(value).__name__


def _container(value: Mapping[Any, Any] | AbstractSet[Any] | list[Any] | tuple[Any, ...]) -> str:
    """JSON where it says the same; Python's notation where it would not."""
    whole = f"a {_type_name(value)} of {len(value):,} items"
    try:
        return cut(json_text(_as_json(value), MAX_CHARS, _json_part), whole)
    except (TypeError, ValueError, RecursionError):
        return cut(_bounded_repr(value), whole)


def json_text(value: object, limit: int, part: Callable[[Any], object]) -> str:
    """JSON of `value`, written no further than needed to know that it is longer than `limit`
    characters. `part` gives what stands for a value that JSON does not know."""
    written, size = [], 0
    for chunk in json.JSONEncoder(ensure_ascii=False, default=part).iterencode(value):
        written.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    return "".join(written)


def _as_json(value: object) -> object:
    """`value` with its first items only, as many as can show; sets in a stable order."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in islice(value, MAX_CHARS)):
            raise TypeError("JSON would turn the keys into strings")
        return dict(islice(value.items(), MAX_CHARS))
    if isinstance(value, AbstractSet):
        return sorted(islice(value, MAX_CHARS), key=repr)
    return list(islice(value, MAX_CHARS)) if isinstance(value, list | tuple) else value


def _json_part(value: object) -> object:
    """What JSON does not know, inside a container."""
    if isinstance(value, Mapping | AbstractSet):
        return _as_json(value)
    return describe(value)


def _bounded_repr(value: object) -> str:
    brief = reprlib.Repr()
    brief.maxdict = brief.maxlist = brief.maxtuple = brief.maxset = brief.maxfrozenset = 200
    brief.maxstring = brief.maxother = 500
    return brief.repr(value)


def _callable(value: Any) -> str:
    kind = "class" if isinstance(value, type) else "def"
    name = getattr(value, "__qualname__", getattr(value, "__name__", _type_name(value)))
    try:
        signature = str(inspect.signature(value))
    except (TypeError, ValueError):
        signature = "(…)"
    doc = inspect.getdoc(value) or ""
    return cut(f"{kind} {name}{signature}" + (f"\n{doc}" if doc else ""), "its docstring")


def _is_table(value: Any) -> bool:
    """Tables and columns: DataFrame and Series of pandas or polars, tables of pyarrow."""
    return _has(value, "shape") and any(
        _has(value, name) for name in ("__dataframe__", "column_names", "head")
    )


def _has(value: object, name: str) -> bool:
    """Asks the type: asking a proxy of something remote could make it work."""
    return hasattr(type(value), name)


def _table(value: Any) -> str:
    """Ends in a line break, so that words that follow in the prompt are not one more cell."""
    shape = tuple(value.shape)
    if len(shape) == 1:
        name = "" if value.name is None else f" {value.name!r}"
        head = f"{_type_name(value)}{name}, {shape[0]:,} values, {value.dtype}"
        rows = f"The first {min(FIRST_ROWS, shape[0])}:\n{_first_rows(value)}"
        return cut(f"{head}\n{rows}", "its values") + "\n"
    columns = _columns(value)
    listed = ", ".join(f"{name} ({kind})" for name, kind in columns[:MAX_COLUMNS])
    if len(columns) > MAX_COLUMNS:
        listed += f", … and {len(columns) - MAX_COLUMNS:,} more"
    text = f"{_type_name(value)}, {shape[0]:,} rows × {shape[1]:,} columns\nColumns: {listed}"
    rows = f"The first {min(FIRST_ROWS, shape[0])} rows:\n{_first_rows(value)}"
    return f"{cut(text, 'its columns')}\n{cut(rows, 'these rows')}\n"


def _columns(value: Any) -> list[tuple[object, object]]:
    if hasattr(value, "column_names"):  # pyarrow, whose `columns` are the data
        return list(zip(value.column_names, value.schema.types, strict=True))
    return list(zip(value.columns, value.dtypes, strict=True))


def _first_rows(value: Any) -> str:
    head = value.head(FIRST_ROWS) if hasattr(value, "head") else value.slice(0, FIRST_ROWS)
    return rows_text(head).rstrip("\n")


def rows_text(head: Any) -> str:
    """A table or column as CSV; as JSON where it cannot write that."""
    if hasattr(head, "to_csv"):
        return str(head.to_csv(index=type(head.index).__name__ != "RangeIndex"))
    if hasattr(head, "write_csv"):
        return str(head.write_csv())
    for rows in ("to_pylist", "to_list"):
        if hasattr(head, rows):
            return json.dumps(getattr(head, rows)(), ensure_ascii=False, default=str)
    return str(head)


def _array(value: Any) -> str:
    shape = tuple(value.shape)
    if not shape:
        return cut(str(value))  # a numpy scalar
    lengths = " × ".join(f"{length:,}" for length in shape)
    # Arrays of numpy and torch shorten themselves in str() past a thousand elements.
    return f"{_type_name(value)}, {lengths}, {value.dtype}\n{cut(str(value), 'its text')}"


def _other(value: object) -> str:
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    text = repr(value)
    name = _type_name(value)
    named = text.startswith((name, "<"))
    return cut(text if named else f"{name}: {text}", f"this {name}")
