"""Every version that a file may be in comes up to this one."""

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from qwen_magic.conversation.chain import CellKey, HeadMove, Turn, TurnSummary
from qwen_magic.conversation.fallback_store import readable_records
from qwen_magic.conversation.migrations import MIGRATIONS, NewerStoreError, migrate, version_of
from qwen_magic.conversation.outline import outline_of
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.protocol.response import Usage

# What each step was when it was released. A line is only ever added here. (The second became empty
# before the first release, since the third undoes it; files that went through it are tested below.)
RELEASED = [
    "50ffe26c04590208521a41facfc631b375ec3353543925989832337843a269ff",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "e2e6f7b6d54767098938be3ba8c5a59720e9a9f01af246b1f161b2e75bceca5c",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
]
SCOPE = "/home/me/a.ipynb"
# A file as each version left it (`sqlite3 FILE .dump`), with the records below in it.
DUMPS = Path(__file__).with_name("stores")

FIRST = Turn(
    key="a",
    chat="main",
    status="completed",
    response_id="resp_a",
    cell=CellKey("cell-1", 2),
    prompt="What is {n}²?",
    input="What is 7²?",
    text="49 \ud83d",
    items=({"type": "message", "content": [{"type": "output_text", "text": "49"}]},),
    model="qwen3-max",
    host="example.org",
    usage=Usage(5, 7, 12, 1, 2, {"web_search": 3}),
    created_at=1_700_000_000.5,
    seconds=1.25,
)
SECOND = Turn(
    key="b",
    chat="main",
    status="stopped",
    parent="a",
    previous_response_id="resp_a",
    input=({"role": "user", "content": "And 8²?"},),
    text="It is 6",
)
RECORDS = {
    "main": (FIRST, SECOND, HeadMove("main", "head", "a", 3.0)),
    "side": (HeadMove("side", "fork", "a"),),
}


def connect(path):
    return closing(sqlite3.connect(path, isolation_level=None))


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_file_of_every_version_still_gives_its_conversations(tmp_path, version):
    path = tmp_path / "old.sqlite3"
    with connect(path) as connection:
        connection.executescript((DUMPS / f"version-{version}.sql").read_text("utf-8"))
        connection.execute(f"PRAGMA user_version = {version}")
    store = SqliteStore(path, SCOPE)
    assert {each.chat: store.load(each.chat, Turn).records for each in store.chats()} == RECORDS
    told = outline_of(store.load("main", TurnSummary).chain())
    assert (told.turns, told.on_path, told.tokens) == (2, 1, 12)
    (step,) = told.steps
    assert (step.line.turn.key, step.line.ref) == ("a", "1")
    (line,) = step.beside.lines
    assert (line.turn.key, line.ref) == ("b", "")
    store.append(Turn("c", "main", "completed", "a", "resp_c", text="64"))
    assert store.load("main", Turn).records[-1].key == "c"
    with connect(path) as connection:
        assert version_of(connection) == len(MIGRATIONS)
    store.close()


def test_a_kernel_of_an_earlier_version_goes_on_writing_in_an_upgraded_file(tmp_path):
    path = tmp_path / "shared.sqlite3"
    with closing(SqliteStore(path, SCOPE)) as store:
        store.append(Turn("a", "main", "completed", None, "resp_a", text="x"))
        with connect(path) as earlier:
            earlier.execute(
                "INSERT INTO records (seq, chat, kind, key, at, moves_head) "
                "VALUES (2, 1, 'turn', 'b', 0.0, 1)"
            )
            earlier.execute(
                "INSERT INTO turns (seq, parent, response_id, previous_response_id, status, model, "
                "host, seconds, prompt, input, text, items) "
                "SELECT 2, 'a', 'resp_b', 'resp_a', status, model, host, seconds, 'ask b', input, "
                "text, items FROM turns WHERE seq = 1"
            )
        told = outline_of(store.load("main", TurnSummary).chain())
        told = [(step.line.ref, step.line.turn.key) for step in told.steps]
        assert told == [("1", "a"), ("2", "b")]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_file_of_every_version_can_be_read_where_it_cannot_be_written(tmp_path, version):
    path = tmp_path / "old.sqlite3"
    with connect(path) as connection:
        connection.executescript((DUMPS / f"version-{version}.sql").read_text("utf-8"))
        connection.execute(f"PRAGMA user_version = {version}")
    before = path.read_bytes()
    assert list(readable_records(path, SCOPE)) == [
        each for made in RECORDS.values() for each in made
    ]
    assert path.read_bytes() == before


@pytest.mark.parametrize("can_be_written", [True, False])
def test_a_field_that_is_newer_than_the_file_has_its_default(tmp_path, can_be_written):
    path = tmp_path / "old.sqlite3"
    with closing(SqliteStore(path, SCOPE)) as store:
        store.append(FIRST)
    with connect(path) as connection:
        for column in ("host", "stored"):
            connection.execute(f"ALTER TABLE turns DROP COLUMN {column}")
    before = path.read_bytes()
    if not can_be_written:
        assert readable_records(path, SCOPE) == (replace(FIRST, host=""),)
        assert path.read_bytes() == before
        return
    with closing(SqliteStore(path, SCOPE)) as store:
        assert store.load("main", Turn).records == (replace(FIRST, host=""),)
        store.append(replace(SECOND, host="other", stored=False))
        assert store.load("main", Turn).records[1].host == "other"


def test_no_step_was_edited():
    digests = [hashlib.sha256("\0".join(step).encode()).hexdigest() for step in MIGRATIONS]
    assert digests == RELEASED, "a released step was edited, or a new one is not listed yet"


def test_a_step_is_made_whole_or_not_at_all(tmp_path):
    added = ("CREATE TABLE moods (name TEXT)", "CREATE TABLE moods (name TEXT)")
    with connect(tmp_path / "new.sqlite3") as connection:
        migrate(connection)
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            migrate(connection, [*MIGRATIONS, added])
        assert version_of(connection) == len(MIGRATIONS)
        migrate(connection, [*MIGRATIONS, added[:1]])
        assert version_of(connection) == len(MIGRATIONS) + 1
        migrate(connection, [*MIGRATIONS, added[:1]])


def test_a_newer_file_is_left_as_it_is(tmp_path):
    path = tmp_path / "newer.sqlite3"
    with connect(path) as connection:
        connection.execute("CREATE TABLE unheard_of (x)")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(NewerStoreError):
        SqliteStore(path, "scope")
    assert path.read_bytes() == before
