"""What a map gave: answers and errors by row, in the order of the prompts; and how it reads, as one
line and as its first and last rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from qwen_magic.answer import Answer
from qwen_magic.batch.rows import Prompt, Row
from qwen_magic.conversation.usage import Money
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.frontends.plain import printable
from qwen_magic.protocol.response import Usage

if TYPE_CHECKING:
    from qwen_magic.session.plan import Plan

T = TypeVar("T")

_MOST: Final = 10  # rows shown
_WIDTH: Final = 60  # characters of a cell


@dataclass(frozen=True, slots=True)
class MapRow:
    """One row: `answer` or `error`; neither, where it was not asked or not answered to the end;
    both, where the answer is not the object that was asked for. `cost`: of the answer's tokens, as
    far as they and the prices are known."""

    number: int
    prompt: Prompt
    answer: Answer | None = None
    error: QwenError | None = None
    cost: Money | None = None

    @property
    def text(self) -> str | None:
        return self.answer.text if self.answer else None


class MapResult(Sequence[MapRow]):
    """A row for each prompt, in their order; filled while the map runs.

    `reused`: how many of the answers were kept from an earlier call, and cost nothing now. Those
    are without `raw`.
    """

    def __init__(self, rows: Sequence[Row], plans: Sequence[Plan] = ()) -> None:
        """`plans`: of the rows, which know whether objects are asked for, and the prices."""
        self._plans = plans
        self._has_objects = bool(plans) and plans[0].ask.output is not None
        self._reused_cost = 0.0
        self._given = tuple(rows)
        self._rows = [MapRow(number, row.prompt) for number, row in enumerate(rows)]
        self.reused = 0

    @property
    def answers(self) -> list[Answer | None]:
        return [row.answer for row in self._rows]

    @property
    def errors(self) -> list[QwenError | None]:
        return [row.error for row in self._rows]

    @property
    def texts(self) -> list[str | None]:
        return [row.text for row in self._rows]

    @property
    def parsed(self) -> list[object]:
        """The objects that a schema asked for; None where there is none."""
        return [row.answer.parsed if row.answer else None for row in self._rows]

    @property
    def usage(self) -> Usage:
        """The sum over all answers, the reused ones among them."""
        found = [row.answer.usage for row in self._rows if row.answer and row.answer.usage]
        return sum(found, Usage())

    @property
    def cost(self) -> Money | None:
        """What all answers cost together, the reused ones among them; None where no price is
        known."""
        return total_cost(row.cost for row in self._rows)

    @property
    def spent(self) -> Money | None:
        """What they cost in this call."""
        cost = self.cost
        return cost and Money(max(0.0, cost.amount - self._reused_cost), cost.currency)

    @property
    def expected_cost(self) -> Money | None:
        """What this call will cost in all, if the rows to come are like those that came."""
        spent, done = self.spent, self.answered + self.failed - self.reused
        left = len(self) - self.answered - self.failed
        return spent and Money(spent.amount * (1 + left / max(1, done)), spent.currency)

    @property
    def answered(self) -> int:
        return sum(row.answer is not None and row.error is None for row in self._rows)

    @property
    def failed(self) -> int:
        return sum(row.error is not None for row in self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[MapRow]:
        return iter(tuple(self._rows))

    @overload
    def __getitem__(self, place: int) -> MapRow: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[MapRow]: ...
    def __getitem__(self, place: int | slice) -> MapRow | Sequence[MapRow]:
        return self._rows[place]

    def set_answer(self, number: int, answer: Answer, *, reused: bool = False) -> None:
        """The map's own: row `number` is answered."""
        prompt = self._given[number].prompt
        cost = self._plans[number].cost(answer.usage) if self._plans else None
        self._rows[number] = MapRow(number, prompt, answer, answer.error, cost)
        self.reused += reused
        self._reused_cost += cost.amount if reused and cost else 0.0

    def set_error(self, number: int, error: QwenError) -> None:
        """The map's own: row `number` has failed."""
        self._rows[number] = MapRow(number, self._given[number].prompt, error=error)

    def to_frame(self, more: Mapping[str, list[Any]] | None = None) -> Any:
        """A pandas DataFrame: the columns of the data (or `prompt`), then `parsed` (with a schema),
        `answer` (text), `status`, `error`, `input_tokens`, `output_tokens`, `seconds`, and `cost`
        (where prices are known), `more`; the index is that of the data. A column of the data that
        has such a name already keeps it; ours then ends in `_`.

        Raises `UsageError` without pandas.
        """
        try:
            import pandas  # type: ignore[import-untyped]
        except ImportError as error:
            raise UsageError(
                "A frame needs pandas, which is not installed here.", hint="pip install pandas"
            ) from error
        columns: dict[str, list[object]] = {}
        for name in dict.fromkeys(name for row in self._given for name in row.values):
            columns[name] = [row.values.get(name) for row in self._given]
        if not columns:
            columns["prompt"] = [row.prompt for row in self._given]
        for name, cells in {**self._outcomes(), **(more or {})}.items():
            while name in columns:
                name += "_"
            columns[name] = cells
        labels = [row.label for row in self._given]
        return pandas.DataFrame(columns, index=pandas.Index(labels))

    def _outcomes(self) -> dict[str, list[object]]:
        usages = [row.answer.usage if row.answer else None for row in self._rows]
        return {
            **({"parsed": self.parsed} if self._has_objects else {}),
            "answer": list(self.texts),
            "status": [_status(row) for row in self._rows],
            "error": [str(row.error) if row.error else None for row in self._rows],
            "input_tokens": [usage.input_tokens if usage else 0 for usage in usages],
            "output_tokens": [usage.output_tokens if usage else 0 for usage in usages],
            "seconds": [row.answer.seconds if row.answer else 0.0 for row in self._rows],
            **({"cost": [row.cost and row.cost.amount for row in self._rows]} if self.cost else {}),
        }

    def __repr__(self) -> str:
        lines = [f"{row.number:>5}  {_asked(row)} -> {_told(row)}" for row in _some(self)]
        return "\n".join([f"MapResult of {summary(self)}", *_with_gap(self, lines, "    …")])

    def _repr_html_(self) -> str:
        """For a notebook: without scripts, and escaped, whatever models and data say."""
        from qwen_magic.frontends.display import listing_html

        rows = [[f"{row.number}", _asked(row), _told(row)] for row in _some(self)]
        shown = _with_gap(self, rows, ["…", "", ""])
        return listing_html(["", "prompt", "answer"], shown, summary(self))


def total_cost(costs: Iterable[Money | None]) -> Money | None:
    """Together, those that are known; None where none is. All are of one host, in one currency."""
    known = [cost for cost in costs if cost is not None]
    return Money(sum(cost.amount for cost in known), known[0].currency) if known else None


def _status(row: MapRow) -> str:
    if row.error is not None:
        return "failed"
    return row.answer.status if row.answer is not None else "not answered"


def summary(result: MapResult) -> str:
    """ "500 rows: 475 answered (120 kept from before), 25 failed; 12,345 tokens, 0.12 USD"."""
    left = len(result) - result.answered - result.failed
    kept = f" ({result.reused:,} kept from before)" if result.reused else ""
    parts = [f"{result.answered:,} answered{kept}"]
    parts += [f"{result.failed:,} failed"] if result.failed else []
    parts += [f"{left:,} not answered"] if left else []
    tokens = result.usage.total_tokens
    told = f"; {tokens:,} tokens" if tokens else ""
    told += f", {cost}" if (cost := result.cost) else ""
    rows = "row" if len(result) == 1 else "rows"
    return f"{len(result):,} {rows}: {', '.join(parts)}{told}"


def _some(result: MapResult) -> Sequence[MapRow]:
    if len(result) <= _MOST:
        return tuple(result)
    return (*result[: _MOST // 2], *result[-_MOST // 2 :])


def _with_gap(result: MapResult, lines: list[T], gap: T) -> list[T]:
    if len(result) <= _MOST:
        return lines
    return [*lines[: _MOST // 2], gap, *lines[_MOST // 2 :]]


def _asked(row: MapRow) -> str:
    if isinstance(row.prompt, str):
        return _short(row.prompt)
    return _short(str(row.prompt[-1].get("content", "")))


def _told(row: MapRow) -> str:
    if row.error is not None:
        return _short(f"{type(row.error).__name__}: {row.error.message}")
    return "not answered" if row.answer is None else _short(row.answer.text)


def _short(text: str) -> str:
    line = " ".join(printable(text).split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
