"""Cells of a table to typed columns."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.document.extract import read_column

unhurried = settings(deadline=None)
UTC = datetime.UTC


@pytest.mark.parametrize(
    ("cells", "kind", "values", "unit"),
    [
        (["1", "2"], "int", (1, 2), ""),
        (["1,234", "12,345,678"], "int", (1234, 12345678), ""),
        (["1 234", "1'234", "1_234", "1\u202f234"], "int", (1234,) * 4, ""),
        (["12,34,567", "1,00,000"], "int", (1234567, 100000), ""),
        (["3,14", "2,718"], "float", (3.14, 2.718), ""),
        (["1.234,5", "7"], "float", (1234.5, 7.0), ""),
        (["1,234.5", "7"], "float", (1234.5, 7.0), ""),
        (["−5", "+5", "(5)", "~5"], "int", (-5, 5, -5, 5), ""),
        (["1e6", ".5", "5."], "float", (1e6, 0.5, 5.0), ""),
        (["5 %", "12.5%"], "float", (5.0, 12.5), "%"),
        (["$1,200", "-$5", "$-5"], "int", (1200, -5, -5), "$"),
        (["1.200,50 €", "3,00 €"], "float", (1200.5, 3.0), "€"),
        (["USD 5", "USD 6"], "int", (5, 6), "USD"),
        (["$5 M", "$7 M"], "int", (5, 7), "$ M"),
        (["5 km/h", "7 km/h"], "int", (5, 7), "km/h"),
        (["21 °C", "-3 °C"], "int", (21, -3), "°C"),
        (["1", "", "–", "n/a"], "int", (1, None, None, None), ""),
        (["yes", "No"], "bool", (True, False), ""),
        (["✅", "❌", ""], "bool", (True, False, None), ""),
        (["2024-03-01"], "date", (datetime.datetime(2024, 3, 1),), ""),
        (["2024-03-01 10:20Z"], "date", (datetime.datetime(2024, 3, 1, 10, 20, tzinfo=UTC),), ""),
    ],
)
def test_columns_with_a_type(cells, kind, values, unit):
    column = read_column(cells)
    assert (column.kind, column.values, column.unit) == (kind, values, unit)
    assert [type(value) for value in column.values] == [type(value) for value in values]


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "x"],
        ["5 kg", "5 lb"],
        ["$5", "5"],
        ["007", "008"],
        ["1,23,4"],
        ["12 34"],
        ["1.2.3"],
        ["12:30"],
        ["3/4"],
        ["2024-02-31"],
        ["03/04/2024"],
        ["2024-01-01", "2024-01-01 10:00Z"],
        ["(5", "5)"],
        ["-−5"],
        ["--5"],
        ["yes", "true"],
        ["9223372036854775808"],
        ["5 (about)"],
        ["1" * 5000],
        ["-", "–"],
    ],
)
def test_what_stays_text(cells):
    column = read_column(cells)
    assert (column.kind, column.values) == ("text", tuple(cells))


def test_empty_text_is_missing_and_dashes_are_kept():
    assert read_column(["a", "", "-"]).values == ("a", None, "-")
    assert read_column([]).values == ()


@unhurried
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.sampled_from(["", " kg", " %"]))
def test_grouped_integers_are_read_back(numbers, unit):
    column = read_column([f"{number:,}{unit}" for number in numbers])
    assert (column.kind, column.values) == ("int", tuple(numbers))


@unhurried
@given(st.lists(st.text(max_size=12)))
def test_any_cells_make_a_column_of_their_length(cells):
    assert len(read_column(cells).values) == len(cells)
