"""Rows in a prompt give back the frame: here, and by plain pandas from the text alone."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from fuzz import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_magic.context.dataframe.describing import describe_data
from qwen_magic.context.dataframe.row_block import rebuild, write_rows
from qwen_magic.errors import UsageError

unhurried = settings(
    deadline=None, max_examples=examples(80), suppress_health_check=[HealthCheck.too_slow]
)

# What a sandbox does: takes the block as it stands, and runs it. No module of ours is there.
SANDBOX = """
import json, re, sys
def run(text):
    block = re.search(r"^(`{3,})python\\n(.*?)^\\1$", text, re.DOTALL | re.MULTILINE)[2]
    names = {}
    exec(block, names)
    df = names["df"]
    import pandas as pd
    hashes = [int(n) for n in pd.util.hash_pandas_object(df)]
    return [hashes, [str(t) for t in df.dtypes], [repr(c) for c in df.columns]]
print(json.dumps([run(text) for text in json.load(sys.stdin)]))
assert not [m for m in sys.modules if m.startswith("qwen_magic")]
"""


def fingerprint(table):
    hashes = [int(number) for number in pd.util.hash_pandas_object(table)]
    return [hashes, [str(kind) for kind in table.dtypes], [repr(name) for name in table.columns]]


def in_a_sandbox(texts, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-I", "-c", SANDBOX],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def same(before, after):
    assert [str(kind) for kind in after.dtypes] == [str(kind) for kind in before.dtypes]
    assert list(after.columns) == list(before.columns)
    assert after.index.names == before.index.names
    if len(before):
        assert fingerprint(after)[0] == fingerprint(before)[0]
    else:
        assert len(after) == 0


def test_a_frame_with_everything_comes_back(everything):
    part = describe_data("df", everything, rows="all")
    again = rebuild(part.text)
    same(everything, again)
    assert part.warning == ""
    assert again["gone"].map(type).tolist() == everything["gone"].map(type).tolist()
    assert again["mixed"].map(type).tolist() == [int, str, float]
    assert again["grade"].cat.categories.tolist() == ["c", "b", "a"]
    assert again["grade"].cat.ordered
    assert again["name"].tolist() == everything["name"].tolist()


def test_plain_pandas_rebuilds_from_the_text_alone(everything, tmp_path):
    tables = [
        everything,
        everything.reset_index(drop=True).iloc[:0],
        everything[["name"]].iloc[1:],
        pd.DataFrame(np.eye(3), columns=pd.MultiIndex.from_product([["a"], [1, 2, 3]])),
    ]
    texts = [describe_data("df", table, rows="all").text for table in tables]
    assert in_a_sandbox(texts, tmp_path) == [fingerprint(table) for table in tables]


@unhurried
@given(st.data())
def test_any_frame_comes_back(drawn_frames, data):
    table = data.draw(drawn_frames)
    block = write_rows("df", table)
    assert block.inexact == ()
    same(table, rebuild(block.text))


@settings(unhurried, max_examples=examples(25))
@given(st.data())
def test_the_block_holds_no_line_that_could_end_it(drawn_frames, data):
    text = write_rows("df", data.draw(drawn_frames)).text
    fence, *inside, last = text.split("\n")
    assert fence == f"{last}python"
    assert not [line for line in inside if line.lstrip(" >").startswith(last)]
    assert all(character.isprintable() for line in inside for character in line)


def test_only_the_readers_that_are_needed_are_sent():
    text = write_rows("df", pd.DataFrame({"n": [1]})).text
    assert "def integers(" in text
    assert "def texts(" not in text
    assert "datetime" not in text


def test_a_row_is_a_line():
    table = pd.DataFrame({"a": ["x\ny", "z"], "b": [1, 2]})
    text = write_rows("df", table).text
    assert '\n"x\\ny",1\nz,2\n"""' in text


def test_lone_surrogates_travel_as_escapes():
    table = pd.DataFrame([["\ud800"]], columns=pd.Index(["\ud801"], dtype=object), dtype=object)
    text = write_rows("df", table).text
    text.encode("utf-8")
    assert rebuild(text).equals(table)


def test_values_of_many_types_in_a_column_keep_theirs():
    values = [-math.inf, math.inf, 1, True, "1", b"x", (1, [2.5]), {"a": None}, None, 10**30]
    block = write_rows("df", pd.DataFrame({"a": pd.Series(values, dtype=object)}))
    again = rebuild(block.text)["a"].tolist()
    assert again == values
    assert list(map(type, again)) == list(map(type, values))
    assert block.inexact == ()


def test_what_cannot_be_exact_is_said():
    class Odd:
        def __str__(self):
            return "odd"

    part = describe_data("df", pd.DataFrame({"a": [Odd()], "b": [1]}), rows="all")
    assert rebuild(part.text)["a"].tolist() == ["odd"]
    assert part.warning == "Not rebuilt exactly, but as another type: column 'a' (object)."
    assert "Not of their own type there: column 'a' (object)." in part.text


def test_sparse_columns_keep_their_numbers():
    table = pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.5, 0.0])})
    block = write_rows("df", table)
    assert rebuild(block.text)["a"].tolist() == [0, 1.5, 0]
    assert block.inexact == ("column 'a' (Sparse[float64, nan])",)


def test_a_usual_frame_needs_little():
    table = pd.DataFrame({"n": [1, 2], "name": ["a", None], "x": [0.5, None]})
    block = write_rows("df", table)
    same(table, rebuild(block.text))
    assert "MultiIndex" not in block.text
    assert len(block.text) < 1_500


def test_a_number_of_rows():
    table = pd.DataFrame({"a": range(10)})
    part = describe_data("df", table, rows=3)
    same(table.iloc[:3], rebuild(part.text))
    assert "the first 3 of 10 rows" in part.text
    assert part.summary.startswith("df: 10 rows, 1 column; 3 rows sent, ")


def test_many_rows_are_warned_of():
    table = pd.DataFrame({"a": range(301)})
    assert "301 rows of df are many" in describe_data("df", table, rows="all").warning
    assert describe_data("df", table, rows=300).warning == ""


@pytest.mark.parametrize(
    ("name", "variable"), [("a.b['c']", "a_b_c"), ("x[0]", "x_0"), ("0", "data_0")]
)
def test_any_reference_gives_a_variable(name, variable):
    text = describe_data(name, pd.DataFrame({"a": [1]}), rows="all").text
    assert re.search(rf"^{variable} = frame\(", text, re.MULTILINE)


def test_a_text_without_rows():
    with pytest.raises(ValueError, match="no block of rows"):
        rebuild("```python\nprint(1)\n```")


def test_a_series_goes_as_a_column():
    part = describe_data("s", pd.Series([1.5, None], name="x"), rows="all")
    assert rebuild(part.text)["x"].isna().tolist() == [False, True]
    assert "(a DataFrame of one column)" in part.text


def test_far_too_many_rows_are_refused():
    with pytest.raises(UsageError, match="20,001 rows of df are too many to send"):
        describe_data("df", pd.DataFrame({"a": range(20_001)}), rows="all")
