"""An answer that is shown again in a terminal."""

import io

import pytest

from qwen_magic.answer import Answer
from qwen_magic.frontends.display import show_answer

ANSWER = Answer("# Primes\n\n- two\n- three")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_it_is_drawn_in_a_terminal(monkeypatch):
    pytest.importorskip("rich")
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    show_answer(ANSWER)
    assert "Primes" in out.getvalue()
    assert "# Primes" not in out.getvalue()
    assert "•" in out.getvalue()


def test_it_is_plain_text_elsewhere(capsys):
    show_answer(ANSWER)
    assert capsys.readouterr().out == ANSWER.text + "\n"
