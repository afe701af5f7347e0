"""A turn in a terminal or a script: plain text as it comes, nothing drawn twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TextIO

from qwen_magic.document.facts import Outcome, TurnFacts
from qwen_magic.document.question import Question
from qwen_magic.frontends.plain import PlainWriter
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.state import Entry, ResponseState


class TerminalView:
    """Writes one turn to `out` (`session.view.View`)."""

    def __init__(self, turn: TurnFacts, out: TextIO, *, started: float) -> None:
        self._writer = PlainWriter(out, turn, started=started)
        self._out = out

    def begin(self, stop: Callable[[], None]) -> None:
        """Nothing: Ctrl-C stops."""

    def update(self, state: ResponseState, now: float) -> None:
        self._writer.update(state)

    def tick(self, state: ResponseState, now: float) -> None:
        """Nothing: text does not change with time."""

    def notice(self, text: str) -> None:
        if text:
            self._out.write(text + "\n")
            self._out.flush()

    def tell(self, text: str) -> None:
        self._writer.tell(text)

    def restart(self) -> None:
        self._out.write("\n(asked again)\n")

    def figure(self, url: str, data: str, reason: str) -> None:
        """Nothing: figures are in the answer's `figures`."""

    def ask(self, entry: Entry, question: Question) -> None:
        """It has no buttons: who asks goes on to a prompt."""

    def finish(
        self, state: ResponseState, now: float, outcome: Outcome, metadata: JSON
    ) -> Mapping[str, str]:
        self._writer.finish(state, now, outcome)
        return {}
