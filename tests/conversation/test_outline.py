"""What is told of a conversation: the same from the file as from memory, and only so much."""

import random
import re
import sqlite3
import uuid
from contextlib import closing

import pytest

from qwen_magic.conversation.chain import (
    PROMPT_BEGINNING,
    CellKey,
    Chain,
    HeadMove,
    Turn,
    TurnSummary,
)
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.outline import outline_of
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.errors import ConversationError
from qwen_magic.protocol.response import Usage

SCOPE = "/home/me/a.ipynb"


@pytest.fixture
def store(tmp_path):
    with closing(SqliteStore(tmp_path / "conversations.sqlite3", SCOPE)) as opened:
        yield opened


def turn(key, parent=None, chat="main", **given):
    given = {"status": "completed", "response_id": f"resp_{key}", "text": f"text {key}", **given}
    return Turn(key, chat, parent=parent, prompt=f"ask {key}", **given)


def grown(size, branching, seed, chat="main"):
    """Records of a conversation whose cells run again, whose answers fail, whose head moves."""
    chosen = random.Random(seed)
    turns, records = [], []
    for number in range(size):
        parent = turns[-1].key if turns else None
        if turns and chosen.random() < branching:
            parent = chosen.choice([None, *(each.key for each in turns[-40:])])
        made = turn(
            f"{chat} {number}", parent, chat,
            response_id=f"resp_{uuid.UUID(int=chosen.getrandbits(128))}",
            status=chosen.choice(["completed"] * 8 + ["failed", "stopped"]),
            cell=CellKey(f"c{chosen.randrange(1 + size // 2)}", chosen.randrange(2)),
            usage=chosen.choice([None, Usage(3, 4, 7)]), created_at=1e9 + number, model="m",
        )  # fmt: skip
        turns.append(made)
        records.append(made)
        if chosen.random() < branching / 4:
            records.append(HeadMove(chat, "head", chosen.choice(turns[-40:]).key, 1e9 + number))
    return records


def keep(store, records):
    for record in records:
        store.append(record)


def told(store, chat="main"):
    """From what a line needs of each turn."""
    return outline_of(store.load(chat, TurnSummary).chain())


def whole(store, chat="main"):
    return outline_of(store.load(chat, Turn).chain())


def lines(outline):
    folds = [outline.beside, *(f for step in outline.steps for f in (step.answers, step.beside))]
    beside = [line for fold in folds if fold for line in fold.lines]
    return [*(step.line for step in outline.steps), *beside]


def test_every_turn_is_told_once_or_counted(store):
    keep(store, grown(60, 0.3, seed=4))
    outline = told(store)
    keys = [line.turn.key for line in lines(outline)]
    assert len(keys) == len(set(keys)) == outline.told
    folds = [outline.beside, *(f for step in outline.steps for f in (step.answers, step.beside))]
    assert len(outline.steps) + sum(fold.turns for fold in folds if fold) == outline.turns == 60


@pytest.mark.parametrize("branching", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("size", [1, 11, 80, 81, 82, 350])
def test_the_file_tells_what_the_whole_conversation_does(store, size, branching):
    keep(store, grown(size, branching, seed=size))
    assert told(store) == whole(store)


@pytest.mark.parametrize("key", [None, "main 0", "main 99", "main 100", "main 249"])
def test_wherever_the_head_stands(store, key):
    keep(store, [*grown(250, 0.0, seed=1), HeadMove("main", "head", key)])
    assert told(store) == whole(store)
    assert told(store).on_path == (0 if key is None else int(key.split()[1]) + 1)


def test_a_fork_counts_what_it_shares_and_what_was_used_here(store):
    for key, parent in (("a", None), ("b", "a"), ("c", "b")):
        store.append(turn(key, parent, usage=Usage(1, 1, 2)))
    store.append(HeadMove("side", "fork", "b"))
    store.append(turn("d", "b", "side", usage=Usage(2, 3, 5)))
    side = told(store, "side")
    assert (side.turns, side.on_path, side.tokens) == (3, 3, 5)
    assert [step.line.turn.key for step in side.steps] == ["a", "b", "d"]
    assert told(store).tokens == 6


def test_a_turn_that_is_being_written_is_not_told(store):
    store.append(turn("a"))
    store.append(turn("b", "a", status="stopped"), running=True)
    assert told(store).turns == 1
    with closing(SqliteStore(store.path, SCOPE)) as other:
        assert told(other).turns == 2
    store.append(turn("b", "a"))
    assert told(store) == whole(store)
    assert told(store).on_path == 2


def test_a_ref_names_one_turn_of_its_conversation(store):
    keep(store, [turn("a"), turn("b", response_id="resp_abcdef12-3")])
    keep(store, [turn("c", chat="side", response_id="resp_abcdef1999")])
    keep(store, [turn("d", response_id="resp_12345678-9"), turn("e", "a", response_id="")])
    store.append(HeadMove("main", "head", "a"))
    refs = {line.turn.key: line.ref for line in lines(told(store))}
    assert refs == {"a": "1", "b": "abcdef", "d": "12345678-", "e": ""}
    assert Chain("main", store.load("main", Turn).records).find("abcdef").key == "b"


def test_only_the_beginning_of_a_prompt_is_read(store):
    store.append(Turn("a", "main", "completed", prompt="é\0" * 1000, response_id="r", text="x"))
    store.append(Turn("b", "main", "completed", prompt="字" * 1000, response_id="r", text="x"))
    store.append(HeadMove("main", "head", None))
    assert [len(line.turn.prompt) for line in lines(told(store))] == [PROMPT_BEGINNING] * 2
    assert told(store) == whole(store)


def test_a_turn_that_we_cannot_have_written_is_said_to_be_damaged(store):
    store.append(turn("a"))
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE turns SET model = x'ff'")
    with pytest.raises(sqlite3.DatabaseError, match="the turn 'a' is damaged"):
        told(store)


def test_however_long_no_text_is_read(store):
    """What is asked of SQLite names no text or item of a turn, but for drafts."""
    keep(store, grown(2000, 0.1, seed=2))
    asked = []
    with store._database.reading() as connection:
        connection.set_trace_callback(asked.append)
    outline = told(store)
    with store._database.reading() as connection:
        connection.set_trace_callback(None)
    assert outline.turns == 2000
    assert len(lines(outline)) == outline.told <= 140
    (select,) = [statement for statement in asked if "SELECT" in statement]
    assert not re.search(r"\b(text|items|input)\b(?!')", select.split("FROM")[0])


def test_a_history_loads_nothing_until_the_conversation_is_continued(store):
    keep(store, [turn("a"), turn("b", "a")])
    conversations = Conversations(store)
    conversations.switch("main")
    first = conversations.outline("main")
    store.append(turn("c", "b"))  # as another kernel would
    assert conversations.outline("main").turns == 3, "it is read anew: nothing was loaded"
    conversations.chain("main")
    store.append(turn("d", "c"))
    assert conversations.outline("main").turns == 3, "it tells where this kernel goes on"
    assert first.on_path == 2


def test_a_conversation_that_there_is_not_has_no_outline(store):
    conversations = Conversations(store)
    assert conversations.outline("main").turns == 0, "the current one is there from the start"
    with pytest.raises(ConversationError, match="no conversation 'nobody'"):
        conversations.outline("nobody")
