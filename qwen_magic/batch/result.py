"""What a map gave: answers and errors by row, in the order of the prompts; and how it reads, as one
line and as its first and last rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final, overload

from qwen_magic.answer import Answer
from qwen_magic.batch.rows import Prompt, Row
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.protocol.response import Usage

_MOST: Final = 10  # rows shown
_WIDTH: Final = 60  # characters of a cell


@dataclass(frozen=True, slots=True)
class MapRow:
    """One row: `answer` or `error`; neither, where it was not asked or not answered to the end;
    both, where the answer is not the object that was asked for."""

    number: int
    prompt: Prompt
    answer: Answer | None = None
    error: QwenError | None = None

    @property
    def text(self) -> str | None:
        return self.answer.text if self.answer else None


class MapResult(Sequence[MapRow]):
    """A row for each prompt, in their order; filled while the map runs.

    `reused`: how many of the answers were kept from an earlier call, and cost nothing now. Those
    are without `raw`.
    """

    def __init__(self, rows: Sequence[Row], *, has_objects: bool = False) -> None:
        """`has_objects`: a schema was asked for."""
        self._has_objects = has_objects
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
        self._rows[number] = MapRow(number, prompt, answer, answer.error)
        self.reused += reused

    def set_error(self, number: int, error: QwenError) -> None:
        """The map's own: row `number` has failed."""
        self._rows[number] = MapRow(number, self._given[number].prompt, error=error)

    def to_frame(self) -> Any:
        """A pandas DataFrame: the columns of the data (or `prompt`), then `parsed` (with a schema),
        `answer` (text), `status`, `error`, `input_tokens`, `output_tokens`; the index is that of
        the data. A column of the data that has such a name already keeps it; ours then ends in `_`.

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
        for name, cells in self._outcomes().items():
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
        }

    def __repr__(self) -> str:
        lines = [f"{row.number:>5}  {_asked(row)} -> {_told(row)}" for row in _some(self)]
        return "\n".join([f"MapResult of {summary(self)}", *_with_gap(self, lines, "    …")])

    def _repr_html_(self) -> str:
        """A table without scripts, styles or links; all of it escaped."""
        rows = [
            f"<tr><td>{row.number}</td><td>{escape(_asked(row))}</td><td>{_cell(row)}</td></tr>"
            for row in _some(self)
        ]
        body = "".join(_with_gap(self, rows, "<tr><td>…</td><td></td><td></td></tr>"))
        head = "<tr><th></th><th>prompt</th><th>answer</th></tr>"
        return (
            f"<div><p>{escape(summary(self))}</p>"
            f"<table><thead>{head}</thead><tbody>{body}</tbody></table></div>"
        )


def _status(row: MapRow) -> str:
    if row.error is not None:
        return "failed"
    return row.answer.status if row.answer is not None else "not answered"


def summary(result: MapResult) -> str:
    """ "500 rows: 475 answered (120 kept from before), 25 failed; 12,345 tokens"."""
    left = len(result) - result.answered - result.failed
    kept = f" ({result.reused:,} kept from before)" if result.reused else ""
    parts = [f"{result.answered:,} answered{kept}"]
    parts += [f"{result.failed:,} failed"] if result.failed else []
    parts += [f"{left:,} not answered"] if left else []
    tokens = result.usage.total_tokens
    told = f"; {tokens:,} tokens" if tokens else ""
    rows = "row" if len(result) == 1 else "rows"
    return f"{len(result):,} {rows}: {', '.join(parts)}{told}"


def _some(result: MapResult) -> Sequence[MapRow]:
    if len(result) <= _MOST:
        return tuple(result)
    return (*result[: _MOST // 2], *result[-_MOST // 2 :])


def _with_gap(result: MapResult, lines: list[str], gap: str) -> list[str]:
    if len(result) <= _MOST:
        return lines
    return [*lines[: _MOST // 2], gap, *lines[_MOST // 2 :]]


def _cell(row: MapRow) -> str:
    told = escape(_told(row))
    return f"<em>{told}</em>" if row.answer is None else told


def _asked(row: MapRow) -> str:
    if isinstance(row.prompt, str):
        return _short(row.prompt)
    return _short(str(row.prompt[-1].get("content", "")))


def _told(row: MapRow) -> str:
    if row.answer is not None:
        return _short(row.answer.text)
    if row.error is not None:
        return _short(f"{type(row.error).__name__}: {row.error.message}")
    return "not answered"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
