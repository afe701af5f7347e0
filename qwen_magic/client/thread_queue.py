"""The queue between the engine's thread, which produces, and one consumer on any other thread.

Wake-ups are coalesced: the producer appends, then wakes only if no wake-up is pending; the
consumer clears the pending mark, then drains. So a consumer that is busy costs the producer
nothing, and nothing can be left lying without a wake-up to come:

    producer            consumer             items   pending
    put(a)  append                           a       no
            mark, wake                       a       yes
    put(b)  append                           a b     yes: no second wake-up
                        drain: clear mark    a b     no
    put(c)  append                           a b c   no
                               take all      -       no
            mark, wake                       -       yes: a wake-up for nothing, which does no harm

The other order (take all, then clear the mark) would lose a wake-up: an item that comes between the
two finds the mark set, wakes nobody, and lies there until the next one comes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# SIGINT does not wake an idle event loop: without a tick an interrupt would wait for the next
# byte of the server.
_TICK = 0.05
# How long a synchronous consumer waits for something, at least, before it gets nothing.
_IDLE = 1 / 30


class ThreadQueue(Generic[T]):
    """Items from one producing thread to one consuming thread, in order, then the end."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._pending = False
        self._nudged = False
        self._closed = False  # the producer's
        self._ready = threading.Event()
        self._wake: Callable[[], object] | None = None

    # the producer

    def put(self, item: T) -> None:
        self._items.append(item)
        self._signal()

    def nudge(self) -> None:
        """Have the consumer get an empty batch: something beside the items has changed."""
        self._nudged = True
        self._signal()

    def end(self) -> None:
        """No item comes after this. Idempotent."""
        self._closed = True
        self._pending = False
        self._signal()

    def _signal(self) -> None:
        if self._pending:
            return
        self._pending = True
        self._ready.set()
        wake = self._wake
        if wake is not None:
            try:
                wake()
            except RuntimeError:  # the consumer's loop is closed: nobody waits
                self._wake = None

    # the consumer

    def drain(self) -> tuple[list[T], bool]:
        """All that has come and was not taken yet, and whether that was the last. Never waits."""
        self._pending = False
        self._ready.clear()
        closed = self._closed  # read before the items: none can follow
        items = self._items
        taken: list[T] = []
        while items:
            taken.append(items.popleft())
        if closed:
            self._ready.set()  # a later wait must not wait
        return taken, closed

    async def batches(self, interval: float) -> AsyncIterator[list[T]]:
        """What comes, the first at once, then at most one list in `interval` seconds. An empty
        list is a nudge."""
        loop = asyncio.get_running_loop()
        there = asyncio.Event()
        there.set()  # look at what came before
        self._wake = lambda: loop.call_soon_threadsafe(there.set)
        ticker = _Ticker(loop)
        due = 0.0
        try:
            while True:
                await there.wait()
                there.clear()
                if (pause := due - loop.time()) > 0:
                    await asyncio.sleep(pause)
                batch, ended = self.drain()
                nudged, self._nudged = self._nudged, False
                if batch or nudged:
                    due = loop.time() + interval
                    yield batch
                if ended:
                    return
        finally:
            self._wake = None
            ticker.stop()

    def batches_sync(self, interval: float) -> Iterator[list[T]]:
        """What has come, at most every `interval` seconds, also when it is nothing (thirty times a
        second at most): between two lists the caller can look at other things."""
        while True:
            due = time.monotonic() + interval
            self._ready.wait(max(interval, _IDLE))
            batch, ended = self.drain()
            yield batch
            if ended:
                return
            if batch and (pause := due - time.monotonic()) > 0:
                time.sleep(pause)


class _Ticker:
    """Keeps a loop turning, so that signal handlers get their turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle = loop.call_later(_TICK, self._tick)

    def _tick(self) -> None:
        self._handle = self._loop.call_later(_TICK, self._tick)

    def stop(self) -> None:
        self._handle.cancel()
