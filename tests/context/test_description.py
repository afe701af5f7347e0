"""Values as text in a prompt."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import json
import math
import signal
import time
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.context.description import MAX_CHARS, MAX_TEXT, describe
from qwen_magic.context.masked_names import without_masked
from qwen_magic.context.time_limit import OutOfTimeError, time_limit
from qwen_magic.masking import MASKED

unhurried = settings(deadline=None)  # the machine may be busy


class Colour(enum.Enum):
    RED = 1


class Own:
    def __llm__(self) -> str:
        return "in my own words"


class BadOwn:
    def __llm__(self) -> str:
        raise ValueError

    def __repr__(self) -> str:
        return "BadOwn()"


class NoRepr:
    def __repr__(self) -> str:
        raise ValueError


class Odd:
    """The shape of a table, and nothing that a table has."""

    shape = (2, 2)
    head = None

    def __repr__(self) -> str:
        return "<Odd>"


class Proxy:
    """Stands for something remote: every attribute costs a call."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked for")

    def __repr__(self) -> str:
        return "<Proxy>"


class Plain:
    def __repr__(self) -> str:
        return "so so"


def area(width: float, height: float = 1.0) -> float:
    """The area of a rectangle."""
    return width * height


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("as it is\n", "as it is\n"),
        ("x" * MAX_TEXT, "x" * MAX_TEXT),
        (3, "3"),
        (2.5, "2.5"),
        (True, "True"),
        (None, "None"),
        (1 + 2j, "(1+2j)"),
        (decimal.Decimal("1.10"), "1.10"),
        (datetime.date(2026, 11, 22), "2026-11-22"),
        (PurePosixPath("a/b"), "a/b"),
        (Colour.RED, "Colour.RED"),
        (np.float64(1.5), "1.5"),
        (np.int32(4), "4"),
        (pd.Timestamp("2026-11-22"), "2026-11-22 00:00:00"),
        ([1, "zwei", None, True], '[1, "zwei", null, true]'),
        ((1, (2, 3)), "[1, [2, 3]]"),
        ({"k": {"é": [1.5]}}, '{"k": {"é": [1.5]}}'),
        ({1: "a"}, "{1: 'a'}"),
        ({(1, 2): "a"}, "{(1, 2): 'a'}"),
        ({"b", "a"}, '["a", "b"]'),
        ([], "[]"),
        ([datetime.date(2026, 1, 2)], '["2026-01-02"]'),
        (Own(), "in my own words"),
        ([Own()], '["in my own words"]'),
        (BadOwn(), "BadOwn()"),
        (NoRepr(), "an object of type NoRepr"),
        (Plain(), "Plain: so so"),
        (Odd(), "<Odd>"),
        (Proxy(), "<Proxy>"),
        (10**5000, "an object of type int"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_describe(value: object, expected: str) -> None:
    assert describe(value) == expected


def test_long_containers_are_cut_and_say_so() -> None:
    text = describe(list(range(1_000_000)))
    assert text.startswith("[0, 1, 2, ")
    assert text.endswith("…\n(cut: the first 2,000 characters of a list of 1,000,000 items)")
    assert len(text) < MAX_CHARS + 100


def test_long_texts_are_cut_and_say_so() -> None:
    made = describe("é" * 600_000)
    assert made.cut == "the first 20,000 characters of 600,000"
    assert made.endswith(f"é…\n(cut: {made.cut})")
    assert describe("é" * 600_000, whole=True) == "é" * 600_000
    assert describe(list(range(9_000)), whole=True).endswith(" 8998, 8999]")
    assert describe("short").cut == ""


class Endless:
    def __init__(self) -> None:
        self.looked_at = 0

    def __repr__(self) -> str:
        while True:
            self.looked_at += 1


def test_what_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen_magic.context.description.SECONDS", 0.1)
    made = describe(Endless())
    assert made.startswith("an object of type Endless; ")
    assert made.cut
    assert "an object of type Endless" in describe([1, Endless()])
    assert describe([Endless()] * 10_000), "together no longer than one: they would take 1,000 s"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer here")
@pytest.mark.parametrize("late", [signal.setitimer, signal.signal])
def test_a_limit_that_is_over_before_it_began_leaves_no_timer_behind(late, monkeypatch) -> None:
    """A busy machine may take longer for one line than the limit is."""

    def slow(*arguments: object) -> object:
        done = late(*arguments)
        time.sleep(0.02)
        return done

    handler, (_, every) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    monkeypatch.setattr(signal, late.__name__, slow)
    with pytest.raises(OutOfTimeError), time_limit(0.01):
        time.sleep(0.1)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGALRM) is handler
    assert signal.getitimer(signal.ITIMER_REAL)[1] == every, "pytest's own goes on"


def test_of_what_is_deep_and_wide_only_a_part_is_looked_at() -> None:
    wide: object = "x"
    for _ in range(6):
        wide = dict.fromkeys(range(1000), wide)
    assert len(describe(wide)) < MAX_CHARS + 100
    assert len(describe({(1, 2): {frozenset(range(10**5)): "x" * 10**6}})) < MAX_CHARS + 100


class Markdown:
    def _repr_markdown_(self) -> tuple[str, dict[str, object]]:
        return "**bold**", {}


class TableReport:
    def json(self) -> str:
        return '{"n_rows": 3}'


class ProfileReport:
    """As ydata's: `json` is a property there, columns are keys."""

    json = ""

    def to_json(self) -> str:
        counts = dict.fromkeys(map(str, range(500)), 1)
        column = {"mean": 2.5, "counts": counts, "plot": "<svg></svg>"}
        return json.dumps(
            {"variables": {"password": column, "age": column}, "s": {"a": {"a": "<svg>"}}}
        )


class Llm(Markdown):
    def _repr_llm_(self) -> str:
        return "for models"


@pytest.mark.parametrize(
    ("value", "words"),
    [(Markdown(), "**bold**"), (TableReport(), '{"n_rows": 3}'), (Llm(), "for models")],
)
def test_objects_tell_themselves(value: object, words: str) -> None:
    assert describe(value) == words
    assert describe(type(value)).startswith(f"class {type(value).__name__}")


def test_a_report_goes_without_pictures_long_counts_and_masked_columns() -> None:
    text = describe(ProfileReport())
    assert "svg" not in text
    assert '"…": "488 more"' in text
    content = json.loads(text)
    assert content["variables"]["age"]["mean"] == 2.5
    masked = without_masked(ProfileReport(), ["password"])
    assert json.loads(masked)["variables"] == {**content["variables"], "password": MASKED}


def test_a_module_has_a_docstring_and_names() -> None:
    text = describe(math)
    assert text.startswith("module math\nThis module provides access to the mathematical functions")
    assert "It offers: acos, acosh," in text


def test_a_list_that_holds_itself() -> None:
    loop: list[object] = [1]
    loop.append(loop)
    assert describe(loop).startswith("[1, [1, ")
    assert "[...]" in describe(loop)


def test_functions_have_signature_and_docstring() -> None:
    assert describe(area) == (
        "def area(width: 'float', height: 'float' = 1.0) -> 'float'\nThe area of a rectangle."
    )
    assert describe(len).startswith("def len(obj, /)\n")
    assert describe(Own).startswith("class Own")
    assert describe([].append).startswith("def list.append(object, /)\n")
    assert describe(np.linalg.norm).startswith("def norm(x, ord=None, ")
    assert describe(np.add).startswith("def add(x1, x2, /, ")
    assert describe(functools.lru_cache(area)).startswith("def area(width: 'float'")


def test_what_a_partial_binds_is_not_told() -> None:
    bound = functools.partial(functools.partial(area, 7.25), height=3.75)
    assert describe(bound) == "def area() -> 'float'\nThe area of a rectangle."


def test_a_table() -> None:
    table = pd.DataFrame({"city": ["Ulm", "Köln"] * 500, "sales": range(1000)})
    assert describe(table) == (
        "DataFrame, 1,000 rows × 2 columns\n"
        f"Columns: city ({table['city'].dtype}), sales (int64)\n"
        "The first 5 rows:\n"
        "city,sales\nUlm,0\nKöln,1\nUlm,2\nKöln,3\nUlm,4\n"
    )


def test_a_table_with_an_index_shows_it() -> None:
    table = pd.DataFrame({"n": [1, 2]}, index=pd.Index(["a", "b"], name="key"))
    assert describe(table).endswith("The first 2 rows:\nkey,n\na,1\nb,2\n")


def test_wide_and_wordy_tables_stay_short() -> None:
    wide = pd.DataFrame({f"column_{n}": ["word " * 50] for n in range(500)})
    text = describe(wide)
    assert "1 rows × 500 columns" in text
    assert "and 440 more" in text
    assert len(text) < 2 * MAX_CHARS + 300


def test_empty_tables() -> None:
    assert "0 rows × 0 columns" in describe(pd.DataFrame())
    assert "0 rows × 1 columns" in describe(pd.DataFrame({"a": []}))


def test_a_column() -> None:
    column = pd.Series([1.5, 2.5, 3.5], name="price")
    assert describe(column) == (
        "Series 'price', 3 values, float64\nThe first 3:\nprice\n1.5\n2.5\n3.5\n"
    )


def test_a_column_without_a_name() -> None:
    dates = pd.date_range("2026-11-22", periods=1)
    assert describe(pd.Series([7], index=dates)) == (
        "Series, 1 values, int64\nThe first 1:\n,0\n2026-11-22,7\n"
    )


def test_arrays() -> None:
    assert describe(np.arange(6).reshape(2, 3)) == "ndarray, 2 × 3, int64\n[[0 1 2]\n [3 4 5]]"
    big = describe(np.zeros((10_000, 100)))
    assert big.startswith("ndarray, 10,000 × 100, float64\n")
    assert len(big) < MAX_CHARS


class Frame:
    """The shape of a polars DataFrame, as far as it is looked at."""

    shape = (3, 2)
    columns = ("a", "b")
    dtypes = ("Int64", "String")

    def head(self, rows: int) -> Frame:
        assert rows == 5
        return self

    def write_csv(self) -> str:
        return "a,b\n1,x\n2,y\n3,z\n"


class ArrowTable:
    """The shape of a pyarrow Table, as far as it is looked at."""

    class Schema:
        types = ("int64",)

    shape = (9, 1)
    column_names = ("a",)
    columns = ("the data themselves",)
    schema = Schema()

    def slice(self, start: int, length: int) -> ArrowTable:
        assert (start, length) == (0, 5)
        return self

    def to_pylist(self) -> list[dict[str, int]]:
        return [{"a": 1}]


def test_tables_are_known_by_their_shape() -> None:
    assert describe(Frame()) == (
        "Frame, 3 rows × 2 columns\nColumns: a (Int64), b (String)\n"
        "The first 3 rows:\na,b\n1,x\n2,y\n3,z\n"
    )
    assert describe(ArrowTable()) == (
        'ArrowTable, 9 rows × 1 columns\nColumns: a (int64)\nThe first 5 rows:\n{"a": 1}\n'
    )


nested = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=20), st.binary(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner), st.dictionaries(st.one_of(st.integers(), st.text()), inner)
    ),
    max_leaves=30,
)


@unhurried
@given(nested)
def test_never_raises_and_stays_short(value: object) -> None:
    assert isinstance(value, str) or len(describe(value)) <= MAX_CHARS + 100
