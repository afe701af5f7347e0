"""What functions give back, as text."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import json
import types

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.tools.results import MAX_RESULT_BYTES, result_text

unhurried = settings(deadline=None)


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date


class Own:
    def __llm__(self):
        return "in my words"


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
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (pd.DataFrame({"a": [1, 2]}), "a\n1\n2\n"),
        (pd.Series([1, 2], name="a", index=["x", "y"]), ",a\nx,1\ny,2\n"),
        (np.array([1, 2]), "ndarray, 2, int64\n[1 2]"),
        (Bad(), "an object of type Bad"),
    ],
)
def test_values_as_text(value, text):
    assert result_text(value) == text


@pytest.mark.parametrize(
    "value", ["ü" * 200_000, ["x" * 10] * 50_000, pd.DataFrame({"a": range(99_999)})]
)
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
Pair = collections.namedtuple("Pair", "a email")


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
        ({"a": np.array([1, 2])}, '{"a": "ndarray, 2, int64\\n[1 2]"}'),
        ("said by the function itself", "said by the function itself"),
    ],
)
def test_masked_columns_are_kept_back(value, text):
    assert result_text(value, mask=("*mail",)) == text


def test_tables_inside_of_others_are_masked_too():
    text = result_text({"frame": FRAME, "s": FRAME["email"]}, mask=("email",))
    assert "canary" not in text
    assert "email" in text
