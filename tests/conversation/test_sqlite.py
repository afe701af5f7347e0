"""The durable store: what is kept, in which order, found how."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace

import pytest
from drawn_turns import TEXTS, histories, turns
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_magic.conversation.chain import CellKey, Chain, HeadMove, Turn, TurnSummary
from qwen_magic.conversation.outline import outline_of
from qwen_magic.conversation.reading import select_chats, select_conversation
from qwen_magic.conversation.rows import COLUMNS, ChatSummary, Fact
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


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(histories())
def test_any_history_comes_back_equal(fresh, history):
    store = fresh()
    for record in history:
        store.append(record)
    by_chat = {}
    for record in history:
        by_chat.setdefault(record.chat, []).append(record)
    with again(store) as other:
        assert [each.chat for each in other.chats()] == list(by_chat)
        for summary in other.chats():
            loaded = other.load(summary.chat, Turn)
            assert loaded.records == tuple(by_chat[summary.chat])
            check_summary(summary, loaded.records, history)
            chain = Chain(summary.chat, loaded.records, base=expected_base(loaded.records, history))
            assert loaded.chain().turns == chain.turns
            assert loaded.chain().head == chain.head
            light = other.load(summary.chat, TurnSummary).chain()
            assert outline_of(light) == outline_of(chain)
        assert other.load("nobody", Turn).records == ()


def check_summary(summary, records, history):
    turns = [each for each in records if isinstance(each, Turn)]
    heads = [each.key for each in records if not isinstance(each, Turn) or each.may_be_head]
    prompts = {each.key: each.prompt for each in history if isinstance(each, Turn)}
    assert summary == ChatSummary(
        summary.chat,
        turns=len(turns),
        tokens=sum(turn.tokens for turn in turns),
        newest=max(
            each.created_at + each.seconds if isinstance(each, Turn) else each.at
            for each in records
        ),
        head=heads[-1] if heads else None,
        prompt=prompts.get(heads[-1], "") if heads else "",
    )


def expected_base(records, history):
    """From the first turn of all to the one that a fork leaves from."""
    by_key = {each.key: each for each in history if isinstance(each, Turn)}
    first, path = records[0], []
    if isinstance(first, HeadMove) and first.kind == "fork":
        path.append(by_key[first.key])
        while path[0].parent is not None:
            path.insert(0, by_key[path[0].parent])
    return path


@given(st.data())
def test_what_was_checkpointed_last_is_found(fresh, data):
    store = fresh()
    ended = data.draw(turns("a", "main"))
    for text, items in data.draw(st.lists(st.tuples(TEXTS, st.booleans()), min_size=1, max_size=5)):
        running = replace(ended, status="stopped", text=text, items=ended.items if items else ())
        store.append(running, running=True)
        with again(store) as other:
            assert other.load("main", Turn).records == (running,)
        assert store.load("main", Turn).records == (), "it is no record while it runs"
    store.append(ended)
    assert store.load("main", Turn).records == (ended,)
    with again(store) as other:
        assert other.load("main", Turn).records == (ended,)


def test_every_field_of_a_turn_has_its_column(store):
    """What derives from `Turn` is what the migrations have made."""
    with store._database.reading() as connection:
        made = {row["name"] for row in connection.execute("PRAGMA table_info(turns)")}
    assert made == {"seq", "draft", *COLUMNS}


def test_long_texts(store):
    long = turn("a", prompt="é\0🙂" * 1_000_000, text="x\ud83d" * 5_000_000)
    store.append(long)
    assert store.load("main", Turn).records == (long,)


@pytest.mark.parametrize(
    ("text", "told", "times"),
    [("the answer", "the answer", 1), ("the answer", "another", 1), ("", "the answer", 1)],
)
def test_a_text_that_the_items_hold_stands_once(store, path, text, told, times):
    item = {"type": "message", "content": [{"type": "output_text", "text": told}]}
    turn = Turn("a", "main", "completed", None, "resp_a", text=text, items=(item,))
    store.append(turn)
    assert store.load("main", Turn).records == (turn,)
    with closing(sqlite3.connect(path)) as connection:
        (row,) = connection.execute("SELECT text || items FROM turns").fetchall()
    assert row[0].count("the answer") == times


def test_counts_beyond_what_sqlite_can_hold(store):
    store.append(turn("a", usage=Usage(input_tokens=2**80)))
    assert store.load("main", Turn).records[0].usage.input_tokens == 2**63 - 1


def test_a_turn_is_kept_once(store):
    store.append(turn("a"))
    with pytest.raises(ValueError, match="turn a is in main already"):
        store.append(replace(turn("a"), text="other"))
    with pytest.raises(ValueError, match="already"):
        store.append(turn("a"), running=True)
    assert store.load("main", Turn).records == (turn("a"),)


def test_scopes_do_not_see_each_other(store, path):
    store.append(turn("a"))
    with closing(SqliteStore(path, "/home/me/b.ipynb")) as other:
        assert (list(other.chats()), other.load("main", Turn).records) == ([], ())
        other.append(turn("a", text="its own"))
        assert other.load("main", Turn).records[0].text == "its own"
    assert store.load("main", Turn).records == (turn("a"),)


def test_a_fact_is_kept_for_all_scopes_and_the_last_one_counts(store, path):
    store.append(Fact("hosts", "half \ud83d", {"keeps_ids": True}, 5.0))
    store.append(Fact("hosts", "half \ud83d", {"keeps_ids": False}, 6.0))
    store.append(Fact("answers", "half \ud83d", "other"))
    with closing(SqliteStore(path, "elsewhere")) as other:
        assert other.fact("hosts", "half \ud83d") == {"keeps_ids": False}
        assert other.fact("answers", "half \ud83d") == "other"
        assert other.fact("hosts", "unknown") is None


def test_a_store_in_memory_keeps_all_that_a_file_does():
    store = SqliteStore()
    store.append(turn("a"))
    store.append(turn("run", "a", status="stopped"), running=True)
    store.append(HeadMove("side", "fork", "a"))
    store.close()
    assert store.load("main", Turn).records == (turn("a"),)
    assert store.load("side", Turn).base == (turn("a"),)
    assert SqliteStore().load("main", Turn).records == (), "each has its own"


def test_the_files_are_the_users_own(store, path):
    store.append(turn("a"))
    files = list(path.parent.iterdir())
    assert len(files) == 3, "the log and its index are there while the store is open"
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}


# --- the order


def test_of_two_answers_at_once_the_one_that_ended_last_is_the_head(store):
    store.append(turn("a"))
    live = Chain("main", store.load("main", Turn).records)
    store.append(turn("slow", "a", status="stopped", text="…"), running=True)
    for ended in (turn("quick", "a"), turn("slow", "a")):
        store.append(ended)
        live.append(ended)
    replayed = Chain("main", store.load("main", Turn).records)
    assert replayed.head == live.head == turn("slow", "a")
    assert list(replayed.turns) == list(live.turns)


@pytest.mark.parametrize("follows", [turn("child", "run"), HeadMove("main", "head", "run")])
def test_what_another_process_put_after_a_running_turn_stays_after_it(store, follows):
    store.append(turn("run", status="stopped"), running=True)
    with again(store) as other:
        assert Chain("main", other.load("main", Turn).records).turns["run"].status == "stopped"
        other.append(follows)
    store.append(turn("run"))
    assert store.load("main", Turn).records == (turn("run"), follows)
    Chain("main", store.load("main", Turn).records)  # it replays


def test_a_turn_that_was_left_behind_may_be_finished_by_another_process(store):
    store.append(turn("a", status="stopped", text="half"), running=True)
    with again(store) as other:
        other.append(turn("a", status="stopped", text="half and more"), running=True)
        other.append(turn("a"))
        assert other.load("main", Turn).records == (turn("a"),)
        assert other.chats()[0].turns == 1


# --- finding


def test_the_way_to_a_turn_leads_through_forks(store):
    store.append(turn("a"))
    store.append(turn("b", "a"))
    store.append(HeadMove("side", "fork", "a"))
    store.append(turn("c", "a", "side"))
    store.append(HeadMove("far", "fork", "c"))
    store.append(turn("d", "c", "far"))
    far = store.load("far", Turn)
    assert far.records[0] == HeadMove("far", "fork", "c")
    assert [each.key for each in far.base] == ["a", "c"]
    assert far.chain().head.key == "d"


def test_a_copy_of_a_conversation_keeps_to_itself(store):
    for chat in ("main", "copy"):
        store.append(turn("a", chat=chat))
        store.append(turn("b", "a", chat))
        store.append(turn(f"only in {chat}", "b", chat))
    store.append(HeadMove("side", "fork", "only in copy"))
    assert {each.chat for each in store.load("side", Turn).base} == {"copy"}


def test_a_summary_tells_the_conversation_in_a_line(store):
    store.append(turn("a", prompt="First " * 100, created_at=100.0, seconds=5.0))
    store.append(turn("b", "a", prompt="Second"))
    store.append(HeadMove("main", "head", "a", 200.0))
    store.append(HeadMove("side", "fork", "b", 300.0))
    main, side = store.chats()
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
        lambda connection: select_conversation(connection, SCOPE, "main", Turn),
        lambda connection: select_conversation(connection, SCOPE, "main", TurnSummary),
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
            store.append(turn(f"{name}{number}", chat=name, status="stopped"), running=True)
            store.append(turn(f"{name}{number}", chat=name))

    workers = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(each.chat for each in store.chats()) == list("abcd")
    assert all(len(store.load(name, Turn).records) == 50 for name in "abcd")


def test_a_checkpoint_does_not_wait_for_another_writer_but_an_append_does(store, path):
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        store.append(turn("a", status="stopped"), running=True)  # left to the next one
        release = threading.Timer(0.3, other.execute, ["COMMIT"])
        release.start()
        store.append(turn("b"))
        release.join()
    store.append(turn("a", status="stopped"), running=True)
    with again(store) as fresh_store:
        assert [each.key for each in fresh_store.load("main", Turn).records] == ["b", "a"]


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
    assert store.load("main", Turn).records == (turn("a"),)
