"""A window of a terminal in which an answer grows: finished lines are written once, those that
change are written over.

    parts -> lines, cut to the window -> what differs from the lines before -> one write

Theory. A terminal takes back only what it shows: a line that has left at the top stays as it is.
So the answer is a row of `Part`s, of which those that are *closed* do not change any more. The
cursor waits at the start of the row below the last line; a drawing goes up to the first line that
differs and writes from there, in one synchronized piece (mode 2026), while the terminal wraps
nothing (mode 7): a character that is wider than we think cannot move the rows. Rows are cleared one
by one: what stood in a screen that is cleared as a whole tmux keeps, above it.

States of a line: in *reach*, it can be written over; *fixed*, it has left at the top, or was left
behind. An open part that is taller than the window lets its first lines go, since they are final;
but not a table, whose columns the next row may change: of that only the end is shown, in half of
the window, with a line that says so, and the whole when it is closed.

Resizing. Many sizes may come and go between two drawings; the last one counts. What is closed stays
as it stands, laid out for the old width, and is forgotten (`_kept`). The open rest is taken back
and laid out anew. Most terminals wrap lines anew when they become narrower (`_reflows`): the rows
to take back are counted in the new width. Some (tmux) let rows leave at the top then although there
is room below; so the terminal is asked, this once, where the cursor is. What of an open part had
left at the top by then is left out of it below (`_said`). What is on its way to a terminal while
that takes another size arrives in the wrong one; so nothing is drawn while somebody pulls at the
window (`LiveTerminalView`).
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TextIO

from qwen_magic.document.words import counted
from qwen_magic.frontends.plain import cells

_BEGIN: Final = "\x1b[?2026h\x1b[?25l\x1b[?7l"
_END: Final = "\x1b[?7h\x1b[?25h\x1b[?2026l"
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m|\x1b\]8;;[^\x1b]*\x1b\\")
_PIECES: Final = re.compile(f"{_ESCAPES.pattern}|.")
_FRAMES: Final = re.compile(r"[\s│▌⋮]")  # what a layout adds to a text
_POSITION: Final = re.compile(rb"\x1b\[(\d+);\d+R")
PATIENCE: Final = 0.2  # seconds for a terminal's answer
_NARROWEST: Final = 16
_LOWEST: Final = 4
_NO_REFLOW: Final = ("XTERM_VERSION", "STY")


class Line(NamedTuple):
    """A line with its escape sequences, and its width in cells."""

    text: str
    width: int

    @classmethod
    def of(cls, text: str) -> Line:
        return cls(text, cells(_ESCAPES.sub("", text)))


_GONE: Final = Line("\0", 0)  # what stands in a row that is to be written over: no line of ours


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: what to write at the cursor to draw it, and how many rows it takes."""

    escape: str
    rows: int


@dataclass(frozen=True, slots=True)
class Part:
    """Lines that belong together. `is_open`: they may change. `is_firm`: lines are only
    appended.
    """

    key: str
    lines: tuple[Line, ...]
    is_open: bool = False
    is_firm: bool = True
    picture: Picture | None = None


class Screen:
    """Draws parts to `out`.

    `size` returns the window's columns and rows; `above` returns how many rows are above the
    cursor, or None if that cannot be found out.
    """

    def __init__(
        self,
        out: TextIO,
        size: Callable[[], tuple[int, int]],
        above: Callable[[], int | None],
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._out = out
        self._get_size = size
        self._get_above = above
        self._reflows = environ.get("TERM") != "linux" and not any(map(environ.get, _NO_REFLOW))
        self._kept: set[str] = set()  # parts that are forgotten: their keys
        self._said: dict[str, int] = {}  # characters of an open part that stand in its old layout
        self._parts: list[tuple[Part, int]] = []  # those that are drawn, and their lines
        self._lines: list[Line] = []  # of these
        self._fixed = 0  # how many of the lines cannot be reached
        self._width, self._height = self.size()

    def is_resized(self) -> bool:
        return self.size() != (self._width, self._height)

    def draw(self, parts: Sequence[Part], size: tuple[int, int]) -> None:
        """Show these parts at the end of the window. They are laid out for a window of this
        `size`.
        """
        if size != (self._width, self._height):
            self._fit(*size)
        parts = [part for part in parts if part.key not in self._kept]
        begun = 0
        for place, part in enumerate(parts):
            if part.is_open:
                break
            if part.picture is not None:
                self._write(parts[begun : place + 1])
                self._paint(part.picture)
                begun = place + 1
        self._write(parts[begun:])

    def step_aside(self) -> None:
        """Erase the open parts and forget the rest: others write next, and end with a new line."""
        closed = self._closed()
        self._write(closed)
        self._forget(len(closed))
        self._lines, self._fixed = [], 0

    def restart(self) -> None:
        """Erase what can be erased; parts with the same keys may come again."""
        self._write([])
        self._kept.clear()
        self._said.clear()
        self._lines, self._fixed, self._parts = [], 0, []

    def size(self) -> tuple[int, int]:
        """The current columns and rows of the window."""
        width, height = self._get_size()
        return max(_NARROWEST, width), max(_LOWEST, height)

    def _closed(self) -> list[Part]:
        """The parts before the first open one."""
        parts = [part for part, _ in self._parts]
        count = next((at for at, part in enumerate(parts) if part.is_open), len(parts))
        return parts[:count]

    def _write(self, parts: Sequence[Part]) -> None:
        """Write the lines that differ from those shown."""
        old, fixed = self._lines, self._fixed
        shown = self._fitting(parts)
        self._parts = [(part, len(lines)) for part, lines in shown]
        new = [line for _, lines in shown for line in lines]
        new[:fixed] = old[:fixed]
        same = fixed
        while same < min(len(old), len(new)) and old[same] == new[same]:
            same += 1
        self._lines = new
        self._fixed = max(fixed, len(new) - (self._height - 1))
        if not same == len(old) == len(new):
            up = len(old) - same
            pieces = [_BEGIN, f"\x1b[{up}A" if up else "", "\r"]
            for at, line in enumerate(new[same:], same):
                is_there = at < len(old) and old[at] == line
                pieces.append("\r\n" if is_there else f"\x1b[2K{line.text}\r\n")
            if (more := len(old) - len(new)) > 0:
                pieces += ["\x1b[2K", "\r\n\x1b[2K" * (more - 1), f"\x1b[{more - 1}A" * (more > 1)]
            # An interrupt comes most often while this waits for the terminal: what it shows is
            # noted before, and what is not written yet waits in the stream.
            self._out.write("".join([*pieces, _END]))
            self._out.flush()
        self._drop_fixed()

    def _fitting(self, parts: Sequence[Part]) -> list[tuple[Part, Sequence[Line]]]:
        """The lines of each part; of one that is not firm, only as many as fit into the window."""
        shown = [(part, self._rest(part)) for part in parts]
        for place, (part, lines) in enumerate(shown):
            if part.is_open and not part.is_firm:
                below = sum(len(others) for _, others in shown[place + 1 :])
                if below > self._height // 2:
                    below = 0
                    del shown[place + 1 :]
                # No more than half of the window: what leaves it when that becomes lower cannot be
                # taken back, and comes once more with the whole.
                room = min(self._height - 1 - below, self._height // 2)
                shown[place] = part, _end_of(lines, room)
                break
        return shown

    def _rest(self, part: Part) -> Sequence[Line]:
        """The lines of a part that are not shown above in another layout."""
        said = self._said.get(part.key)
        if said is None:
            return part.lines
        for at, line in enumerate(part.lines):
            length = _length(line)
            if said < length:
                return (_without(line, said), *part.lines[at + 1 :])
            said -= length
        return ()

    def _drop_fixed(self) -> None:
        """Forget closed parts whose lines are all out of reach."""
        count = taken = 0
        for part, lines in self._parts:
            if part.is_open or taken + lines > self._fixed:
                break
            count, taken = count + 1, taken + lines
        self._forget(count)
        del self._lines[:taken]
        self._fixed -= taken

    def _forget(self, count: int) -> None:
        self._kept.update(part.key for part, _ in self._parts[:count])
        del self._parts[:count]

    def _paint(self, picture: Picture) -> None:
        """Draw a picture below the lines, and forget everything above it: it cannot be
        overwritten.
        """
        self._forget(len(self._parts))
        self._lines, self._fixed = [], 0
        down = "\r\n" * picture.rows
        self._out.write(
            f"{_BEGIN}\r{down}\x1b[{picture.rows}A\x1b7{picture.escape}\x1b8{down}{_END}"
        )
        self._out.flush()

    def _fit(self, width: int, height: int) -> None:
        """Adjust to a window whose size has changed since the last drawing."""
        self._height = height
        if width == self._width:
            self._fixed = max(self._fixed, len(self._lines) - (height - 1))
            return
        above = self._get_above()
        reach = height - 1 if above is None else min(above, height - 1)
        closed = self._closed()
        kept = sum(lines for _, lines in self._parts[: len(closed)])
        rows = 0
        place = len(self._lines)
        while place > max(kept, self._fixed):
            more = self._rows(self._lines[place - 1], width)
            if rows + more > reach:
                break
            place, rows = place - 1, rows + more
        self._forget(len(closed))
        begun = kept
        for part, lines in self._parts:
            gone = self._lines[begun : min(place, begun + lines)]
            if gone and part.is_firm:
                self._said[part.key] = self._said.get(part.key, 0) + sum(map(_length, gone))
            begun += lines
        self._width, self._lines, self._fixed, self._parts = width, [_GONE] * rows, 0, []

    def _rows(self, line: Line, width: int) -> int:
        """The rows that a line takes in a window of this width."""
        return max(1, -(-line.width // width)) if self._reflows else 1


def _end_of(lines: Sequence[Line], room: int) -> Sequence[Line]:
    """The last lines that fit into `room`, below a line that counts those left out."""
    if len(lines) <= room:
        return lines
    end = lines[len(lines) - max(1, room - 1) :]
    above = counted(len(lines) - len(end), "line")
    return [Line.of(f"\x1b[2m⋮ {above} above\x1b[0m"), *end]


def _without(line: Line, count: int) -> Line:
    """A line without its first `count` characters of text."""
    kept = []
    for found in _PIECES.finditer(line.text):
        if found[0].startswith("\x1b") or count <= 0:
            kept.append(found[0])
        elif not _FRAMES.match(found[0]):
            count -= 1
    return Line.of("".join(kept))


def _length(line: Line) -> int:
    """The number of text characters in a line, in any layout."""
    return len(_FRAMES.sub("", _ESCAPES.sub("", line.text)))


class Silence:
    """Suppresses the echo of keys typed while an answer is written.

    They go to the next prompt, but not to a question, which the user has not read yet.
    """

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def begin(self) -> None:
        if self._before is not None or sys.platform == "win32":
            return
        import termios

        try:
            now = termios.tcgetattr(sys.stdin.fileno())
            self._before = list(now)
            now[3] &= ~termios.ECHO
            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, now)
        except (OSError, ValueError, AttributeError, termios.error):
            self._before = None  # no terminal to type at

    def end(self, *, forgets: bool = False) -> None:
        if self._before is None or sys.platform == "win32":
            return
        import termios

        before, self._before = self._before, None
        try:
            how = termios.TCSAFLUSH if forgets else termios.TCSANOW
            termios.tcsetattr(sys.stdin.fileno(), how, before)
        except (OSError, ValueError, termios.error):
            return


class Guests:
    """Handles output of a function of the user's: the screen steps aside before it, and continues
    below.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._streams: tuple[TextIO, TextIO] | None = None
        self._last = ""

    def begin(self) -> None:
        if self._streams is None:
            self._streams, self._last = (sys.stdout, sys.stderr), ""
            sys.stdout, sys.stderr = (_Guest(each, self._wrote) for each in self._streams)

    def end(self) -> None:
        if self._streams is None:
            return
        sys.stdout, sys.stderr = self._streams
        self._streams = None
        if self._last and not self._last.endswith("\n"):
            sys.stdout.write("\n")

    def _wrote(self, text: str) -> None:
        if text and not self._last:
            self._screen.step_aside()
        self._last = text or self._last


class _Guest(io.TextIOBase):
    def __init__(self, stream: TextIO, wrote: Callable[[str], None]) -> None:
        self._stream = stream
        self._wrote = wrote

    def write(self, text: str) -> int:
        self._wrote(text)
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def rows_above(out: TextIO) -> int | None:
    """How many rows of the window are above the cursor; None if unknown."""
    if not out.isatty():
        return None
    found = _POSITION.search(asked(b"\x1b[6n", b"R"))
    return None if found is None else max(0, int(found[1]) - 1)


def asked(question: bytes, end: bytes) -> bytes:
    """The terminal's reply to an escape sequence, up to the byte `end`.

    Empty if it does not reply in time, is no terminal, or typed keys could be mistaken for a reply.
    """
    try:
        import select
        import termios
        import tty

        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except (ImportError, OSError):
        return b""
    try:
        before = termios.tcgetattr(terminal)
        tty.setcbreak(terminal, termios.TCSANOW)
        try:
            answer = b""
            if select.select([terminal], [], [], 0)[0]:
                return b""
            os.write(terminal, question)
            until = time.monotonic() + PATIENCE
            while not answer.endswith(end) and (left := until - time.monotonic()) > 0:
                if select.select([terminal], [], [], left)[0]:
                    answer += os.read(terminal, 64)
            return answer
        finally:
            termios.tcsetattr(terminal, termios.TCSANOW, before)
    except (OSError, termios.error):
        return b""
    finally:
        os.close(terminal)
