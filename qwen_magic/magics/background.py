"""Answers that go on after their cell has returned: waiting for what they depend on."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

from qwen_magic.document.facts import Outcome, failure
from qwen_magic.errors import QwenError
from qwen_magic.protocol.state import ResponseState
from qwen_magic.session.view import facts_of

if TYPE_CHECKING:
    from qwen_magic.frontends.jupyter import LiveView
    from qwen_magic.session.plan import Plan


async def until_done(
    tasks: Collection[asyncio.Future[None]], step: Callable[[], Awaitable[None]]
) -> None:
    """Wait for `tasks`; `step` is called about thirty times a second meanwhile."""
    while any(not task.done() for task in tasks):
        await step()
        await asyncio.sleep(0.03)


async def wait_for_place(
    plan: Callable[[], Plan], before: Collection[asyncio.Future[None]], view: LiveView
) -> Plan | None:
    """The plan of a question, made when the answers `before` it have ended.

    None where it was stopped meanwhile or cannot be planned, which the output then shows: nobody
    is there to raise it to.
    """
    stopped = threading.Event()
    nothing = ResponseState()
    view.begin(stopped.set)
    view.notice("Waiting for the answer before")

    async def step() -> None:
        view.tick(nothing, time.monotonic())
        if stopped.is_set():
            raise asyncio.CancelledError

    try:
        await until_done(before, step)
        made = plan()
    except QwenError as error:
        view.finish(nothing, time.monotonic(), failure(error), {})
        return None
    except asyncio.CancelledError:
        view.finish(nothing, time.monotonic(), Outcome("stopped"), {})
        return None
    view.notice("")
    view.settle(facts_of(made))
    return made
