"""Meeting the needs of a turn's calls, in a caller that blocks and in one that awaits."""

from __future__ import annotations

import asyncio
import inspect
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qwen_magic.protocol.items import CallResult
from qwen_magic.session.view import TICK
from qwen_magic.tools import nesting
from qwen_magic.tools.execution import awaited_outcome, outcome
from qwen_magic.tools.loop import Consult, Invoke, Need, Needs

if TYPE_CHECKING:
    from qwen_magic.session.run import TurnRun


def settle(needs: Needs, run: TurnRun, look: Callable[[], None], *, may_nest: bool) -> None:
    """Answer the calls, blocking. `look` is called about thirty times a second while it waits.
    Ends early where the turn is stopped. `may_nest`: a running loop may be made re-entrant."""
    reply: object = None
    try:
        while not run.stop_asked and (need := _next(needs, reply)) is not None:
            reply = _meet(need, run, look, may_nest)
    finally:
        needs.close()


async def asettle(needs: Needs, run: TurnRun) -> None:
    """The same on the caller's event loop; whoever ticks goes on ticking."""
    reply: object = None
    try:
        while not run.stop_asked and (need := _next(needs, reply)) is not None:
            reply = await _ameet(need, run)
    except KeyboardInterrupt:
        # Out of a task it would end the loop, and with it the kernel. So it is told to the loop's
        # own handler, which is back in its place by now and cancels what the user sees running.
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler) and handler is not signal.default_int_handler:
            handler(signal.SIGINT, None)
        raise asyncio.CancelledError from None
    finally:
        needs.close()


def _next(needs: Needs, reply: object) -> Need | None:
    """What is needed next; None where all calls are answered."""
    try:
        return needs.send(reply)
    except StopIteration:
        return None


def _meet(need: Need, run: TurnRun, look: Callable[[], None], may_nest: bool) -> object:
    match need:
        case Consult(poll=poll):
            while (verdict := poll()) is None and not run.stop_asked:
                time.sleep(TICK)
                look()
            return verdict
        case Invoke():
            return _invoke(need, run, look, may_nest)


def _invoke(need: Invoke, run: TurnRun, look: Callable[[], None], may_nest: bool) -> CallResult:
    given = outcome(need)
    if isinstance(given, CallResult):
        return given
    if nesting.loop_runs():
        if not may_nest:
            return _left_alone(given)
        if not nesting.is_nested():
            run.warn("nest_asyncio2 made this event loop re-entrant, for an async function")

    def watch() -> bool:
        look()
        return run.stop_asked

    return nesting.run_here(awaited_outcome(need, given, watch=watch))


def _left_alone(awaitable: Any) -> CallResult:
    """For a function that only when it ran turned out to be asynchronous."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()
    return CallResult.failure("it is asynchronous, and this blocking call may not wait for it")


async def _ameet(need: Need, run: TurnRun) -> object:
    match need:
        case Consult(poll=poll):
            while (verdict := poll()) is None and not run.stop_asked:
                await asyncio.sleep(TICK)
            return verdict
        case Invoke():
            given = outcome(need)
            if isinstance(given, CallResult):
                return given
            return await awaited_outcome(need, given, watch=lambda: run.stop_asked)
