"""Running one function of the notebook, on the thread that asked, within its time.

A synchronous function blocks that thread. ■ and Ctrl-C must reach it all the same: in a cell that
awaits, ipykernel's own SIGINT handler cancels the cell, which synchronous code notices only at its
end (seen on 6.31 and 7.4); so Python's handler is put in its place meanwhile.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from qwen_magic.protocol.items import CallResult
from qwen_magic.session.view import TICK
from qwen_magic.tools.definition import failure_of
from qwen_magic.tools.loop import Invoke

# What a function may raise without ending more than itself.
_FAILURES: Final = (Exception, SystemExit)
_AGAIN: Final = (
    1.0  # seconds after which a function that swallowed the end of its time is told again
)
_LONGEST: Final = 1e7  # seconds that a timer takes
_TO_CLEAN_UP: Final = 1.0  # seconds that a cancelled function has


class StoppedError(Exception):
    """The turn was stopped while a function was awaited."""


class OutOfTimeError(TimeoutError):
    """A function took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not finished after {seconds:.3g} s, and ended")


def outcome(need: Invoke) -> CallResult | Awaitable[Any]:
    """What is sent back for a call: what the function gave, or its failure; an
    awaitable is handed on. The time holds where the platform can interrupt a function (POSIX, the
    main thread)."""
    try:
        with interruptible(), _at_most(need.seconds):
            value = need.tool.function(**need.tool.read_arguments(need.arguments))
            return value if inspect.isawaitable(value) else need.result(value)
    except _FAILURES as error:
        return failure_of(error)


async def awaited_outcome(
    need: Invoke, awaited: Awaitable[Any], *, watch: Callable[[], bool]
) -> CallResult:
    """The same for what an asynchronous function gave. `watch` is called about thirty times a
    second; True ends the wait."""
    try:
        value = await _wait_for(awaited, need.seconds, watch)
        with interruptible(), _at_most(need.seconds):
            return need.result(value)
    except _FAILURES as error:
        return failure_of(error)


async def _wait_for(awaited: Awaitable[Any], seconds: float, watch: Callable[[], bool]) -> Any:
    """What `awaited` gives, in time. Whatever ends the wait early cancels it, once. Raises what it
    raises, `StoppedError`, `OutOfTimeError`."""
    task = asyncio.ensure_future(_contained(awaited))
    ends_at = time.monotonic() + seconds
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=TICK)
            late = time.monotonic() > ends_at
            if not task.done() and (watch() or late):
                task.cancel()
                await asyncio.wait({task}, timeout=_TO_CLEAN_UP)
                raise OutOfTimeError(seconds) if late else StoppedError
        if task.cancelled():  # by itself: that is no cancellation of ours
            raise RuntimeError("it was cancelled")
        return task.result()
    finally:
        if not task.done() and not task.cancelling():
            task.cancel()


async def _contained(awaited: Awaitable[Any]) -> Any:
    """A `SystemExit` out of a task would end the event loop, and with it the kernel."""
    try:
        return await awaited
    except SystemExit as error:
        raise RuntimeError(f"SystemExit: {error}") from error


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT raises `KeyboardInterrupt` at once; outside the main thread there is none to raise."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise `OutOfTimeError` inside the block after so many seconds, where a timer can."""
    on_main = threading.current_thread() is threading.main_thread()
    if not on_main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTimeError(seconds)

    before, began = signal.signal(signal.SIGALRM, ring), time.monotonic()
    left, every = signal.setitimer(signal.ITIMER_REAL, min(seconds, _LONGEST), _AGAIN)
    try:
        yield
    finally:  # a timer that ran already, such as of a function around this one, goes on
        goes_on = max(0.001, left - (time.monotonic() - began)) if left else 0.0
        signal.setitimer(signal.ITIMER_REAL, goes_on, every)
        if before is not None:
            signal.signal(signal.SIGALRM, before)
