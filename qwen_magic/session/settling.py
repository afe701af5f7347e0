"""Meeting the needs of a turn's calls, in a caller that blocks and in one that awaits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from qwen_magic.session import nesting
from qwen_magic.session.calls import Consult, Invoke, Need, Needs
from qwen_magic.session.invoking import awaited_outcome, outcome

if TYPE_CHECKING:
    from qwen_magic.session.run import TurnRun

_INTERVAL: Final = 1 / 30  # seconds


def settle(needs: Needs, run: TurnRun, look: Callable[[], None]) -> None:
    """Answer the calls, blocking. `look` is called about thirty times a second while it waits.
    Ends early where the turn is stopped."""
    reply: object = None
    try:
        while not run.stop_asked:
            reply = _meet(needs.send(reply), run, look)
    except StopIteration:
        pass
    finally:
        needs.close()


async def asettle(needs: Needs, run: TurnRun) -> None:
    """The same on the caller's event loop; whoever ticks goes on ticking."""
    reply: object = None
    try:
        while not run.stop_asked:
            reply = await _ameet(needs.send(reply), run)
    except StopIteration:
        pass
    finally:
        needs.close()


def _meet(need: Need, run: TurnRun, look: Callable[[], None]) -> object:
    match need:
        case Consult(poll=poll):
            while (verdict := poll()) is None and not run.stop_asked:
                time.sleep(_INTERVAL)
                look()
            return verdict
        case Invoke():
            return _invoke(need, run, look)


def _invoke(need: Invoke, run: TurnRun, look: Callable[[], None]) -> str:
    given = outcome(need)
    if isinstance(given, str):
        return given
    if nesting.loop_runs() and not nesting.is_nested():
        run.tell("nest_asyncio2 made this kernel's event loop re-entrant, for an async function")

    def watch() -> bool:
        look()
        return run.stop_asked

    return nesting.run_here(awaited_outcome(need, given, watch=watch))


async def _ameet(need: Need, run: TurnRun) -> object:
    match need:
        case Consult(poll=poll):
            while (verdict := poll()) is None and not run.stop_asked:
                await asyncio.sleep(_INTERVAL)
            return verdict
        case Invoke():
            given = outcome(need)
            if isinstance(given, str):
                return given
            return await awaited_outcome(need, given, watch=lambda: run.stop_asked)
