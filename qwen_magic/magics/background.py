"""Views that begin before their turn does: of `--bg`, and where something is asked first.

`--bg`: answers that go on after their cell has returned, one after the other in a conversation.
Nobody waits for such an answer, so nothing can be raised to anybody: what fails is shown in its
output. A question that continues a conversation in which an answer is still being written waits
for that one, since its own place is behind it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, TypeVar

from qwen_magic.document.footer import Outcome, TurnFacts, failure
from qwen_magic.document.question import Question, Verdict
from qwen_magic.endpoints import DEFAULT_MODEL
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.frontends.kernel import CommPump
from qwen_magic.magics.base import UnansweredError, interrupted, unanswered
from qwen_magic.options import Options
from qwen_magic.protocol.entry import Entry
from qwen_magic.protocol.items import FunctionCall
from qwen_magic.protocol.state import ResponseState
from qwen_magic.session.plan import check_key
from qwen_magic.session.view import TICK, facts_of, provisional_facts
from qwen_magic.tools.execution import approve
from qwen_magic.tools.loop import Approve, consult

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.frontends.jupyter import Put, StaticView
    from qwen_magic.magics.asking import Asker
    from qwen_magic.session.plan import Ask, Plan

T = TypeVar("T")


def begin(
    asker: Asker,
    ask: Ask,
    options: Options,
    *,
    settle: Callable[[], Awaitable[Ask]] | None = None,
    ended: Callable[[Answer | None], None] = lambda answer: None,
    put: Put | None = None,
) -> asyncio.Task[None]:
    """Begin the output here; it goes on by itself. `settle` gives the question whole, where it
    lacks something at first; `ended` is told the answer, None where there is none; `put` shows the
    output where no cell is running. Raises `UsageError`, `ConversationError`."""
    if not asker.views.changes_outputs:
        raise UsageError("--bg needs a notebook, and live answers switched on.")
    check_key(ask.endpoint)
    before = asker.depends_on(ask)
    plan = None if before or settle else asker.session.plan(ask)
    facts = facts_of(plan) if plan else provisional_facts(ask)
    started = time.monotonic()  # the one clock of the turn: the wait for its place counts
    view = asker.views.live_view(facts, started, awaited=True, outlives=True, put=put)
    view.begin(lambda: None)  # in this cell: a task may run when another one does

    async def planned() -> Plan:
        return asker.session.plan(await settle() if settle else ask)

    async def answered() -> Answer | None:
        placed = plan or await _wait_for_place(planned, before, view)
        if placed is None:
            return None

        def settled(plan: Plan, started: float) -> StaticView:
            view.settle(facts_of(plan))
            return view

        try:
            answer = await asker.session.arun(placed, settled, report_errors=False, started=started)
        except asyncio.CancelledError:  # ■ in a function that the model called; it is recorded
            return None
        asker.views.offer(answer)
        if options.out:
            asker.shell.user_ns[options.out] = answer
        return answer

    async def whole() -> None:
        answer = None
        try:
            answer = await answered()
        finally:
            ended(answer)

    task = asyncio.ensure_future(whole())
    running = asker.running.setdefault(ask.chat, set())
    running.add(task)
    task.add_done_callback(running.discard)
    return task


async def until_done(
    tasks: Collection[asyncio.Future[None]], step: Callable[[], None] | None
) -> None:
    """Wait for `tasks`; `step` is called about thirty times a second meanwhile."""
    while any(not task.done() for task in tasks):
        if step is not None:
            step()
        await asyncio.sleep(0.03)


async def _wait_for_place(
    plan: Callable[[], Awaitable[Plan]], before: Collection[asyncio.Future[None]], view: StaticView
) -> Plan | None:
    """The plan of a question, made when the answers `before` it have ended; None where it was
    stopped meanwhile or cannot be planned."""
    stopped = threading.Event()
    nothing = ResponseState()
    view.begin(stopped.set)
    if before:
        view.notice("Waiting for the answer before")

    def step() -> None:
        view.tick(nothing, time.monotonic())
        if stopped.is_set():
            raise asyncio.CancelledError

    try:
        await until_done(before, step)
        made = await plan()
    except QwenError as error:
        view.finish(nothing, time.monotonic(), failure(error), {})
        return None
    except asyncio.CancelledError:
        view.finish(nothing, time.monotonic(), Outcome("stopped"), {})
        return None
    view.notice("")
    view.settle(facts_of(made))
    return made


async def begin_after(
    asker: Asker, begin: Callable[[], T], question: Question
) -> tuple[T, StaticView]:
    """What `begin` gives, once the user has said whether a server may be started: it ends at a
    question that has no answer yet, and begins again with it. The view in which that was asked
    comes along."""
    session, answers = asker.session, dict[Question, Verdict | None]()
    model = Options.of(asker.settings).model or DEFAULT_MODEL
    view = asker.views.live_view(TurnFacts(model), time.monotonic(), awaited=True)

    def answered(question: Question) -> Verdict | None:
        return answers[question] if question in answers else unanswered(question)

    end: Outcome | None = Outcome("stopped")
    try:
        while True:
            answers[question] = await _asked_in(view, question, asker)
            session.ask_server = answered
            try:
                begun, end = begin(), None
                return begun, view
            except UnansweredError as error:
                question = error.question
            finally:
                session.ask_server = None
    except QwenError as error:
        end = failure(error, is_raised=True)
        raise
    finally:
        if end is not None:
            view.finish(ResponseState(), time.monotonic(), end, {})


async def _asked_in(view: StaticView, question: Question, asker: Asker) -> Verdict | None:
    """What the user says by a button of `view`, else by a line. Raises what an interrupt does, also
    for a click on Stop."""
    stopped, pump, nothing = threading.Event(), CommPump(asker.shell), ResponseState()
    view.begin(stopped.set)
    view.notice(question.waits)
    poll = view.ask(Entry("start", FunctionCall("start"), 0.0), question)
    steps = consult(poll, question, True, stopped.is_set)
    verdict: Verdict | None = None
    try:
        action = next(steps)
        while True:
            if isinstance(action, Approve):
                action = steps.send(approve(question, asker.session.tool_policy.prompt))
                continue
            view.tick(nothing, time.monotonic())
            if pump.step is not None:
                pump.step()
            await asyncio.sleep(TICK)
            action = next(steps)
    except StopIteration as end:
        verdict = end.value
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise interrupted("nothing was sent") from None
    finally:
        pump.close()
    if stopped.is_set():
        raise interrupted("nothing was sent")
    view.restart()  # without the question
    view.notice("" if verdict in ("no", "never") else f"Starting {question.name}")
    view.tick(nothing, time.monotonic())
    return verdict
