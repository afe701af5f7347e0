"""Frames drawn at random, and one that has everything the format promises."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

LONGEST = 5
# A hash is of UTF-8: lone surrogates have none, and get a test of their own.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "",
        "NA",
        "<NA>",
        "nan",
        "None",
        "```",
        '"""',
        "\\n",
        "a\nb\r\nc\r",
        '"',
        "~~~",
        "\x00",
        " x ",
        "'",
    ]
)


def _values(size):
    """Strategies for one column of `size` values, by type."""

    def listed(one):
        return st.lists(one, min_size=size, max_size=size)

    def maybe(one):
        return listed(st.none() | one)

    stamps = st.integers(-(2**62), 2**62) | st.just(np.iinfo("int64").min)
    times = listed(stamps).map(lambda v: np.array(v, "int64"))
    units = st.sampled_from(["s", "ms", "us", "ns"])
    days = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))
    zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "+05:30"])
    zoned = st.tuples(listed(days), zones, units).map(
        lambda v: (
            pd.Series(v[0], dtype="M8[us]")
            .dt.tz_localize("UTC")
            .dt.tz_convert(v[1])
            .dt.as_unit(v[2])
        )
    )
    labels = st.lists(TEXT, unique=True, max_size=4)
    numbers = st.lists(st.integers(-5, 5), unique=True, max_size=4)
    dates = st.lists(st.dates(), unique=True, max_size=4)
    categories = st.tuples(labels | numbers | dates, st.booleans(), listed(st.integers(-1, 3))).map(
        lambda v: pd.Series(
            pd.Categorical.from_codes(
                [code if code < len(v[0]) else -1 for code in v[2]],
                pd.Index(v[0], dtype=object if not v[0] else None),
                ordered=v[1],
            )
        )
    )
    breaks = st.lists(
        st.integers(-99, 99).map(lambda n: n / 8), min_size=2, max_size=5, unique=True
    ).map(sorted)
    cuts = st.tuples(breaks, listed(st.floats(-1e6, 1e6))).map(
        lambda v: pd.Series(pd.cut(pd.Series(v[1], dtype=float), v[0], precision=3))
    )
    return st.one_of(
        listed(st.integers(-(2**63), 2**63 - 1)).map(lambda v: pd.Series(v, dtype="int64")),
        listed(st.integers(0, 2**64 - 1)).map(lambda v: pd.Series(v, dtype="uint64")),
        listed(st.integers(-128, 127)).map(lambda v: pd.Series(v, dtype="int8")),
        listed(st.floats()).map(lambda v: pd.Series(v, dtype="float64")),
        listed(st.floats(width=32)).map(lambda v: pd.Series(v, dtype="float32")),
        listed(st.booleans()).map(lambda v: pd.Series(v, dtype=bool)),
        maybe(st.integers(-(2**63), 2**63 - 1)).map(lambda v: pd.Series(v, dtype="Int64")),
        maybe(st.integers(0, 255)).map(lambda v: pd.Series(v, dtype="UInt8")),
        maybe(st.floats(allow_nan=False)).map(lambda v: pd.Series(v, dtype="Float64")),
        maybe(st.booleans()).map(lambda v: pd.Series(v, dtype="boolean")),
        maybe(TEXT).map(lambda v: pd.Series(v, dtype="str")),
        maybe(TEXT).map(lambda v: pd.Series(v, dtype="string")),
        listed(TEXT | st.sampled_from([None, float("nan"), pd.NA, pd.NaT])).map(_objects),
        listed(st.integers() | TEXT | st.booleans() | st.floats(allow_nan=False)).map(_objects),
        maybe(st.dates()).map(_objects),
        maybe(st.decimals(allow_nan=False)).map(_objects),
        st.tuples(times, units).map(lambda v: pd.Series(v[0].view(f"M8[{v[1]}]"))),
        st.tuples(times, units).map(lambda v: pd.Series(v[0].view(f"m8[{v[1]}]"))),
        zoned,
        categories,
        cuts,
    )


def _objects(values):
    made = np.empty(len(values), object)
    made[:] = values
    return pd.Series(made, dtype=object)


@st.composite
def frames(draw):
    size = draw(st.integers(0, LONGEST))
    columns = draw(st.lists(_values(size), max_size=5))
    table = pd.DataFrame(dict(enumerate(columns)), index=range(size))
    names = TEXT | st.integers(-9, 9) | st.none() | st.tuples(TEXT, st.integers())
    table.columns = pd.Index(
        draw(st.lists(names, min_size=len(columns), max_size=len(columns))),
        dtype=object,
        tupleize_cols=False,
    )
    levels = draw(st.lists(_values(size), max_size=2))
    if len(levels) == 2:
        table.index = pd.MultiIndex.from_arrays(levels, names=["a", None])
    elif levels:
        table.index = pd.Index(levels[0].array, dtype=levels[0].dtype, name=draw(TEXT))
    elif draw(st.booleans()):
        table.index = pd.RangeIndex(3, 3 + 2 * size, 2, name="n")
    return table


@pytest.fixture(scope="session")
def everything():
    """A frame with every type and trouble that the format promises to carry."""
    return pd.DataFrame(
        {
            "when": pd.to_datetime(["2024-10-27 00:30", None, "2024-10-27 01:30"])
            .tz_localize("UTC")
            .tz_convert("Europe/Berlin"),
            "day": pd.to_datetime(["2024-02-29", "1999-12-31", None]).as_unit("s"),
            "grade": pd.Categorical(["b", None, "a"], ["c", "b", "a"], ordered=True),
            "cut": pd.cut([1, 2, 3], 2),
            "name": ['Ann "A"', "two\nlines\r\nand a return\r", "``` ü 漢 \u202e ''' \"\"\" \\ ,"],
            "text": ["", None, "NA"],
            "mixed": np.array([1, "x", 2.5], object),
            "gone": np.array([None, pd.NA, float("nan")], object),
            "count": pd.array([1, None, 2**63 - 1], "Int64"),
            "share": [0.1, float("nan"), float("inf")],
            "small": np.array([0.1, 1 / 3, 2], "float32"),
            "flag": pd.array([True, None, False], "boolean"),
            "sure": [True, False, True],
            "born": [datetime.date(2001, 2, 3), None, datetime.date(1, 1, 1)],
            "paid": [decimal.Decimal("1.10"), None, decimal.Decimal("-0")],
            "took": pd.to_timedelta(["1s", None, "1D"]),
            "week": pd.period_range("2024", periods=3, freq="W"),
        },
        index=pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)], names=["key", None]),
    )


@pytest.fixture(scope="session")
def drawn_frames():
    return frames()
