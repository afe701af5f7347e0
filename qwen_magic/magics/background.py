"""Views that open before their turn starts: for `--bg`, and to ask for consent first.

With `--bg` the cell returns at once and the answer is written later; the answers of a conversation
are written one after the other. No caller is left to catch an exception, so failures are shown in
the output. A question that continues such an answer waits until it is complete.
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
    """Open the output in this cell and return; the answer is written by a task.

    `settle` completes a question of which a part is not known yet; `ended` is called with the
    answer, or None if there is none; `put` shows the output in a cell that is not running. Raises
    `UsageError`, `ConversationError`.
    """
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
        placed = plan or await _plan_after(planned, before, view)
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
    """Wait for `tasks`, and call `step` about thirty times a second until then."""
    while any(not task.done() for task in tasks):
        if step is not None:
            step()
        await asyncio.sleep(0.03)


async def _plan_after(
    plan: Callable[[], Awaitable[Plan]], before: Collection[asyncio.Future[None]], view: StaticView
) -> Plan | None:
    """Wait for the answers `before` this question, then plan it.

    Return None where it was stopped while waiting, or cannot be planned (the view says why).
    """
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


async def begin_with_consent(
    asker: Asker, begin: Callable[[], T], question: Question
) -> tuple[T, StaticView]:
    """Ask the user `question`, then call `begin` again; return its result and the view.

    `begin` raises `UnansweredError` at each question whose answer is not known yet, so this repeats
    until all are answered.
    """
    session, answers = asker.session, dict[Question, Verdict | None]()
    model = Options.of(asker.settings).model or DEFAULT_MODEL
    view = asker.views.live_view(TurnFacts(model), time.monotonic(), awaited=True)

    def answered(question: Question) -> Verdict | None:
        return answers[question] if question in answers else unanswered(question)

    end: Outcome | None = Outcome("stopped")
    try:
        while True:
            answers[question] = await _ask_in_view(view, question, asker)
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


async def _ask_in_view(view: StaticView, question: Question, asker: Asker) -> Verdict | None:
    """Return what the user answers, by a button of `view` or by a line of input.

    An interrupt and a click on Stop raise the `KeyboardInterrupt` of `base.interrupted`.
    """
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
