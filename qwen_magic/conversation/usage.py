"""What turns have used: tokens, tool calls and money by model, conversation or day; the budget."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final, Literal, NamedTuple, TypeAlias

from qwen_magic.conversation.chain import Turn
from qwen_magic.document.words import money, number_of
from qwen_magic.errors import UsageError
from qwen_magic.protocol.response import Usage

UsageGroup: TypeAlias = Literal["model", "conversation", "day"]
BudgetLevel: TypeAlias = Literal["ok", "warn", "refused"]

WARN_SHARE: Final = 0.8  # of the budget
UNKNOWN: Final = "unknown"  # the model or day of a turn that tells none


class Money(NamedTuple):
    """An amount in a currency (ISO 4217)."""

    amount: float
    currency: str

    def __str__(self) -> str:
        return money(self.amount, self.currency)


# What a turn cost; None where that is not known.
PriceOf: TypeAlias = Callable[[Turn], Money | None]


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The sum over some turns. `without_figures` of its `turns` came without usage (a failed or
    stopped one, or a server that reports none), so that the truth is somewhat more; `cached` of
    them out of the store, at no cost."""

    label: str
    turns: int
    without_figures: int
    cached: int
    usage: Usage
    costs: tuple[Money, ...]  # of the turns with a known price, one for each currency

    @property
    def note(self) -> str:
        """ "3 turns reported no tokens; 1 turn came from the cache, at no cost", or less."""
        told = (
            (self.without_figures, "reported no tokens"),
            (self.cached, "came from the cache, at no cost"),
        )
        return "; ".join(f"{number_of(count, 'turn')} {what}" for count, what in told if count)


@dataclass(frozen=True, slots=True)
class UsageTable:
    """Rows by `group`: days in order; models and conversations by tokens, the most first.

    `total` is over all rows; its tokens are compared with a budget.
    """

    group: UsageGroup
    rows: tuple[UsageRow, ...]
    total: UsageRow


def local_day(zone: tzinfo | None = None) -> Callable[[float], str]:
    """Return a function that maps seconds since 1970 to the day, such as 2026-11-30.

    `zone`: the time zone; None for the computer's.
    """

    def day(at: float) -> str:
        if not at:
            return UNKNOWN
        try:
            return datetime.fromtimestamp(at, zone).date().isoformat()
        except (ValueError, OverflowError, OSError):  # a time that no calendar has
            return UNKNOWN

    return day


def usage_table(
    turns: Iterable[Turn],
    group: UsageGroup,
    *,
    day_of: Callable[[float], str],
    price_of: PriceOf = lambda turn: None,
) -> UsageTable:
    """Sum up `turns`. A turn that a fork shares counts once, an imported one not at all."""
    label_of: Callable[[Turn], str] = {
        "model": lambda turn: turn.model or UNKNOWN,
        "conversation": lambda turn: turn.chat,
        "day": lambda turn: day_of(turn.created_at),
    }[group]
    by_label: dict[str, list[Turn]] = {}
    once = {turn.key: turn for turn in turns if not turn.imported}
    for turn in once.values():
        by_label.setdefault(label_of(turn), []).append(turn)
    rows = [_row(label, members, price_of) for label, members in by_label.items()]
    if group == "day":
        rows.sort(key=lambda row: row.label)  # "unknown" comes after all digits
    else:
        rows.sort(key=lambda row: -row.usage.total_tokens)
    return UsageTable(group, tuple(rows), _row("total", once.values(), price_of))


def costs(turns: Iterable[Turn], price_of: PriceOf) -> tuple[Money, ...]:
    """The total cost of turns with a known price, by currency."""
    sums: dict[str, float] = {}
    for price in map(price_of, turns):
        if price is not None:
            sums[price.currency] = sums.get(price.currency, 0.0) + price.amount
    return tuple(Money(amount, currency) for currency, amount in sorted(sums.items()))


def _row(label: str, turns: Iterable[Turn], price_of: PriceOf) -> UsageRow:
    members = list(turns)
    figures = [turn.usage for turn in members if turn.usage and turn.usage.known]
    spent = sum(figures, Usage())
    tools: Counter[str] = Counter()
    for turn in members:
        if turn.usage:  # tool calls are also told where tokens are not
            tools.update({name: count for name, count in turn.usage.tools.items() if count})
        tools.update(_functions(turn))
    spent = replace(
        spent, total_tokens=sum(map(_total, members)), tools=dict(sorted(tools.items()))
    )
    cached = sum(turn.cached for turn in members)
    unknown = len(members) - len(figures) - cached
    return UsageRow(label, len(members), unknown, cached, spent, costs(members, price_of))


def _functions(turn: Turn) -> Iterable[str]:
    """The names of the functions that it called, which servers do not count."""
    return (str(item.get("name")) for item in turn.items if item.get("type") == "function_call")


def _total(turn: Turn) -> int:
    usage = turn.usage
    if usage is None:
        return 0
    return usage.total_tokens or usage.input_tokens + usage.output_tokens


Budget: TypeAlias = int | Money  # tokens, or an amount; 0: none


def read_budget(said: str | int) -> Budget:
    """Parse a number of tokens, or an amount with its currency ("2 USD"). Raises `UsageError`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]{3})?\s*", str(said).replace(",", ""))
    if match and match[2]:
        return Money(float(match[1]), match[2].upper())
    if match and match[1].isdecimal():
        return int(match[1])
    raise UsageError(
        f"The budget is a number of tokens, or an amount such as '2 USD', not {str(said)!r}."
    )


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What is `used` of the budget (0: no budget), both in tokens, or in `currency`."""

    level: BudgetLevel
    used: float
    budget: float
    currency: str = ""

    @property
    def share(self) -> str:
        """ "8 of 10", "0.80 of 2.00 USD"."""
        if not self.currency:
            return f"{self.used:,} of {self.budget:,}"
        return f"{money(self.used, '').strip()} of {money(self.budget, self.currency)}"

    @property
    def warning(self) -> str:
        """A warning from 80 % on, else empty."""
        if self.level != "warn":
            return ""
        percent = int(100 * self.used / self.budget)
        return (
            f"{percent} % of the {self._kind}budget is used ({self.share}); at 100 % nothing more "
            "is sent."
        )

    @property
    def error(self) -> UsageError | None:
        """The error to raise before sending, if the budget is used up."""
        if self.level != "refused":
            return None
        return UsageError(
            f"The {self._kind}budget is used up: {self.share}. Nothing was sent.",
            hint="%qwen_usage shows where it went; %config QwenMagics.budget = N sets another "
            "(0: none).",
        )

    @property
    def _kind(self) -> str:
        return "" if self.currency else "token "


def check_budget(used: float, budget: float, currency: str = "") -> BudgetState:
    """Compare usage with the budget; a budget of 0 or less means none."""
    if budget <= 0:
        return BudgetState("ok", used, 0, currency)
    if used >= budget:
        return BudgetState("refused", used, budget, currency)
    level: BudgetLevel = "warn" if used >= WARN_SHARE * budget else "ok"
    return BudgetState(level, used, budget, currency)
