"""A turn as plain text: whole, or written to a stream as it comes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TextIO

from qwen_magic.document.blocks import Box, Figure, NumberedSource, Panel, SourceList, Step
from qwen_magic.document.build import Document
from qwen_magic.document.facts import Outcome, TurnFacts
from qwen_magic.document.footer import Footer, Note, make_footer, make_note
from qwen_magic.document.links import host_of, page_of
from qwen_magic.document.steps import StepContext, make_step
from qwen_magic.document.tree import Node
from qwen_magic.document.words import NO_BREAK
from qwen_magic.protocol.items import FunctionCall, Message, Reasoning, WebSearchCall

if TYPE_CHECKING:
    from qwen_magic.protocol.state import Entry, ResponseState

# Control characters would let a model write to the reader's terminal what it likes.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """`text` without control characters but tab and newline."""
    return _CONTROL.sub("", text)


def plain_of(document: Document) -> str:
    """The whole turn: a line for each step, the answer as written, sources, note, footer."""
    parts = map(_node, document.tree.root.children)
    return _spaced("\n\n".join(part for part in parts if part))


def _node(node: Node) -> str:
    match node.value:
        case Box(kind="answer", source=source):
            return source.strip()
        case Panel(is_joined=False) if isinstance(step := node.children[0].value, Step):
            return step_line(step)
        case Panel() | Box(kind="steps" | "body"):
            return "\n".join(line for line in map(_node, node.children) if line)
        case SourceList(cited=cited) if cited:
            return "\n".join(["Sources", *map(_source, cited)])
        case Note() as note:
            return _note(note)
        case Footer() as footer:
            return footer.text()
        case _:
            return ""


def _spaced(text: str) -> str:
    return printable(text).replace(NO_BREAK, " ")


def step_line(step: Step) -> str:
    """A step on one line, with the names of its figures below."""
    line = " · ".join(part for part in (step.verb, step.what, *step.facts) if part)
    return "\n".join([line, *map(_figure, step.figures)])


def _figure(figure: Figure) -> str:
    name = f"  figure: {figure.alt or figure.url}"
    return f"{name} ({figure.reason}) {figure.url}" if figure.reason else name


def _source(source: NumberedSource) -> str:
    number = f"[{source.number}] " if source.number else ""
    return f"{number}{source.title} {source.url}"


def _note(note: Note) -> str:
    request = f"(request {note.request_id})" if note.request_id else ""
    return "\n".join(part for part in (note.title, note.text, request) if part)


class PlainWriter:
    """Writes a turn to `out` as it grows, for scripts and terminals.

    The answer's text goes out as it comes; a step as one line when it is done. Nothing is ever
    taken back: where the server replaces a text it sent, the new one follows on a new line.
    """

    def __init__(self, out: TextIO, turn: TurnFacts, *, started: float = 0.0) -> None:
        self._out = out
        self._turn = turn
        self._started = started
        self._written: dict[str, str] = {}  # message key -> the text that was written
        self._told: set[tuple[str, bool]] = set()  # stages of the steps that have their line
        self._at_start = True  # of a line
        self._last = ""  # the kind of what was written last: "step" or the key of a message

    def tell(self, fact: str) -> None:
        """A fact for the footer that was not known at the beginning."""
        self._turn = replace(self._turn, expanded=(*self._turn.expanded, fact))

    def update(self, state: ResponseState) -> None:
        """Write what is new."""
        for entry in state.entries:
            if isinstance(entry.item, Message):
                self._write_text(entry)
            elif entry.done and _stage_of(entry) not in self._told:
                self._write_step(entry, state)
        self._out.flush()

    def finish(self, state: ResponseState, now: float, outcome: Outcome) -> None:
        """Write what is left, the note and the footer."""
        self.update(state)
        if outcome.told and self._at_start and not self._last:
            return
        seconds = max(0.0, now - self._started)
        note = make_note(outcome, self._turn, seconds, state.usage, state.incomplete_reason)
        items = [entry.item for entry in state.entries]
        footer = make_footer(
            self._turn,
            model=state.model,
            seconds=seconds,
            usage=state.usage,
            items=items,
            id=state.id,
        )
        for kind, part in (("note", _note(note) if note else ""), ("footer", footer.text())):
            if part:
                self._begin(kind, blank=True)
                self._put(_spaced(part) + "\n")
        self._out.flush()

    def _write_text(self, entry: Entry) -> None:
        before = self._written.get(entry.key, "")
        text = entry.text
        if text == before or not text:
            return
        if text.startswith(before):
            self._begin(entry.key, blank=True)
            self._put(printable(text[len(before) :]))
        else:
            self._begin("again", blank=True)
            self._put(printable(text))
            self._last = entry.key
        self._written[entry.key] = text

    def _write_step(self, entry: Entry, state: ResponseState) -> None:
        self._told.add(_stage_of(entry))
        if isinstance(entry.item, Reasoning) and not entry.text.strip():
            return
        step = make_step(entry, StepContext(_sources_of(entry)))
        self._begin("step", blank=self._last not in ("", "step"))
        self._put(_spaced(step_line(step)) + "\n")

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


def _sources_of(entry: Entry) -> tuple[NumberedSource, ...]:
    """The sources of a search, only to be counted."""
    if not isinstance(entry.item, WebSearchCall):
        return ()
    return tuple(
        NumberedSource(0, source.url, page_of(source.url), host_of(source.url))
        for source in entry.item.sources
    )
