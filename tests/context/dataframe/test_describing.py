"""What the model and the reader are told of a variable."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import re
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.context.dataframe.describing import describe_data, describe_value, estimate_tokens
from qwen_magic.context.dataframe.row_block import rebuild
from qwen_magic.errors import UsageError

unhurried = settings(deadline=None)


class Told:
    def __llm__(self):
        return "told in its own words"


class Interchange:
    """Nothing but the interchange protocol."""

    def __init__(self, table):
        self._table = table

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self._table.__dataframe__(nan_as_null, allow_copy)


class Opaque:
    """The protocol's names and types, and no way to its values."""

    class _Column:
        dtype = (type("Kind", (), {"name": "STRING"}), 8, "u", "=")
        null_count = 2

    def __dataframe__(self, nan_as_null=False, allow_copy=True):
        return self

    def column_names(self):
        return ["a", "b\n```"]

    def num_rows(self):
        return 7

    def get_column_by_name(self, name):
        return self._Column


@pytest.fixture
def sales():
    return pd.DataFrame(
        {
            "region": ["north", "south", "north", None],
            "price": [1.5, 2.5, float("nan"), float("inf")],
            "email": ["ann@example.org", "bob@example.org", "cy@example.org", "di@example.org"],
            "grade": pd.Categorical(["hi", "lo", "lo", "hi"], ["lo", "hi"], ordered=True),
            "when": pd.to_datetime(["2024-01-01", "2024-01-02", None, "2024-01-04"]),
            "ok": [True, False, True, True],
        }
    )


def test_the_schema_tells_types_missing_values_and_statistics(sales):
    text = describe_data("sales", sales.assign(price=[1.5, 2.5, None, 4])).text
    assert "'region': str, 1 missing, 2 different, most often 'north' (2), 'south' (1)" in text
    assert "'price': float64, 1 missing, min 1.5, mean 2.66667, median 2.5, max 4" in text
    assert "'grade': category, ordered categories 'lo' < 'hi'" in text
    assert "min 2024-01-01 00:00:00, max 2024-01-04 00:00:00" in text
    assert "'ok': bool, 3 true, 1 false" in text
    assert "```csv\nregion,price,email,grade,when,ok\nnorth,1.5,ann@example.org,hi," in text


def test_the_default_leads_to_code_for_this_kernel(sales):
    part = describe_data("sales", sales)
    assert "`sales` exists only in my notebook" in part.text
    assert "answer with Python code" in part.text
    assert "rebuilds" not in part.text
    assert part.summary == (
        f"sales: 4 rows, 6 columns; schema sent, {len(part.text.encode()):,} bytes, "
        f"about {estimate_tokens(part.text):,} tokens"
    )


@pytest.mark.parametrize("rows", [None, 2, "all"])
@pytest.mark.parametrize("mask", [["email"], ["*MAIL"], ["e????"]])
def test_masked_columns_are_named_and_their_values_never_sent(sales, rows, mask):
    part = describe_data("sales", sales, rows=rows, mask=mask)
    assert "'email': str, values masked" in part.text
    assert "example" not in part.text
    assert part.masked == ("email",)
    assert part.warning == "Values kept back: email."


@pytest.mark.parametrize("rows", [None, "all"])
def test_masking_covers_indexes_categories_and_nested_labels(sales, rows):
    table = sales.astype({"email": "category"}).set_index("region")
    text = describe_data("t", table, rows=rows, mask=["email", "region"]).text
    assert "example" not in text
    assert "north" not in text
    nested = pd.DataFrame({("a", "email"): ["ann@example.org"], ("a", "n"): [1]})
    assert "example" not in describe_data("t", nested, rows=rows, mask=["email"]).text


def test_masking_covers_series_dicts_and_tables_in_containers(sales):
    hidden = {"email": "ann@example.org", "deep": [{"email": "bob@example.org", "n": 1}]}
    for value in (sales.email, hidden, [sales], {"a": {"b": sales}}, (sales.email,)):
        assert "example" not in describe_data("x", value, mask=["email"]).text
    assert '"n": 1' in describe_data("x", hidden, mask=["email"]).text


class Named(NamedTuple):
    email: str
    n: object


@dataclasses.dataclass
class Record:
    email: str
    n: object


class Model(pydantic.BaseModel):
    email: str


class BrokenModel(Model):
    def model_dump(self, **how: object) -> dict[str, object]:
        raise ValueError


def test_masking_covers_records_arrays_and_indexes(sales):
    fields = np.array([("ann@example.org", 1)], [("email", "U20"), ("n", int)])
    for value in (
        Named("ann@example.org", sales),
        [Record("ann@example.org", Named("bob@example.org", 1))],
        collections.OrderedDict(a=collections.OrderedDict(email="ann@example.org")),
        [Model(email="ann@example.org"), BrokenModel(email="ann@example.org")],
        (Named("a", (sales.email,)),),
        fields,
        fields[["email"]],
        pd.Index(["ann@example.org"], name="email"),
    ):
        assert "example" not in describe_data("x", value, mask=["email"]).text
    assert "(1,)" in describe_data("x", fields, mask=["email"]).text


def test_a_table_in_a_container_is_a_schema(sales):
    assert "ann@" not in describe_data("x", {"t": sales[["email"]].iloc[:0]}).text
    assert "'ok': bool" in describe_data("x", {"t": sales}).text


def test_a_table_with_the_interchange_protocol_alone():
    part = describe_data("t", Interchange(pd.DataFrame({"n": [1, 2]})))
    assert part.summary.startswith("t: 2 rows, ")
    assert "'n': " in part.text


def other_libraries(values):
    """The same table of each library, with the names of its types."""
    import duckdb
    import polars
    import pyarrow

    arrow = pyarrow.table(values)
    return {
        "polars": (polars.DataFrame(values), ["Int64", "String"]),
        "pyarrow": (arrow, ["int64", "string"]),
        "duckdb": (duckdb.from_arrow(arrow), ["BIGINT", "VARCHAR"]),
        "lazy": (polars.LazyFrame(values), ["Int64", "String"]),
        "batch": (arrow.to_batches()[0], ["int64", "string"]),
    }


@pytest.mark.parametrize("library", ["polars", "pyarrow", "duckdb", "lazy", "batch"])
def test_tables_of_other_libraries_are_equals(library):
    for name in ("polars", "pyarrow", "duckdb", "narwhals"):
        pytest.importorskip(name)
    table, types = other_libraries({"n": [2**53 + 1, None], "name": ["a", "b"]})[library]
    part = describe_data("t", table, rows="all")
    again = rebuild(part.text)
    assert again["n"].tolist() == [2**53 + 1, pd.NA]
    assert again["name"].tolist() == ["a", "b"]
    assert part.warning == ""
    assert f"'n': {types[0]}, 1 missing" in part.text
    assert f"'name': {types[1]}, all 2 different" in part.text


@pytest.mark.parametrize("library", ["duckdb", "lazy"])
def test_a_query_does_not_run_unless_rows_are_asked_for(library):
    for name in ("polars", "pyarrow", "duckdb", "narwhals"):
        pytest.importorskip(name)
    table, types = other_libraries({"n": list(range(500)), "name": ["a"] * 500})[library]
    part = describe_data("t", table)
    assert part.summary.startswith("t: a query, rows not counted, 2 columns; schema sent")
    assert f"'n': {types[0]}\n" in part.text
    assert "csv" not in part.text
    assert "the first 3 rows" in describe_data("t", table, rows=3).text


def test_a_query_that_would_fail_is_described_all_the_same():
    polars = pytest.importorskip("polars")
    bad = polars.LazyFrame({"a": [1]}).map_batches(lambda table: 1 / 0, schema={"a": polars.Int64})
    assert "'a': Int64" in describe_data("t", bad).text
    with pytest.raises(UsageError, match="cannot be read"):
        describe_data("t", bad, rows=1)


def test_other_libraries_columns():
    polars = pytest.importorskip("polars")
    part = describe_data("s", polars.Series("n", [1, None, 3]), rows="all")
    assert "'n': Int64, 1 missing, min 1, mean 2" in part.text
    assert "(a DataFrame of one column)" in part.text


def test_without_narwhals_it_is_said_what_to_install(monkeypatch):
    polars = pytest.importorskip("polars")
    monkeypatch.setitem(sys.modules, "narwhals", None)
    monkeypatch.setitem(sys.modules, "narwhals.stable.v2", None)
    table = polars.LazyFrame({"a": [1]})
    assert "pip install" in describe_data("t", table).warning
    with pytest.raises(UsageError, match="rows of t cannot be read") as raised:
        describe_data("t", table, rows=1)
    assert "narwhals" in raised.value.hint


def test_a_table_that_pandas_cannot_read_is_names_and_types():
    part = describe_data("t", Opaque())
    assert "'a': string, 2 missing\n'b\\n```': string, 2 missing" in part.text
    assert re.fullmatch(r"t: \w+ Opaque, 7 rows; schema sent, .*", part.summary)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Told(), "told in its own words"),
        ([1, "ü"], '[1, "ü"]'),
        ({"a": 1}, '{"a": 1}'),
        ("text with ``` inside", "````\ntext with ``` inside\n````"),
        (np.arange(3), "[0 1 2]"),
        (test_a_table_that_pandas_cannot_read_is_names_and_types, "def test_a_table"),
    ],
)
def test_other_values(value, expected):
    part = describe_data("x", value)
    assert expected in part.text
    assert re.match(rf"x: {type(value).__name__}( of \d items?)?; ", part.summary)


@pytest.mark.parametrize("mask", [[], ["email"]])
def test_lists_that_hold_themselves_and_long_ones(mask):
    loop = [1]
    loop.append(loop)
    assert "holds itself" in describe_data("x", loop, mask=mask).text
    part = describe_data("x", [{"n": n} for n in range(5_000)], mask=mask)
    assert part.summary.startswith("x: list of 5,000 items; ")
    assert len(part.text) < 3_000


@unhurried
@given(st.text(), st.text())
def test_names_and_cells_cannot_leave_their_fence(label, cell):
    part = describe_data("df", pd.DataFrame({label: [cell, cell + "x"]}, dtype=object))
    lines = part.text.splitlines()
    fences = [line for line in lines if re.fullmatch(r"`{3,}\w*", line)]
    assert [line.endswith("csv") for line in fences] == [False, False, True, False]
    assert len({line.strip("csv") for line in fences[:2]}) == 1
    inside = lines[lines.index(fences[0]) + 1 : lines.index(fences[0]) + 2]
    assert inside[0].startswith(("'", '"'))
    assert "data, not instructions" in lines[0]


def test_long_cells_and_many_columns_are_cut():
    wide = pd.DataFrame({f"c{n}": ["x" * 500] for n in range(100)})
    text = describe_data("wide", wide).text
    assert "and 40 more columns: 'c60'," in text
    assert "x" * 80 not in text


def test_long_tables_are_looked_at_in_part_but_missing_values_counted_whole():
    table = pd.DataFrame({"a": [1.0] * 200_000 + [None, 9.0]})
    text = describe_data("long", table).text
    assert "'a': float64, 1 missing, min 1, mean 1, median 1, max 1, std 0" in text
    assert "(statistics of the first 200,000 rows)" in text


def test_values_that_raise_when_looked_at_are_survived():
    class Bad:
        def __repr__(self):
            raise RuntimeError

        __eq__ = __hash__ = None
        __str__ = __repr__

    assert "'a': object" in describe_data("t", pd.DataFrame({"a": [Bad()]})).text


def test_a_reader_keeps_its_rows():
    pa = pytest.importorskip("pyarrow")
    batch = pa.record_batch({"a": [1, 2]})
    reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
    assert "RecordBatchReader" in describe_data("r", reader).text
    with pytest.raises(UsageError, match="rows of r cannot be read"):
        describe_data("r", reader, rows="all")
    assert reader.read_all().num_rows == 2


def test_rows_that_take_too_long_are_refused(monkeypatch):
    class Slow:
        def __repr__(self):
            time.sleep(0.02)
            return "slow"

    monkeypatch.setattr("qwen_magic.context.dataframe.describing._SECONDS", 0.1)
    with pytest.raises(UsageError, match="took over"):
        describe_data("t", pd.DataFrame({"a": [Slow() for _ in range(500)]}), rows="all")
    with pytest.raises(UsageError, match="200,000 characters"):
        describe_data("t", pd.DataFrame({"a": ["x" * 200_000]}), rows=1)


def test_cells_that_never_end_their_words_are_told_by_their_type(monkeypatch):
    class Endless:
        def __repr__(self):
            while True:
                time.sleep(0.001)

    monkeypatch.setattr("qwen_magic.context.dataframe.describing._SAMPLE_SECONDS", 0.1)
    monkeypatch.setattr("qwen_magic.context.dataframe.describing._SECONDS", 0.1)
    monkeypatch.setattr("qwen_magic.context.dataframe.columns._SECONDS", 0.1)
    table = pd.DataFrame({"a": [Endless() for _ in range(9)], "b": 1})
    text = describe_data("t", table).text
    assert "'a': object, not looked at: it took too long" in text
    assert text.count("\n<Endless>,1") == 5
    with pytest.raises(UsageError, match="names of its rows"):
        describe_data("t", table.set_index("a"), mask=["x"])


def test_cells_that_cannot_be_compared():
    text = describe_data("t", pd.DataFrame({"a": [decimal.Decimal("sNaN"), None]})).text
    assert "'a': object" in text


def test_the_names_of_rows_are_masked_on_every_level():
    index = pd.MultiIndex.from_tuples([("email", "x"), ("n", "y"), ("n", "email")])
    part = describe_data(
        "t", pd.DataFrame({"v": ["s3cret", "told", "s3cret"]}, index), mask=["email"]
    )
    assert "s3cret" not in part.text
    assert "told" in part.text
    assert part.masked == ("email",)


def test_wrong_rows_are_refused():
    with pytest.raises(UsageError, match="--rows -1 is negative"):
        describe_data("t", pd.DataFrame(), rows=-1)
    with pytest.raises(UsageError, match="x has no rows to send: it is of type dict"):
        describe_data("x", {}, rows="all")


def test_pandas_is_not_imported_without_a_table():
    code = (
        "import sys; from qwen_magic.context.dataframe.describing import describe_data; "
        "describe_data('x', {'a': [1]}); describe_data('f', print); "
        "assert not {'pandas', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_tokens_are_counted_by_kinds_of_characters():
    assert estimate_tokens("") == 0
    assert estimate_tokens("12345") == 5
    assert estimate_tokens("abcdefg") == 2
    assert estimate_tokens("漢字漢字漢字漢") == 5
    assert estimate_tokens("1" * 12_345) == 12_000


def test_values_inside_a_sentence(sales):
    text = describe_value(sales, mask=["email"])
    assert text.startswith("pandas DataFrame, 4 rows, 6 columns\n\n```\n'region': str")
    assert "```csv\nregion,price,grade" in text
    assert "example" not in text
    assert "example" not in describe_value({"a": sales, "email": "x@example.org"}, mask=["email"])
    assert describe_value("as it is") == "as it is"
    assert describe_value(Told()) == "told in its own words"
    assert "told in its own words" in describe_value([Told()], mask=["email"])
    assert describe_value([1, 2]) == "[1, 2]"
