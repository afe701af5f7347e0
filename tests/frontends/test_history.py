"""The history of a conversation: what is drawn, how, and how much."""

import html.parser
import random
import re
import uuid

import pytest

from qwen_magic.conversation.chain import CellKey, Chain, Turn
from qwen_magic.conversation.outline import outline_of
from qwen_magic.frontends.history import age_words, history_html, history_of, history_text
from qwen_magic.protocol.response import Usage

NOW = 1_800_000_000.0


def turn(key, parent=None, *, ago=60.0, tokens=0, cell=None, id=None, **more):
    more = {"status": "completed", "prompt": f"ask {key}", "text": "x", "model": "m"} | more
    return Turn(
        key, "main", parent=parent, response_id=f"resp_{key * 8}" if id is None else id,
        cell=CellKey(cell) if cell else None, created_at=NOW - ago,
        usage=Usage(tokens, 0, tokens) if tokens else None, **more,
    )  # fmt: skip


def drawn(chain):
    return [(row.kind, row.depth, row.ref, row.prompt) for row in rows(chain)]


def rows(chain):
    return history_of(told(chain), now=NOW).rows


def told(chain):
    return outline_of(chain)


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


def test_the_way_is_flat_and_branches_hang_below_the_turn_they_leave():
    assert drawn(TREE) == [
        ("path", 0, "1", "ask a"),
        ("branch", 1, "bbbbbb", "ask b"),
        ("branch", 2, "cccccc", "ask c"),
        ("follower", 1, "dddddd", "ask d"),
        ("branch", 1, "eeeeee", "ask e"),
        ("path", 0, "2", "ask f"),
        ("branch", 1, "–", "ask g"),
        ("path", 0, "3", "ask h"),
    ]
    history = history_of(told(TREE), now=NOW)
    assert history.summary.replace("\u00a0", " ") == "3 turns, 5 on other branches · 120 tokens"
    assert history.more == ""


def test_what_is_said_of_a_turn():
    facts = {
        row.prompt[-1]: tuple(f.replace("\u00a0", " ") for f in row.facts) for row in rows(TREE)
    }
    assert facts["a"] == ("m", "100 tokens", "1 min ago")
    assert facts["b"] == ("1/3", "m", "20 tokens", "1 min ago")
    assert facts["e"] == ("2/3", "stopped", "m", "1 min ago")
    assert facts["f"] == ("3/3", "m", "2 h ago")
    assert facts["g"] == ("failed", "m", "1 min ago")
    assert facts["h"] == ("the next question continues here", "cut off", "m", "1 min ago")
    assert [row.ref for row in rows(TREE) if row.is_head] == ["3"]
    assert [row.prompt for row in rows(TREE) if row.is_bad] == ["ask g"]


def test_every_ref_names_its_turn():
    for row in rows(TREE):
        if row.ref != "–":
            assert TREE.find(row.ref).prompt == row.prompt


def test_a_ref_is_longer_where_ids_are_alike_or_read_as_a_number():
    ids = ["resp_12345678-9", "resp_abcdef12-1", "resp_abcdef13-2", "4711aa-bare", "head"]
    turns = [turn("0"), *(turn(str(n + 1), "0", id=id) for n, id in enumerate(ids))]
    chain = Chain("main", [*turns, turn("9", "0")])
    found = {row.ref: row.prompt for row in rows(chain) if row.depth}
    assert list(found) == ["12345678-", "abcdef12", "abcdef13", "4711aa", "head"]
    for ref, prompt in found.items():
        assert chain.find(ref).prompt == prompt


def test_a_conversation_without_a_head_is_all_branches():
    chain = Chain("main", [turn("a"), turn("b", "a"), turn("c")])
    chain.move(None)
    assert drawn(chain) == [
        ("branch", 1, "aaaaaa", "ask a"),
        ("follower", 1, "bbbbbb", "ask b"),
        ("branch", 1, "cccccc", "ask c"),
    ]


def test_the_current_sibling_beside_the_way_is_marked():
    chain = Chain("main", TREE.turns.values())
    chain.move("e")
    chain.move("h")
    marked = [row.prompt for row in rows(chain) if "current" in row.facts]
    assert marked == ["ask e"]
    assert "current" not in {fact for row in rows(TREE) for fact in row.facts}, "f is on the way"


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
    chain = long_chain(5000, branching)
    history = history_of(told(chain), now=NOW)
    turns = sum(row.kind in ("path", "branch", "follower") for row in history.rows)
    assert turns <= 140
    assert history.more.replace("\u00a0", " ") == f"{5000 - turns:,} turns not shown."
    assert [row for row in history.rows if row.kind == "path"][-1].is_head
    assert history.rows[0].ref == "1"


def test_a_deep_line_of_ten_thousand_beside_the_way_is_no_matter():
    chain = long_chain(10_000, 0.0)
    chain.move(None)
    history = history_of(told(chain), now=NOW)
    assert [row.kind for row in history.rows] == ["branch"] + ["follower"] * 11 + ["gap"]
    markup = history_html(told(chain), now=NOW)
    assert markup.count("<div") == markup.count("</div")


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
    assert reader.tags == {"style", "section", "div", "span", "b", "small"}
    assert reader.attributes == {"class", "style", "dir", "aria-label"}
    assert "".join(reader.seen).count("<script>alert(1)</script>") >= 4


def test_without_its_style_every_turn_is_a_line_that_can_be_read():
    markup = re.sub(r"<style>.*?</style>", "", history_html(told(TREE), now=NOW))
    text = "".join(read(markup).seen).replace("\u00a0", " ")
    assert "1 ask a · m · 100 tokens · 1 min ago" in text
    assert "eeeeee ask e · 2/3 · stopped · m · 1 min ago" in text
    assert "padding: 0 0 0 24px" in markup
    assert "var(" not in markup, "an untrusted notebook would drop it"


def test_branches_of_one_turn_stand_apart():
    markup = history_html(told(TREE), now=NOW)
    beside = markup[markup.index("bbbbbb") : markup.index("ask f")]
    assert beside.count('<div class="qm-branch"') == 2, "c below b, then e on a rail of its own"


def test_an_empty_conversation():
    assert "No turns yet." in history_html(told(Chain("main")), now=NOW)
    assert history_text(told(Chain("main")), now=NOW) == "main · 0 turns\nNo turns yet."


def test_the_text_form():
    assert history_text(told(TREE), now=NOW).split("\n") == [
        "main · 3 turns, 5 on other branches · 120 tokens",
        "   1  ask a  (m · 100 tokens · 1 min ago)",
        "      └ bbbbbb  ask b  (1/3 · m · 20 tokens · 1 min ago)",
        "         └ cccccc  ask c  (m · 1 min ago)",
        "        dddddd  ask d  (m · 1 min ago)",
        "      └ eeeeee  ask e  (2/3 · stopped · m · 1 min ago)",
        "   2  ask f  (3/3 · m · 2 h ago)",
        "      └ –  ask g  (failed · m · 1 min ago)",
        "   3  ask h  (the next question continues here · cut off · m · 1 min ago)",
    ]


def test_the_text_form_cannot_write_to_the_terminal():
    chain = Chain("main", [turn("a", prompt="x\x1b[2J\x07\ny", model="\x1b]0;t\x07")])
    assert "\x1b" not in history_text(told(chain), now=NOW)
    assert history_text(told(chain), now=NOW).count("\n") == 1
