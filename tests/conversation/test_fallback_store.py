"""The store of a session: work goes on, whatever is wrong with the file."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from demo_server import demo_server

from qwen_magic.conversation.chain import HeadMove, Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.fallback_store import explain, open_store
from qwen_magic.conversation.migrations import MIGRATIONS
from qwen_magic.conversation.rows import Fact
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.endpoints import Endpoint
from qwen_magic.session.plan import Ask
from qwen_magic.session.session import Session

ROOT = Path(__file__).parents[2]
SCOPE = "/home/me/a.ipynb"
NOBODY = 65534
CANARY = "sk-canary-4f1d0c9b8a7e"


def turn(key, parent=None, chat="main", text="text"):
    return Turn(key, chat, "completed", parent, f"resp_{key}", text=text)


@pytest.fixture
def folder():
    """A folder that any user may reach: pytest's own are closed to all but one."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def path(folder):
    return folder / "kept" / "conversations.sqlite3"


@pytest.fixture
def unprivileged():
    """For root, permissions are no obstacle: be someone else meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


@pytest.fixture
def told():
    return []


def works_in_memory(store):
    """Whether a session can go on with it: ask, fork, find."""
    parent = store.load("main", Turn).records[-1].key if store.load("main", Turn).records else None
    store.append(turn("new", parent, text="te"), running=True)
    store.append(turn("new", parent))
    store.append(HeadMove("side", "fork", "new"))
    assert store.load("main", Turn).records[-1] == turn("new", parent)
    assert store.load("side", Turn).base[-1] == turn("new", parent)
    assert [each.head for each in store.chats()] == ["new", "new"]
    store.append(Fact("hosts", "h", {"keeps_ids": False}))
    assert store.fact("hosts", "h") == {"keeps_ids": False}
    assert not store.durable
    store.close()


# --- when it is opened


def test_all_is_well(path, told):
    store, message = open_store(path, SCOPE, told.append)
    store.append(turn("a"))
    store.close()
    again, second = open_store(path, SCOPE)
    assert (message, second, told, store.failure) == ("", "", [], "")
    assert again.load("main", Turn).records == (turn("a"),)
    assert again.durable
    assert path.parent.stat().st_mode & 0o777 == 0o700
    again.close()


def test_a_newer_store(path):
    open_store(path, SCOPE)[0].close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 6}")
    store, message = open_store(path, SCOPE)
    assert (
        f"{path} was written by a newer qwen_magic (store version {len(MIGRATIONS) + 6}" in message
    )
    assert "Upgrade qwen_magic" in message
    works_in_memory(store)


@pytest.mark.parametrize(
    "content", [b"no database at all " * 100, b"SQLite format 3\0" + b"\7" * 5000]
)
def test_a_damaged_file_is_left_as_it_is(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    store, message = open_store(path, SCOPE)
    assert f"{path} is damaged or no store" in message
    assert "move it away" in message
    works_in_memory(store)
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_left_as_it_is(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE chats (x)")
    store, message = open_store(path, SCOPE)
    assert str(path) in message
    works_in_memory(store)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("chats",)]


@pytest.mark.parametrize("closed", ["file", "folder", "both"])
def test_a_file_or_folder_that_cannot_be_written(path, unprivileged, closed):
    store, _message = open_store(path, SCOPE)
    store.append(turn("a"))
    store.close()
    if closed != "folder":
        path.chmod(0o400)
    if closed != "file":
        path.parent.chmod(0o500)
    store, message = open_store(path, SCOPE)
    assert f"{path} or its folder cannot be written" in message
    assert "QWEN_MAGIC_HOME" in message
    assert store.load("main", Turn).records == (turn("a"),), (
        "what can be read is there all the same"
    )
    works_in_memory(store)
    path.parent.chmod(0o700)


def test_a_folder_that_may_not_be_made(folder, unprivileged):
    closed = folder / "closed"
    closed.mkdir(0o500)
    store, message = open_store(closed / "kept" / "conversations.sqlite3", SCOPE)
    assert f"{closed}/kept/conversations.sqlite3 could not be made (Permission denied)" in message
    works_in_memory(store)


def test_a_folder_whose_name_is_taken_by_a_file(folder):
    (folder / "kept").write_text("a file")
    store, message = open_store(folder / "kept" / "conversations.sqlite3", SCOPE)
    assert "could not be made" in message
    assert "QWEN_MAGIC_HOME" in message
    works_in_memory(store)


def test_a_folder_that_may_not_be_entered(path, unprivileged):
    open_store(path, SCOPE)[0].close()
    path.parent.chmod(0o000)
    store, message = open_store(path, SCOPE)
    assert str(path) in message
    works_in_memory(store)
    path.parent.chmod(0o700)


# --- later


def damage(path):
    """Overwrite all but the first page, as a failing disk might."""
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\x5a" * (path.stat().st_size - 4096))


def test_damage_in_mid_session(path, told):
    store, _ = open_store(path, SCOPE, told.append)
    store.append(turn("a"))
    store.append(turn("b", "a"))
    store.append(turn("x", chat="other"))
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()  # so that the next use reads the file anew
    damage(path)
    damaged = path.read_bytes()
    store.append(turn("c", "b"))
    assert len(told) == 1
    assert f"{path} is damaged" in told[0]
    assert store.failure == told[0]
    assert [each.key for each in store.load("main", Turn).records] == ["a", "b", "c"]
    assert store.load("other", Turn).records == (turn("x", chat="other"),)
    assert store.chats()[0].chat == "main"
    assert len(told) == 1, "it is said once"
    assert path.read_bytes() == damaged


FULL_DISK = """
import resource, sys
from pathlib import Path
from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.fallback_store import explain, open_store

told = []
store, message = open_store(Path(sys.argv[1]), "scope", told.append)
assert not message, message
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
keys = [f"t{number}" for number in range(60)]
for key, parent in zip(keys, [None, *keys]):
    for part in (2_000, 5_000):
        store.append(Turn(key, "main", "stopped", parent, "r", text="x" * part), running=True)
    store.append(Turn(key, "main", "completed", parent, "r", text="x" * 10_000))
assert [turn.key for turn in store.load("main", Turn).records] == keys
assert not store.durable
[message] = told
print(message)
"""


def test_no_room_left_in_mid_session(path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"{path} could not be read or written" in done.stdout
    assert "full, over quota" in done.stdout
    with closing(SqliteStore(path, "scope")) as store:
        kept = [each for each in store.load("main", Turn).records if each.status == "completed"]
    assert kept, "what was kept before is still there"
    assert {len(each.text) for each in kept} == {10_000}


def delete(path):
    path.unlink()


def replace(path):
    path.rename(path.with_name("elsewhere"))
    path.write_bytes(b"")


def protect(path):
    path.chmod(0o444)


@pytest.mark.parametrize("happens", [delete, replace, protect])
@pytest.mark.parametrize("running", [False, True])
def test_a_file_that_is_lost_in_use_is_told_and_nothing_is(
    path, unprivileged, told, happens, running
):
    store, _ = open_store(path, SCOPE, told.append)
    store.append(turn("a"))
    store.append(turn("x", chat="other"))
    again, _ = open_store(path, SCOPE, told.append)  # that has loaded nothing
    happens(path)
    found = path.read_bytes() if path.exists() else None
    for each in (store, again):
        if running:
            each.append(turn("b", "a", text="te"), running=True)
        each.append(turn("b", "a"))
        assert [one.key for one in each.load("main", Turn).records] == ["a", "b"]
        assert each.load("other", Turn).records == (turn("x", chat="other"),)
        assert str(path) in each.failure
        assert each.path is None
        each.close()
    assert len(told) == 2
    if happens is not protect:  # whose log goes into it when it is closed
        assert (path.read_bytes() if path.exists() else None) == found


def test_a_file_that_was_made_read_only_stays_so(path, unprivileged):
    open_store(path, SCOPE)[0].close()
    path.chmod(0o444)
    store, message = open_store(path, SCOPE)
    assert str(path) in message
    assert store.failure == message
    assert not path.stat().st_mode & 0o222


def failure(make):
    with pytest.raises(sqlite3.Error) as caught, closing(sqlite3.connect(":memory:")) as connection:
        make(connection)
    return caught.value


def test_words_for_a_full_disk():
    def fill(connection):
        connection.execute("PRAGMA max_page_count = 1")
        connection.execute("CREATE TABLE a (x)")

    assert "the disk of /x/y is full. Make room" in explain(failure(fill), Path("/x/y"))


def test_words_for_a_lock_that_is_never_given_back(path):
    open_store(path, SCOPE)[0].close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(sqlite3.OperationalError) as caught,
            closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as late,
        ):
            late.execute("BEGIN IMMEDIATE")
    assert f"another program keeps {path} locked" in explain(caught.value, path)


def test_words_for_all_else():
    error = failure(lambda connection: connection.execute("SELECT nonsense"))
    assert "/x/y failed (no such column: nonsense)" in explain(error, Path("/x/y"))


# --- what is never kept


def test_a_key_is_never_in_the_files(path):
    store, _ = open_store(path, SCOPE)
    with demo_server() as demo:
        endpoint = Endpoint("canary", demo.base_url, key_variable="CANARY_KEY", key=CANARY)
        session = Session(conversations=Conversations(store))
        ask = Ask("My name is John", "My name is John", "qwen3-max", endpoint, "main")
        answer = session.run(session.plan(ask))
        store.append(turn("running", text="so far"), running=True)
        files = [each.read_bytes() for each in path.parent.iterdir()]
        assert len(files) == 3, "with the log, in which all of it still is"
        session.close()
    assert answer.status == "completed"
    everything = b"".join([*files, *(each.read_bytes() for each in path.parent.iterdir())])
    assert b"My name is John" in everything
    assert CANARY.encode() not in everything
    assert CANARY[3:].encode() not in everything
    store.close()
