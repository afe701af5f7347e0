"""Columns to cells of text, with what `rebuilding` needs to read them back.

A column is described by a dict of plain Python: `as` names the reader, `dtype` the type as pandas
writes it. A missing value is the empty cell, but in columns of text that hold the empty text, or
several kinds of missing values: there `missing` maps the cell to the kind.
"""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd  # type: ignore[import-untyped]

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
    """A pandas Series as text. What has no exact form becomes the text of its values."""
    values = _ordinary(values)
    for encoder in (_by_dtype, _objects):
        try:
            found = encoder(values)
        except (TypeError, ValueError, OverflowError, AttributeError):
            continue  # a value that is not what its dtype promises
        if found is not None:
            return found
    return _texts([value if _missing_kind(value) else _told(value) for value in values], "object")


def _told(value: object) -> str:
    try:
        return str(value)
    except Exception:  # what tells is the user's
        return f"<{type(value).__name__}>"


def _ordinary(values: Any) -> Any:
    """Sparse and Arrow columns as the type nearest to them that any pandas has."""
    if isinstance(values.dtype, pd.SparseDtype):
        return values.sparse.to_dense()
    if isinstance(values.dtype, pd.ArrowDtype):
        return values.convert_dtypes(dtype_backend="numpy_nullable")
    return values


def _by_dtype(values: Any) -> Encoded | None:
    dtype = values.dtype
    name = str(dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories(values)
    if isinstance(dtype, pd.IntervalDtype):
        return _intervals(values)
    if isinstance(dtype, pd.PeriodDtype):
        cells = ["" if value is pd.NaT else str(value) for value in values]
        return Encoded(cells, {"as": "periods", "freq": name[7:-1]})
    if isinstance(dtype, pd.StringDtype):
        return _texts(list(values), name)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return _times(values.dt.tz_convert("UTC").dt.tz_localize(None), str(dtype.tz))
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
            return Encoded(cells, {"as": "literals", "dtype": name})
    return None


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
    of = encode(values.cat.categories.to_series())
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
