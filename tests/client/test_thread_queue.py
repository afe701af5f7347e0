"""The queue between two threads, without a network."""

from __future__ import annotations

import asyncio
import threading

import pytest

from qwen_magic.client.engine import ThreadQueue


def at_once(batch):
    return 0.0


def test_drain_gives_all_then_the_end():
    queue = ThreadQueue[int]()
    assert queue.drain() == ([], False)
    queue.put(1)
    queue.put(2)
    assert queue.drain() == ([1, 2], False)
    queue.put(3)
    queue.end()
    queue.end()
    assert queue.drain() == ([3], True)
    assert queue.drain() == ([], True)


def test_nothing_is_lost_between_threads():
    queue = ThreadQueue[int]()

    def produce():
        for number in range(20_000):
            queue.put(number)
        queue.end()

    producer = threading.Thread(target=produce)
    producer.start()
    got = [number for batch in queue.batches_sync(at_once) for number in batch]
    producer.join()
    assert got == list(range(20_000))


def test_nothing_is_lost_to_an_async_consumer():
    queue = ThreadQueue[int]()
    woken = 0

    def produce():
        for number in range(20_000):
            queue.put(number)
        queue.end()

    async def consume():
        nonlocal woken
        threading.Thread(target=produce).start()
        got = []
        async for batch in queue.batches(at_once):
            woken += 1
            got += batch
        return got

    assert asyncio.run(consume()) == list(range(20_000))
    assert woken < 20_000  # wake-ups are coalesced


def test_while_nothing_comes_batches_are_empty():
    queue = ThreadQueue[int]()

    async def consume():
        batches = []
        async for batch in queue.batches(at_once):
            batches.append(batch)
            if len(batches) == 3:
                queue.put(1)
            elif batch:
                queue.end()
        return batches

    assert asyncio.run(consume()) == [[], [], [], [1]]


def test_a_consumer_whose_loop_has_closed_harms_nobody():
    queue = ThreadQueue[int]()

    async def begin():
        batches = queue.batches(at_once)
        queue.put(1)
        assert await anext(batches) == [1]
        return batches

    loop = asyncio.new_event_loop()
    batches = loop.run_until_complete(begin())
    loop.close()
    queue.put(2)
    queue.end()
    assert queue.drain() == ([2], True)
    del batches


def test_a_new_consumer_takes_over():
    queue = ThreadQueue[int]()

    async def first():
        batches = queue.batches(at_once)
        queue.put(1)
        got = await anext(batches)
        await batches.aclose()
        return got

    assert asyncio.run(first()) == [1]
    queue.put(2)
    queue.end()
    assert [n for batch in queue.batches_sync(at_once) for n in batch] == [2]


def test_a_handler_runs_while_an_async_consumer_waits():
    """A loop with nothing to do would not notice a signal: something must turn it."""
    queue = ThreadQueue[int]()
    turns = 0

    async def consume():
        nonlocal turns
        loop = asyncio.get_running_loop()
        plain = loop._run_once

        def counted():
            nonlocal turns
            turns += 1
            plain()
            if turns == 8:
                queue.end()

        loop._run_once = counted
        async for _ in queue.batches(at_once):
            pass

    asyncio.run(consume())
    assert turns >= 8


@pytest.mark.parametrize("waits", ["awaits", "blocks"])
def test_the_end_waits_for_no_pause(waits):
    queue = ThreadQueue[int]()
    paused = []

    def pause(batch):
        paused.append(batch)
        threading.Timer(0.05, lambda: (queue.put(2), queue.put(3), queue.end())).start()
        return 60.0

    async def consume():
        return [batch async for batch in queue.batches(pause) if batch]

    queue.put(1)
    if waits == "awaits":
        batches = asyncio.run(consume())
    else:
        batches = [batch for batch in queue.batches_sync(pause) if batch]
    assert [n for batch in batches for n in batch] == [1, 2, 3]
    assert paused == [[1]], "the test's own time limit is the pause"


@pytest.mark.parametrize("waits", ["awaits", "blocks"])
def test_a_look_waits_for_no_pause(waits):
    """The test's own time limit is the pause: what came in it is given before anything ends."""
    queue = ThreadQueue[int]()
    got = []

    def pause(batch):
        if batch == [1]:
            threading.Timer(0.05, lambda: (queue.put(2), queue.put(3), queue.look())).start()
        else:
            queue.end()
        return 600.0

    async def consume():
        async for batch in queue.batches(pause):
            got.extend(batch)

    queue.put(1)
    if waits == "awaits":
        asyncio.run(consume())
    else:
        got = [number for batch in queue.batches_sync(pause) for number in batch]
    assert got == [1, 2, 3]


def test_what_comes_in_a_pause_comes_together():
    queue = ThreadQueue[int]()
    queue.put(1)
    got = []
    for batch in queue.batches_sync(lambda batch: 0.05):
        got += [batch] if batch else []
        if batch == [1]:
            for number in (2, 3):
                queue.put(number)
        elif batch:
            queue.end()
    assert got == [[1], [2, 3]]
