"""Tables out of an answer, as DataFrames."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.document.extract import PipeTable, find_tables, tables

unhurried = settings(deadline=None)


def pipe_table(frame):
    """A DataFrame as a writer of Markdown would put it: what could be markup is an entity (a
    backslash before a bracket would begin maths)."""

    def cell(value):
        text = "" if pd.isna(value) else str(value)
        marked = "".join(f"&#{ord(c)};" if c in "\\`*_{}[]<>()#+!~$&" else c for c in text)
        return marked.replace("|", "\\|")

    rows = [[cell(name) for name in frame.columns], ["---"] * frame.shape[1]]
    rows += [[cell(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def test_types_are_inferred():
    (frame,) = tables(
        "Results:\n\n| City | People | Area | Since | Port |\n|:--|--:|--:|---|:-:|\n"
        "| Bonn | 331,885 | 141.06 km² | 1989-07-01 | yes |\n"
        "| Köln |  | 405.02 km² |  | no |\n\nThat is all."
    )
    assert list(frame.columns) == ["City", "People", "Area", "Since", "Port"]
    assert [str(kind) for kind in frame.dtypes[1:3]] == ["Int64", "float64"]
    assert frame["Since"].dtype.kind == "M"
    assert frame["People"][0] == 331885
    assert frame["People"].isna().tolist() == [False, True]
    assert frame["Port"].tolist() == [True, False]
    assert frame.attrs == {"units": {"Area": "km²"}}
    assert frame.index.tolist() == [0, 1]


def test_markup_in_cells_is_taken_off():
    (frame,) = tables(
        "| **Name** | `code` |\n|---|---|\n"
        "| [a link](https://x.test) | `a\\|b` |\n| *it* \\| <b> | x |\n"
    )
    assert list(frame.columns) == ["Name", "code"]
    assert frame["Name"].tolist() == ["a link", "it | <b>"]
    assert frame["code"].tolist() == ["a|b", "x"]


def test_headers_that_repeat_or_are_empty():
    (frame,) = tables("| a | a | | a (2) |\n|---|---|---|---|\n| 1 | 2 | 3 | 4 |\n")
    assert list(frame.columns) == ["a", "a (3)", "column 3", "a (2)"]
    assert frame.iloc[0].tolist() == [1, 2, 3, 4]


def test_ragged_rows_and_tables_without_any():
    first, second = tables("| a | b |\n|---|---|\n| 1 |\n| 2 | 3 | 4 |\n\ntext\n\na | b\n--|--\n")
    assert first["b"].isna().tolist() == [True, False]
    assert first.shape == (2, 2)
    assert second.shape == (0, 2)


def test_tables_in_quotes_count_and_in_code_do_not():
    assert len(tables("> | a |\n> |---|\n> | 1 |\n")) == 1
    assert tables("```\n| a |\n|---|\n| 1 |\n```") == []


def test_zones_become_utc():
    (frame,) = tables("| t |\n|---|\n| 2024-01-01T10:00+01:00 |\n| 2024-01-01T10:00Z |\n")
    assert [stamp.hour for stamp in frame["t"]] == [9, 10]
    assert str(frame["t"].dtype).endswith("UTC]")


WORDS = st.text(st.characters(categories=["L"]), min_size=1, max_size=8).map(lambda w: "w" + w)
PUNCTUATED = st.text(
    st.characters(categories=["L", "P", "S"], exclude_characters="\u2028"), max_size=8
).map(lambda text: f"w{text}w")
COLUMNS = st.sampled_from(
    [
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer()),
        st.booleans(),
        PUNCTUATED,
    ]
)


@unhurried
@given(st.data(), st.integers(1, 4))
def test_simple_frames_come_back(data, size):
    names = data.draw(st.lists(WORDS, unique=True, min_size=1, max_size=4))
    made = {}
    for name in names:
        one = data.draw(COLUMNS)
        made[name] = data.draw(st.lists(one, min_size=size, max_size=size))
    frame = pd.DataFrame(made)
    (again,) = tables(pipe_table(frame))
    pd.testing.assert_frame_equal(again, frame)


def test_dollars_and_maths_in_cells_stay_as_written():
    (frame,) = tables("| a | b |\n|---|---|\n| $5 to $7 | $x^2$ |\n| about $3 | \\(y\\) |\n")
    assert frame["a"].tolist() == ["$5 to $7", "about $3"]
    assert frame["b"].tolist() == ["$x^2$", "\\(y\\)"]


def test_pandas_is_imported_only_for_a_table():
    code = (
        "import sys; from qwen_magic.document.extract import tables, code_blocks; "
        "assert tables('none') == []; assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_pandas_a_table_says_so():
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from qwen_magic.document.extract import tables\n"
        "from qwen_magic.errors import UsageError\n"
        "try:\n    tables('| a |\\n|---|\\n| 1 |\\n')\n"
        "except UsageError as error:\n    assert 'pip install pandas' in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tables_have_rows_of_one_length():
    text = "| a | b | c | d |\n|:--|:-:|--:|---|\n| 1 |\n| *x* | y\\|z | `p` | ![alt](u) |\n\ntext"
    assert find_tables(text) == (
        PipeTable(
            ("a", "b", "c", "d"),
            (("1", "", "", ""), ("x", "y|z", "p", "alt")),
        ),
    )


def test_two_tables_are_two():
    text = "| a |\n|---|\n| 1 |\n\nbetween\n\n| b |\n|---|\n"
    assert [table.header for table in find_tables(text)] == [("a",), ("b",)]
    assert [table.rows for table in find_tables(text)] == [(("1",),), ()]


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ("| `x|y` | 2 |", ("x|y", "2")),
        ("| `x\\|y` | 2 |", ("x|y", "2")),
        ("| `` a`|b `` | 2 |", ("a`|b", "2")),
        ("| `a || b` | `|` |", ("a || b", "|")),
        ("| x \\| y | **b** |", ("x | y", "b")),
        ("| one<br>two | a<br/>b<BR />c |", ("one\ntwo", "a\nb\nc")),
        ("| | 3 |", ("", "3")),
        ("| only |", ("only", "")),
        ("| 1 | 2 | 3 |", ("1", "2")),
        ("1 | 2", ("1", "2")),
        ("| `open | 2 |", ("`open", "2")),
        ("| [l](http://x) | &amp; &lt; ~~s~~ |", ("l", "& < s")),
    ],
)
def test_cells_as_they_were_meant(row, cells):
    table = f"| a | b |\n|:--|--:|\n{row}\n"
    for text in (
        table,
        f"Before\n\n{table}",
        "- in\n\n" + "".join(f"  {x}\n" for x in table.split("\n")),
    ):
        [found] = find_tables(text)
        assert found.rows == (cells,)
        assert found.header == ("a", "b")
