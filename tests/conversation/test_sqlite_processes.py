"""The durable store under several processes, and under their death."""

import os
import signal
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from qwen_magic.conversation.chain import Chain, Turn
from qwen_magic.conversation.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
SCOPE = "/home/me/a.ipynb"
BEGINNING = """
import os, sys
from pathlib import Path
from qwen_magic.conversation.chain import Turn
from qwen_magic.conversation.sqlite import SqliteStore

PATH, NAME = Path(sys.argv[1]), sys.argv[2]

def turn(number, text="text", status="completed"):
    parent = f"{NAME}{number - 1}" if number else None
    key = f"{NAME}{number}"
    return Turn(key, "main", status, parent, f"resp_{key}", text=text)

def say(word):
    print(word, flush=True)
"""
APPEND = """
say("ready")
input()
store = SqliteStore(PATH, "/home/me/a.ipynb")
for number in range(1000):
    store.append(turn(number))
"""
CHECKPOINT = """
store = SqliteStore(PATH, "/home/me/a.ipynb")
store.append(turn(0))
text = ""
while True:
    text += f"{len(text)} "
    store.append(turn(1, text, "stopped"), running=True)
    say(len(text))
"""
APPEND_FOREVER = """
store = SqliteStore(PATH, "/home/me/a.ipynb")
number = 0
while True:
    store.append(turn(number, "word " * 10_000))
    say(number)
    number += 1
"""
# A thread writes all the while, so that forks meet it at every point of a write.
FORK = """
import threading

store = SqliteStore(PATH, "/home/me/a.ipynb")
stop = threading.Event()

def write():
    number = 0
    while not stop.is_set():
        store.append(turn(number))
        number += 1
    say(number)

writer = threading.Thread(target=write)
writer.start()
children = []
for name in "bcdef":
    children.append(os.fork())
    if not children[-1]:
        assert store._database._connection is None, "a connection came along"
        NAME = name
        for number in range(20):
            store.append(turn(number))
        os._exit(0)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
stop.set()
writer.join()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "conversations.sqlite3"


@contextmanager
def running(script, path, name="a"):
    """A process of its own that runs `script` on the store; it ends here at the latest."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGINNING + script, str(path), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the children that it made


def kept(path):
    with closing(SqliteStore(path, SCOPE)) as store:
        return store.load("main", Turn).records


def test_two_processes_that_write_at_once_lose_nothing(path):
    with running(APPEND, path, "a") as one, running(APPEND, path, "b") as other:
        for process in (one, other):
            assert process.stdout.readline() == "ready\n"
        for process in (one, other):  # they make the file together, too
            process.stdin.write("go\n")
            process.stdin.flush()
        assert (one.wait(60), other.wait(60)) == (0, 0)
    records = kept(path)
    assert {turn.key for turn in records} == {f"{name}{n}" for name in "ab" for n in range(1000)}
    Chain("main", records)  # parents precede their children


def test_a_process_killed_in_mid_answer_leaves_its_last_checkpoint(path):
    with running(CHECKPOINT, path) as process:
        shown = [int(process.stdout.readline()) for _ in range(20)][-1]
        process.kill()
    first, stopped = kept(path)
    assert (first.key, stopped.key, stopped.status) == ("a0", "a1", "stopped")
    assert len(stopped.text) >= shown
    assert stopped.text.startswith("0 2 4 6 8 10 13")
    chain = Chain("main", [first, stopped])
    assert chain.head == first


def test_a_process_killed_while_it_appends_leaves_whole_turns(path):
    with running(APPEND_FOREVER, path) as process:
        said = [int(process.stdout.readline()) for _ in range(30)][-1]
        process.kill()
    records = kept(path)
    assert [turn.key for turn in records] == [f"a{number}" for number in range(len(records))]
    assert len(records) > said
    assert {len(turn.text) for turn in records} == {50_000}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_forked_children_open_the_file_for_themselves(path):
    with running(FORK, path) as process:
        assert process.wait(30) == 0
        written = int(process.stdout.read())
    keys = [turn.key for turn in kept(path)]
    assert sorted(keys) == sorted(
        [f"a{number}" for number in range(written)]
        + [f"{name}{number}" for name in "bcdef" for number in range(20)]
    )
