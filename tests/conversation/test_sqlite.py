"""The durable store: what is kept, in which order, found how."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import fields, replace

import pytest
from drawn_turns import TEXTS, histories, turns
from hypothesis import given
from hypothesis import strategies as st

from qwen_magic.conversation.chain import CellKey, Chain, HeadMove, Turn
from qwen_magic.conversation.reading import select_chats, select_records, select_summaries
from qwen_magic.conversation.recall import MemoryRecall
from qwen_magic.conversation.rows import COLUMNS
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.protocol.response import Usage

SCOPE = "/home/me/a.ipynb"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "conversations.sqlite3"


@pytest.fixture
def store(path):
    with closing(SqliteStore(path, SCOPE)) as opened:
        yield opened


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Stores of their own in one file: each gives a scope that nothing else uses."""
    path = tmp_path_factory.mktemp("drawn") / "conversations.sqlite3"
    opened = []

    def make():
        opened.append(SqliteStore(path, f"scope {len(opened)}"))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def turn(key, parent=None, chat="main", **given):
    given = {"status": "completed", "response_id": f"resp_{key}", "text": f"text {key}", **given}
    return Turn(key, chat, parent=parent, **given)


def again(store):
    """The same conversations, as another process would read them."""
    return closing(SqliteStore(store.path, store.scope))


# --- what is kept


@given(histories())
def test_any_history_comes_back_equal(fresh, history):
    store, memory = fresh(), MemoryRecall()
    for record in history:
        store.append(record)
        memory.append(record)
    with again(store) as other:
        assert other.chats() == memory.chats()
        for chat in memory.chats():
            assert other.records(chat) == memory.records(chat)
        for key in {record.key for record in history} - {None}:
            assert other.turn(key) == memory.turn(key)
            assert other.path_to(key) == memory.path_to(key)
        assert other.summaries() == memory.summaries()
        for most in (0, 1, 2, 100):
            assert other.recent(most, "main") == memory.recent(most, "main")
        for chat in (*memory.chats(), "nobody"):
            assert other.has(chat) == memory.has(chat)
            assert without_refs(other.outline(chat)) == without_refs(memory.outline(chat))


def without_refs(outline):
    """The file's refs may be longer than needed: see tests/conversation/test_outline.py."""
    return replace(outline, lines=tuple(replace(line, ref="") for line in outline.lines))


@given(st.data())
def test_what_was_checkpointed_last_is_found(fresh, data):
    store = fresh()
    ended = data.draw(turns("a", "main"))
    for text, items in data.draw(st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=5)):
        running = replace(ended, status="stopped", text=text, items=ended.items if items else ())
        store.checkpoint(running)
        with again(store) as other:
            assert other.records("main") == (running,)
        assert store.records("main") == (), "it is no record while it runs"
    store.append(ended)
    assert store.records("main") == (ended,)
    with again(store) as other:
        assert other.records("main") == (ended,)


def test_every_field_of_a_turn_has_its_column():
    elsewhere = {"key", "chat", "created_at", "raw", "cell", "usage"}
    assert {each.name for each in fields(Turn)} - elsewhere <= set(COLUMNS)


def test_long_texts(store):
    long = turn("a", prompt="é\0🙂" * 1_000_000, text="x\ud83d" * 5_000_000)
    store.append(long)
    assert store.records("main") == (long,)


def test_counts_beyond_what_sqlite_can_hold(store):
    store.append(turn("a", usage=Usage(input_tokens=2**80)))
    assert store.records("main")[0].usage.input_tokens == 2**63 - 1


def test_a_turn_is_kept_once(store):
    store.append(turn("a"))
    with pytest.raises(ValueError, match="turn a is in main already"):
        store.append(replace(turn("a"), text="other"))
    with pytest.raises(ValueError, match="already"):
        store.checkpoint(turn("a"))
    assert store.records("main") == (turn("a"),)


def test_scopes_do_not_see_each_other(store, path):
    store.append(turn("a"))
    with closing(SqliteStore(path, "/home/me/b.ipynb")) as other:
        assert (other.chats(), other.records("main"), other.path_to("a")) == ((), (), [])
        assert other.turn("a") == turn("a"), "but a turn is found wherever it is"
        other.append(turn("a", text="its own"))
        assert other.turn("a").text == "its own"
    assert store.turn("a") == turn("a")
    assert store.turn("nobody") is None


def test_the_files_are_the_users_own(store, path):
    store.append(turn("a"))
    files = list(path.parent.iterdir())
    assert len(files) == 3, "the log and its index are there while the store is open"
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}


# --- the order


def test_of_two_answers_at_once_the_one_that_ended_last_is_the_head(store):
    store.append(turn("a"))
    live = Chain("main", store.records("main"))
    store.checkpoint(turn("slow", "a", status="stopped", text="…"))
    for ended in (turn("quick", "a"), turn("slow", "a")):
        store.append(ended)
        live.append(ended)
    replayed = Chain("main", store.records("main"))
    assert replayed.head == live.head == turn("slow", "a")
    assert list(replayed.turns) == list(live.turns)


@pytest.mark.parametrize("follows", [turn("child", "run"), HeadMove("main", "head", "run")])
def test_what_another_process_put_after_a_running_turn_stays_after_it(store, follows):
    store.checkpoint(turn("run", status="stopped"))
    with again(store) as other:
        assert Chain("main", other.records("main")).turns["run"].status == "stopped"
        other.append(follows)
    store.append(turn("run"))
    assert store.records("main") == (turn("run"), follows)
    Chain("main", store.records("main"))  # it replays


def test_a_turn_that_was_left_behind_may_be_finished_by_another_process(store):
    store.checkpoint(turn("a", status="stopped", text="half"))
    with again(store) as other:
        other.checkpoint(turn("a", status="stopped", text="half and more"))
        other.append(turn("a"))
        assert other.records("main") == (turn("a"),)
        assert other.summaries()[0].turns == 1


# --- finding


def test_the_way_to_a_turn_leads_through_forks(store):
    store.append(turn("a"))
    store.append(turn("b", "a"))
    store.append(HeadMove("side", "fork", "a"))
    store.append(turn("c", "a", "side"))
    store.append(HeadMove("far", "fork", "c"))
    store.append(turn("d", "c", "far"))
    assert [each.key for each in store.path_to("d")] == ["a", "c", "d"]
    assert store.records("far")[0] == HeadMove("far", "fork", "c")
    assert Chain("far", store.records("far"), base=store.path_to("c")).head.key == "d"


def test_a_copy_of_a_conversation_keeps_to_itself(store):
    for chat in ("main", "copy"):
        store.append(turn("a", chat=chat))
        store.append(turn("b", "a", chat))
        store.append(turn(f"only in {chat}", "b", chat))
    assert {each.chat for each in store.path_to("only in copy")} == {"copy"}


def test_a_summary_tells_the_conversation_in_a_line(store):
    store.append(turn("a", prompt="First " * 100, created_at=100.0, seconds=5.0))
    store.append(turn("b", "a", prompt="Second"))
    store.append(HeadMove("main", "head", "a", 200.0))
    store.append(HeadMove("side", "fork", "b", 300.0))
    main, side = store.summaries()
    assert (main.chat, main.turns, main.head, main.newest) == ("main", 2, "a", 200.0)
    assert main.prompt == ("First " * 100)[:200]
    assert (side.turns, side.head, side.prompt) == (0, "b", "Second")


def test_the_cost_does_not_grow_with_other_conversations(store, path):
    """Counted in steps of SQLite's virtual machine, which no busy machine changes."""
    steps = 0

    def step():
        nonlocal steps
        steps += 1

    def cost(read):
        nonlocal steps
        with closing(sqlite3.connect(path)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("SELECT * FROM records LIMIT 1").fetchall()
            connection.set_progress_handler(step, 1)
            steps = 0
            assert read(connection)
            return steps

    reads = [
        lambda connection: select_chats(connection, SCOPE),
        lambda connection: select_records(connection, SCOPE, "main", running=()),
        lambda connection: select_summaries(connection, SCOPE),
    ]
    for number in range(20):
        store.append(turn(str(number), cell=CellKey("c")))
    before = [cost(read) for read in reads]
    for number in range(2000):
        store.append(turn(f"other {number}", chat="other"))
    assert all(cost(read) < 5 * few for read, few in zip(reads, before, strict=True))


# --- at once


def test_threads_share_a_store(store):
    def work(name):
        for number in range(50):
            store.checkpoint(turn(f"{name}{number}", chat=name, status="stopped"))
            store.append(turn(f"{name}{number}", chat=name))

    workers = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(store.chats()) == list("abcd")
    assert all(len(store.records(name)) == 50 for name in "abcd")


def test_a_checkpoint_does_not_wait_for_another_writer_but_an_append_does(store, path):
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.checkpoint(turn("a", status="stopped"))  # left to the next one
        release = threading.Timer(0.3, other.execute, ["COMMIT"])
        release.start()
        store.append(turn("b"))
        release.join()
    store.checkpoint(turn("a", status="stopped"))
    with again(store) as fresh_store:
        assert [each.key for each in fresh_store.records("main")] == ["b", "a"]


def test_an_interrupted_write_leaves_nothing_behind(store):
    def interrupted():
        with store._database.writing() as connection:
            connection.execute("INSERT INTO chats (scope, name) VALUES ('x', 'y')")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with store._database._locked() as connection:
        connection.execute("BEGIN IMMEDIATE")  # as an interrupt right after it would leave it
    store.append(turn("a"))
    with store._database.reading() as connection:
        assert connection.execute("SELECT name FROM chats").fetchone()["name"] == "main"


def test_a_store_that_was_closed_opens_again(store):
    store.append(turn("a"))
    store.close()
    assert store.records("main") == (turn("a"),)
