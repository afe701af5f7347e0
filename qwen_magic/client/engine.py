"""The private event loop: one asyncio loop in one daemon thread, apart from the kernel's; and the
queue by which what it produces reaches one consumer on any other thread.

    not started --submit--> running --close, let_go--> closed
    running --fork--> (in the child) not started: the parent's loop is left alone

Everything of the network runs there, so that a stream goes on while a cell computes, and a cell
goes on while a stream waits. Nothing there may display anything.

Wake-ups of the queue are coalesced: the producer appends, then wakes only if no wake-up is pending;
the consumer clears the pending mark, then drains. So a consumer that is busy costs the producer
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
import contextvars
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

# How long a consumer waits for something, at least, before it gets nothing. It also keeps an event
# loop turning: SIGINT does not wake an idle one (seen on ipykernel 6.31 to 7.4), and an interrupt
# would wait for the next byte of the server.
_IDLE: Final = 1 / 30


@dataclass(frozen=True, slots=True)
class _Running:
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread


class Engine:
    """Runs coroutines of other threads. Thread-safe; starts with the first `submit`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._running: _Running | None = None
        self._orphaned: list[_Running] = []
        self._closed = False

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run `coroutine` on the loop. Raises `RuntimeError` (and closes it) after `close`.

        It runs in an empty context: a cell's context variables would send what the engine prints
        to that cell for ever.
        """
        self._notice_fork()
        with self._lock:
            if self._closed:
                coroutine.close()
                raise RuntimeError("The engine is closed.")
            loop = self._start().loop
            return contextvars.Context().run(asyncio.run_coroutine_threadsafe, coroutine, loop)

    def call(self, function: Callable[[], object]) -> bool:
        """Have the loop call `function` soon. False when there is no loop that could."""
        self._notice_fork()
        running = self._running
        if running is None:
            return False
        try:
            running.loop.call_soon_threadsafe(function, context=contextvars.Context())
        except RuntimeError:  # closed in this moment
            return False
        return True

    def close(self, timeout: float = 2.0) -> bool:
        """Cancel what runs, end the thread, and say whether it ended within `timeout` seconds."""
        self._notice_fork()
        with self._lock:
            running = self._running
            if running is not None and threading.current_thread() is running.thread:
                raise RuntimeError("The engine cannot be closed from its own thread.")
            self._closed = True
            self._running = None
        if running is None:
            return True
        running.loop.call_soon_threadsafe(running.loop.stop)
        running.thread.join(timeout)
        return not running.thread.is_alive()

    def let_go(self, closing: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Nobody needs it any more: let the thread run `closing()` and end. Waits for nothing, so
        that the collector of garbage may call it, on whatever thread that runs."""
        running, self._running, self._closed = self._running, None, True
        if running is None or os.getpid() != self._pid:
            return
        with suppress(RuntimeError):  # closed in this moment
            running.loop.call_soon_threadsafe(_close_and_stop, running.loop, closing)

    def _start(self) -> _Running:
        if self._running is None:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_run, args=(loop,), name="qwen-engine", daemon=True)
            self._running = _Running(loop, thread)
            thread.start()
        return self._running

    def _notice_fork(self) -> None:
        """In a forked child the thread is gone, and the loop's selector is the parent's: neither
        is touched, nor collected (that would close the shared selector)."""
        if os.getpid() == self._pid:
            return
        self._pid = os.getpid()
        self._lock = threading.Lock()  # another thread may have held it at the fork
        if self._running is not None:
            self._orphaned.append(self._running)
            self._running = None


def _close_and_stop(
    loop: asyncio.AbstractEventLoop, closing: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    task = loop.create_task(closing())
    task.add_done_callback(lambda _done: loop.stop())


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(_wind_up())
    finally:
        loop.close()


async def _wind_up() -> None:
    """Let every task end. One that is being cancelled is not cancelled again: a second time would
    cut short the closing of its connection, and the server would write on."""
    for _ in range(2):  # what was submitted last takes its first step
        await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    await asyncio.get_running_loop().shutdown_asyncgens()


class ThreadQueue(Generic[T]):
    """Items from one producing thread to one consuming thread, in order, then the end."""

    def __init__(self) -> None:
        self._items: deque[tuple[T, ...]] = deque()
        self._pending = False
        self._closed = False  # the producer's
        self._hurried = False  # the next look waits for no pause
        self._ready = threading.Event()
        self._wake: Callable[[], object] | None = None

    # the producer

    def put(self, *items: T) -> None:
        """All at once: a consumer that looks meanwhile sees none of them, or all."""
        if items:
            self._items.append(items)
            self._signal()

    def end(self) -> None:
        """No item comes after this. Idempotent."""
        self._closed = True
        self._pending = False
        self._signal()

    def look(self) -> None:
        """Wake the consumer, whatever pause it is in. From any thread."""
        self._hurried = True
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

    @property
    def _is_urgent(self) -> bool:
        """Whether no pause is to be waited for."""
        return self._closed or self._hurried

    def drain(self) -> tuple[list[T], bool]:
        """All that has come and was not taken yet, and whether that was the last. Never waits."""
        self._pending = self._hurried = False
        self._ready.clear()
        closed = self._closed  # read before the items: none can follow
        items = self._items
        taken: list[T] = []
        while items:
            taken += items.popleft()
        if closed:
            self._ready.set()  # a later wait must not wait
        return taken, closed

    async def batches(self, pause: Callable[[list[T]], float]) -> AsyncIterator[list[T]]:
        """What has come, the first at once. After each list `pause` says for how many seconds
        nothing follows; the end waits for no pause. Also nothing, some thirty times a second:
        between two lists the caller can look at other things."""
        loop = asyncio.get_running_loop()
        there = asyncio.Event()
        there.set()  # look at what came before
        self._wake = lambda: loop.call_soon_threadsafe(there.set)
        due = 0.0
        try:
            while True:
                look = loop.time() + (0.0 if self._items else _IDLE)
                alarm = loop.call_at(max(due, look), there.set)
                try:
                    await there.wait()
                finally:
                    alarm.cancel()
                there.clear()
                if self._items and not self._is_urgent and loop.time() < due:
                    continue  # the first that came in the pause woke us
                batch, ended = self.drain()
                if batch or not ended:
                    yield batch
                if ended:
                    return
                if batch:  # from now on: it was shown meanwhile
                    due = loop.time() + pause(batch)
        finally:
            self._wake = None

    def batches_sync(self, pause: Callable[[list[T]], float]) -> Iterator[list[T]]:
        """The same for a consumer that blocks."""
        due = 0.0
        while True:
            self._ready.wait(_IDLE)
            while self._items and (left := due - time.monotonic()) > 0:
                self._ready.clear()
                if self._is_urgent:  # looked at after the clearing: `end` sets both the other way
                    break
                self._ready.wait(left)
            batch, ended = self.drain()
            yield batch
            if ended:
                return
            if batch:
                due = time.monotonic() + pause(batch)
