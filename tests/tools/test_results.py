"""What functions give back, as text."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import io
import itertools
import json
import pathlib
import time
import types

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from qwen_magic.tools.definition import MAX_RESULT_BYTES
from qwen_magic.tools.results import MOST_YIELDED, result_text

unhurried = settings(deadline=None)


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date


class Grade(enum.Enum):
    GOOD = 1
    ODD = (1, 2)


Pair = collections.namedtuple("Pair", "a email")


def yielding(count):
    for n in range(count):
        yield {"n": n}


class Own:
    def __llm__(self):
        return "in my words"


class Two:
    def __iter__(self):
        return yielding(2)


class Bad:
    def __repr__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, "null"),
        (True, "true"),
        ({"a": [1, "ü"]}, '{"a": [1, "ü"]}'),
        (Point(1, datetime.date(2024, 1, 2)), '{"x": 1, "when": "2024-01-02"}'),
        ([Point(1, datetime.date(2024, 1, 2))], '[{"x": 1, "when": "2024-01-02"}]'),
        ({"n": np.int64(3), "s": {2, 1}}, '{"n": 3, "s": [1, 2]}'),
        (Own(), "in my words"),
        (Two(), '[{"n": 0}, {"n": 1}]'),
        ({"sum": pa.scalar(5)}, '{"sum": 5}'),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (pd.DataFrame({"a": [1, 2]}), "a\n1\n2\n"),
        (pd.Series([1, 2], name="a", index=["x", "y"]), ",a\nx,1\ny,2\n"),
        (np.arange(6).reshape(2, 3), "ndarray, 2 × 3, int64\n[[0, 1, 2], [3, 4, 5]]"),
        (np.float32([0.1, 0.25]), "ndarray, 2, float32\n[0.1, 0.25]"),
        (np.array(["2024-01-01"], "M8[D]"), 'ndarray, 1, datetime64[D]\n["2024-01-01"]'),
        (np.datetime64("2024-01-01T00:00"), "2024-01-01T00:00"),
        (np.ma.array([1, 2], mask=[0, 1]), "MaskedArray, 2, int64\n[1, null]"),
        (pd.Index(["a"], name="n"), f'Index, 1, {pd.Index(["a"]).dtype}\n["a"]'),
        ({"t": pd.Timestamp("2024-01-01"), "n": pd.NaT}, '{"t": "2024-01-01T00:00:00", "n": null}'),
        ({"f": pd.DataFrame({"a": [1]})}, '{"f": "a\\n1\\n"}'),
        (pd.DataFrame(), "an empty DataFrame, 0 rows × 0 columns"),
        (decimal.Decimal("1.10"), "1.10"),
        (pathlib.PurePosixPath("/x/y"), "/x/y"),
        (datetime.timedelta(1), "1 day, 0:00:00"),
        (b"abc", "abc"),
        (b"\xff\x00", "2 bytes, in base64: /wA="),
        (Grade.GOOD, "1"),
        (Grade.ODD, "ODD"),
        ([Pair(1, None)], '[{"a": 1, "email": null}]'),
        ({(1, 2): 3, None: 1}, '{"(1, 2)": 3, "None": 1}'),
        (range(3), "[0, 1, 2]"),
        (map(str, range(2)), '["0", "1"]'),
        (zip("ab", [1, 2], strict=True), '[["a", 1], ["b", 2]]'),
        ({"b": 1, "a": 2}.keys(), '["b", "a"]'),
        ({"a": 1}.items(), '[["a", 1]]'),
        ({"deep": [yielding(2)]}, '{"deep": [[{"n": 0}, {"n": 1}]]}'),
        (Image.new("RGB", (3, 4)), "an image of 3 × 4 pixels, of type Image"),
        (Bad(), "an object of type Bad"),
    ],
)
def test_values_as_text(value, text):
    assert result_text(value) == text


@pytest.mark.parametrize("value", ["ü" * 200_000, ["x" * 10] * 50_000, np.arange(99_999)])
def test_large_results_are_cut_with_a_note(value):
    text = result_text(value)
    body, note = text.rsplit("…\n", 1)
    assert len(body.encode()) <= MAX_RESULT_BYTES
    assert len(body.encode()) > MAX_RESULT_BYTES - 4
    assert note == "(cut: the first 100,000 bytes of more; ask for less at a time)"


@unhurried
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
    )
)
def test_json_goes_as_json(value):
    text = result_text(value)
    assert (text if isinstance(value, str) else json.loads(text)) == value


def test_lone_surrogates_do_no_harm():
    assert result_text("\ud800") == "\ud800"
    assert result_text("\ud800" * 200_000).startswith("????")


def test_values_that_hold_themselves():
    loop = []
    loop.append(loop)
    assert "[" in result_text(loop)


class Model(pydantic.BaseModel):
    name: str
    email: str = "canary"


FRAME = pd.DataFrame({"a": [1, 2], "email": ["canary"] * 2, "c": [3, 4]})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (FRAME, "a,c\n1,3\n2,4\n"),
        (FRAME.set_index("email"), "a,c\n1,3\n2,4\n"),
        (FRAME["email"], "all columns are kept back"),
        ({"a": 1, "email": "canary"}, '{"a": 1, "email": "[masked]"}'),
        ([{"x": {"E-Mail": "canary"}}], '[{"x": {"E-Mail": "[masked]"}}]'),
        (Model(name="x"), '{"name": "x", "email": "[masked]"}'),
        ([Model(name="x")], '[{"name": "x", "email": "[masked]"}]'),
        (Pair(1, "canary"), '{"a": 1, "email": "[masked]"}'),
        (FRAME.iloc[0], ",0\na,1\nc,3\n"),
        (FRAME.set_index("email").iloc[0], ",0\na,1\nc,3\n"),
        (FRAME.set_axis(["x", "y"])["email"], "all columns are kept back"),
        (FRAME.T, ",0,1\na,1,2\nc,3,4\n"),
        (collections.deque([{"email": "canary"}]), '[{"email": "[masked]"}]'),
        (types.SimpleNamespace(email="canary"), '{"email": "[masked]"}'),
        ({"a": np.array([1, 2])}, '{"a": [1, 2]}'),
        (({"email": "canary"} for _ in "a"), '[{"email": "[masked]"}]'),
        (
            np.array([(1, 2)], [("a", int), ("email", int)]),
            "ndarray, 1, [('a', '<i8'), ('email', '<i8')]\n[[1]]",
        ),
        ("said by the function itself", "said by the function itself"),
    ],
)
def test_masked_columns_are_kept_back(value, text):
    assert result_text(value, mask=("*mail",)) == text


def test_tables_inside_of_others_are_masked_too():
    text = result_text({"frame": FRAME, "s": FRAME["email"]}, mask=("email",))
    assert "canary" not in text
    assert json.loads(text)["frame"] == "a,c\n1,3\n2,4\n"


def test_a_table_is_cut_between_rows():
    frame = pd.DataFrame({"a": range(99_999), "b": "two\nlines"})
    body, note = result_text(frame).rsplit("\n", 1)
    assert len(body.encode()) <= MAX_RESULT_BYTES
    rows = pd.read_csv(io.StringIO(body))
    assert rows.equals(frame.iloc[: len(rows)])
    assert note == f"(cut: the first {len(rows):,} of 99,999 rows; ask for less at a time)"


def test_an_array_is_whole():
    array = np.random.default_rng(1).random(1_500)
    assert json.loads(result_text(array).split("\n")[1]) == array.tolist()


def test_iterators_are_run_to_an_end():
    closed = []

    def endless(pause=0.0, size=1):
        try:
            for n in itertools.count():
                time.sleep(pause)
                yield "x" * size + str(n)
        finally:
            closed.append(1)

    body, note = result_text(endless()).rsplit("\n", 1)
    assert len(json.loads(body)) == MOST_YIELDED
    assert note.startswith("(ended after the first 10,000 items")
    assert "(cut: the first 100,000 bytes of more" in result_text(endless(size=1_000))
    body, note = result_text(endless(pause=0.05), seconds=0.2).rsplit("\n", 1)
    assert 1 <= len(json.loads(body)) < 10
    assert "not finished after 0.2 s" in note
    assert len(closed) == 3, "what is left early is closed"


def test_what_an_iterator_raises_is_its_functions():
    def fails():
        yield 1
        raise LookupError("halfway")

    with pytest.raises(LookupError):
        result_text(fails())


def test_tables_of_others_are_cut_at_whole_rows():
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    for table, last, kept in (
        (pa.table({"a": range(5_000)}), '{"a": 30}', 31),
        (pl.DataFrame({"l": [[1, 2]] * 5_000}), '{"l": [1, 2]}', 21),
        (pl.DataFrame({"s": ["a\nb\u2028"] * 5_000}), '"a\nb\u2028"', 33),
        (pl.Series("l", [[1]] * 5_000), "[1]", 75),
        (pa.chunked_array([range(5_000)]), "100", 101),
    ):
        text, _, note = result_text(table, 300).rpartition("\n")
        assert note == f"(cut: the first {kept} of 5,000 rows; ask for less at a time)"
        assert text.endswith(f"\n{last}")


def test_a_query_is_run_for_what_there_is_room_for():
    pl, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")
    assert result_text(pl.LazyFrame({"a": [1, 2], "b": ["x", None]})) == "a,b\n1,x\n2,\n"
    assert result_text(duckdb.sql("select 1 as a, DATE '2024-01-31' as b")) == "a,b\n1,2024-01-31\n"
    text = result_text(duckdb.sql("select range as a from range(1000000000)"), 300)
    assert text.startswith("a\n0\n1\n2\n")
    assert "(the query was run for its first 151 rows)" in text
    assert result_text(pd.DataFrame({"a": [1]}).style) == "a\n1\n"


def test_figures_in_a_sentence():
    figure = Figure()
    axes = figure.subplots(1, 2)
    axes[0].plot([1, 2])
    axes[0].set(title="Speed", xlabel="time")
    for value in (figure, axes[0], axes, {"plot": figure}):
        text = result_text(value)
        assert "a figure with 2 axes" in text
        assert "title: Speed, x: time; 1 lines" in text
