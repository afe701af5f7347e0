"""The history of a conversation: what is drawn, how, and how much."""

import html.parser
import random
import re
import uuid

import pytest

from qwen_magic.conversation.chain import CellKey, Chain, Turn
from qwen_magic.conversation.outline import outline_of
from qwen_magic.frontends.history import age_words, history_html, history_text, next_words
from qwen_magic.protocol.response import Usage

NOW = 1_800_000_000.0


def turn(key, parent=None, *, ago=60.0, tokens=0, cell=None, id=None, **more):
    more = {"status": "completed", "prompt": f"ask {key}", "text": "x", "model": "m"} | more
    return Turn(
        key, "main", parent=parent, response_id=f"resp_{key * 8}" if id is None else id,
        cell=CellKey(cell) if cell else None, created_at=NOW - ago,
        usage=Usage(tokens, 0, tokens) if tokens else None, **more,
    )  # fmt: skip


def told(chain):
    return outline_of(chain)


def text(chain):
    return history_text(told(chain), now=NOW)


def folds(outline):
    return [outline.beside, *(f for step in outline.steps for f in (step.answers, step.beside))]


def beside(chain):
    """ref -> prompt of the turns beside the path."""
    return {line.ref: line.turn.prompt for f in folds(told(chain)) if f for line in f.lines}


TREE = Chain(
    "main",
    [
        turn("a", tokens=100, cell="1"),
        turn("b", "a", cell="2", tokens=20),
        turn("c", "b"),
        turn("d", "b"),
        turn("e", "a", cell="2", status="stopped"),
        turn("f", "a", cell="2", ago=7300),
        turn("g", "f", status="failed", id=""),
        turn("h", "f", status="incomplete"),
    ],
)


def test_the_path_is_numbered_and_the_rest_is_folded_below_it():
    assert text(TREE).split("\n") == [
        "main · 3 turns on the current path, 5 beside it · 120 tokens",
        "   1  ask a  (m · 100 tokens · 1 min ago)",
        "   2  ask f  (answer 3/3 · m · 2 h ago)",
        "      2 earlier answers, and 2 turns after them:",
        "        bbbbbb  ask b  (answer 1/3 · m · 20 tokens · 1 min ago)",
        "              cccccc  ask c  (m · 1 min ago)",
        "           dddddd  ask d  (m · 1 min ago)",
        "        eeeeee  ask e  (answer 2/3 · stopped · m · 1 min ago)",
        "      1 other turn after turn 2:",
        "        –  ask g  (failed · m · 1 min ago)",
        "   3  ask h  (cut off · m · 1 min ago)",
        "   →  The next question continues after turn 3.",
    ]


def test_the_html_folds_the_same_and_says_where_the_next_question_goes():
    seen = "".join(read(history_html(told(TREE), now=NOW)).seen).replace("\u00a0", " ")
    words = ["2 earlier answers", "ask b", "ask e", "1 other turn after turn 2", "ask g", "ask h"]
    assert sorted(words, key=seen.index) == words
    assert seen.endswith("The next question continues after turn 3.")
    markup = history_html(told(TREE), now=NOW)
    assert markup.count("<details") == 2
    assert "<details open" not in markup


def test_every_answer_of_a_cell_stands_below_it_whatever_it_followed():
    """Two cells, run three times from the top."""
    chain = Chain("main")
    for n in range(3):
        chain.append(turn(f"a{n}", cell="1"))
        chain.append(turn(f"b{n}", f"a{n}", cell="2"))
    outline = told(chain)
    assert [(s.line.turn.prompt, s.line.place, s.answers.first) for s in outline.steps] == [
        ("ask a2", 3, 2),
        ("ask b2", 3, 2),
    ]
    assert [line.turn.prompt for line in outline.steps[1].answers.lines] == ["ask b0", "ask b1"]
    assert text(chain).count("2 earlier answers:") == 2
    chain.move("a1")
    assert "2 other answers" in text(chain), "one of them is later"
    assert "The next question continues after turn 1." in text(chain)


def test_a_turn_leads_to_its_cell():
    chain = Chain("main", [turn("a", cell="4fd1-x_9"), turn("b", "a", cell='x" onclick="')])
    markup = history_html(told(chain), now=NOW)
    assert re.findall(r'<a [^>]*href="([^"]*)"[^>]*>([^<]*)', markup) == [
        ("#cell-id=4fd1-x_9", "ask a")
    ]


def test_every_ref_names_its_turn():
    for ref, prompt in beside(TREE).items():
        if ref:
            assert TREE.find(ref).prompt == prompt
    for step in told(TREE).steps:
        assert TREE.find(step.line.ref).prompt == step.line.turn.prompt


def test_a_ref_is_longer_where_ids_are_alike_or_read_as_a_number():
    ids = ["resp_12345678-9", "resp_abcdef12-1", "resp_abcdef13-2", "4711aa-bare", "head"]
    turns = [turn("0"), *(turn(str(n + 1), "0", id=id) for n, id in enumerate(ids))]
    chain = Chain("main", [*turns, turn("9", "0")])
    found = beside(chain)
    assert list(found) == ["12345678-", "abcdef12", "abcdef13", "4711aa", "head"]
    for ref, prompt in found.items():
        assert chain.find(ref).prompt == prompt


def test_a_conversation_that_stands_before_its_first_turn():
    chain = Chain("main", [turn("a"), turn("b", "a"), turn("c")])
    chain.move(None)
    assert [line.split("  (")[0] for line in text(chain).split("\n")] == [
        "main · 0 turns on the current path, 3 beside it",
        "      3 other turns at the beginning:",
        "        aaaaaa  ask a",
        "           bbbbbb  ask b",
        "        cccccc  ask c",
        "   →  The next question begins the conversation.",
    ]


def test_the_current_sibling_beside_the_way_is_marked():
    chain = Chain("main", TREE.turns.values())
    chain.move("e")
    chain.move("h")
    (marked,) = [line for line in text(chain).split("\n") if "the cells below it" in line]
    assert "ask e" in marked
    assert "the cells below it" not in text(TREE), "f is on the way"


def test_where_the_next_question_goes_by_number_and_prompt():
    assert next_words(3, "Why?").replace("\u00a0", " ") == (
        "the next question continues after turn 3 “Why?”"
    )
    assert next_words(0) == "the next question begins the conversation"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "just now"), (59, "just now"), (60, "1 min ago"), (7199, "1 h ago"), (90000, "1 d ago"),
     (86400 * 1500, "1,500 d ago")],
)  # fmt: skip
def test_ages(seconds, words):
    assert age_words(seconds).replace("\u00a0", " ") == words


def long_chain(size, branching):
    chosen = random.Random(size)
    turns = []
    for number in range(size):
        parent = turns[-1].key if turns else None
        if turns and chosen.random() < branching:
            parent = chosen.choice(turns[-20:]).key
        id = f"resp_{uuid.UUID(int=chosen.getrandbits(128))}"
        cell = f"c{chosen.randrange(size)}"
        turns.append(turn(f"k{number}", parent, id=id, cell=cell, tokens=5))
    return Chain("main", turns)


@pytest.mark.parametrize("branching", [0.0, 0.2, 0.9])
def test_however_long_only_so_much_is_drawn_and_the_rest_is_counted(branching):
    outline = told(long_chain(5000, branching))
    lines = len(outline.steps) + sum(len(fold.lines) for fold in folds(outline) if fold)
    assert lines == outline.told <= 140
    skipped = sum(step.skipped for step in outline.steps)
    assert len(outline.steps) + skipped == outline.on_path
    assert outline.steps[0].line.ref == "1"
    assert outline.steps[-1].line.ref == str(outline.on_path)
    markup = history_html(outline, now=NOW)
    assert f"… {5000 - lines:,}\u00a0turns not shown." in markup
    assert len(markup) < 100_000


def test_a_deep_line_of_ten_thousand_beside_the_way_is_no_matter():
    chain = long_chain(10_000, 0.0)
    chain.move(None)
    outline = told(chain)
    assert (outline.beside.turns, len(outline.beside.lines)) == (10_000, 12)
    read(history_html(outline, now=NOW))


def test_where_a_cell_has_many_answers_the_newest_are_told():
    chain = Chain("main", [turn(f"{n:03}", cell="1") for n in range(100)])
    (step,) = told(chain).steps
    assert (step.answers.first, step.answers.turns) == (99, 99)
    assert step.answers.lines[-1].turn.prompt == "ask 098"
    assert "99 earlier answers" in text(chain)
    assert "… 87 more" in text(chain)


class Reader(html.parser.HTMLParser):
    """Checks that tags close in order, and keeps what a reader sees."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.tags, self.attributes = [], [], set(), set()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1] != "style":
            self.seen.append(data)


def read(markup):
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert reader.open == []
    return reader


EVIL = '</div><script>alert(1)</script><img src=x onerror="x"> & "quoted"'


def test_the_html_is_whole_and_escapes_everything():
    evil = [turn("a", prompt=EVIL, model=EVIL, id=f"resp_{EVIL}"), turn("b", "a", prompt=EVIL)]
    chain = Chain(EVIL, [*evil, turn("c", "a", id=f"{EVIL}")])
    reader = read(history_html(told(chain), now=NOW))
    tags = {"style", "div", "span", "b", "small", "details", "summary"}
    assert reader.tags == tags
    assert reader.attributes == {"class", "style", "dir", "role", "aria-label"}
    assert "".join(reader.seen).count("<script>alert(1)</script>") >= 4


def test_without_its_style_every_turn_is_a_line_that_can_be_read():
    markup = re.sub(r"<style>.*?</style>", "", history_html(told(TREE), now=NOW))
    text = "".join(read(markup).seen).replace("\u00a0", " ")
    assert "1 ask a · m · 100 tokens · 1 min ago" in text
    assert "eeeeee ask e · answer 2/3 · stopped · m · 1 min ago" in text
    assert "padding: 0 0 0 24px" in markup
    assert "var(" not in markup, "an untrusted notebook would drop it"


def test_an_empty_conversation():
    assert "No turns yet." in history_html(told(Chain("main")), now=NOW)
    assert text(Chain("main")) == "main · 0 turns\nNo turns yet."


def test_the_text_form_cannot_write_to_the_terminal():
    chain = Chain("main", [turn("a", prompt="x\x1b[2J\x07\ny", model="\x1b]0;t\x07")])
    assert "\x1b" not in text(chain)
    assert text(chain).count("\n") == 2
