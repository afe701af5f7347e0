"""What a value of the notebook looks like in a prompt: short, telling, never the whole of a table.

Tables, columns and arrays are known by their shape (duck typing: pandas, polars, pyarrow, numpy,
torch), so that nothing of the kind is imported here.

Looking at a value has bounds: no more of it is written than can show, and what its own methods do
(`__repr__`, `__llm__`) ends after `SECONDS`. Both hold for a value of any size and kind.
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
import sys
import types
import uuid
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import islice
from typing import Any, Final

from qwen_magic.context.time_limit import OutOfTimeError, time_limit

MAX_CHARS: Final = 2_000  # of one value
MAX_TEXT: Final = 20_000  # of a string, which a prompt is often about: some ten pages
SECONDS: Final = 5.0  # that the methods of one value may take
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
# Methods by which an object tells itself, the one made for models first.
OWN_WORDS: Final = ("_repr_llm_", "__llm__", "_repr_markdown_")
_COUNTS: Final = 12  # of what a report counts: one number for each value, or each bin


class Description(str):
    """Text for a prompt. `cut` says which part of the value it shows, if not all."""

    cut: str = ""


def describe(value: object, *, whole: bool = False, called: str = "") -> Description:
    """The text that stands for `value` in a prompt.

    Strings and simple values as they are; containers as JSON; tables with shape, columns, types and
    the first rows; functions, classes and modules with signature and docstring; an object that
    tells itself (`OWN_WORDS`) as that says; others by type and `repr`. Strings and own words are
    cut at `MAX_TEXT` characters, all else at `MAX_CHARS`, and `cut` of the result says so, unless
    the `whole` is wanted. `called`: what `value` is a part of, in words. Never raises an
    `Exception`.
    """
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return _cut_text(str.__str__(value), whole)
    limit = sys.maxsize if whole else MAX_CHARS
    name = _type_name(value)
    try:
        with time_limit(SECONDS):
            for look in (_own_words, partial(_description, limit=limit, called=called), _other):
                try:
                    text = look(value)
                except OutOfTimeError:
                    raise
                except Exception:  # a value of the user's may raise anything when looked at
                    continue
                if text is not None:
                    return _cut_text(text, whole) if look is _own_words else _as_description(text)
    except OutOfTimeError:
        return not_looked_at(value)
    return Description(f"an object of type {name}")


def not_looked_at(value: object) -> Description:
    """The text for a value whose methods took too long."""
    kind = _type_name(value)
    description = Description(f"an object of type {kind}; looking at it took over {SECONDS:g} s")
    description.cut = "not looked at: it took too long"
    return description


def cut(text: str, whole: str = "", limit: int = MAX_CHARS) -> Description:
    """Cut `text` to `limit` characters, and say how long the whole is."""
    if len(text) <= limit:
        return _as_description(text)
    held = f"the first {limit:,} characters of {whole or 'it'}"
    made = Description(f"{text[:limit]}…\n(cut: {held})")
    made.cut = held
    return made


def _as_description(text: str) -> Description:
    return text if isinstance(text, Description) else Description(text)


def _cut_text(text: str, whole: bool) -> Description:
    return cut(text, f"{len(text):,}", sys.maxsize if whole else MAX_TEXT)


def own_words(value: object) -> Callable[[], object] | None:
    """The text from a type's own method for this purpose (`OWN_WORDS`), or None.

    The method is looked up on the type, since a proxy may have any attribute.
    """
    kind = type(value)
    for name in OWN_WORDS:
        method = getattr(kind, name, None)
        if callable(method) and not isinstance(value, type):
            return partial(method, value)
    return partial(_report_text, value) if is_report(value) else None


def is_report(value: object) -> bool:
    """Whether `value` is a library's report about a table: skrub's TableReport, ydata's
    ProfileReport.
    """
    return type(value).__name__.endswith("Report") and _json_method(value) is not None


def report_content(value: Any) -> Any:
    """The JSON of a report, without pictures, and with long lists and counts shortened."""
    method = _json_method(value)
    assert method is not None
    return _abridged(json.loads(method(value)))


def _json_method(value: object) -> Callable[[Any], str] | None:
    methods = (getattr(type(value), name, None) for name in ("json", "to_json"))
    return next((method for method in methods if callable(method)), None)


def _report_text(value: object) -> str:
    return json.dumps(report_content(value), ensure_ascii=False)


def _abridged(part: Any) -> Any:
    if isinstance(part, dict):
        kept = {key: each for key, each in part.items() if not _is_picture(each)}
        # Counts by value; what has parts of its own is by column.
        if len(kept) > _COUNTS and not any(isinstance(each, dict | list) for each in kept.values()):
            kept = {**dict(islice(kept.items(), _COUNTS)), "…": f"{len(kept) - _COUNTS:,} more"}
        return {key: _abridged(each) for key, each in kept.items()}
    if isinstance(part, list):
        some = part if any(isinstance(each, dict) for each in part) else part[:_COUNTS]
        more = [f"{len(part) - len(some):,} more"] * (len(some) < len(part))
        return [*map(_abridged, some), *more]
    return part


def _is_picture(part: object) -> bool:
    if isinstance(part, dict) and part:
        return all(map(_is_picture, part.values()))
    return isinstance(part, str) and part.lstrip().startswith(("<?xml", "<svg", "data:image/"))


def _own_words(value: object) -> str | None:
    """Call the method. As in IPython it may return (text, metadata), or None."""
    tell = own_words(value)
    words = tell() if tell else None
    words = words[0] if isinstance(words, tuple) else words
    return None if words is None else str(words)


def _description(value: Any, limit: int, called: str) -> str:
    if isinstance(value, _SIMPLE):
        return cut(str(value), f"a {_type_name(value)}")
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, Mapping | AbstractSet | list | tuple):
        return _container(value, limit, called)
    if _is_table(value):
        return _table(value)
    if _has(value, "shape") and _has(value, "dtype"):
        return _array(value)
    if is_described_by_signature(value):
        return _callable(value)
    return _other(value, limit)


def _type_name(value: object) -> str:
    return type(value).__name__


def _container(
    value: Mapping[Any, Any] | AbstractSet[Any] | list[Any] | tuple[Any, ...],
    limit: int,
    called: str,
) -> str:
    """A container as JSON if JSON can represent it, else in Python's notation."""
    whole = called or f"a {_type_name(value)} of {len(value):,} items"
    part = partial(_json_part, limit=limit)
    try:
        return cut(json_text(_as_json(value, limit), limit, part), whole, limit)
    except (TypeError, ValueError, RecursionError):
        return cut(brief(value, limit), whole, limit)


def json_text(value: object, limit: int, part: Callable[[Any], object]) -> str:
    """JSON of `value`, written only until it is longer than `limit` characters.

    `part` returns a replacement for a value that JSON cannot represent.
    """
    written, size = [], 0
    for chunk in json.JSONEncoder(ensure_ascii=False, default=part).iterencode(value):
        written.append(chunk)
        size += len(chunk)
        if size > limit:
            break
    return "".join(written)


def _as_json(value: object, limit: int) -> object:
    """`value` with only as many first items as can be shown; sets in a stable order."""
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in islice(value, limit)):
            raise TypeError("JSON would turn the keys into strings")
        return dict(islice(value.items(), limit))
    if isinstance(value, AbstractSet):
        return sorted(islice(value, limit), key=brief)
    return list(islice(value, limit)) if isinstance(value, list | tuple) else value


def _json_part(value: object, limit: int) -> object:
    """The text for a value inside a container that JSON cannot represent."""
    if isinstance(value, Mapping | AbstractSet):
        return _as_json(value, limit)
    return describe(value, whole=limit > MAX_CHARS)


class _Brief(reprlib.Repr):
    """`repr` that looks at no more than it shows: dicts and sets are cut before they are sorted,
    and all parts at all depths are counted."""

    def __init__(self, items: int, chars: int) -> None:
        super().__init__()
        self._parts_left = chars
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = items
        self.maxdeque = self.maxarray = items
        self.maxstring = self.maxother = self.maxlong = chars

    def repr1(self, x: Any, level: int) -> str:
        self._parts_left -= 1
        return super().repr1(x, level) if self._parts_left >= 0 else self.fillvalue

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        return self._shown(super().repr_dict, dict, x.items(), level)

    def repr_set(self, x: set[Any], level: int) -> str:
        return self._shown(super().repr_set, set, x, level)

    def repr_frozenset(self, x: frozenset[Any], level: int) -> str:
        return self._shown(super().repr_frozenset, frozenset, x, level)

    def _shown(self, write: Any, kind: Any, items: Any, level: int) -> str:
        text: str = write(kind(islice(items, self.maxdict)), level)
        if len(items) <= self.maxdict:
            return text
        close = text.rstrip(")}")
        return f"{close}, ...{text[len(close) :]}"


def brief(value: object, limit: int = MAX_CHARS) -> str:
    """`repr(value)`, cut to about `limit` characters a part while it is written."""
    return _Brief(max(limit // 10, 6), limit).repr(value)


def is_described_by_signature(value: object) -> bool:
    """True for functions, classes, and function-like objects of numpy and `functools`."""
    if isinstance(value, CALLABLE):
        return True
    # Asked without running anything: a proxy may give any attribute.
    named = inspect.getattr_static(value, "__name__", None) is not None
    return callable(value) and (named or isinstance(value, partial))


def _callable(value: Any) -> str:
    kind = "class" if isinstance(value, type) else "def"
    inner: Any = value
    bound: set[str] = set()
    while isinstance(inner, partial):  # whose text would tell the values that it binds
        bound |= inner.keywords.keys()
        inner = inner.func
    name = getattr(inner, "__qualname__", getattr(inner, "__name__", _type_name(inner)))
    try:
        made = inspect.signature(value)
        left = [one for one in made.parameters.values() if one.name not in bound]
        signature = str(made.replace(parameters=left))
    except (TypeError, ValueError):
        signature = "(…)"
    doc = inspect.getdoc(inner) or ""
    return cut(f"{kind} {name}{signature}" + (f"\n{doc}" if doc else ""), "its docstring")


def _module(value: types.ModuleType) -> str:
    """A module's docstring and public names."""
    names = getattr(value, "__all__", None) or [n for n in vars(value) if not n.startswith("_")]
    doc, offered = inspect.getdoc(value) or "", ", ".join(map(str, islice(names, MAX_CHARS)))
    parts = (f"module {value.__name__}", doc[: MAX_CHARS // 2], offered and f"It offers: {offered}")
    return cut("\n".join(part for part in parts if part), "what it says of itself")


def _is_table(value: Any) -> bool:
    """True for tables and columns of pandas, polars, pyarrow; not for duckdb's, whose shape is a
    query.
    """
    if _has(value, "limit") and not _has(value, "to_pandas"):
        return False
    return _has(value, "shape") and any(
        _has(value, name) for name in ("__dataframe__", "column_names", "head")
    )


def _has(value: object, name: str) -> bool:
    """Whether the type has the attribute; asking a remote proxy itself could start work."""
    return hasattr(type(value), name)


def _table(value: Any) -> str:
    """The text of a table. It ends with a line break, so that following text is not part of it."""
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
    """A table as CSV, or as JSON lines if it cannot be written as CSV (lists in cells)."""
    if hasattr(head, "to_csv"):
        return str(head.to_csv(index=type(head.index).__name__ != "RangeIndex"))
    if hasattr(head, "write_csv"):
        try:
            return str(head.write_csv())
        except Exception:  # polars': of a kind that it has no CSV for
            pass
    for rows in ("to_pylist", "to_dicts", "to_list"):
        if hasattr(head, rows):
            lines = (
                json.dumps(row, ensure_ascii=False, default=str) for row in getattr(head, rows)()
            )
            return "".join(f"{line}\n" for line in lines)
    return str(head)


def _array(value: Any) -> str:
    shape = tuple(value.shape)
    if not shape:
        return cut(str(value))  # a numpy scalar
    lengths = " × ".join(f"{length:,}" for length in shape)
    # Arrays of numpy and torch shorten themselves in str() past a thousand elements.
    return f"{_type_name(value)}, {lengths}, {value.dtype}\n{cut(str(value), 'its text')}"


def _other(value: object, limit: int = MAX_CHARS) -> str:
    if isinstance(value, types.ModuleType):
        return _module(value)
    text = repr(value)
    name = _type_name(value)
    named = text.startswith((name, "<"))
    return cut(text if named else f"{name}: {text}", f"this {name}", limit)
