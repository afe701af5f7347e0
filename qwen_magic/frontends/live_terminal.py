"""A turn drawn in a terminal as it grows: the tree of the answer as parts of a `Screen`.

A step is a line, with the code that ran and what it printed below it; thinking is shown while it
goes on, and folds to its line. An answer's blocks are parts of their own: what is finished is laid
out once.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO, TypeAlias

from rich.style import Style
from rich.text import Text

from qwen_magic.document.blocks import (
    Box,
    Code,
    Figure,
    Label,
    LiveLine,
    NumberedSource,
    Output,
    Panel,
    SourceList,
    Step,
)
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Footer, Note
from qwen_magic.document.links import is_picture
from qwen_magic.document.markdown import MarkdownStream
from qwen_magic.document.markdown.render import CodeHtml
from qwen_magic.document.words import counted
from qwen_magic.frontends.console import (
    Guests,
    Line,
    Part,
    Picture,
    Screen,
    Silence,
    rows_above,
)
from qwen_magic.frontends.drawing import (
    BAD,
    BOLD,
    CODE,
    DIM,
    GOOD,
    LIVE,
    WARN,
    Ink,
    Lines,
    append_link,
    draw_block,
    draw_code,
    hanging,
    prefixed,
    wrap,
)
from qwen_magic.frontends.pictures import Pictures
from qwen_magic.frontends.plain import printable, window_size

if TYPE_CHECKING:
    from qwen_magic.document.footer import Outcome, TurnFacts
    from qwen_magic.document.question import Question
    from qwen_magic.document.tree import Node
    from qwen_magic.protocol.fields import JSON
    from qwen_magic.protocol.state import Entry, ResponseState

FRAME: Final = 1 / 20  # seconds between two drawings, at least …
_SHARE: Final = 0.2  # … and the share of the time that they may take
# Seconds that a window has kept its size before it is drawn in again: while somebody pulls at it,
# what is written arrives in another one than it was laid out for.
_SETTLED: Final = 0.2
_SPIN: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_MOST_LIVE: Final = 6  # rows of what is being thought, or written as code …
_MOST_BLOCKS: Final = 4  # … which are looked for in its last blocks
_OURS: Final = ("asking", "running")  # phases of a function's call
_GOES_ON: Final = re.compile(r"\w+ing\b|Asks")  # the verb of a step that did not come to its end
_MOST_CODE: Final = 40  # lines of code, and of what it printed, that are shown of a step
_MOST_OUTPUT: Final = 20


class LiveTerminalView:
    """Draws one turn as it grows (`session.view.View`)."""

    def __init__(
        self,
        turn: TurnFacts,
        out: TextIO,
        *,
        started: float = 0.0,
        size: Callable[[], tuple[int, int]] | None = None,
        above: Callable[[], int | None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`size`: tells the columns and rows of the window, and `above` how many of these are above
        the cursor, for which `out` is asked else.
        `clock`: what a drawing costs is measured by it."""
        self._document = Document(turn, started=started, joins=False)
        self._screen = Screen(
            out, size or partial(window_size, out), above or partial(rows_above, out)
        )
        self._drawer = Drawer(_ink(), Pictures(out))
        self._silence = Silence()
        self._guests = Guests(self._screen)
        self._clock = clock
        self._not_before = 0.0
        self._changed = True
        self._sizes = self._screen.size(), 0.0  # the last one that was seen, and when it began
        self._asked: Entry | None = None

    def begin(self, stop: Callable[[], None], look: Callable[[], None] = lambda: None) -> None:
        """Ctrl-C stops."""
        self._silence.begin()
        self._draw(0.0)

    def update(self, state: ResponseState, now: float) -> None:
        self._changed = True
        is_our_turn = any(entry.phase in _OURS for entry in state.entries)  # the loop stops for it
        if is_our_turn or (now >= self._not_before and self._is_settled(now)):
            self._update(state, now)

    def tick(self, state: ResponseState, now: float) -> None:
        if (
            now >= self._not_before
            and (self._changed or self._drawer.is_live or self._screen.is_resized())
            and self._is_settled(now)
        ):
            self._update(state, now)

    def notice(self, text: str) -> None:
        self._document.notice(text)
        self._changed = True

    def tell(self, text: str) -> None:
        turn = self._document.turn
        self._document.turn = replace(turn, warnings=(*turn.warnings, text))

    def restart(self) -> None:
        self._screen.restart()
        before = self._document
        self._document = Document(before.turn, started=before.started, joins=False)

    def figure(self, url: str, data: str, reason: str) -> None:
        self._document.figure(url, data, reason)
        self._changed = True

    def ask(self, entry: Entry, question: Question) -> None:
        """Makes room for who asks by a line of text, which comes next."""
        self._screen.step_aside()
        self._silence.end(forgets=True)
        self._asked = entry

    def finish(
        self, state: ResponseState, now: float, outcome: Outcome, metadata: JSON
    ) -> Mapping[str, str]:
        self._asked = None
        self._guests.end()
        try:
            self._document.finish(state, now, outcome)
            self._draw(now)
        finally:
            self._silence.end()
        return {}

    def _update(self, state: ResponseState, now: float) -> None:
        if self._asked is not None:
            if self._asked.phase == "asking":
                return
            self._asked = None
            self._silence.begin()
        self._guests.end()
        self._document.update(state, now)
        self._draw(now)
        if any(entry.phase == "running" for entry in state.entries):
            self._guests.begin()

    def _draw(self, now: float) -> None:
        self._changed = False
        began = self._clock()
        size, parts = (0, 0), list[Part]()
        while size != self._screen.size():  # laying out takes a while
            size = self._screen.size()
            parts = self._drawer.parts(self._document, size, now)
        self._screen.draw(parts, size)
        self._not_before = now + max(FRAME, (self._clock() - began) / _SHARE)

    def _is_settled(self, now: float) -> bool:
        """Whether the window has had its size for a while, or still has that of the drawing."""
        size = self._screen.size()
        if size != self._sizes[0]:
            self._sizes = size, now
        return not self._screen.is_resized() or now - self._sizes[1] >= _SETTLED


class Drawer:
    """Lays out a document's tree; what has not changed since the last time is not laid out again.

    `is_live`: something in it moves while nothing comes."""

    def __init__(self, ink: Ink, pictures: Pictures) -> None:
        self._ink = ink
        self._pictures = pictures
        self._known: dict[str, tuple[Any, Part]] = {}  # by key, with what it was made of
        self.is_live = False

    def parts(self, document: Document, size: tuple[int, int], now: float = 0.0) -> list[Part]:
        """The whole answer, top to bottom, for a window of this size (columns, rows)."""
        self._width, self._height = size
        self._spin = _SPIN[int(now * 10) % len(_SPIN)]
        self.is_live = False
        self._done: list[Part] = []
        self._is_after_line = False  # a step's line alone, behind which another follows closely
        for node in document.tree.root.children:
            self._node(node)
        return self._done

    def _node(self, node: Node) -> None:
        match node.value:
            case Box(kind="steps" | "figures"):
                for child in node.children:
                    self._node(child)
            case Panel():
                self._step(node)
            case Box() if node.text is not None:
                for block in node.text.blocks:
                    is_firm = "<table" not in block.html
                    self._put(
                        block.id,
                        block.html,
                        partial(draw_block, block.html, self._width),
                        is_open=not block.closed,
                        is_firm=is_firm,
                    )
            case LiveLine(text=text):
                self.is_live = True
                self._put(
                    node.id,
                    (text, self._spin),
                    lambda: self._head(Step(text, state="live")),
                    is_open=True,
                    is_line=True,
                )
            case Figure() as figure:
                self._figure(node.id, figure)
            case SourceList(cited=cited) if cited:
                self._put(node.id, cited, lambda: self._sources(cited))
            case Note() as note:
                self._put(node.id, note, lambda: self._note(note))
            case Footer() as footer:
                self._put(node.id, footer, lambda: self._footer(footer))
            case Label(text=text):
                self._put(node.id, text, lambda: wrap(Text(printable(text), BOLD), self._width))

    def _put(
        self,
        key: str,
        made_of: Any,
        draw: Callable[[], Lines],
        *,
        is_open: bool = False,
        is_firm: bool = True,
        is_line: bool = False,
        picture: Picture | None = None,
    ) -> None:
        """Add a part, behind an empty line; not between two lines of steps."""
        gap = bool(self._done) and not (is_line and self._is_after_line)
        made_of = (made_of, gap, self._width, is_open)
        known = self._known.get(key)
        if known is None or known[0] != made_of:
            lines = [Line.of(self._ink.line(line)) for line in draw()]
            if gap and (lines or picture):
                lines = [Line.of(""), *lines]
            part = Part(key, tuple(lines), is_open, is_firm, picture)
            known = self._known[key] = made_of, part
        self._is_after_line = is_line
        if known[1].lines or known[1].picture:
            self._done.append(known[1])

    def _step(self, panel: Node) -> None:
        step = panel.children[0].value
        if not isinstance(step, Step):
            return
        is_live = step.state == "live"
        self.is_live |= is_live
        inside = [each for box in panel.children[1:] for each in _inside(box, step)]
        self._put(
            panel.id,
            (step, self._spin if is_live else "", inside),
            lambda: [
                *self._head(step, shows_code=_is_run(step) and bool(inside)),
                *self._body(inside),
            ],
            is_open=is_live,
            is_line=not inside,
        )

    def _head(self, step: Step, *, shows_code: bool = False) -> Lines:
        """The line of a step; its detail is left out where the code itself follows."""
        marks = {"done": ("✓", GOOD), "bad": ("✗", BAD), "live": (self._spin, LIVE)}
        is_cut = step.state == "done" and _GOES_ON.match(step.verb)
        mark, look = ("■", DIM) if is_cut else marks[step.state]
        is_thought = step.tally.one == "thought"
        text = Text.assemble(
            (f"{mark} ", look), (printable(step.verb), DIM if is_thought else BOLD)
        )
        if step.what and not (shows_code and step.state == "done" and not is_cut):
            what = CODE if step.what_is_code else None
            text.append(" · ", DIM)
            text.append(printable(step.what), BAD if step.state == "bad" else what)
        if step.facts and not is_thought:  # which come late, when the line may be out of reach
            text.append(printable(" · ".join(("", *step.facts))), DIM)
        return hanging(text, self._width)

    def _body(self, inside: Sequence[_Inside]) -> Lines:
        lines: Lines = []
        width = self._width - 2
        for kind, content in inside:
            match kind:
                case "live":
                    shown = [line for html in content for line in draw_block(html, width)]
                    for line in shown[-_MOST_LIVE:]:
                        line.stylize(DIM)
                        lines.append(line)
                case "code":
                    lines += draw_code("", "".join(content), width, most=_MOST_CODE)
                case "output":
                    lines += self._output("".join(content), width)
        return prefixed(lines, "  ")

    def _output(self, text: str, width: int) -> Lines:
        """What a run printed: its last lines where there are many."""
        rows = printable(text).rstrip("\n").split("\n")
        more = len(rows) - _MOST_OUTPUT
        shown = [Text(f"… {counted(more, 'line')} before", DIM)] if more > 0 else []
        for row in rows[-_MOST_OUTPUT:]:
            shown += hanging(Text(row.expandtabs()), width - 2)
        return prefixed(shown, "│ ", DIM)

    def _figure(self, key: str, figure: Figure) -> None:
        name = figure.alt or "Figure"
        if not is_picture(figure.data):
            said = f"{name} · {figure.reason or 'on its way'}"
            self._put(key, said, lambda: self._aside(said), is_open=not figure.reason)
            return
        drawn = self._pictures.show(figure.data, self._width, self._height)
        if drawn is not None:
            self._put(key, figure, list, picture=drawn)
        else:
            said = f"{name} · {self._pictures.save(figure.data)}"
            self._put(key, said, lambda: self._aside(said))

    def _aside(self, said: str) -> Lines:
        return hanging(Text(f"  {printable(said)}", DIM), self._width)

    def _sources(self, cited: Sequence[NumberedSource]) -> Lines:
        lines = [Text("Sources", DIM)]
        for source in cited:
            said = Text(f"[{source.number}] " if source.number else "")
            append_link(said, Text(printable(source.title)), source.url)
            lines += hanging(said, self._width)
        return lines

    def _note(self, note: Note) -> Lines:
        look = BAD + BOLD if note.is_error else BOLD
        lines = wrap(Text(printable(note.title), look), self._width)
        for text in (note.text, f"request {note.request_id}" if note.request_id else ""):
            lines += wrap(Text(printable(text), Style() if text == note.text else DIM), self._width)
        return lines

    def _footer(self, footer: Footer) -> Lines:
        lines = wrap(Text(printable(" · ".join(footer.line)), DIM), self._width)
        for warning in footer.warnings:
            lines += wrap(Text(printable(warning), WARN), self._width)
        return lines


_Inside: TypeAlias = tuple[Literal["live", "code", "output"], tuple[str, ...]]


def _inside(box: Node, step: Step) -> Iterator[_Inside]:
    """What is shown below the line of a step: what is thought or written as code while it goes on;
    the code that ran and what it printed; what a call gave, where its line does not tell it all."""
    if box.text is not None:
        if step.state == "live":
            yield "live", tuple(block.html for block in box.text.blocks[-_MOST_BLOCKS:])
        return
    for node in box.children:
        match node.value:
            case Output(text=text) if _is_run(step) or not _tells(step, text):
                yield "output", (text,)
            case Code() if _is_run(step) and isinstance(code := node.markup[0], CodeHtml):
                yield "code", tuple(code.highlighted)


def _tells(step: Step, text: str) -> bool:
    """Whether the line of a step has all of what it gave."""
    return "".join(text.split()) in "".join(step.what.split())


def _is_run(step: Step) -> bool:
    return step.tally.one == "run"


def _ink() -> Ink:
    return Ink(has_colour=not os.environ.get("NO_COLOR"))


def drawn_markdown(text: str, width: int) -> str:
    """A Markdown text as it stands in a terminal."""
    stream = MarkdownStream()
    stream.append(text)
    stream.finish()
    ink = _ink()
    blocks = (draw_block(block.html, width) for block in stream.blocks)
    return "\n\n".join("\n".join(map(ink.line, lines)) for lines in blocks if lines)
