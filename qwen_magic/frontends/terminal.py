"""A turn in a terminal, a pipe or a script: `terminal_view` gives the view of it, drawn live where
there is a terminal and rich, else plain text as it comes.

Also what is asked there by a line of text, and in cells without buttons: whether a function may
run, or what a file tells may be sent.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from getpass import getpass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TextIO

from qwen_magic.document.footer import Outcome, TurnFacts, turn_end
from qwen_magic.frontends.kernel import kernel_of, running_shell
from qwen_magic.frontends.plain import (
    WORDS,
    cells,
    note_text,
    printable,
    say,
    spaced,
    step_line,
    window_size,
)
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import FunctionCall, Message, Reasoning

if TYPE_CHECKING:
    from qwen_magic.document.question import Choice, Question
    from qwen_magic.frontends.live_terminal import LiveTerminalView
    from qwen_magic.protocol.state import Entry, ResponseState

_ANSWERS: Final[dict[str, Choice]] = {
    "y": "once",
    "yes": "once",
    "a": "always",
    "always": "always",
    "n": "no",
    "no": "no",
    "never": "never",
}
_TRIES: Final = 3


def terminal_view(
    turn: TurnFacts, out: TextIO, *, started: float = 0.0, is_terminal: bool | None = None
) -> LiveTerminalView | TerminalView:
    """The view of a turn that is written to `out`: drawn live in a terminal, where rich is there;
    plain text in a pipe, a file, or a terminal that can do no more, in lines of its width.

    A turn's caller calls it as any `session.view.View`, from one thread, `finish` last.
    `is_terminal`: what comes out goes to one, whatever `out` says of itself.
    """
    is_terminal = out.isatty() if is_terminal is None else is_terminal
    if not (is_terminal and can_draw(out)):
        return TerminalView(turn, out, started=started, wraps=is_terminal)
    from qwen_magic.frontends.live_terminal import LiveTerminalView

    return LiveTerminalView(turn, out, started=started)


def can_draw(out: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a terminal behind `out` can be drawn on, and rich is there to do it."""
    is_able = environ.get("TERM", "dumb") != "dumb" or "WT_SESSION" in environ
    writes_all = str(getattr(out, "encoding", "")).lower().replace("-", "") == "utf8"
    return is_able and writes_all and find_spec("rich") is not None


class TerminalView:
    """Writes one turn to `out` as it grows (`session.view.View`).

    The answer's text goes out as it comes; a step as one line when it is done. Nothing is ever
    taken back: where the server replaces a text it sent, the new one follows on a new line.
    """

    def __init__(
        self, turn: TurnFacts, out: TextIO, *, started: float = 0.0, wraps: bool = False
    ) -> None:
        """`wraps`: no word is cut at the edge of a window; the last one waits for its end."""
        self._out = out
        self._wrapped = _WrappedText(out) if wraps else None
        self._turn = turn
        self._started = started
        self._written: dict[str, str] = {}  # message key -> the text that was written
        self._told: set[tuple[str, bool]] = set()  # stages of the steps that have their line
        self._saved: list[str] = []  # figures that are still to be told
        self._at_start = True  # of a line
        self._last = ""  # the kind of what was written last: "step" or the key of a message

    def begin(self, stop: Callable[[], None], look: Callable[[], None] = lambda: None) -> None:
        """What the answer is one of; Ctrl-C stops."""
        if self._turn.sent:
            self._put(f"{printable(f'Sent: {self._turn.sent}')}\n")
        if self._turn.label:
            self._put(f"\n{printable(self._turn.label)}\n")

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
        """In a terminal it is saved to a file; elsewhere it is in the answer's `figures` alone."""
        if self._wrapped is not None and data:
            from qwen_magic.frontends.pictures import Pictures

            self._saved.append(f"  figure {Pictures(self._out).save(data)}\n")
            if self._last in ("", "step"):
                self._write_saved()

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
        self._write_saved()
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
        # Here, so that a notebook's first question, which may ask by a line of text, need not wait.
        from qwen_magic.document.links import number_sources
        from qwen_magic.document.steps import StepContext, make_step

        is_thought = isinstance(entry.item, Reasoning)
        if is_thought and not (entry.text.strip() and self._turn.thoughts):
            return
        self._write_saved()
        step = make_step(entry, StepContext(number_sources([entry.item])))
        self._begin("step", blank=self._last not in ("", "step"))
        self._put(spaced(step_line(step)) + "\n")

    def _write_saved(self) -> None:
        """Where figures were saved: no text is cut in two for it."""
        for line in self._saved:
            self._begin("step", blank=self._last not in ("", "step"))
            self._put(line)
        self._saved.clear()
        self._out.flush()

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
            self._out.write(self._wrapped.feed(text) if self._wrapped is not None else text)
            self._at_start = text.endswith("\n")


class _WrappedText:
    """Cuts a text that comes piece by piece into lines of the window's width, at words. What is fed
    comes out to its last word, which waits for what comes behind it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._column = 0
        self._word = ""

    def feed(self, text: str) -> str:
        width = window_size(self._out)[0]
        words = [found[0] for found in WORDS.finditer(self._word + text)]
        self._word = words.pop() if words and not words[-1].isspace() else ""
        parts = []
        for word in words:
            size = cells(word)
            is_over = self._column > 0 and self._column + size > width
            self._column = 0 if word == "\n" else self._column + size
            if is_over and word.isspace() and word != "\n":
                continue  # a space out there would itself begin a line
            if is_over and word != "\n":
                parts.append("\n")
                self._column = size
            parts.append(word)
        return "".join(parts)


def _stage_of(entry: Entry) -> tuple[str, bool]:
    """A step's key; a function call has two lines, the second with what it gave."""
    return entry.key, isinstance(entry.item, FunctionCall) and entry.item.output is not None


def prompt_for(question: Question) -> Choice | None:
    """The user's word, typed. None where nobody could type one: no terminal, or a front end that
    takes no input. What cannot be understood three times is a no, for this time."""
    if not _can_ask():
        return None
    scope = printable(question.scope)
    is_drawn = kernel_of(running_shell()) is None and sys.stdout.isatty() and can_draw(sys.stdout)
    bold, plain = ("\x1b[1m", "\x1b[0m") if is_drawn else ("", "")
    print(f"{bold}{printable(question.title)}{plain}")  # noqa: T201
    say(f"  {question.call}", f"  {question.text}")
    for _ in range(_TRIES):
        try:
            typed = input(f"[y]es, once · [a]lways {scope} · [n]o · never {scope}: ")
        except EOFError:  # Ctrl-D
            say("")
            return "no"
        answer = _ANSWERS.get(typed.strip().lower())
        if answer is not None:
            return answer
    return "no"


def agreed(lines: Iterable[str], question: str) -> bool | None:
    """Whether the user, who is shown these lines, says yes; None where nobody could."""
    if not _can_ask():
        return None
    say(*lines)
    try:
        return input(f"{question} [y/N]: ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        return False


def ask_value(about: str, secret: bool) -> str | None:
    """What the user types for it, unseen where it is `secret`. None where nobody could type, or
    would (Ctrl-D)."""
    if not _can_ask():
        return None
    try:
        return (getpass if secret else input)(f"{printable(about)}: ").strip()
    except (EOFError, KeyboardInterrupt) as left:
        if kernel_of(running_shell()) is None:
            say("")  # what comes next stands in a line of its own
        if isinstance(left, EOFError):
            return None
        raise


def _can_ask() -> bool:
    shell = running_shell()
    if kernel_of(shell) is not None:
        on_main = threading.current_thread() is threading.main_thread()
        return on_main and bool(getattr(kernel_of(shell), "_allow_stdin", False))
    return sys.stdin is not None and sys.stdin.isatty()
