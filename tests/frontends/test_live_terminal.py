"""An answer drawn in a terminal: what stands there in the end, and on the way there."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rich")

import corpora
from terminal_answer import whole_lines
from terminal_window import Window

from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.question import Question
from qwen_magic.frontends.live_terminal import FRAME, LiveTerminalView
from qwen_magic.protocol.events import ItemAdded, ItemDone, TextDelta
from qwen_magic.protocol.items import parse_item
from qwen_magic.protocol.state import ResponseState

TURN = TurnFacts("qwen3-max", "main", 4)


class Answer:
    """A turn whose text comes piece by piece, drawn in a window."""

    def __init__(self, window):
        self.window, self.now, self.state = window, 0.0, ResponseState()
        self.view = LiveTerminalView(
            TURN, window, size=window.size, above=window.above, clock=lambda: 0.0
        )
        self.view.begin(lambda: None)

    def apply(self, event):
        self.state.apply(event, self.now)
        self.view.update(self.state, self.now)
        self.tick()

    def take(self, entry, phase):
        self.state.take_call(entry, phase, self.now)
        self.view.update(self.state, self.now)
        self.tick()

    def tick(self):
        self.now += FRAME
        self.view.tick(self.state, self.now)

    def say(self, text):
        self.apply(TextDelta("output_text", text, "m", 0))

    def end(self, outcome=None):
        self.view.finish(self.state, self.now, outcome or Outcome(), {})
        return self.window.text


def whole(state, now, window, outcome=None):
    """The finished document, as one drawing leaves it."""
    document = Document(TURN, joins=False)
    document.finish(state, now, outcome or Outcome())
    fresh = Window(window.columns, window.rows)
    fresh.write("".join(f"{line}\r\n" for line in whole_lines(document, window.columns)))
    return fresh.text


BLOCKS = st.sampled_from(
    [
        "# A *title*\n\n",
        "Some words with **strength** and `code`, [a page](https://example.org/a).\n\n",
        "这是一段没有空格的中文文字，它必须在任何一个字之后换行。然后 English 再 🙂👩‍👧 来。\n\n",
        "1. first\n2. second with words that go on for a while\n   - inside\n\n3. third\n\n",
        "- [x] done\n- [ ] open\n\n",
        "> quoted words that are long enough to need another line here\n>\n> - a\n\n",
        "| n | Name | 值 |\n|--:|:--|---|\n| 1 | alpha | 好 |\n| 22 | beta and more | 你好 |\n\n",
        "| a | b |\n|---|---|\n" + "| row | of a high table |\n" * 12 + "\n",
        "```python\ndef f(x):\n    return 'a string that is long enough to be cut'  # so\n```\n\n",
        "```\n" + "a line of output\n" * 15 + "```\n\n",
        "$$\n\\sigma^2 = \\frac{1}{n}\\sum_i (x_i - m)^2\n$$\n\n",
        "Title\n=====\n\n",
        "---\n\n",
        "A line that never ends " + "and goes on " * 40 + "\n\n",
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(BLOCKS, min_size=1, max_size=6),
    st.integers(20, 90),
    st.integers(6, 30),
    st.integers(1, 60),
)
def test_the_window_ends_as_one_drawing_of_the_whole(blocks, columns, rows, piece):
    window = Window(columns, rows)
    answer, text = Answer(window), "".join(blocks)
    for at in range(0, len(text), piece):
        answer.say(text[at : at + piece])
    assert answer.end() == whole(answer.state, answer.now, window)
    assert window.modes == {"7": True, "25": True, "2026": False}


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_steps_and_a_long_answer(turns, columns):
    window = Window(columns, 24)
    answer = Answer(window)
    for at, event in turns.research_events()[:-2]:
        answer.now = at
        answer.apply(event)
    answer.say(corpora.document("mixed", 6000))
    shown = answer.end()
    assert shown == whole(answer.state, answer.now, window)
    assert "Thought for 14 s" in shown
    assert "def primes(n):" in shown
    assert turns.THOUGHT[1].strip()[:20] not in shown


SIZES = st.integers(12, 30)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_each_word_stands_once_however_the_window_is_resized(data):
    """In what a table shows, which is drawn anew as a whole, and in all other blocks."""
    columns, rows, absorbs = data.draw(st.tuples(st.integers(30, 100), SIZES, st.booleans()))
    window = Window(columns, rows, absorbs=absorbs)
    answer, number = Answer(window), 0
    for _ in range(data.draw(st.integers(1, 30))):
        begin, end = data.draw(
            st.sampled_from([("", " "), ("", "\n\n"), ("- ", "\n"), ("> ", "\n\n")])
        )
        count = data.draw(st.integers(1, 12))
        answer.say(begin + " ".join(f"w{n:03}" for n in range(number, number + count)) + end)
        number += count
        if data.draw(st.integers(0, 3)) == 0:
            for columns, rows in data.draw(
                st.lists(st.tuples(st.integers(30, 100), SIZES), max_size=3)
            ):
                window.resize(columns, rows)
                answer.tick()
            answer.now += data.draw(st.sampled_from([0.0, 0.3]))
    shown = answer.end()
    assert re.findall(r"w\d\d\d", shown) == [f"w{n:03}" for n in range(number)]


def test_only_what_changes_is_written():
    answer = Answer(window := Window(80, 24))
    answer.say("First words.\n\nSecond words.\n\nThird")
    window.writes.clear()
    for word in ("", "words", "go", "on"):
        answer.say(word + " ")
    written = "".join(window.writes)
    assert "First" not in written
    assert "Second" not in written
    assert written.count("Third") == 3


def test_a_thought_is_seen_while_it_goes_on_and_folds():
    answer = Answer(window := Window(60, 12))
    answer.apply(ItemAdded(parse_item({"type": "reasoning", "id": "r", "summary": []}), 0))
    for number in range(30):
        answer.apply(TextDelta("reasoning_text", f"Idea {number}.\n\n", "r", 0))
        assert len(window.shown.split("\n")) <= 12
    assert "Idea 29." in window.shown
    assert "Idea 3." not in window.shown
    answer.now = 14.0
    done = {"type": "reasoning", "id": "r", "summary": []}
    answer.apply(ItemDone(parse_item(done), 0))
    assert window.text == "✓ Thought for 14 s"


def test_a_high_table_shows_its_end_until_it_is_whole():
    answer = Answer(window := Window(60, 10))
    answer.say("| n | word |\n|---|---|\n")
    for number in range(30):
        answer.say(f"| {number} | row{number:02} |\n")
    assert "row29" in window.shown
    assert window.shown.startswith("⋮")
    assert "row01" not in window.text
    shown = answer.end()
    assert re.findall(r"row\d\d", shown) == [f"row{n:02}" for n in range(30)]
    assert "⋮" not in shown


def test_a_figure_is_drawn_where_the_terminal_can(turns, monkeypatch):
    monkeypatch.setenv("KITTY_WINDOW_ID", "1")
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.delenv("TMUX", raising=False)
    answer = Answer(window := Window(80, 24))
    for at, event in turns.research_events():
        answer.now = at
        answer.apply(event)
    answer.view.figure(turns.FIGURE_URL, turns.png(), "")
    answer.end()
    assert window.pictures == 1


def test_a_figure_is_saved_for_the_user_alone_elsewhere(turns, monkeypatch, tmp_path):
    monkeypatch.setenv("QWEN_MAGIC_HOME", str(tmp_path))
    monkeypatch.setenv("TERM_PROGRAM", "vt")
    monkeypatch.setattr("qwen_magic.frontends.pictures._can_sixel", lambda: False)
    for name in ("KITTY_WINDOW_ID", "KONSOLE_VERSION", "LC_TERMINAL"):
        monkeypatch.delenv(name, raising=False)
    answer = Answer(Window(200, 24))
    for at, event in turns.research_events():
        answer.now = at
        answer.apply(event)
    answer.view.figure(turns.FIGURE_URL, turns.png(), "")
    shown = answer.end()
    (saved,) = (tmp_path / "figures").iterdir()
    assert str(saved) in shown
    assert saved.stat().st_mode & 0o777 == 0o600
    assert saved.read_bytes().startswith(b"\x89PNG")


def test_an_item_goes_on_below_its_words():
    window = Window(20, 24)
    answer = Answer(window)
    answer.say("- [ ] open as long as it is\n- [x] done\n\n10. ten and what follows it\n")
    assert answer.end().splitlines()[:6] == [
        *(" ☐ open as long as", "   it is", " ☑ done", ""),
        *(" 10. ten and what", "     follows it"),
    ]


def test_links_are_told_whole_and_can_be_followed_where_they_lead_where_they_say():
    answer = Answer(window := Window(120, 24))
    answer.say(
        "[a page](https://example.org/a) https://plain.example [bank.com](https://evil.example)"
        " [mail](mailto:a@b.example) [run](javascript:x)"
    )
    shown = answer.end()
    assert "a page (https://example.org/a)" in shown
    assert shown.count("plain.example") == 1
    assert "bank.com (https://evil.example)" in shown
    assert set(window.urls) == {"https://example.org/a", "https://plain.example"}


def test_no_colour_and_no_control_characters(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    window = Window(80, 24)
    state = ResponseState()
    view = LiveTerminalView(TURN, window, size=window.size, clock=lambda: 0.0)
    view.begin(lambda: None)
    state.apply(TextDelta("output_text", "# T\n\n`c` &#27;[31m \x1b]0;x\x07 \x9b5A\n", "m", 0), 0.0)
    view.update(state, 1.0)
    view.finish(state, 2.0, Outcome(), {})
    assert not re.search(r"\x1b\[[\d;]*3[0-7]", "".join(window.writes))
    assert "31m" in window.text


def test_a_question_stands_below_what_is_finished():
    answer = Answer(window := Window(80, 24))
    answer.say("Before it.")
    answer.apply(ItemDone(parse_item({"type": "message", "id": "m", "content": []}), 0))
    call = {"type": "function_call", "id": "f", "name": "rows", "arguments": "{}", "call_id": "c"}
    answer.apply(ItemDone(parse_item(call), 1))
    entry = answer.state.entries[-1]
    answer.take(entry, "asking")
    answer.view.ask(entry, Question("rows", "{}"))
    answer.tick()
    window.write("Run rows here? y\r\n")
    answer.take(entry, "running")
    shown = answer.end()
    assert shown.count("Before it.") == 1
    assert shown.index("Before it.") < shown.index("Run rows here?") < shown.rindex("rows(")


def test_what_is_asked_again_is_taken_back():
    answer = Answer(Window(80, 24))
    answer.say("Half an answ")
    answer.view.restart()
    answer.state = ResponseState()
    answer.say("A whole one.")
    assert answer.end().startswith("A whole one.")


def test_pieces_at_random_end_the_same():
    rng = random.Random(3)
    text = corpora.document("mixed", 3000, seed=5)
    ends = set()
    for _ in range(3):
        answer, at = Answer(Window(60, 20)), 0
        while at < len(text):
            size = rng.randint(1, 80)
            answer.say(text[at : at + size])
            at += size
        ends.add(answer.end(Outcome("stopped")).partition("Stopped")[0])
    assert len(ends) == 1
