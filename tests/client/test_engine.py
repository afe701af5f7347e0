"""The loop in its thread: starts late, ends whole, and leaves a fork's parent alone."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time

import pytest

from qwen_magic.client.engine import Engine


def engine_threads():
    return [thread for thread in threading.enumerate() if thread.name == "qwen-engine"]


def test_it_starts_with_the_first_coroutine():
    engine = Engine()
    assert engine_threads() == []
    assert engine.call(lambda: None) is False

    async def where():
        return threading.current_thread()

    thread = engine.submit(where()).result(5)
    assert engine_threads() == [thread]
    assert thread.daemon
    assert engine.submit(where()).result(5) is thread
    assert engine.close()
    assert engine_threads() == []


def test_the_context_is_empty(engine):
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("the cell's")

    async def read():
        return variable.get()

    assert engine.submit(read()).result(5) == "none"


def test_close_cancels_once_and_waits(engine):
    cancels = []
    begun = threading.Event()

    async def work():
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancels.append(1)
            await asyncio.sleep(0.05)  # a clean-up, that a second cancel would cut short
            cancels.append(2)
            raise

    future = engine.submit(work())
    assert begun.wait(5)
    assert engine.close()
    assert future.cancelled()
    assert cancels == [1, 2]


def test_close_does_not_cancel_again_what_is_being_cancelled(engine):
    cleaned = threading.Event()
    begun = threading.Event()

    async def work():
        task = asyncio.current_task()
        asyncio.get_running_loop().call_later(0.01, task.cancel)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            begun.set()
            await asyncio.sleep(0.1)
            cleaned.set()

    engine.submit(work())
    assert begun.wait(5)
    assert engine.close()
    assert cleaned.is_set()


def test_what_was_submitted_last_is_not_lost(engine):
    """Its coroutine takes its first step, so that its clean-up runs, without a warning."""
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(1)

    for _ in range(10):
        engine.submit(work())
    assert engine.close()
    assert len(ended) == 10


def test_a_closed_engine_takes_nothing(engine):
    assert engine.close()
    assert engine.close()

    async def work():
        raise AssertionError

    with pytest.raises(RuntimeError, match="closed"):
        engine.submit(work())
    assert engine.call(lambda: None) is False


def test_it_cannot_close_itself(engine):
    async def close():
        engine.close()

    with pytest.raises(RuntimeError, match="own thread"):
        engine.submit(close()).result(5)
    assert len(engine_threads()) == 1
    assert engine.close()
    assert engine_threads() == []


def test_a_close_that_takes_too_long_says_so():
    engine = Engine()
    release = threading.Event()

    async def block():
        release.wait(5)

    engine.submit(block())
    assert engine.close(timeout=0.05) is False
    release.set()
    deadline = time.monotonic() + 5
    while engine_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine_threads() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_begins_anew(serve, wire, client, ask, whole):
    slow = [wire.STREAM + wire.created() + wire.delta("par"), 0.3]
    server = serve([*slow, wire.delta("ent") + wire.completed()], wire.answer("child"))
    stream = ask(server)
    while not server.seen:
        time.sleep(0.005)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            events, own = whole(server)
            clean = client.live == 0 and client.close()
            code = 0 if clean and own.error is None and len(events) == 4 else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert stream.wait(5)
    events, _ = stream.drain()
    assert stream.error is None
    assert [r.event.delta for r in events[2:4]] == ["par", "ent"]
