"""Every version that a file may be in comes up to this one."""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from qwen_magic.conversation.chain import CellKey, Mark, Turn
from qwen_magic.conversation.migrations import MIGRATIONS, NewerStoreError, migrate, version_of
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.protocol.items import Usage

# What each step was when it was released. A line is only ever added here.
RELEASED = ["50ffe26c04590208521a41facfc631b375ec3353543925989832337843a269ff"]
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
    "main": (FIRST, SECOND, Mark("main", "head", "a", 3.0)),
    "side": (Mark("side", "fork", "a"),),
}


def connect(path):
    return closing(sqlite3.connect(path, isolation_level=None))


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_file_of_every_version_still_gives_its_conversations(tmp_path, version):
    path = tmp_path / "old.sqlite3"
    with connect(path) as connection:
        connection.executescript((DUMPS / f"version-{version}.sql").read_text("utf-8"))
        connection.execute(f"PRAGMA user_version = {version}")
    store = SqliteStore(path, "/home/me/a.ipynb")
    assert {chat: store.records(chat) for chat in store.chats()} == RECORDS
    store.append(Turn("c", "main", "completed", "a", "resp_c", text="64"))
    assert store.records("main")[-1].key == "c"
    with connect(path) as connection:
        assert version_of(connection) == len(MIGRATIONS)
    store.close()


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
