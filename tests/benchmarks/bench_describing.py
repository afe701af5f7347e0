"""What `-d` costs: fifty kinds of value, from 1,000 cells to ten million, in CPU time.

A kind has the same goal at every size, since no more cells are looked at where there are more.
"""

import collections
import datetime
import decimal
import time
import uuid

import numpy as np
import pandas as pd

from qwen_magic.context.dataframe.describing import describe_data
from qwen_magic.masking import SECRET_NAMES

from .goals import Figure, Figures, benchmark

LARGE = 10_000_000
MOST = 500.0  # milliseconds
MASK = (*SECRET_NAMES, "*_email")  # as every cell has it
DAY = datetime.date(2026, 1, 1)


class Plain:
    """Compared by identity, and told by the usual `repr`."""


class Unequal:
    """Without a hash: comparing is all that is left."""

    __hash__ = None

    def __eq__(self, other):
        return self is other


def cells(make, distinct=1_000):
    """A kind of column of objects: `distinct` ones over and over."""

    def column(size):
        few = np.empty(min(distinct, size), object)
        for number in range(len(few)):
            few[number] = make(number)
        return pd.Series(np.resize(few, size), dtype=object).to_frame("a")

    return column


def column(make):
    return lambda size: pd.DataFrame({"a": make(size)})


def wide(columns, make):
    def table(size):
        rows = max(1, size // columns)
        return pd.DataFrame({f"c{n}": make(rows) for n in range(columns)})

    return table


def ints(size):
    return np.arange(size, dtype="int64")


def words(size):
    return pd.Series(np.resize(np.array([f"word {n}" for n in range(5_000)], object), size)).astype(
        "str"
    )


def different_words(size):
    return pd.Series([f"word {n}" for n in range(size)], dtype="str")


def holes(size):
    made = np.arange(size, dtype="float64")
    made[::7] = np.nan
    return made


def nested(size):
    made = [0]
    for _ in range(size.bit_length()):
        made = [made, made]
    return made


NUMBERS = {
    "int64": column(ints),
    "int8": column(lambda n: ints(n).astype("int8")),
    "uint64": column(lambda n: ints(n).astype("uint64")),
    "float64": column(holes),
    "float16": column(lambda n: (holes(n) % 60_000).astype("float16")),
    "complex": column(lambda n: holes(n) * 1j),
    "bool": column(lambda n: ints(n) % 3 == 0),
    "Int64": column(lambda n: pd.array(ints(n), "Int64")),
    "Float64": column(lambda n: pd.array(holes(n), "Float64")),
    "boolean": column(lambda n: pd.array(ints(n) % 3 == 0, "boolean")),
    "sparse": column(lambda n: pd.arrays.SparseArray(ints(n) % 9 // 8)),
}
TIMES = {
    "datetime": column(lambda n: ints(n).astype("M8[s]")),
    "zoned": column(lambda n: pd.DatetimeIndex(ints(n).astype("M8[s]"), tz="Europe/Berlin")),
    "timedelta": column(lambda n: ints(n).astype("m8[s]")),
    "period": column(lambda n: pd.PeriodIndex.from_ordinals(ints(n) % 9_999, freq="D")),
    "interval": column(lambda n: pd.IntervalIndex.from_breaks(np.arange(n + 1))),
}
TEXTS = {
    "text": column(words),
    "different texts": column(different_words),
    "text objects": cells(lambda n: f"word {n}"),
    "long texts": cells(lambda n: "x" * 10_000 + str(n)),
    "category": column(lambda n: words(n).astype("category")),
    "category of many": column(lambda n: different_words(n).astype("category")),
    "bytes": cells(lambda n: bytes([n % 256]) * 99),
}
OBJECTS = {
    "lists": cells(lambda n: ["a", str(n)]),
    "long lists": cells(lambda n: list(range(1_000)), 10),
    "dicts": cells(lambda n: {"a": n, "b": [n]}),
    "large dicts": cells(lambda n: dict.fromkeys(range(10_000), n), 10),
    "sets": cells(lambda n: {n, n + 1}),
    "large sets": cells(lambda n: set(range(10_000)), 10),
    "tuples": cells(lambda n: (n, "a")),
    "deep lists": cells(lambda n: nested(20), 10),
    "arrays": cells(lambda n: np.arange(100), 100),
    "tables": cells(lambda n: pd.DataFrame({"a": [n]}), 10),
    "decimals": cells(decimal.Decimal),
    "dates": cells(lambda n: DAY + datetime.timedelta(n)),
    "UUIDs": cells(lambda n: uuid.UUID(int=n)),
    "plain objects": cells(lambda n: Plain()),
    "unequal objects": cells(lambda n: Unequal()),
    "mixed": cells(lambda n: [n, str(n), None, [n], n / 7][n % 5]),
    "large ints": cells(lambda n: 7**1_000 + n),
    "None": cells(lambda n: None),
}
SHAPES = {
    "ten columns": wide(10, holes),
    "100 columns": wide(100, holes),
    "100 of text": wide(100, words),
    "10,000 columns": wide(10_000, ints),
    "text index": lambda n: pd.DataFrame({"a": ints(n)}, index=different_words(n)),
    "MultiIndex": lambda n: pd.DataFrame(
        {"a": ints(n)}, index=pd.MultiIndex.from_arrays([ints(n) // 9, ints(n)])
    ),
    "Series": words,
}
OTHERS = {
    "list": lambda n: list(range(n)),
    "list of lists": lambda n: [list(range(1_000))] * (n // 1_000),
    "dict": lambda n: dict.fromkeys(map(str, range(n)), 1),
    "dict of ints": lambda n: dict.fromkeys(range(n), 1),
    "set": lambda n: set(range(n)),
    "Counter": lambda n: collections.Counter(range(n)),
    "string": lambda n: "x" * n,
    "array": lambda n: np.zeros(n),
    "deep list": nested,
}


def other_libraries():
    try:
        import polars
        import pyarrow
    except ImportError:
        return {}
    arrow = lambda n: pyarrow.table({"a": ints(n), "b": pyarrow.array(holes(n))})  # noqa: E731
    return {
        "polars": lambda n: polars.DataFrame({"a": ints(n)}),
        "polars text": lambda n: polars.DataFrame(
            {"a": polars.Series(ints(n)).cast(polars.String)}
        ),
        "polars lists": lambda n: polars.DataFrame({"a": [[1, 2, 3]] * (n // 3)}),
        "pyarrow": arrow,
        "ArrowDtype": lambda n: pd.DataFrame(
            {"a": pd.Series(pd.array(ints(n), pd.ArrowDtype(pyarrow.int64())))}
        ),
        "lazy": lambda n: polars.LazyFrame({"a": ints(n)}),
    }


def seconds(value, mask):
    began = time.process_time()
    describe_data("x", value, mask=mask)
    return time.process_time() - began


@benchmark(0, "describe", "describing a value to the model")
def describe(quick: bool) -> Figures:
    kinds = {**NUMBERS, **TIMES, **TEXTS, **OBJECTS, **SHAPES, **OTHERS, **other_libraries()}
    describe_data("x", pd.DataFrame({"a": ["a"]}))  # what is imported and compiled once
    cells, took = (LARGE // 100 if quick else LARGE), {}
    for kind, make in kinds.items():
        value = make(cells)
        took[kind] = min(seconds(value, MASK) for _ in range(2)) * 1e3
    for kind in sorted(took, key=took.get)[-3:]:
        what = f"{kind}, {cells:,} cells (of the slowest of {len(kinds)} kinds)"
        yield Figure(what, took[kind], "ms", at_most=MOST)
