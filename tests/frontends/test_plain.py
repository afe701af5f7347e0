"""Plain text as it comes."""

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminal_window import Window

from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.frontends.plain import cells, line_ends, printable
from qwen_magic.frontends.terminal import TerminalView, terminal_view
from qwen_magic.protocol.events import TextDelta, TextDone
from qwen_magic.protocol.state import ResponseState

TURN = TurnFacts("qwen3-max", "main", 4)


def write(events, outcome=None):
    """The writes after each event, and what they make together."""
    out, state = io.StringIO(), ResponseState()
    writer = TerminalView(TURN, out)
    grown = []
    for at, event in events:
        state.apply(event, at)
        writer.update(state, at)
        grown.append(out.getvalue())
    if outcome is not None:
        writer.finish(state, events[-1][0], outcome, {})
    return out.getvalue(), grown


def test_steps_answer_and_footer(turns):
    text, grown = write(turns.research_events(), Outcome())
    assert text == (
        "Thought for 14 s\n"
        "Searched the web · “population variance versus sample variance” and 1 more"
        " · 5 sources · 1.9 s\n"
        "Read a page · en.wikipedia.org · definition of population and sample variance · 1.2 s\n"
        "Ran Python · def primes(n): →"
        " 7919 3682.913 5489270.997431 5494765.763194195 · 2.4 s\n"
        "  figure: fig-001\n"
        "\n" + "".join(turns.ANSWER) + "\n"
        "qwen3-max · 21 s · 1,284 in, 943 out · 1 search, 1 page, 1 run · main, turn 4\n"
        "512 in from the cache · 677 out for thinking · resp_9f3c1a7e\n"
    )
    assert all(later.startswith(earlier) for earlier, later in pairwise(grown))


def test_text_goes_out_as_it_comes():
    events = [(n, TextDelta("output_text", text, "m", 0)) for n, text in enumerate(["He", "llo"])]
    _, grown = write(events)
    assert grown == ["He", "Hello"]


def test_a_replaced_text_follows_on_a_line_of_its_own():
    events = [
        (1.0, TextDone("output_text", "old", "m", 0)),
        (2.0, TextDelta("output_text", "new", "m", 0)),
    ]
    assert write(events)[0] == "old\n\nnew"


def test_a_failure_says_why(turns):
    text, _ = write(
        [(1.0, TextDelta("output_text", "Half", "m", 0))],
        Outcome("failed", "The connection was lost", "reset by peer", "Run the cell again", "4f1c"),
    )
    assert text.startswith(
        "Half\n\nThe connection was lost\nreset by peer. Run the cell again.\n(request 4f1c)\n\n"
    )


def test_nothing_reaches_the_terminal_but_text():
    assert printable("a\x1b[31mb\x07\r\n\tc\x9b") == "a[31mb\n\tc"
    events = [(1.0, TextDelta("output_text", "\x1b]0;title\x07x", "m", 0))]
    assert write(events)[0] == "]0;titlex"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_terminal_is_drawn_on_where_it_can_be(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    pytest.importorskip("rich")
    assert not isinstance(terminal_view(TURN, Terminal()), TerminalView)
    assert isinstance(terminal_view(TURN, io.StringIO()), TerminalView), "a pipe"
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(terminal_view(TURN, Terminal()), TerminalView)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("qwen_magic.frontends.terminal.find_spec", lambda name: None)
    assert isinstance(terminal_view(TURN, Terminal()), TerminalView), "without rich"


def test_without_rich_no_word_is_cut(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("qwen_magic.frontends.terminal.window_size", lambda out: (24, 10))
    out, state = Terminal(), ResponseState()
    view = terminal_view(TURN, out)
    words = "Seven words that say something, 中文字符没有空格也要换行。"
    for number, letter in enumerate(f"{words} " * 4):
        state.apply(TextDelta("output_text", letter, "m", 0), number)
        view.update(state, number)
    view.finish(state, 400.0, Outcome(), {})
    lines = out.getvalue().partition("qwen3")[0].split("\n")
    assert all(cells(line.rstrip()) <= 24 for line in lines)
    assert "".join(out.getvalue().split()).startswith("".join((words * 4).split()))
    assert all(out.getvalue().count(word) == 4 for word in ("Seven", "something,"))


def test_a_word_that_fits_no_line_begins_where_it_stands():
    assert line_ends("11 " + "x" * 30, 20) == [20]
    assert line_ends("11 " + "x" * 20, 20) == [3]
    assert line_ends("11 " + "质" * 30, 20) == [11, 21, 31]


def test_a_figure_is_saved_where_a_terminal_cannot_draw(turns, monkeypatch, tmp_path):
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("QWEN_MAGIC_HOME", str(tmp_path))
    for out, count in ((Terminal(), 1), (io.StringIO(), 0)):
        terminal_view(TURN, out).figure(turns.FIGURE_URL, turns.png(), "")
        assert out.getvalue().count("figure saved as") == count
    assert len(list((tmp_path / "figures").iterdir())) == 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(1, 50))
def test_no_line_is_empty_that_was_not_and_a_figure_cuts_no_text(lengths, piece):
    """Also where a space falls behind the last column."""
    window, state = Window(80, 24), ResponseState()
    text = " ".join("w" * length for length in lengths)
    view = TerminalView(TURN, window, wraps=True)
    for at in range(0, len(text), piece):
        state.apply(TextDelta("output_text", text[at : at + piece], "m", 0), 0.0)
        view.update(state, 0.0)
        view.figure("u", "data:image/png;base64,", "")
    view.finish(state, 0.0, Outcome(), {})
    answer, _, after = window.text.partition("\n\n")
    assert answer.split() == text.split()
    assert "broken" not in answer
    assert after.count("figure broken") == -(-len(text) // piece)
