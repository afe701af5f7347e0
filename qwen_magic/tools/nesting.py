"""Awaiting inside a synchronous call: with nest_asyncio2 where an event loop runs already.

The one place for it. A synchronous `ask()` in a notebook's cell blocks the kernel's loop; an
asynchronous function that the model calls may wait for something of that very loop (a lock, a
database client), so that running it on another loop fails or hangs. nest_asyncio2 makes the loop
re-entrant: for the whole process and for good, which is why it is applied only here, when it is
needed. `await`ing callers never need it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from qwen_magic.errors import UsageError

T = TypeVar("T")


def loop_runs() -> bool:
    """Whether this thread's event loop is running: our caller blocks it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def is_nested() -> bool:
    """Whether the running loop can be re-entered already."""
    return hasattr(asyncio.get_running_loop(), "_nest_patched")


def run_here(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` gives, waited for on this thread. Makes the running loop re-entrant.

    Raises `UsageError` where that is none of asyncio's own kind (uvloop).
    """
    if not loop_runs():
        return asyncio.run(coroutine)
    import nest_asyncio2  # type: ignore[import-untyped]

    loop = asyncio.get_running_loop()
    try:
        nest_asyncio2.apply(loop)
    except ValueError as error:
        coroutine.close()
        raise UsageError(
            "An asynchronous function cannot be awaited in this blocking call.",
            why=str(error),
            hint="Ask at the top of a cell with %%qwen, or with await qwen.aask(…).",
        ) from error
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    finally:
        task.cancel()  # nothing, where it has ended
