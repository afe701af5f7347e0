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

# How long a consumer waits for something, at least, before it gets nothing. It also keeps an event
# loop turning: SIGINT does not wake an idle one (seen on ipykernel 6.31 to 7.4), and an interrupt
# would wait for the next byte of the server.
_IDLE = 1 / 30


class ThreadQueue(Generic[T]):
    """Items from one producing thread to one consuming thread, in order, then the end."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._pending = False
        self._closed = False  # the producer's
        self._ready = threading.Event()
        self._wake: Callable[[], object] | None = None

    # the producer

    def put(self, item: T) -> None:
        self._items.append(item)
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
        """What has come, the first at once, then at most every `interval` seconds; also nothing, at
        most thirty times a second: between two lists the caller can look at other things."""
        loop = asyncio.get_running_loop()
        there = asyncio.Event()
        there.set()  # look at what came before
        self._wake = lambda: loop.call_soon_threadsafe(there.set)
        due = 0.0
        try:
            while True:
                alarm = loop.call_later(max(interval, _IDLE), there.set)
                try:
                    await there.wait()
                finally:
                    alarm.cancel()
                there.clear()
                if (pause := due - loop.time()) > 0:
                    await asyncio.sleep(pause)
                batch, ended = self.drain()
                if batch:
                    due = loop.time() + interval
                if batch or not ended:
                    yield batch
                if ended:
                    return
        finally:
            self._wake = None

    def batches_sync(self, interval: float) -> Iterator[list[T]]:
        """The same for a consumer that blocks."""
        while True:
            due = time.monotonic() + interval
            self._ready.wait(max(interval, _IDLE))
            batch, ended = self.drain()
            yield batch
            if ended:
                return
            if batch and (pause := due - time.monotonic()) > 0:
                time.sleep(pause)
