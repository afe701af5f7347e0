"""The private event loop: one asyncio loop in one daemon thread, apart from the kernel's.

    not started --submit--> running --close--> closed
    running --fork--> (in the child) not started: the parent's loop is left alone

Everything of the network runs there, so that a stream goes on while a cell computes, and a cell
goes on while a stream waits. Nothing there may display anything.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


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
