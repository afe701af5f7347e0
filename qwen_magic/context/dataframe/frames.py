"""Tables as pandas has them, and which of their columns are kept back.

A table is pandas' own, polars', pyarrow's, whatever has `__dataframe__`. A column that is kept back
is named to the model, its values never are.
"""

from __future__ import annotations

import dataclasses
import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import Any, Final

MASKED: Final = "[masked]"
MOST_ITEMS: Final = 100_000  # of a list: no more than a few thousand can ever show


def is_table(value: object) -> bool:
    """True for tables and single columns; nothing is imported to find out."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series):
        return True
    kind = type(value)
    if hasattr(kind, "__dataframe__"):
        return True
    return hasattr(kind, "shape") and hasattr(kind, "to_pandas")  # polars' Series, among others


def is_column(value: Any) -> bool:
    """True for one column: a Series."""
    return len(tuple(value.shape)) == 1 if hasattr(type(value), "shape") else False


def as_pandas(value: Any) -> Any | None:
    """`value` as a DataFrame of pandas (a Series as one of one column); None where it cannot be
    had, because pandas is missing or none of the ways leads there."""
    try:
        import pandas  # type: ignore[import-untyped]
    except ImportError:
        return None
    if isinstance(value, pandas.DataFrame):
        return value
    if isinstance(value, pandas.Series):
        return value.to_frame()
    for way in (_own_way, _columnwise, _listed, _interchange):
        try:
            with warnings.catch_warnings():  # the interchange protocol is on its way out
                warnings.simplefilter("ignore")
                made = way(value)
        except Exception:  # a missing pyarrow, a type that it does not know
            continue
        if isinstance(made, pandas.Series):
            return made.to_frame()
        if isinstance(made, pandas.DataFrame):
            return made
    return None


def _own_way(value: Any) -> Any:
    return value.to_pandas()


def _interchange(value: Any) -> Any:
    from pandas.api.interchange import from_dataframe  # type: ignore[import-untyped]

    return from_dataframe(value)


# How polars names its types, and what pandas calls them with missing values apart.
_NUMBERS: Final = re.compile(r"(?:U?Int(?:8|16|32|64)|Float(?:32|64))")
_TIMES: Final = re.compile(r"(?:Datetime|Duration)")


def _columnwise(value: Any) -> Any:
    """From a table with polars' methods, without pyarrow."""
    import pandas

    names = list(value.columns)
    made = {
        name: _series(value.get_column(name).to_list(), str(dtype), pandas.Series)
        for name, dtype in zip(names, value.dtypes, strict=True)
    }
    return pandas.DataFrame(made, index=range(int(value.shape[0])))


def _listed(value: Any) -> Any:
    """A single column with polars' methods."""
    import pandas

    return _series(value.to_list(), str(value.dtype), pandas.Series).rename(value.name)


def _series(items: list[Any], dtype: str, series: Callable[..., Any]) -> Any:
    if _NUMBERS.fullmatch(dtype):
        plain = dtype.lower() if None not in items else dtype
        return series(items, dtype=plain)
    if dtype == "Boolean":
        return series(items, dtype="bool" if None not in items else "boolean")
    if dtype.startswith(("Categorical", "Enum")):
        return series(items, dtype="category")
    if _TIMES.match(dtype):
        return series(items)
    return series(items) if dtype in ("String", "Utf8") else series(items, dtype=object)


# What is kept back -------------------------------------------------------------------------------


def is_masked(label: object, mask: Collection[str]) -> bool:
    """True where `label` (any part of a nested one) is in `mask`: a name, or a pattern with `*`
    or `?`. Upper and lower case count as the same: too much kept back does no harm."""
    if isinstance(label, tuple):
        return any(is_masked(part, mask) for part in label)
    name = str(label).casefold()
    return any(name == given.casefold() or fnmatchcase(name, given.casefold()) for given in mask)


def without_masked(value: Any, mask: Collection[str]) -> Any:
    """`value` with `[masked]` for what is called by a masked name: keys of dicts, fields of
    records and of arrays, named indexes, at any depth. Records become dicts; an object with
    `__llm__` is left to tell what it tells."""
    if not mask or isinstance(value, str | type) or hasattr(type(value), "__llm__"):
        return value
    fields = _fields(value)
    if fields is not None:
        return {
            key: MASKED if is_masked(key, mask) else without_masked(item, mask)
            for key, item in fields.items()
        }
    if isinstance(value, list | tuple | deque):
        value = list(value)
        return [without_masked(item, mask) for item in value[:MOST_ITEMS]]
    return _array(value, mask)


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """What has names for its parts, as a mapping."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        named: Mapping[Any, Any] = value._asdict()
        return named
    if isinstance(value, SimpleNamespace):
        return vars(value)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def _array(value: Any, mask: Collection[str]) -> Any:
    """Arrays of numpy have fields, indexes of pandas a name."""
    if not hasattr(type(value), "dtype"):
        return value
    name = getattr(value, "name", None)
    if name is not None and is_masked(name, mask):
        return MASKED
    names = getattr(value.dtype, "names", None)
    if not names or not any(is_masked(one, mask) for one in names):
        return value
    kept = [one for one in names if not is_masked(one, mask)]
    return value[kept] if kept else MASKED
