"""What `--rows` sends is exact, or it is told what is not: for tables of any library, type, label,
index and missing value. What the block rebuilds is compared with the table here, in other words
than the code itself does."""

from __future__ import annotations

import datetime
import decimal
import math

import numpy as np
import pandas as pd
import pytest
from fuzz import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_magic.context.dataframe.describing import describe_data
from qwen_magic.context.dataframe.row_block import rebuild

unhurried = settings(
    deadline=None, max_examples=examples(40), suppress_health_check=[HealthCheck.too_slow]
)
TOLD = "Not rebuilt exactly"
NAN = float("nan")


def plainly(value):
    """A value by its type and text: NaN is itself, and 1, 1.0 and True are three."""
    return type(value).__name__, repr(value)


def as_told(index):
    return [list(map(plainly, index.get_level_values(n))) for n in range(index.nlevels)]


def differs(table, again):
    """Whether pandas, or the type and text of any cell or label, tells them apart."""
    try:
        pd.testing.assert_frame_equal(table, again, check_exact=True, check_column_type=False)
    except AssertionError:
        return True
    return (
        as_told(table.columns) != as_told(again.columns)
        or as_told(table.index) != as_told(again.index)
        or any(
            list(map(plainly, table.iloc[:, n])) != list(map(plainly, again.iloc[:, n]))
            for n in range(table.shape[1])
        )
    )


def exact_or_told(table):
    part = describe_data("df", table, rows="all")
    again = rebuild(part.text)
    assert TOLD in part.warning or not differs(table, again), (table, again)
    return part


LABELS = st.sampled_from(
    [NAN, math.inf, pd.NA, pd.NaT, None, 1, 1.0, True, "a", "", ("a", 1), np.int8(3), b"x", 1j,
     pd.Timestamp("2024-01-01"), datetime.date(2024, 1, 1), decimal.Decimal(1), pd.Period("2024")]
)  # fmt: skip
LIST_OF = {n: st.lists(LABELS, min_size=n, max_size=n) for n in range(6)}
INDEXES = {
    "range": lambda n: pd.RangeIndex(5, 5 + 3 * n, 3),
    "days": lambda n: pd.date_range("2024", periods=n, freq="D", name="day"),
    "months": lambda n: pd.date_range("2024", periods=n, freq="2ME", tz="Europe/Paris"),
    "shuffled days": lambda n: pd.date_range("2024", periods=n)[::-1],
    "periods": lambda n: pd.period_range("2024", periods=n, freq="Q-NOV"),
    "intervals": lambda n: pd.IntervalIndex.from_breaks(range(n + 1), closed="left"),
    "categories": lambda n: pd.CategoricalIndex(["b"] * n, ["a", "b"], name=NAN),
    "alike": lambda n: pd.Index(["a"] * n),
    "product": lambda n: pd.MultiIndex.from_product([[1.5], range(n)], names=[None, "k"]),
    "took": lambda n: pd.timedelta_range("1h", periods=n, freq="90min"),
}


def zoned(zone):
    return pd.Series(pd.to_datetime(["2024-10-27 00:30", None, "2024-03-31 00:00"])).dt.tz_localize(
        zone
    )


def columns():
    """A column of three for each kind that pandas has."""
    zones = ["dateutil/Europe/London", "Asia/Kathmandu", datetime.UTC]
    named = datetime.timezone(datetime.timedelta(hours=3), "MSK")
    wrong = datetime.timezone(datetime.timedelta(hours=3), "Europe/London")
    made = {f"zone {zone}": zoned(zone) for zone in (*zones, named, wrong)}
    nested = [[1, [2.5, None]], {"a": (1, b"x")}, None]
    objects = {
        "complex": [1j, complex(NAN, math.inf), None],
        "times": [datetime.time(1, 2, 3, 4), None, datetime.time(5)],
        "fold": [datetime.time(5, fold=1), None, datetime.datetime(2024, 1, 1, fold=1)],
        "datetimes": [datetime.datetime(2024, 1, 1), None, datetime.datetime(1, 1, 1)],
        "zones": [datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), named, 1],
        "nested": nested,
        "nested nan": [[NAN], [math.inf], {"a": NAN}],
        "sets": [{1}, set(), frozenset()],
        "Decimals": [decimal.Decimal("NaN"), decimal.Decimal("-0.10"), decimal.Decimal("sNaN")],
        "numpy": [np.int8(1), np.float32(0.1), np.str_("a")],
        "stamps": [pd.Timestamp("2024"), pd.Timedelta("1s"), pd.NaT],
        "bytes": [b"\x00", b"", None],
        "bools": [True, None, False],
        "large": [10**30, -1, None],
        "mixed": [1, True, 1.0],
        "tables": [pd.Series([1]), np.arange(2), object],
        "huge": [10**5000, 1, 2],
    }
    made |= {name: pd.Series(values, dtype=object) for name, values in objects.items()}
    typed = {
        "complex64": np.array([1j, complex(NAN, -0.0), 0], "complex64"),
        "float16": np.array([0.1, NAN, -0.0], "float16"),
        "longdouble": np.array([np.longdouble(1) / 3, 1, 2]),
        "sparse": pd.arrays.SparseArray([0, 1, 0]),
        "sparse bool": pd.arrays.SparseArray([False, True, False]),
        "Float64": pd.arrays.FloatingArray(np.array([1.5, NAN, 1]), np.array([False, False, True])),
        "UInt64": pd.array([2**64 - 1, None, 0], "UInt64"),
        "weeks": pd.PeriodIndex(["2024-01-01", None, "1999-12-31"], freq="W-WED"),
        "hours": pd.PeriodIndex(["2024-01-01 05", None, "1999-12-31"], freq="h"),
        "cut": pd.cut([1.0, NAN, 3], 2),
        "cut times": pd.cut(pd.to_datetime(["2024-01-01", "2024-01-03", "2024-01-05"]), 2),
        "intervals": pd.arrays.IntervalArray.from_tuples([(0, 1), None, (1, 2)], closed="both"),
        "years": np.array(["-1000", "20000", "NaT"], "M8[s]"),
        "python str": pd.array(["a", None, ""], pd.StringDtype("python", na_value=NAN)),
        "string": pd.array(["a", None, "\x00"], "string"),
        "codes": pd.Categorical.from_codes([1, -1, 0], pd.Index([1.5, 2.5])),
        "category of mixed": pd.Categorical([1, "a", None], [1, "a"]),
    }
    return made | {name: pd.Series(values) for name, values in typed.items()}


COLUMNS = columns()


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_kind_of_column_is_exact_or_told(kind):
    exact_or_told(COLUMNS[kind].to_frame("a"))
    if kind not in ("tables", "zones", "stamps", "numpy", "huge", "nested nan", "float16"):
        exact_or_told(pd.DataFrame({"n": range(3)}, index=pd.Index(COLUMNS[kind], name="k")))


EXACT = (
    *("complex64", "float16", "UInt64", "Float64", "weeks", "cut", "intervals", "times", "nested"),
    *("bytes", "large", "mixed", "bools", "zone dateutil/Europe/London", "codes", "string"),
)


@pytest.mark.parametrize("kind", EXACT)
def test_of_these_kinds_none_is_told(kind):
    assert exact_or_told(COLUMNS[kind].to_frame("a")).warning == ""


@unhurried
@given(st.data())
def test_labels_indexes_and_columns_together(data):
    names = data.draw(st.lists(st.sampled_from(sorted(COLUMNS)), max_size=5))
    table = pd.concat([COLUMNS[name] for name in names], axis=1) if names else pd.DataFrame()
    table.index = INDEXES[data.draw(st.sampled_from(sorted(INDEXES)))](len(table))
    labels = data.draw(LIST_OF[len(names)])
    level = data.draw(st.none() | LIST_OF[len(names)])
    table.columns = (
        pd.Index(labels, dtype=object, tupleize_cols=False, name=data.draw(LABELS.filter(hashable)))
        if level is None
        else pd.MultiIndex.from_arrays([labels, level])
    )
    exact_or_told(table)


def hashable(label):
    return label is not pd.NA


@pytest.mark.parametrize("labels", [[NAN, "x"], [math.inf, 1.5], [pd.NA, "a"], ["a", "a"], [1, "1"],
                                    pd.date_range("2024", periods=2, freq="D"), [True, False],
                                    pd.period_range("2024", periods=2, freq="M"), [None, 1],
                                    pd.IntervalIndex.from_breaks([0, 1, 2])])  # fmt: skip
def test_labels_of_every_kind_are_exact(labels):
    labels = labels if isinstance(labels, pd.Index) else pd.Index(labels, dtype=object)
    assert exact_or_told(pd.DataFrame([[1, 2]], columns=labels)).warning == ""


# Other libraries ---------------------------------------------------------------------------------


def arrow_types():
    """Each type of Arrow with values for it, and whether it comes back exactly."""
    import pyarrow as pa

    day = datetime.datetime(2024, 3, 31, 1, 30, 0, 5)
    ints = st.integers(-(2**63), 2**63 - 1)
    counts = st.integers(1 - 2**63, 2**63 - 1)  # the one below is a missing time everywhere
    days = st.datetimes(datetime.datetime(1800, 1, 1), datetime.datetime(2200, 1, 1))
    return {
        "int64": (pa.int64(), ints),
        "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
        "int8": (pa.int8(), st.integers(-128, 127)),
        "float64": (pa.float64(), st.floats()),
        "float32": (pa.float32(), st.floats(width=32)),
        "bool": (pa.bool_(), st.booleans()),
        "string": (pa.string(), st.text(st.characters(exclude_categories=["Cs"]))),
        "binary": (pa.binary(), st.binary()),
        "decimal": (pa.decimal128(20, 2), st.decimals(-(10**9), 10**9, places=2)),
        "date": (pa.date32(), st.dates()),
        "time": (pa.time64("us"), st.times()),
        "ns time": (pa.time64("ns"), st.integers(0, 10**9)),
        "us": (pa.timestamp("us"), days),
        "ns": (pa.timestamp("ns"), counts),
        "zoned": (pa.timestamp("us", "America/New_York"), days | st.just(day)),
        "duration": (pa.duration("ns"), counts),
        "list": (pa.list_(pa.int64()), st.lists(ints, max_size=3)),
        "struct": (
            pa.struct([("a", pa.int64()), ("b", pa.string())]),
            st.fixed_dictionaries({"a": ints, "b": st.sampled_from(["x", None])}),
        ),
        "dictionary": (pa.dictionary(pa.int32(), pa.string()), st.sampled_from(["a", "b", ""])),
        "null": (pa.null(), st.none()),
    }


# What Arrow holds and pandas or Python does not: said wherever a value needs it.
INEXACT = ("ns time",)


def equal(value, again):
    if value is None:
        return bool(pd.isna(again)) if not isinstance(again, list | dict) else False
    if isinstance(value, float) and math.isnan(value):
        return isinstance(again, float) and math.isnan(again)
    return bool(value == again)


@pytest.mark.parametrize("library", ["pyarrow", "polars", "ArrowDtype", "duckdb"])
@settings(unhurried, max_examples=examples(15))
@given(st.data())
def test_tables_of_arrow(library, data):
    pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    types, size = arrow_types(), data.draw(st.integers(0, 4))
    names = data.draw(st.lists(st.sampled_from(sorted(types)), min_size=1, max_size=4, unique=True))
    arrays = {}
    for name in names:
        kind, values = types[name]
        drawn = data.draw(st.lists(st.none() | values, min_size=size, max_size=size))
        arrays[name] = pa.array(drawn, kind)
    arrow = pa.table(arrays)
    match library:
        case "polars":
            table = pl.from_arrow(arrow)
        case "ArrowDtype":
            table = arrow.to_pandas(types_mapper=pd.ArrowDtype)
        case "duckdb":
            table = pytest.importorskip("duckdb").from_arrow(arrow)
            arrow = table.to_arrow_table()
        case _:
            table = arrow
    part = describe_data("t", table, rows="all")
    again = rebuild(part.text)
    assert list(again.columns) == names
    for name in names:
        told = f"column {name!r}" in part.warning
        if library == "ArrowDtype":
            assert told  # another type, of the same values
        if told and (library != "ArrowDtype" or name in INEXACT):
            assert name in INEXACT or library != "pyarrow"
            continue
        try:
            values = arrow.column(name).to_pylist()
        except ValueError:  # nanoseconds that Python does not count in
            continue
        assert all(map(equal, values, again[name].tolist())), (values, again[name])
        assert len(values) == len(again)
