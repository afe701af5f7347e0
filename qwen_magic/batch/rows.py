"""The rows of a map: data as prompts, and their results in the order of the prompts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, TypeAlias, overload

from qwen_magic.answer import Answer
from qwen_magic.conversation.usage import Money
from qwen_magic.document.words import number_of, shorten
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.frontends.plain import printable
from qwen_magic.protocol.response import Usage

if TYPE_CHECKING:
    from qwen_magic.session.plan import Plan

Prompt: TypeAlias = str | Sequence[Mapping[str, Any]]

_BRACES: Final = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}")
_NAME: Final = re.compile(r"[^\W\d][\w .-]*")  # what looks as if it were meant for a column
_MOST: Final = 10  # rows shown
_WIDTH: Final = 60  # characters of a cell


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its `prompt`, the `values` of its columns (empty without a template), and its `label`.

    The label is a DataFrame's index, else the row's number from 0.
    """

    prompt: Prompt
    values: Mapping[str, object]
    label: object


def read_rows(prompts: object, template: str | None = None) -> tuple[Row, ...]:
    """Make rows of strings, lists of messages, or with a `template` of a DataFrame or dicts.

    `{name}` in the template is replaced by `str` of the column's value; nothing is evaluated. `{{`
    and `}}` are literal braces. Braces around anything that cannot be a column's name stay. Raises
    `UsageError`, which names the row or the column.
    """
    given, labels = _rows_and_labels(prompts)
    if template is None:
        return tuple(
            Row(_prompt(number, row), {}, label)
            for number, (row, label) in enumerate(zip(given, labels, strict=True))
        )
    rows = []
    for number, (row, label) in enumerate(zip(given, labels, strict=True)):
        if not isinstance(row, Mapping):
            raise UsageError(
                f"Row {number} has no columns for the template: it is {_kind(row)}.",
                hint="Give a DataFrame or dicts, or leave the template out.",
            )
        values = {str(name): value for name, value in row.items()}
        rows.append(Row(fill(template, values), values, label))
    return tuple(rows)


def fill(template: str, values: Mapping[str, object]) -> str:
    """The template with its braces replaced by values. Raises `UsageError` for an unknown
    column.
    """

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return found[0][0]
        if name in values:
            return str(values[name])
        if not _NAME.fullmatch(name):
            return found[0]
        near = get_close_matches(name, values, n=1)
        columns = f"did you mean {near[0]!r}? " if near else f"there are: {', '.join(values)}. "
        raise UsageError(
            f"The template names {{{name}}}, which is no column.",
            hint=columns[0].upper() + columns[1:] + "{{ and }} are literal braces.",
        )

    return _BRACES.sub(replace, template)


def _rows_and_labels(prompts: object) -> tuple[list[object], Sequence[object]]:
    """The rows as they are, and a label for each."""
    as_dicts = getattr(prompts, "to_dicts", None)  # polars
    if callable(as_dicts):
        rows = list(as_dicts())
        return rows, range(len(rows))
    index = getattr(prompts, "index", None)
    as_dict = getattr(prompts, "to_dict", None)
    if callable(as_dict) and hasattr(prompts, "columns"):  # pandas
        return as_dict("records"), list(index) if isinstance(index, Iterable) else []
    if isinstance(prompts, str | bytes | Mapping) or not isinstance(prompts, Iterable):
        raise UsageError(
            f"map takes many prompts, not {_kind(prompts)}.",
            hint="Give a list of strings, or a DataFrame with a template; ask takes one prompt.",
        )
    rows = list(prompts)
    return rows, range(len(rows))


def _prompt(number: int, row: object) -> Prompt:
    if isinstance(row, str):
        return row
    if isinstance(row, Sequence) and all(isinstance(part, Mapping) for part in row) and row:
        return row
    if isinstance(row, Mapping):
        raise UsageError(
            f"Row {number} has columns: a template must say what to ask of them.",
            hint='Such as template="Translate {word}".',
        )
    raise UsageError(
        f"Row {number} is no prompt but {_kind(row)}.", hint="A prompt is text, or messages."
    )


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


@dataclass(frozen=True, slots=True)
class MapRow:
    """The result of a row.

    It has an `answer` or an `error`; neither if it was not asked or not completed; both if the
    answer lacks the object that the schema describes. `cost`: of the tokens, None if prices are
    unknown.
    """

    number: int
    prompt: Prompt
    answer: Answer | None = None
    error: QwenError | None = None
    cost: Money | None = None

    @property
    def text(self) -> str | None:
        return self.answer.text if self.answer else None


class MapResult(Sequence[MapRow]):
    """The results of all rows, in the order of the prompts; filled while the map runs.

    `reused`: how many answers were stored by an earlier call, and cost nothing now. They have no
    `raw`.
    """

    def __init__(self, rows: Sequence[Row], plans: Sequence[Plan] = ()) -> None:
        """`plans`: of the rows; they know the prices, and whether objects are expected."""
        self._plans = plans
        self._has_objects = bool(plans) and plans[0].ask.schema is not None
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
        """The objects that the schema describes; None where there is none."""
        return [row.answer.parsed if row.answer else None for row in self._rows]

    @property
    def usage(self) -> Usage:
        """The sum over all answers, including reused ones."""
        found = [row.answer.usage for row in self._rows if row.answer and row.answer.usage]
        return sum(found, Usage())

    @property
    def cost(self) -> Money | None:
        """What all answers cost, including reused ones; None if no price is known."""
        return total_cost(row.cost for row in self._rows)

    @property
    def spent(self) -> Money | None:
        """What this call has cost."""
        cost = self.cost
        return cost and Money(max(0.0, cost.amount - self._reused_cost), cost.currency)

    @property
    def expected_cost(self) -> Money | None:
        """An estimate of what this call will cost, by the rows done so far."""
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
        """Internal to the map: row `number` has an answer."""
        prompt = self._given[number].prompt
        cost = self._plans[number].cost(answer.usage) if self._plans else None
        self._rows[number] = MapRow(number, prompt, answer, answer.error, cost)
        self.reused += reused
        self._reused_cost += cost.amount if reused and cost else 0.0

    def set_error(self, number: int, error: QwenError) -> None:
        """Internal to the map: row `number` has failed."""
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
        lines = (
            f"{number:>5}  {asked} -> {answered}" if asked else f"{number:>5}"
            for number, asked, answered in _cells(self)
        )
        return "\n".join([f"MapResult of {summary(self)}", *lines])

    def _repr_html_(self) -> str:
        """For a notebook: without scripts, and escaped, whatever models and data say."""
        from qwen_magic.frontends.display import listing_html

        return listing_html(["", "prompt", "answer"], _cells(self), summary(self))


def total_cost(costs: Iterable[Money | None]) -> Money | None:
    """The sum of the known costs; None if none is known. All are in one currency."""
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
    amounts = f"; {tokens:,} tokens" if tokens else ""
    amounts += f", {cost}" if (cost := result.cost) else ""
    return f"{number_of(len(result), 'row')}: {', '.join(parts)}{amounts}"


def _cells(result: MapResult) -> list[tuple[str, str, str]]:
    """The cells of the first and last rows, with a gap where rows are left out."""
    cells = [(f"{row.number}", _question_text(row), _answer_text(row)) for row in result]
    if len(cells) <= _MOST:
        return cells
    return [*cells[: _MOST // 2], ("…", "", ""), *cells[-_MOST // 2 :]]


def _question_text(row: MapRow) -> str:
    if isinstance(row.prompt, str):
        return _short(row.prompt)
    return _short(str(row.prompt[-1].get("content", "")))


def _answer_text(row: MapRow) -> str:
    if row.error is not None:
        return _short(f"{type(row.error).__name__}: {row.error.message}")
    return "not answered" if row.answer is None else _short(row.answer.text)


def _short(text: str) -> str:
    return shorten(printable(text), _WIDTH)
