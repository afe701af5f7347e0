"""What `-d` costs: fifty kinds of value, each in five sizes, in seconds of the processor.

    python tests/benchmarks/bench_describing.py

A size is a number of cells. The last column is what the largest costs for each time that the one
before costs: ten times the cells, and no more time, since no more of them are looked at. A kind
fails above half a second.
"""

import collections
import datetime
import decimal
import sys
import time
import uuid

import numpy as np
import pandas as pd

from qwen_magic.context.dataframe.describing import describe_data

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
MOST = 0.5  # seconds
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
    "float16": column(lambda n: holes(n).astype("float16")),
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


def main():
    kinds = {**NUMBERS, **TIMES, **TEXTS, **OBJECTS, **SHAPES, **OTHERS, **other_libraries()}
    chosen = sys.argv[1:] or list(kinds)
    describe_data("x", pd.DataFrame({"a": ["a"]}))  # what is imported and compiled once
    too_long = []
    print("".join(["kind".ljust(20), *(f"{size:>12,}" for size in SIZES), "   last ÷ before"]))
    for kind in chosen:
        found = []
        for size in SIZES:
            value = kinds[kind](size)
            mask = ["*_email"] if "index" in kind.lower() else []
            found.append(min(seconds(value, mask) for _ in range(2)))
            del value
        ratio = found[-1] / max(found[-2], 0.001)
        print(kind.ljust(20), *(f"{one:11.3f}" for one in found), f"{ratio:8.1f}", flush=True)
        too_long += [kind] if found[-1] > MOST else []
    print(f"{len(chosen)} kinds; above {MOST} s: {', '.join(too_long) or 'none'}")
    return bool(too_long)


if __name__ == "__main__":
    sys.exit(main())
