"""A session: one client, its endpoints and conversations; runs turns, in a cell or in a script."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qwen_magic.answer import Answer
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.usage import check_budget
from qwen_magic.endpoints import FIGURE_HOSTS, Endpoint
from qwen_magic.protocol.items import FunctionCall
from qwen_magic.session.endpoint_keys import Endpoints
from qwen_magic.session.figures import FigureFetcher
from qwen_magic.session.plan import Ask, Plan, check_key, plan
from qwen_magic.session.view import TICK, NoView, View
from qwen_magic.tools.policy import Calling
from qwen_magic.tools.runner import asettle, settle

if TYPE_CHECKING:
    from qwen_magic.client import Client, Received, Stream
    from qwen_magic.protocol.events import Event
    from qwen_magic.session.run import TurnRun
    from qwen_magic.tools.loop import TurnCalls

RECENT: Final = 3600.0  # seconds
FIGURE_PATIENCE: Final = 10.0  # seconds that a finished answer waits for its figures
_LATE: Final = f"it did not come within {FIGURE_PATIENCE:.0f} s"


class Session:
    """Everything that outlives a turn. What the network and the view need is imported with the
    first question, so that loading the extension costs next to nothing."""

    def __init__(
        self,
        *,
        endpoints: Endpoints | None = None,
        conversations: Conversations | None = None,
        figure_hosts: Collection[str] = FIGURE_HOSTS,
    ) -> None:
        self.endpoints = endpoints or Endpoints()
        self.conversations = conversations or Conversations()
        self.figure_hosts = tuple(figure_hosts)
        self.budget = 0  # tokens; 0: none
        self.calling = Calling()
        self._keeps_ids: dict[str, bool] = {}  # by host, as far as it was found out
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        if self._client is None:
            from qwen_magic.client import Client

            self._client = Client()
        return self._client

    def plan(self, ask: Ask) -> Plan:
        """Where `ask` belongs and what it sends. Raises `UsageError`, `ConversationError`."""
        used = self.tokens_used() if self.budget > 0 else 0  # a look into the store
        state = check_budget(used, self.budget)
        if state.error is not None:
            raise state.error
        made = plan(ask, self.conversations, keeps_ids=self._keeps(ask.endpoint))
        notes = [state.warning] if state.warning else []
        found = self.conversations.found(made.chat) if made.path else 0
        if found:
            turns = "turn" if found == 1 else "turns"
            notes.append(f"{made.chat} was found with {found} {turns}; --new begins afresh")
        return replace(made, notes=(*made.notes, *notes))

    def tokens_used(self) -> int:
        """All tokens of the turns that are kept."""
        return sum(summary.tokens for summary in self.conversations.summaries())

    def run(
        self,
        plan: Plan,
        view: View,
        *,
        step: Callable[[], None] | None = None,
        keep: bool = True,
    ) -> Answer:
        """Answer a plan, blocking. `step` is called about thirty times a second meanwhile.
        Without `keep` the turn joins no conversation.

        A failure of the service is in the answer's `error`. On Ctrl-C the connection is closed,
        what came is recorded as stopped, and the `KeyboardInterrupt` goes on.
        """
        self.calling.check_blocking(plan.ask)
        run = self._open(plan if keep else replace(plan, chat=""), view)

        def look() -> None:
            run.tick()
            if step is not None:
                step()

        try:
            for _ in self._batches(run, TICK, look):
                pass
            self._wait_for_figures(run)
        except BaseException:
            run.stop()
            run.stream.wait(1.0)
            self._record(run)
            raise
        return self._record(run)

    async def arun(
        self,
        plan: Plan,
        view: View,
        *,
        step: Callable[[], Awaitable[None]] | None = None,
        told: bool = True,
    ) -> Answer:
        """The same on the caller's event loop. Cancelling the task stops the answer: what came is
        recorded as stopped, and the `CancelledError` goes on. `told`: whoever asks tells of a
        failure, so that the view need not."""
        run = self._open(plan, view, told=told)
        calls = self.calling.of(plan, prompts=told)
        ticker = asyncio.ensure_future(_tick(run, step))
        try:
            while True:
                async for batch in run.stream.batches(TICK):
                    run.feed(batch)
                if self._heal(run):
                    continue
                if not calls.wanted(run):
                    break
                await asettle(calls.answers(run), run)
                if not self._go_on(run, calls):
                    break
            await self._await_figures(run)
        except BaseException:
            # Waiting blocks the loop, for the milliseconds that closing a connection takes: this
            # task is being cancelled, and an `await` here might not come back.
            run.stop()
            run.stream.wait(0.5)
            self._record(run)
            raise
        finally:
            ticker.cancel()
        return self._record(run)

    def events(self, plan: Plan) -> Iterator[Event]:
        """The events of a plan's answer as they come; recorded at the end, or when left early."""
        self.calling.check_blocking(plan.ask)
        run = self._open(plan, NoView())
        try:
            for batch in self._batches(run, 0.0, run.tick):
                for received in batch:
                    yield received.event
        except BaseException:
            run.stop()
            raise
        finally:
            run.stream.stop()  # nothing, where it has ended
            run.stream.wait(1.0)
            answer = self._record(run)
        if answer.error is not None:
            raise answer.error

    def close(self) -> None:
        """Close every connection and the demo server. A running turn ends as stopped."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self.endpoints.close()
        self.conversations.close()

    def _batches(
        self, run: TurnRun, interval: float, look: Callable[[], None]
    ) -> Iterator[list[Received]]:
        """What comes in all responses of a turn; the function calls between them are answered."""
        calls = self.calling.of(run.plan)
        while True:
            for batch in run.stream.batches_sync(interval):
                run.feed(batch)
                look()
                yield batch
            if self._heal(run):
                continue
            if not calls.wanted(run):
                return
            settle(calls.answers(run), run, look, may_nest=self.calling.may_nest)
            if not self._go_on(run, calls):
                return

    def _open(self, plan: Plan, view: View, *, told: bool = True) -> TurnRun:
        from qwen_magic.session.run import TurnRun

        check_key(plan.ask.endpoint)
        stream = self._stream(plan)
        own_host = plan.ask.endpoint.base_url.split("/")[2]
        figures = FigureFetcher(self.client, [*self.figure_hosts, own_host])
        keep = self.conversations.checkpoint if plan.chat else (lambda turn: None)
        return TurnRun(plan, stream, view, figures, keep=keep, told=told)

    def _stream(self, plan: Plan) -> Stream:
        return self.client.stream(plan.request, plan.ask.endpoint, silence=plan.ask.silence)

    def _go_on(self, run: TurnRun, calls: TurnCalls) -> bool:
        """Ask the model on with what its calls gave. False where the turn was stopped, or has used
        up the budget."""
        if run.stop_asked or self._over_budget(run):
            return False
        answered = [e.item for e in run.state.newest if isinstance(e.item, FunctionCall)]
        items = run.state.items
        plan = run.plan.going_on(run.state.id, items, answered, is_last=calls.exhausted)
        run.go_on(plan, self._stream(plan))
        return True

    def _over_budget(self, run: TurnRun) -> bool:
        if self.budget <= 0 or run.state.usage is None:
            return False
        used = self.tokens_used() + run.state.usage.total_tokens
        error = check_budget(used, self.budget).error
        if error is not None:
            run.fail(error)
        return error is not None

    def _keeps(self, endpoint: Endpoint) -> bool:
        """Whether the server is known, or taken, to continue after response ids."""
        return self._keeps_ids.get(endpoint.host, endpoint.capabilities.keeps_ids != "no")

    def _heal(self, run: TurnRun) -> bool:
        """Ask once more, with the conversation as text, where the server turns out not to have it.

        A server of which nothing is known, and that does not have an answer of the last hour, is
        taken to keep none: its host is remembered. DashScope and OpenAI keep what they are told.
        """
        why = run.lost()
        if not why:
            return False
        plan, endpoint = run.plan, run.plan.ask.endpoint
        recent = plan.parent is not None and time.time() - plan.parent.created_at < RECENT
        recent = recent or bool(plan.so_far)  # an answer of this very turn
        if endpoint.capabilities.keeps_ids == "unknown" and recent:
            self._keeps_ids[endpoint.host] = False
        count = len(plan.path) + bool(plan.so_far)
        turns = "turn was" if count == 1 else "turns were"
        told = plan.told(
            f"{why}: {count} {turns} sent again as text",
            keeps_ids=self._keeps(endpoint),
        )
        run.restart(told, self._stream(told))
        return True

    def _record(self, run: TurnRun) -> Answer:
        answer, turn = run.finish()
        if turn.chat:
            self.conversations.append(turn)
        return answer

    def _wait_for_figures(self, run: TurnRun) -> None:
        deadline = time.monotonic() + FIGURE_PATIENCE
        while run.waits_for_figures and time.monotonic() < deadline:
            time.sleep(TICK)
            run.tick()
        run.give_up_figures(_LATE)

    async def _await_figures(self, run: TurnRun) -> None:
        deadline = time.monotonic() + FIGURE_PATIENCE
        while run.waits_for_figures and time.monotonic() < deadline:
            await asyncio.sleep(TICK)  # the ticker collects them
        run.give_up_figures(_LATE)


async def _tick(run: TurnRun, step: Callable[[], Awaitable[None]] | None) -> None:
    """Tick for as long as the turn runs. It also wakes the kernel's loop, which a SIGINT does not
    do by itself, so that an interrupt is seen at once."""
    while True:
        run.tick()
        if step is not None:
            await step()
        await asyncio.sleep(TICK)
