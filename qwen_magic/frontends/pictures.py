"""Figures in a terminal: drawn where it can, else saved to a file.

Three ways to draw are in use, and nothing names them all:

    kitty     kitty, Ghostty, Konsole       known by what they set in the environment
    iterm     iTerm2, WezTerm, mintty       known in the same way
    sixel     xterm, foot, Windows Terminal …   `4` in the answer to "what are you" (DA1)

The question is asked only where a figure is to be drawn, nothing is typed ahead, and the answer is
waited for a fifth of a second; inside tmux and screen only the answer counts, since what stands in
the environment is of the terminal around them. A picture is put on rows that are made for it first,
and the cursor goes back to where it was, so that all three take the same rows.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, TextIO, TypeAlias

from qwen_magic.conversation.scope import data_folder
from qwen_magic.frontends.console import Picture, asked

Way: TypeAlias = Literal["kitty", "iterm", "sixel", ""]

FOLDER: Final = "figures"
_LARGEST: Final = 40_000_000  # pixels
_CELL: Final = (10, 20)  # pixels, where the terminal does not tell
_CHUNK: Final = 4096  # bytes of base64 in one escape of kitty
_ITERM: Final = ("iTerm.app", "WezTerm", "mintty")
_ATTRIBUTES: Final = re.compile(rb"\x1b\[\?([\d;]*)c")
_SIXEL: Final = bytes((each + 63) % 256 for each in range(256))  # six bits -> their character
_ENDINGS: Final = {b"\x89PNG": "png", b"\xff\xd8": "jpg", b"GIF8": "gif", b"RIFF": "webp"}


class Pictures:
    """Draws figures to the terminal `out`, or saves them as files."""

    def __init__(self, out: TextIO, environ: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self._environ = environ
        self._way: Way | None = None

    def show(self, data_uri: str, width: int, height: int) -> Picture | None:
        """What draws the figure in a window of so many columns and rows; None if the terminal
        cannot.
        """
        content = _bytes_of(data_uri)
        size = _size_of(content)
        if size is None or not 0 < size[0] * size[1] <= _LARGEST:
            return None
        if self._way is None:
            self._way = known_way(self._environ)
            if self._way is None:
                self._way = "sixel" if _can_sixel() else ""
        if not self._way:
            return None
        cell = _cell_size(self._out)
        columns, rows = _fit(size, cell, width, max(3, height - 4))
        try:
            match self._way:
                case "kitty":
                    drawn = "".join(_kitty(content, columns, rows))
                case "iterm":
                    drawn = _iterm(content, columns, rows)
                case _:
                    drawn = _sixel(content, columns * cell[0], rows * cell[1])
        except (ImportError, OSError, ValueError, SyntaxError):  # a picture that is broken
            return None
        return Picture(drawn, rows)

    def save(self, data_uri: str) -> str:
        """Save the figure in a file for the user alone; return its path, or why it failed, in
        words.
        """
        content = _bytes_of(data_uri)
        if not content:
            return "broken"
        ending = next((e for mark, e in _ENDINGS.items() if content.startswith(mark)), "img")
        folder = data_folder(self._environ) / FOLDER
        name = f"{time.strftime('%Y-%m-%d')}-{hashlib.sha256(content).hexdigest()[:8]}.{ending}"
        path = folder / name
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                file.write(content)
        except FileExistsError:  # of this figure
            pass
        except OSError as error:
            return f"not saved: {error.strerror}"
        return f"saved as {_from_home(path)}"


def known_way(environ: Mapping[str, str]) -> Way | None:
    """The protocol of this terminal according to the environment; None if it has to be asked."""
    term = environ.get("TERM", "")
    if environ.get("TMUX") or environ.get("STY") or term.startswith(("tmux", "screen")):
        return None
    program = environ.get("TERM_PROGRAM", "")
    if environ.get("KITTY_WINDOW_ID") or "kitty" in term or "ghostty" in (term, program):
        return "kitty"
    if environ.get("KONSOLE_VERSION", "0") >= "220400":
        return "kitty"
    is_iterm = environ.get("LC_TERMINAL") == "iTerm2"
    return "iterm" if program in _ITERM or is_iterm else None


def _can_sixel() -> bool:
    """Whether the terminal reports sixel support, and its size in pixels is known."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        return False
    found = _ATTRIBUTES.search(asked(b"\x1b[c", b"c"))
    return found is not None and b"4" in found[1].split(b";")


def _bytes_of(data_uri: str) -> bytes:
    try:
        return base64.b64decode(data_uri.partition(",")[2])
    except ValueError:
        return b""


def _size_of(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; None for unknown formats."""
    if content.startswith(b"\x89PNG") and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return (width, height) if width and height else None
    try:
        import PIL.Image

        with PIL.Image.open(io.BytesIO(content)) as image:
            return image.size
    except (ImportError, OSError, ValueError):
        return None


def _cell_size(out: TextIO) -> tuple[int, int]:
    """A cell's width and height in pixels."""
    try:
        import fcntl
        import termios

        told = fcntl.ioctl(out.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        rows, columns, width, height = struct.unpack("HHHH", told)
    except (ImportError, OSError, ValueError):
        return _CELL
    if not (rows and columns and width and height):
        return _CELL
    return max(1, width // columns), max(1, height // rows)


def _fit(size: tuple[int, int], cell: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    """The columns and rows for a picture of this size, scaled down to the window."""
    scale = min(1.0, width * cell[0] / size[0], height * cell[1] / size[1])
    return max(1, int(size[0] * scale / cell[0])), max(1, -int(-size[1] * scale // cell[1]))


def _kitty(content: bytes, columns: int, rows: int) -> Iterator[str]:
    """https://sw.kovidgoyal.net/kitty/graphics-protocol: PNG, in pieces; without an answer (q) and
    without moving the cursor (C)."""
    png = content if content.startswith(b"\x89PNG") else _as_png(content)
    data = base64.b64encode(png).decode()
    control = f"a=T,f=100,q=2,C=1,c={columns},r={rows},"
    for at in range(0, len(data), _CHUNK):
        more = int(at + _CHUNK < len(data))
        yield f"\x1b_G{control}m={more};{data[at : at + _CHUNK]}\x1b\\"
        control = "q=2,"


def _iterm(content: bytes, columns: int, rows: int) -> str:
    """https://iterm2.com/documentation-images.html"""
    data = base64.b64encode(content).decode()
    told = f"inline=1;size={len(content)};width={columns};height={rows};preserveAspectRatio=1"
    return f"\x1b]1337;File={told}:{data}\x07"


def _as_png(content: bytes) -> bytes:
    import PIL.Image

    made = io.BytesIO()
    with PIL.Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").save(made, "PNG")
    return made.getvalue()


def _sixel(content: bytes, width: int, height: int) -> str:
    """https://vt100.net/docs/vt3xx-gp/chapter14.html: bands of six rows, each colour's pixels in
    them one after the other; `!n` repeats."""
    import PIL.Image

    with PIL.Image.open(io.BytesIO(content)) as image:
        white = PIL.Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
    white.thumbnail((width, height))
    pixels = white.convert("RGB").quantize(64)
    palette = (pixels.getpalette() or [])[: 64 * 3]
    columns, rows = pixels.size
    data = pixels.tobytes()
    parts = [f'\x1bP0;1q"1;1;{columns};{rows}']
    for at in range(0, len(palette) - 2, 3):
        red, green, blue = ((channel * 100 + 127) // 255 for channel in palette[at : at + 3])
        parts.append(f"#{at // 3};2;{red};{green};{blue}")
    for top in range(0, rows, 6):
        band = [data[row * columns : (row + 1) * columns] for row in range(top, min(top + 6, rows))]
        for colour in sorted(set(b"".join(band))):
            drawn = re.sub(
                rb"(.)\1{3,}", lambda run: b"!%d%b" % (len(run[0]), run[1]), _bits(band, colour)
            )
            parts.append(f"#{colour}{drawn.decode()}$")
        parts.append("-")
    return "".join([*parts, "\x1b\\"])


def _bits(band: list[bytes], colour: int) -> bytes:
    """A character for each column: where this colour stands in its six rows. Whole rows at a time,
    as numbers: a byte of `bits` is a column, and a row has its bit in it."""
    bits = 0
    for at, row in enumerate(band):
        marks = bytes(256)[:colour] + bytes([1 << at]) + bytes(255)[colour:]
        bits |= int.from_bytes(row.translate(marks), "big")
    return bits.to_bytes(len(band[0]), "big").translate(_SIXEL)


def _from_home(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}" if sys.platform != "win32" else str(path)
    except (ValueError, RuntimeError):
        return str(path)
