"""A turn in a terminal or a script: plain text as it comes, nothing drawn twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TextIO

from qwen_magic.document.footer import Outcome, TurnFacts, turn_end
from qwen_magic.document.links import number_sources
from qwen_magic.document.question import Question
from qwen_magic.document.steps import StepContext, make_step
from qwen_magic.frontends.plain import note_text, printable, spaced, step_line
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import FunctionCall, Message, Reasoning
from qwen_magic.protocol.state import Entry, ResponseState


class TerminalView:
    """Writes one turn to `out` as it grows (`session.view.View`).

    The answer's text goes out as it comes; a step as one line when it is done. Nothing is ever
    taken back: where the server replaces a text it sent, the new one follows on a new line.
    """

    def __init__(self, turn: TurnFacts, out: TextIO, *, started: float = 0.0) -> None:
        self._out = out
        self._turn = turn
        self._started = started
        self._written: dict[str, str] = {}  # message key -> the text that was written
        self._told: set[tuple[str, bool]] = set()  # stages of the steps that have their line
        self._at_start = True  # of a line
        self._last = ""  # the kind of what was written last: "step" or the key of a message

    def begin(self, stop: Callable[[], None]) -> None:
        """Nothing: Ctrl-C stops."""

    def tell(self, text: str) -> None:
        self._turn = replace(self._turn, warnings=(*self._turn.warnings, text))

    def tick(self, state: ResponseState, now: float) -> None:
        """Nothing: text does not change with time."""

    def notice(self, text: str) -> None:
        if text:
            self._out.write(text + "\n")
            self._out.flush()

    def restart(self) -> None:
        self._out.write("\n(asked again)\n")

    def figure(self, url: str, data: str, reason: str) -> None:
        """Nothing: figures are in the answer's `figures`."""

    def ask(self, entry: Entry, question: Question) -> None:
        """It has no buttons: who asks goes on to a prompt."""

    def update(self, state: ResponseState, now: float) -> None:
        for entry in state.entries:
            if isinstance(entry.item, Message):
                self._write_text(entry)
            elif entry.done and _stage_of(entry) not in self._told:
                self._write_step(entry, state)
        self._out.flush()

    def finish(
        self, state: ResponseState, now: float, outcome: Outcome, metadata: JSON
    ) -> Mapping[str, str]:
        self.update(state, now)
        if outcome.is_raised and self._at_start and not self._last:
            return {}
        note, footer = turn_end(self._turn, outcome, state, max(0.0, now - self._started))
        for kind, part in (("note", note_text(note) if note else ""), ("footer", footer.text())):
            if part:
                self._begin(kind, blank=True)
                self._put(spaced(part) + "\n")
        self._out.flush()
        return {}

    def _write_text(self, entry: Entry) -> None:
        before = self._written.get(entry.key, "")
        text = entry.text
        if text == before or not text:
            return
        if text.startswith(before):
            self._begin(entry.key, blank=True)
            self._put(printable(text[len(before) :], before[-1:]))
        else:
            self._begin("again", blank=True)
            self._put(printable(text))
            self._last = entry.key
        self._written[entry.key] = text

    def _write_step(self, entry: Entry, state: ResponseState) -> None:
        self._told.add(_stage_of(entry))
        if isinstance(entry.item, Reasoning) and not entry.text.strip():
            return
        step = make_step(entry, StepContext(number_sources([entry.item])))
        self._begin("step", blank=self._last not in ("", "step"))
        self._put(spaced(step_line(step)) + "\n")

    def _begin(self, kind: str, *, blank: bool) -> None:
        """Start a new paragraph, or line, unless the same thing just goes on."""
        if kind == self._last and kind != "step":
            return
        if not self._at_start:
            self._put("\n")
        if blank and self._last:
            self._put("\n")
        self._last = kind

    def _put(self, text: str) -> None:
        if text:
            self._out.write(text)
            self._at_start = text.endswith("\n")


def _stage_of(entry: Entry) -> tuple[str, bool]:
    """A step's key; a function call has two lines, the second with what it gave."""
    return entry.key, isinstance(entry.item, FunctionCall) and entry.item.output is not None
