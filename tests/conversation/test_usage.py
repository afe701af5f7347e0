"""Sums over turns, and the budget."""

from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest

from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.usage import Money, check_budget, local_day, read_budget, usage_table
from qwen_magic.errors import UsageError
from qwen_magic.protocol.response import Usage

NOON = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC


def turn(key, usage=None, *, chat="main", model="qwen3-max", at=NOON):
    return Turn(key, chat, "completed", model=model, usage=usage, created_at=at)


TURNS = [
    turn("a", Usage(100, 20, 120, 40, 15, {"web_search": 2, "code_interpreter": 0})),
    turn("b", Usage(10, 5, 0), chat="sales", model="qwen-flash", at=NOON + 7200),
    turn("c", None, model="qwen-flash"),
    turn("d", Usage(tools={"web_search": 1}), at=0.0),
    turn("e", Usage(1000, 500, 1500, 900, 0, {"web_extractor": 1}), chat="sales"),
]


def table(group, zone=UTC, turns=TURNS):
    return usage_table(turns, group, day_of=local_day(zone))


def test_by_model_the_most_first():
    found = table("model")
    assert [(row.label, row.turns, row.usage.total_tokens) for row in found.rows] == [
        ("qwen3-max", 3, 1620),
        ("qwen-flash", 2, 15),
    ]
    first = found.rows[0].usage
    assert (first.input_tokens, first.cached_tokens) == (1100, 940)
    assert (first.output_tokens, first.reasoning_tokens) == (520, 15)
    assert first.tools == {"web_extractor": 1, "web_search": 3}


def test_the_total_is_over_all_rows():
    for group in ("model", "conversation", "day"):
        found = table(group)
        assert found.total.turns == sum(row.turns for row in found.rows) == 5
        assert (
            found.total.usage.total_tokens
            == sum(row.usage.total_tokens for row in found.rows)
            == 1635
        )
        assert found.total.note == "2 turns reported no tokens"


def test_turns_without_figures_are_counted_as_such():
    notes = {row.label: row.note for row in table("conversation").rows}
    assert notes == {"sales": "", "main": "2 turns reported no tokens"}
    assert table("model", turns=TURNS[2:3]).total.note == "1 turn reported no tokens"


def test_functions_that_were_called_are_counted():
    calls = ({"type": "function_call", "name": "rows"}, {"type": "function_call_output"})
    found = table("model", turns=[replace(TURNS[0], items=calls * 2)])
    assert found.total.usage.tools == {"rows": 2, "web_search": 2}


def test_a_day_is_the_day_of_the_reader():
    def days(zone):
        return [row.label for row in table("day", zone).rows]

    assert days(UTC) == ["2023-11-14", "2023-11-15", "unknown"]
    assert days(timezone(timedelta(hours=8))) == ["2023-11-15", "unknown"]


def test_a_time_that_no_calendar_has_is_no_day():
    assert local_day(UTC)(1e300) == "unknown"
    assert local_day(UTC)(float("nan")) == "unknown"


def test_a_shared_turn_counts_once():
    assert table("model", turns=[*TURNS, TURNS[0]]).total.turns == 5
    assert table("model", turns=[*TURNS, *TURNS]).total.usage.total_tokens == 1635


def test_an_empty_table():
    found = table("day", turns=[])
    assert found.rows == ()
    assert found.total.turns == 0
    assert found.total.note == ""


@pytest.mark.parametrize(
    ("used", "budget", "level"),
    [(0, 0, "ok"), (10**9, 0, "ok"), (79, 100, "ok"), (80, 100, "warn"), (99, 100, "warn"),
     (100, 100, "refused"), (101, 100, "refused"), (5, -1, "ok"), (0, 1, "ok")],
)  # fmt: skip
def test_the_budget(used, budget, level):
    state = check_budget(used, budget)
    assert state.level == level
    assert bool(state.warning) == (level == "warn")
    assert (state.error is not None) == (level == "refused")


def test_the_words_of_the_budget():
    warning = check_budget(85_000, 100_000).warning
    assert warning.startswith("85 % of the token budget is used (85,000 of 100,000)")
    error = check_budget(120_000, 100_000).error
    assert isinstance(error, UsageError)
    assert "120,000 of 100,000" in error.message
    assert "Nothing was sent" in error.message
    assert "QwenMagics.budget" in error.hint


def test_money_is_summed_by_currency():
    prices = {"a": Money(0.25, "USD"), "b": Money(1.0, "CNY"), "e": Money(0.5, "USD")}
    found = usage_table(
        TURNS, "model", day_of=local_day(UTC), price_of=lambda turn: prices.get(turn.key)
    )
    assert [row.costs for row in found.rows] == [(Money(0.75, "USD"),), (Money(1.0, "CNY"),)]
    assert " + ".join(map(str, found.total.costs)) == "1.00\u00a0CNY + 0.75\u00a0USD"


@pytest.mark.parametrize(
    ("said", "budget"),
    [(0, 0), (20_000, 20_000), ("20,000", 20_000), ("2 USD", Money(2.0, "USD")),
     ("0.5cny", Money(0.5, "CNY"))],
)  # fmt: skip
def test_a_budget_in_tokens_or_money(said, budget):
    assert read_budget(said) == budget


@pytest.mark.parametrize("said", ["two", "2 dollars", "-1", "2.5", ""])
def test_no_budget(said):
    with pytest.raises(UsageError, match="number of tokens, or an amount such as '2 USD'"):
        read_budget(said)


def test_the_words_of_a_budget_in_money():
    warning = check_budget(1.7, 2, "USD").warning
    assert warning.startswith("85 % of the budget is used (1.70 of 2.00\u00a0USD)")
    error = check_budget(2, 2, "USD").error
    assert error.message == "The budget is used up: 2.00 of 2.00\u00a0USD. Nothing was sent."
