"""Figures in terminals: which way a terminal draws, and what it is sent."""

import base64
import io
import re
import time

import pytest

from qwen_magic.frontends.pictures import Pictures, known_way

image = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize(
    ("environ", "way"),
    [
        ({"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "230804"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"LC_TERMINAL": "iTerm2", "TERM": "xterm-256color"}, "iterm"),  # over ssh
        ({"TERM": "tmux-256color", "TMUX": "/tmp/x", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "210400"}, None),
        ({}, None),
    ],
)
def test_a_terminal_is_known_by_what_it_sets(environ, way):
    assert known_way(environ) == way


def picture(kind="PNG", size=(40, 20)):
    """Red at the left, blue at the right."""
    drawn = image.new("RGB", size, "red")
    drawn.paste("blue", (size[0] // 2, 0, *size))
    out = io.BytesIO()
    drawn.save(out, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


def sent(way, monkeypatch, data, width=80, height=24):
    pictures = Pictures(io.StringIO(), {})
    monkeypatch.setattr("qwen_magic.frontends.pictures.known_way", lambda environ: way)
    return pictures.show(data, width, height)


def pixels(sixels):
    """The colours of a picture in sixels, by row, each in percent."""
    found = re.fullmatch(r'\x1bP0;1q"1;1;(\d+);(\d+)(.*)\x1b\\', sixels, re.DOTALL)
    columns, rows, body = int(found[1]), int(found[2]), found[3]
    palette = {int(n): rgb for n, rgb in re.findall(r"#(\d+);2;([\d;]+)", body)}
    drawn = [[None] * columns for _ in range(rows)]
    x = top = colour = 0
    for number, times, char, move in re.findall(
        r"#(\d+)(?![\d;])|(?:!(\d+))?([?-~])|([$-])", re.sub(r"#\d+;2;[\d;]+", "", body)
    ):
        if number:
            colour = int(number)
        elif move:
            x, top = 0, top + 6 * (move == "-")
        else:
            for _ in range(int(times or 1)):
                bits = ord(char) - 63
                for row in (top + bit for bit in range(6) if bits >> bit & 1):
                    drawn[row][x] = palette[colour]
                x = x + 1
    return drawn


def test_sixels_are_the_picture(monkeypatch):
    drawn = pixels(sent("sixel", monkeypatch, picture()).escape)
    assert len(drawn) == 20
    for row in drawn:
        assert row == ["100;0;0"] * 20 + ["0;0;100"] * 20


def test_a_picture_that_is_larger_than_the_window_is_made_smaller(monkeypatch):
    shown = sent("kitty", monkeypatch, picture(size=(3000, 2000)), 40, 12)
    assert shown.rows <= 12
    columns = int(re.search(r"c=(\d+)", shown.escape)[1])
    assert 1 < columns <= 40


def test_kitty_gets_png_in_pieces(monkeypatch):
    escapes = sent("kitty", monkeypatch, picture("JPEG", (900, 700))).escape
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", escapes)
    assert "".join(f"\x1b_G{head};{data}\x1b\\" for head, data in pieces) == escapes
    assert all(len(data) <= 4096 for _, data in pieces)
    assert [head[-3:] for head, _ in pieces] == ["m=1"] * (len(pieces) - 1) + ["m=0"]
    content = base64.b64decode("".join(data for _, data in pieces))
    assert image.open(io.BytesIO(content)).size == (900, 700)


def test_iterm_gets_the_file(monkeypatch):
    escape = sent("iterm", monkeypatch, data := picture()).escape
    assert escape.endswith(f":{data.partition(',')[2]}\x07")
    assert escape.startswith("\x1b]1337;File=inline=1;")


def test_a_terminal_that_says_nothing_is_not_waited_for():
    began = time.monotonic()
    assert Pictures(io.StringIO(), {"TERM": "xterm"}).show(picture(), 80, 24) is None
    assert time.monotonic() - began < 5


HUGE = (
    "data:image/png;base64,"
    + base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + b"\0\1\0\0" * 2 + b"\0" * 9).decode()
)
SHORT = picture()[:100]


@pytest.mark.parametrize(
    "data", ["data:image/webp;base64,AAAA", "data:image/png;base64,A", HUGE, SHORT[:97]]
)
def test_a_broken_picture_is_not_drawn(monkeypatch, tmp_path, data):
    assert sent("sixel", monkeypatch, data) is None
    said = Pictures(io.StringIO(), {"QWEN_MAGIC_HOME": str(tmp_path)}).save(data)
    assert said == "broken" or said.startswith("saved as")
