"""`--bg`: answers that go on after their cell has returned, one after the other in a conversation.

Nobody waits for such an answer, so nothing can be raised to anybody: what fails is shown in its
output. A question that continues a conversation in which an answer is still being written waits
for that one, since its own place is behind it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from qwen_magic.document.footer import Outcome, failure
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.frontends.kernel import kernel_of
from qwen_magic.protocol.state import ResponseState
from qwen_magic.session.plan import check_key
from qwen_magic.session.view import facts_of, provisional_facts

if TYPE_CHECKING:
    from qwen_magic.frontends.jupyter import StaticView
    from qwen_magic.magics.asking import Asker
    from qwen_magic.options import Options
    from qwen_magic.session.plan import Ask, Plan


def begin(asker: Asker, ask: Ask, options: Options) -> None:
    """Begin the output here; it goes on by itself. Raises `UsageError`, `ConversationError`."""
    if kernel_of(asker.shell) is None or not asker.settings.live:
        raise UsageError("--bg needs a notebook, and live answers switched on.")
    check_key(ask.endpoint)
    before = asker.depends_on(ask)
    plan = None if before else asker.session.plan(ask)
    facts = facts_of(plan) if plan else provisional_facts(ask)
    started = time.monotonic()  # the one clock of the turn: the wait for its place counts
    view = asker.views.live_view(facts, started, awaited=True, outlives=True)
    view.begin(lambda: None)  # in this cell: a task may run when another one does

    async def answered() -> None:
        placed = plan or await _wait_for_place(lambda: asker.session.plan(ask), before, view)
        if placed is None:
            return
        try:
            answer = await asker.session.arun(placed, view, report_errors=False, started=started)
        except asyncio.CancelledError:  # ■ in a function that the model called; it is recorded
            return
        asker.views.offer(answer)
        if options.out:
            asker.shell.user_ns[options.out] = answer

    task = asyncio.ensure_future(answered())
    running = asker.running.setdefault(ask.chat, set())
    running.add(task)
    task.add_done_callback(running.discard)


async def until_done(
    tasks: Collection[asyncio.Future[None]], step: Callable[[], None] | None
) -> None:
    """Wait for `tasks`; `step` is called about thirty times a second meanwhile."""
    while any(not task.done() for task in tasks):
        if step is not None:
            step()
        await asyncio.sleep(0.03)


async def _wait_for_place(
    plan: Callable[[], Plan], before: Collection[asyncio.Future[None]], view: StaticView
) -> Plan | None:
    """The plan of a question, made when the answers `before` it have ended; None where it was
    stopped meanwhile or cannot be planned."""
    stopped = threading.Event()
    nothing = ResponseState()
    view.begin(stopped.set)
    view.notice("Waiting for the answer before")

    def step() -> None:
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
