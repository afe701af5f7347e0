"""Columns to cells of text, with what `rebuilding` needs to read them back.

A column is described by a dict of plain Python: `as` names the reader, `dtype` the type as pandas
writes it. A missing value is the empty cell, but in columns of text that hold the empty text, or
several kinds of missing values: there `missing` maps the cell to the kind.

Of the ways to write a column the first is taken that gives it back exactly: each is tried here,
with the reader that the sandbox will have. Where none does, the values go as what comes nearest.
"""

from __future__ import annotations

import cmath
import datetime
import decimal
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd  # type: ignore[import-untyped]

from qwen_magic.context.dataframe import as_series, levels_of
from qwen_magic.context.dataframe.rebuilding import READERS
from qwen_magic.context.time_limit import OutOfTimeError

Spec: TypeAlias = dict[str, Any]

_NULLABLE: Final = re.compile(r"U?Int\d+|boolean")
_NULLABLE_FLOAT: Final = re.compile(r"Float\d+")
_MARKS: Final = ("", "NA", "<NA>", "<missing>")
_COARSER: Final = ("D", "s", "ms", "us")


@dataclass(frozen=True, slots=True)
class Encoded:
    """The cells of one column, in order, and how they are read back."""

    cells: list[str]
    spec: Spec


def encode(values: Any) -> Encoded:
    """A pandas Series as text. What has no exact form becomes what comes nearest: at the least the
    text of its values."""
    nearest: Encoded | None = None
    try:
        ordinary = _ordinary(values)
    except Exception:  # of the libraries that this takes, whatever they lack
        ordinary = values.astype(object)
    for encoder in (_by_dtype, _objects, _as_texts):
        try:
            found = encoder(ordinary)
            again = decode(found) if found else None
        except OutOfTimeError:
            raise
        except Exception:  # a value that is not what its dtype promises, or that has no reader
            continue
        if found is not None and same(ordinary, again):
            return found
        nearest = nearest or found
    return nearest or _as_texts(values)


def decode(encoded: Encoded) -> Any:
    """The Series that the sandbox makes of these cells."""
    read: Any = READERS[encoded.spec["as"]]
    return pd.Series(read(encoded.cells, encoded.spec))


def same(before: Any, after: Any) -> bool:
    """Whether two columns or levels of an index have the same type and, each for each, the same
    values of the same types."""
    kinds = (before.dtype, str(before.dtype)), (after.dtype, str(after.dtype))
    if kinds[0] != kinds[1] or len(before) != len(after):  # zones are told by their name alone
        return False
    if before.dtype != object and before.array.equals(after.array):
        return True
    try:
        return all(_equal(one, other) for one, other in zip(before, after, strict=True))
    except Exception:  # what compares is the user's
        return False


def _equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, datetime.datetime | datetime.time):  # also in its zone
        return repr(one) == repr(other)
    return one is other or bool(one == other) or bool(one != one and other != other)


def _as_texts(values: Any) -> Encoded:
    return _texts([value if _missing_kind(value) else _as_str(value) for value in values], "object")


def _as_str(value: object) -> str:
    try:
        return str(value)
    except OutOfTimeError:
        raise
    except Exception:  # what tells is the user's
        return f"<{type(value).__name__}>"


def _ordinary(values: Any) -> Any:
    """Sparse and Arrow columns as the type nearest to them that any pandas has."""
    if isinstance(values.dtype, pd.SparseDtype):
        return values.sparse.to_dense()
    if isinstance(values.dtype, pd.ArrowDtype):
        chunks = values.array.__arrow_array__()
        try:
            import narwhals.stable.v2 as nw
        except ImportError:
            return pd.Series(chunks.to_pylist(), dtype=object)
        return as_series(nw.from_native(chunks, series_only=True))
    return values


def _by_dtype(values: Any) -> Encoded | None:
    dtype = values.dtype
    name = str(dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(values)
    if isinstance(dtype, pd.IntervalDtype):
        return _intervals(values)
    if isinstance(dtype, pd.PeriodDtype):
        # A week is written as its days: the first of them tells which.
        cells = ["" if value is pd.NaT else str(value).split("/")[0] for value in values]
        return Encoded(cells, {"as": "periods", "freq": name[7:-1]})
    if isinstance(dtype, pd.StringDtype):
        return _texts(list(values), name)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _times(values.dt.tz_convert("UTC").dt.tz_localize(None), _zone(values))
    if _NULLABLE_FLOAT.fullmatch(name):
        cells = ["" if value is pd.NA else repr(float(value)) for value in values]
        return Encoded(cells, {"as": "nullable_floats", "dtype": name})
    if _NULLABLE.fullmatch(name):
        cells = ["" if value is pd.NA else str(value) for value in values]
        return Encoded(cells, {"as": "nullable", "dtype": name})
    return _numpy(values, name) if isinstance(dtype, np.dtype) else None


def _numpy(values: Any, name: str) -> Encoded | None:
    match values.dtype.kind:
        case "i" | "u":
            return Encoded([str(value) for value in values], {"as": "integers", "dtype": name})
        case "b":
            return Encoded([str(bool(value)) for value in values], {"as": "booleans"})
        case "f":
            # The shortest text that gives the same number of this precision.
            texts = [str(value) for value in values.to_numpy()]
            cells = ["" if text == "nan" else text for text in texts]
            return Encoded(cells, {"as": "floats", "dtype": name})
        case "M":
            return _times(values)
        case "m":
            missing = values.isna().tolist()
            counts = values.to_numpy().astype("int64").tolist()
            cells = ["" if gone else str(n) for n, gone in zip(counts, missing, strict=True)]
            return Encoded(cells, {"as": "times", "dtype": name})
        case "c":
            cells = [repr(complex(value)) for value in values]
            return Encoded(cells, {"as": "complexes", "dtype": name})
    return None


def _zone(values: Any) -> str:
    """The name under which any pandas finds the zone of these times; else their offset."""
    zone, local = values.dt.tz, values.dt.tz_localize(None)
    path = re.search(r"zoneinfo/([\w/+-]+)", repr(zone))  # of dateutil's
    offset = pd.Timestamp(0, tz="UTC").tz_convert(zone).strftime("%z")
    for name in (str(zone), f"dateutil/{path[1]}" if path else "", f"{offset[:3]}:{offset[3:5]}"):
        try:
            if values.dt.tz_convert(name).dt.tz_localize(None).equals(local):
                return name
        except Exception:  # of the many libraries for zones
            continue
    return "UTC"


def _times(values: Any, zone: str = "") -> Encoded:
    raw = values.to_numpy()
    unit: Any = np.datetime_data(raw.dtype)[0]
    for coarser in _COARSER[: _COARSER.index(unit)] if unit in _COARSER else _COARSER:
        if np.array_equal(raw.astype(f"M8[{coarser}]").astype(raw.dtype), raw, equal_nan=True):
            unit = coarser
            break
    texts = np.datetime_as_string(raw, unit=unit).tolist() if len(raw) else []
    spec: Spec = {"as": "zoned" if zone else "times", "dtype": str(raw.dtype)} | _if(zone=zone)
    return Encoded(["" if text == "NaT" else text for text in texts], spec)


def _categories(values: Any) -> Encoded:
    of = encode(levels_of(values.cat.categories)[0])
    spec: Spec = {"as": "categories", "ordered": bool(values.cat.ordered)}
    spec["of"] = {**of.spec, "cells": of.cells}
    labels = of.cells
    if len(set(labels)) < len(labels) or "" in labels:
        labels = spec["labels"] = [str(code) for code in range(len(labels))]
    cells = ["" if code < 0 else labels[code] for code in values.cat.codes]
    return Encoded(cells, spec)


def _intervals(values: Any) -> Encoded:
    array = values.array
    ends = [encode(pd.Series(array.left)), encode(pd.Series(array.right))]
    opening = "[" if array.closed in ("left", "both") else "("
    closing = "]" if array.closed in ("right", "both") else ")"
    cells = [
        f"{opening}{left}, {right}{closing}" if left else ""
        for left, right in zip(ends[0].cells, ends[1].cells, strict=True)
    ]
    return Encoded(cells, {"as": "intervals", "closed": array.closed, "of": ends[0].spec})


def _objects(values: Any) -> Encoded | None:
    found = list(values)
    kinds = {type(value) for value in found if not _missing_kind(value)}
    if kinds <= {str}:
        return _texts(found, "object")
    for kind, write in _WRITTEN:
        if kinds == {kind}:
            texts = [value if _missing_kind(value) else write(value) for value in found]
            encoded = _texts(texts, "object")
            return Encoded(encoded.cells, encoded.spec | {"as": "parsed", "type": kind.__name__})
    if values.dtype != object:
        return None
    return Encoded([_literal(value) for value in found], {"as": "literals", "dtype": "object"})


_WRITTEN: Final[tuple[tuple[type, Callable[[Any], str]], ...]] = (
    (datetime.date, datetime.date.isoformat),
    (datetime.time, datetime.time.isoformat),
    (datetime.datetime, datetime.datetime.isoformat),
    (decimal.Decimal, str),
)


def _texts(values: Sequence[Any], dtype: str) -> Encoded:
    """Text with a cell of its own for each kind of missing value."""
    kinds = [_missing_kind(value) for value in values]
    taken = {value for value, kind in zip(values, kinds, strict=True) if not kind}
    free = (mark for mark in (*_MARKS, *(f"<NA {n}>" for n in range(len(taken) + 4))))
    marks = {kind: next(m for m in free if m not in taken) for kind in dict.fromkeys(kinds) if kind}
    cells = [marks[k] if k else str(v) for v, k in zip(values, kinds, strict=True)]
    missing = {mark: kind for kind, mark in marks.items()}
    if dtype == "str" and "" not in taken and missing in ({}, {"": "nan"}):
        return Encoded(cells, {"as": "texts"})
    return Encoded(cells, {"as": "marked_texts", "dtype": dtype} | _if(missing=missing))


def _missing_kind(value: object) -> str:
    if value is None:
        return "None"
    if value is pd.NA:
        return "NA"
    if value is pd.NaT:
        return "NaT"
    return "nan" if type(value) is float and math.isnan(value) else ""


def _literal(value: object) -> str:
    """`value` as Python writes it. Raises `ValueError` where that would not give it back."""
    match value:
        case _ if _missing_kind(value):
            return _missing_kind(value)
        case float() if math.isinf(value):
            return "1e999" if value > 0 else "-1e999"
        case list() | tuple() | dict() | set():
            text = repr(value)
            if not _is_plain(value):
                raise ValueError("a value that Python cannot write")
            return text
        case complex() if not cmath.isfinite(value):
            raise ValueError("a value that Python cannot write")
        case _ if type(value) in (bool, int, float, str, bytes, complex):
            return repr(value)
    raise ValueError("a value that Python cannot write")


def _is_plain(value: object) -> bool:
    if type(value) is dict:
        return all(_is_plain(key) and _is_plain(item) for key, item in value.items())
    if type(value) in (list, tuple):
        return all(_is_plain(item) for item in value)  # type: ignore[attr-defined]
    if type(value) is float:
        return math.isfinite(value)
    return type(value) in (bool, int, str, bytes, type(None))


def _if(**given: object) -> Spec:
    return {name: value for name, value in given.items() if value}
