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

from qwen_magic.context.functions import FunctionTool, failure_text
from qwen_magic.session.calls import Invoke

_INTERVAL: Final = 1 / 30  # seconds between two looks at a function that is awaited
# What a function may raise without ending more than itself.
FAILURES: Final = (Exception, SystemExit)


class StoppedError(Exception):
    """The turn was stopped while a function was awaited."""


class OutOfTimeError(TimeoutError):
    """A function took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not finished after {seconds:.3g} s, and ended")


def call(tool: FunctionTool, arguments: str, seconds: float) -> Any:
    """What the function gives; an awaitable where it is asynchronous. Raises what it raises, and
    `OutOfTimeError`, where the platform can interrupt it (POSIX, the main thread)."""
    with _interruptible(), _at_most(seconds):
        return tool.function(**tool.read_arguments(arguments))


async def wait_for(awaited: Awaitable[Any], seconds: float, *, watch: Callable[[], bool]) -> Any:
    """What `awaited` gives, in time. `watch` is called about thirty times a second; True ends the
    wait. Whatever ends it early cancels `awaited`, once. Raises what it raises, `StoppedError`,
    `OutOfTimeError`."""
    task = asyncio.ensure_future(awaited)
    ends_at = time.monotonic() + seconds
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_INTERVAL)
            if watch() and not task.done():
                raise StoppedError
            if time.monotonic() > ends_at and not task.done():
                raise OutOfTimeError(seconds)
        if task.cancelled():  # by itself: that is no cancellation of ours
            raise RuntimeError("it was cancelled")
        return task.result()
    finally:
        if not task.done():
            task.cancel()


def outcome(need: Invoke) -> str | Awaitable[Any]:
    """What is sent back for a call: the text of what the function gave, or of its failure; an
    awaitable is handed on."""
    try:
        value = call(need.tool, need.arguments, need.seconds)
    except FAILURES as error:
        return failure_text(error)
    return value if inspect.isawaitable(value) else need.text(value)


async def awaited_outcome(
    need: Invoke, awaited: Awaitable[Any], *, watch: Callable[[], bool]
) -> str:
    """The same for what an asynchronous function gave."""
    try:
        value = await wait_for(awaited, need.seconds, watch=watch)
    except FAILURES as error:
        return failure_text(error)
    return need.text(value)


@contextmanager
def _interruptible() -> Iterator[None]:
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

    before = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    began = time.monotonic()
    try:
        yield
    finally:  # a timer that ran already, such as of a function around this one, goes on
        goes_on = max(0.001, left - (time.monotonic() - began)) if left else 0.0
        signal.setitimer(signal.ITIMER_REAL, goes_on)
        if before is not None:
            signal.signal(signal.SIGALRM, before)
