"""Run a function of the notebook on the calling thread, within its time limit.

    invoke    for a caller that blocks
    ainvoke   for a caller that awaits

A synchronous function blocks the thread. So that ■ and Ctrl-C reach it, Python's own signal handler
replaces ipykernel's meanwhile (`context/time_limit.py`).
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from qwen_magic.context.time_limit import OutOfTimeError, interruptible, time_limit
from qwen_magic.document.question import Question, Verdict
from qwen_magic.protocol.call_outputs import CallResult
from qwen_magic.tools.definition import failure_of
from qwen_magic.tools.loop import Invoke
from qwen_magic.tools.policy import Prompt, is_nested, loop_runs, run_here
from qwen_magic.tools.results import Yielded

T = TypeVar("T")

_LOOK: Final = 1 / 30  # seconds between two looks at whether to go on
# What a function may raise without ending more than itself.
_FAILURES: Final = (Exception, SystemExit)
_FOR_ITEMS: Final = 0.95  # of its time, so that what an iterator gave until then is not lost
_TO_CLEAN_UP: Final = 1.0  # seconds that a cancelled function has


class StoppedError(Exception):
    """The turn was stopped while waiting for a function."""


def invoke(
    call: Invoke,
    watch: Callable[[], bool],
    *,
    may_nest: bool,
    warn: Callable[[str], None],
) -> CallResult:
    """Run a call, and return its result or failure for the model.

    The time limit holds where a function can be interrupted (POSIX, main thread). `watch` is called
    about thirty times a second while an asynchronous function runs; returning True ends the wait.
    `may_nest`: a running event loop may be made re-entrant, about which `warn` is called. Raises
    `KeyboardInterrupt`, and `UsageError` if the loop cannot be re-entered.
    """
    given = _begin(call)
    if isinstance(given, CallResult):
        return given
    if isinstance(given, Future):
        try:
            return call.result(wait_for_future(given, call.seconds, watch))
        except _FAILURES as error:
            return failure_of(error)
    if loop_runs():
        if not may_nest:
            return _left_alone(given)
        if not is_nested():
            warn("nest_asyncio2 made this event loop re-entrant, for an async function")
    return run_here(_finish(call, given, watch))


async def ainvoke(call: Invoke, watch: Callable[[], bool]) -> CallResult:
    """`invoke` on the caller's event loop."""
    given = _begin(call)
    if isinstance(given, Future):
        given = asyncio.wrap_future(given)
    return given if isinstance(given, CallResult) else await _finish(call, given, watch)


def approve(question: Question, prompt: Prompt) -> Verdict | None:
    """Ask the user by calling `prompt`, so that ■ ends the question itself."""
    with interruptible():
        return prompt(question)


def _begin(call: Invoke) -> CallResult | Awaitable[Any] | Future[Any]:
    """Call the function; return its result, or what `_finish` has to wait for.

    The latter is an awaitable, an asynchronous generator's items, or a server's future.
    """
    try:
        with interruptible(), time_limit(call.seconds):
            value = call.tool.function(**call.tool.read_arguments(call.arguments))
            if hasattr(type(value), "__aiter__"):
                return _gathered(value, call)
            is_server = call.tool.server and isinstance(value, Future)
            return value if is_server or inspect.isawaitable(value) else call.result(value)
    except _FAILURES as error:
        return failure_of(error)


async def _finish(call: Invoke, given: Awaitable[Any], watch: Callable[[], bool]) -> CallResult:
    """The result of an asynchronous function."""
    try:
        value = await _wait_for(given, call.seconds, watch)
        if hasattr(type(value), "__aiter__"):
            value = await _wait_for(_gathered(value, call), call.seconds, watch)
        with interruptible(), time_limit(call.seconds):
            return call.result(value)
    except _FAILURES as error:
        return failure_of(error)


def wait_for_future(
    answer: Future[T], seconds: float, watch: Callable[[], bool] = lambda: False
) -> T:
    """Block until another thread has the result, ■ is pressed, or `watch` returns True.

    Raises the other thread's exception, `StoppedError`, or `OutOfTimeError`.
    """
    ends_at = time.monotonic() + seconds
    try:
        with interruptible():
            while not wait([answer], _LOOK).done:
                if watch():
                    raise StoppedError
                if time.monotonic() > ends_at:
                    raise OutOfTimeError(seconds)
            return answer.result()
    finally:
        answer.cancel()


async def _gathered(source: AsyncIterable[Any], call: Invoke) -> Yielded:
    """The items of an asynchronous iterator, until the limits of size or time are reached."""
    plain, items = call.plain(), Yielded()
    try:
        async with asyncio.timeout(min(call.seconds, 1e7) * _FOR_ITEMS) as limit:
            async for item in source:
                items.append(plain.of(item))
                if not plain.has_room(len(items)):
                    break
    except TimeoutError:
        if not limit.expired():
            raise
        plain.end_early(len(items), str(OutOfTimeError(call.seconds)))
    finally:
        if callable(close := getattr(source, "aclose", None)):
            await close()
    items.notes = tuple(plain.notes)
    return items


def _left_alone(awaitable: Any) -> CallResult:
    """Close an awaitable of a function that was not declared as asynchronous."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()
    return CallResult.failure("it is asynchronous, and this blocking call may not wait for it")


async def _wait_for(awaited: Awaitable[Any], seconds: float, watch: Callable[[], bool]) -> Any:
    """Await with a time limit; any early end cancels `awaited`, once.

    Raises its exception, `StoppedError`, or `OutOfTimeError`.
    """
    task = asyncio.ensure_future(_contained(awaited))
    ends_at = time.monotonic() + seconds
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK)
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
    """Await it, and turn `SystemExit` into an error: it would end the event loop, and so the
    kernel.
    """
    try:
        return await awaited
    except SystemExit as error:
        raise RuntimeError(f"SystemExit: {error}") from error


@contextmanager
def interrupt_cancels() -> Iterator[None]:
    """In a task, turns a `KeyboardInterrupt` into the cancellation of what the user sees running.

    Out of a task it would end the event loop, and with it the kernel. So it is told to the loop's
    own SIGINT handler, which is back in its place by now and cancels the running cell.
    """
    try:
        yield
    except KeyboardInterrupt:
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler) and handler is not signal.default_int_handler:
            handler(signal.SIGINT, None)
        raise asyncio.CancelledError from None
