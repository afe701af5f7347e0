"""A terminal's window in memory: what is shown and what has left at the top.

It knows the sequences that an answer is drawn with, and refuses every other. Text that a window is
too narrow for goes on in the next row where wrapping is on, and is wrapped anew when the window is
resized, as in most terminals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from wcwidth import wcwidth

_SEQUENCE = re.compile(
    r"\x1b\[(?P<args>\??[\d;]*)(?P<final>[A-Za-z])"
    r"|\x1b\]8;;(?P<url>[!-~]*)\x1b\\"
    r"|\x1b_G(?P<kitty>[^\x1b]*)\x1b\\"
    r"|\x1b(?P<cursor>[78])"
)


@dataclass(eq=False)
class Row:
    """`cells`: a character each, "" behind a wide one. `goes_on`: the next row is the same line."""

    cells: list[str] = field(default_factory=list)
    goes_on: bool = False


class Window:
    """Give it to whoever writes as `out`; `size` tells its columns and rows."""

    def __init__(self, columns=80, rows=24, reflows=True, absorbs=True):
        """`absorbs`: lines that take more rows than before do so at the cost of empty rows below;
        else as many leave at the top, as in tmux."""
        self.columns, self.rows, self.reflows, self.absorbs = columns, rows, reflows, absorbs
        self.lines = [Row()]
        self.top = self.y = self.x = 0  # the first row that is shown; the cursor, y of all rows
        self.modes = {"7": True, "25": True, "2026": False}
        self.urls, self.writes, self.pictures = [], [], 0
        self._kept = (0, 0)

    def isatty(self):
        return True

    def flush(self):
        pass

    def fileno(self):
        raise OSError("it is in memory")

    def size(self):
        return self.columns, self.rows

    def above(self):
        return self.y - self.top

    @property
    def text(self):
        """All that was written and stands, also what has left; lines in one piece."""
        text = ""
        for row in self.lines:
            text += "".join(row.cells) if row.goes_on else "".join(row.cells).rstrip() + "\n"
        return text.rstrip("\n")

    @property
    def shown(self):
        return "\n".join("".join(row.cells).rstrip() for row in self.lines[self.top :])

    def write(self, text):
        self.writes.append(text)
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = _SEQUENCE.match(text, at)
                assert found, f"no sequence of ours: {text[at : at + 20]!r}"
                self._do(found)
                at = found.end()
            else:
                self._put(text[at])
                at += 1

    def _do(self, found):
        if found["url"] is not None:
            self.urls += [found["url"]] * bool(found["url"])
        elif found["kitty"] is not None:
            self.pictures += found["kitty"].startswith("a=T")
        elif found["cursor"] == "7":
            self._kept = self.y - self.top, self.x
        elif found["cursor"] == "8":
            self.y, self.x = self.top + self._kept[0], self._kept[1]
        else:
            args, final = found["args"], found["final"]
            match final:
                case "A":
                    self.y = max(self.top, self.y - int(args))
                case "K":
                    assert args == "2"
                    self.lines[self.y] = Row()
                case "m":
                    pass
                case "h" | "l":
                    assert args[1:] in self.modes, args
                    self.modes[args[1:]] = final == "h"
                case _:
                    raise AssertionError(f"no sequence of ours: {found[0]!r}")

    def _put(self, char):
        if char == "\r":
            self.x = 0
        elif char == "\n":
            self._down()
        else:
            size = wcwidth(char)
            assert size >= 0, f"a control character: {char!r}"
            cells = self.lines[self.y].cells
            if size == 0:
                if 0 < self.x <= len(cells):
                    cells[self.x - 1] += char
                return
            if self.x + size > self.columns:
                if self.modes["7"]:
                    self.lines[self.y].goes_on = True
                    self._down()
                    self.x = 0
                    cells = self.lines[self.y].cells
                else:
                    self.x = self.columns - size
            cells.extend(" " * (self.x + size - len(cells)))
            cells[self.x : self.x + size] = [char, ""][:size]
            self.x += size

    def _down(self):
        self.y += 1
        if self.y == len(self.lines):
            self.lines.append(Row())
        self.top = max(self.top, self.y - self.rows + 1)

    def resize(self, columns, rows):
        while len(self.lines) > self.y + 1 and not "".join(self.lines[-1].cells).strip():
            del self.lines[-1]
        count, empty = len(self.lines), self.rows - (len(self.lines) - self.top)
        top = self.top + (
            max(0, self.rows - rows - empty) if rows < self.rows else self.rows - rows
        )
        if columns != self.columns and self.reflows:
            self._wrap_anew(columns)
        self.columns, self.rows = columns, rows
        least = max(0, len(self.lines) - rows)
        self.top = least if self.absorbs else max(least, max(0, top) + len(self.lines) - count)

    def _wrap_anew(self, columns):
        lines, line, place = [], [], None
        for number, row in enumerate(self.lines):
            if number == self.y:
                place = len(lines), len(line) + self.x
            line += row.cells
            if not row.goes_on:
                lines.append(line)
                line = []
        self.lines = []
        for number, line in enumerate(lines):
            rows = [Row(line[at : at + columns], True) for at in range(0, len(line), columns)]
            rows = rows or [Row()]
            rows[-1].goes_on = False
            if number == place[0]:
                self.y, self.x = len(self.lines) + min(place[1] // columns, len(rows) - 1), 0
            self.lines += rows
