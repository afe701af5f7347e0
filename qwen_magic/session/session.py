"""A session: one client, its endpoints and conversations; it runs turns, in a cell or in a script.

    plan       decide where a question belongs, and what it sends
    run        answer a plan, blocking
    events     the same as a generator of the events
    arun       answer a plan on the caller's event loop
    aevents    the same as an asynchronous generator of the events

`session.running` drives the turn itself.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Generator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from qwen_magic.answer import Answer
from qwen_magic.conversation import uncollected
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.scope import config_folder
from qwen_magic.document.words import number_of
from qwen_magic.endpoints import FIGURE_HOSTS, RECORDED
from qwen_magic.errors import NotRecordedError
from qwen_magic.session.endpoint_keys import Endpoints
from qwen_magic.session.exchanges import CachedAnswers
from qwen_magic.session.host_facts import Catalogues, HostFacts, Spending
from qwen_magic.session.plan import Ask, Plan, check_key, plan
from qwen_magic.session.tape import TAPE, Tape
from qwen_magic.session.telemetry import LOGGER, Watch, log_end
from qwen_magic.session.view import TICK, NoView, View
from qwen_magic.tools.policy import ToolPolicy

if TYPE_CHECKING:
    from concurrent.futures import Future

    from qwen_magic.client import Client, Stream
    from qwen_magic.conversation.chain import Turn
    from qwen_magic.document.question import StartQuestion, Verdict
    from qwen_magic.errors import QwenError
    from qwen_magic.protocol.events import Event
    from qwen_magic.protocol.fields import JSON
    from qwen_magic.session.running import RunningTurn
    from qwen_magic.tools.mcp import Offered, ToolServers

_FIRST: Final = 0.25  # seconds that the first question may take to be sent

# Makes the view of a planned turn, which counts its seconds from the time given (`time.monotonic`).
ViewFactory: TypeAlias = Callable[[Plan, float], View]

_TRACED: Final = 50  # turns


class TracedTurn(NamedTuple):
    """What `%qwen_trace` needs of a turn that was answered here."""

    turn: Turn
    plan: Plan
    streams: tuple[Stream, ...]


def _no_view(plan: Plan, started: float) -> View:
    return NoView()


class Session:
    """The state that outlives a turn.

    The modules for the network and the view are imported with the first question, so that loading
    the extension is fast.
    """

    def __init__(
        self,
        *,
        endpoints: Endpoints | None = None,
        conversations: Conversations | None = None,
        figure_hosts: Collection[str] = FIGURE_HOSTS,
        tape: Tape = TAPE,
    ) -> None:
        """`tape` records or replays; by default all sessions of this process share one."""
        self.tape = tape
        self.endpoints = endpoints or Endpoints()
        self.endpoints.tape = tape
        self.conversations = conversations or Conversations()
        self.figure_hosts = tuple(figure_hosts)
        self.session_cache = True  # whether chained turns ask for it, where the host reads that
        self.catalogues = Catalogues(self.conversations)
        self.spending = Spending(self.conversations, self.catalogues)
        self.tool_policy = ToolPolicy()
        # Of the tool servers: where `mcp.json` is looked for, and who is asked for its inputs.
        self.server_folders = (Path.cwd(), config_folder(os.environ))
        self.ask_value: Callable[[str, bool], str | None] = lambda about, secret: None
        # Who is asked whether one may be started; None: the user, by a line of text.
        self.ask_server: Callable[[StartQuestion], Verdict | None] | None = None
        self.hosts = HostFacts(self.conversations)
        self.traced: deque[TracedTurn] = deque(maxlen=_TRACED)
        self._client: Client  # once it is needed

    @property
    def client(self) -> Client:
        if "_client" not in vars(self):
            from qwen_magic.client import Client

            made = Client()
            made.route = self.tape.opener
            vars(self).setdefault("_client", made)  # of several threads, one has made it
        return self._client

    @cached_property
    def servers(self) -> ToolServers:
        from qwen_magic.tools.mcp import ToolServers

        kept = weakref.ref(self)

        def submit(coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
            """The engine holds what runs there, and so must not hold a session that was dropped:
            its servers end with it."""
            session = kept()
            if session is None:
                coroutine.close()
                raise RuntimeError("The session of this server is no more.")
            return session.client.submit(coroutine)

        servers = ToolServers(submit, self.tool_policy, self.server_folders)
        servers.ask_value = self.ask_value
        return servers

    def offer(self, reference: str, *, start: bool = True, by_line: bool = False) -> Offered:
        """The tools that `mcp:NAME` stands for (`ToolServers.offer`)."""
        self.servers.ask = self.ask_server or self.servers.ask_by_line
        return self.servers.offer(reference, start=start, by_line=by_line)

    def close(self) -> None:
        """Close every connection and server. A running turn ends as stopped."""
        if "servers" in vars(self):
            self.servers.close()
        if client := vars(self).pop("_client", None):
            client.close()
        self.endpoints.close()
        self.conversations.close()

    def plan(self, ask: Ask, *, dry: bool = False) -> Plan:
        """Decide where `ask` belongs and what it sends. Raises `UsageError`, `ConversationError`.

        `dry`: change nothing; no conversation is started, and one-time notes stay due.
        """
        notes, known = [], self.conversations.names() if dry else ()
        if self.spending.budget and not ask.endpoint.recorded:
            state = self.spending.state(ask)
            if state.error is not None:
                raise state.error
            notes += [state.warning] if state.warning else []
        ask = replace(ask, endpoint=self.hosts.applied(ask.endpoint))
        if ask.history and (more := self.conversations.catch_up(ask.chat)):
            notes.append(f"{ask.chat} went on elsewhere, by {number_of(more, 'turn')}")
        keeps_ids = ask.endpoint.capabilities.keeps_ids != "no"
        made = plan(ask, self.conversations, keeps_ids=keeps_ids)
        if self.session_cache and ask.endpoint.capabilities.session_cache:
            made = replace(made, request=replace(made.request, session_cache=True))
        found = self.conversations.found(made.chat, keep=dry) if made.path else 0
        if found:
            turns = number_of(found, "turn")
            notes.append(f"{made.chat} was found with {turns}; --new begins afresh")
        if dry and made.chat not in known:
            self.conversations.forget(made.chat)
        priced = self.catalogues.find(ask.endpoint.host, ask.model)
        return replace(made, notes=(*made.notes, *notes), priced=priced)

    def run(
        self,
        plan: Plan,
        view_factory: ViewFactory = _no_view,
        *,
        step: Callable[[], None] | None = None,
    ) -> Answer:
        """Answer a plan, blocking. `step` is called about thirty times a second meanwhile.

        A failure of the service is in the answer's `error`. On Ctrl-C the connection is closed, the
        partial answer is recorded as stopped, and the `KeyboardInterrupt` is raised again.
        """
        turn = self._begin(plan, view_factory, step=step, blocks=True)
        with self._recorded_when_left(turn, patience=1.0):
            for _ in turn.batches_sync(TICK):
                pass
        return self._record(turn)

    async def arun(
        self,
        plan: Plan,
        view_factory: ViewFactory = _no_view,
        *,
        report_errors: bool = True,
        started: float | None = None,
        step: Callable[[], None] | None = None,
    ) -> Answer:
        """Answer a plan on the caller's event loop.

        Cancelling the task stops the answer: it is recorded as stopped, and `CancelledError` is
        raised again. `report_errors`: the caller will show a failure, and can be asked by a line of
        input. `started`: when the question was asked, by `time.monotonic`; None: now.
        """
        turn = self._begin(
            plan, view_factory, step=step, report_errors=report_errors, started=started
        )
        # What leaves it may be a cancellation, after which an `await` might not come back: closing
        # the connection is waited for by blocking the loop, for milliseconds.
        with self._recorded_when_left(turn, patience=0.5):
            async for _ in turn.batches(TICK):
                pass
        return self._record(turn)

    def events(self, plan: Plan) -> Generator[Event, None, None]:
        """Answer a plan, and yield its events; recorded at the end, or when the caller stops
        reading.

        Figures are not fetched, since no view shows them.
        """
        turn = self._begin(plan, _no_view, blocks=True, fetches=False)
        with self._recorded_when_left(turn, patience=1.0):
            for batch in turn.batches_sync(0.0):
                for received in batch:
                    yield received.event
        answer = self._record(turn)
        if answer.error is not None:
            raise answer.error

    async def aevents(self, plan: Plan) -> AsyncGenerator[Event, None]:
        """The same on the caller's event loop."""
        turn = self._begin(plan, _no_view, fetches=False)
        with self._recorded_when_left(turn, patience=0.5):
            async with aclosing(turn.batches(0.0)) as batches:
                async for batch in batches:
                    for received in batch:
                        yield received.event
        answer = self._record(turn)
        if answer.error is not None:
            raise answer.error

    @contextmanager
    def _recorded_when_left(self, turn: RunningTurn, *, patience: float) -> Iterator[None]:
        """If the block ends early (■, an exception, a caller that stops reading), close the
        connection within `patience` seconds and record the partial answer.
        """
        try:
            yield
        except BaseException:
            try:
                turn.cut_off(patience=patience)
            finally:  # also when ■ is clicked once more meanwhile
                self._record(turn)
            raise

    @uncollected()
    def _begin(
        self,
        plan: Plan,
        view_factory: ViewFactory,
        *,
        step: Callable[[], None] | None = None,
        blocks: bool = False,
        report_errors: bool = True,
        started: float | None = None,
        fetches: bool = True,
    ) -> RunningTurn:
        """Open the turn's first stream, then make its view and its machine.

        In this order the request is on its way meanwhile, and nothing is shown if it cannot be
        sent. Raises `UsageError`, `AuthenticationError`.
        """
        if blocks:
            self.tool_policy.check_blocking(plan.ask.functions)
        check_key(plan.ask.endpoint)
        started = time.monotonic() if started is None else started
        plan, client, stream = self._opened(plan)
        watch = None
        if LOGGER.isEnabledFor(logging.INFO) or "opentelemetry.trace" in sys.modules:
            watch = Watch(plan)
            watch.asks(plan)
        try:
            if "qwen_magic.session.turn" not in sys.modules:
                # The first question of a process: to import what follows would keep the engine's
                # thread from sending it.
                stream.wait_until_sent(_FIRST)
            from qwen_magic.session.figures import FigureFetcher
            from qwen_magic.session.running import RunningTurn
            from qwen_magic.session.turn import TurnMachine

            view = view_factory(plan, started)
            own_host = plan.ask.endpoint.base_url.split("/")[2]
            hosts = [*self.figure_hosts, own_host] if fetches else []
            machine = TurnMachine(
                plan,
                view,
                figures=FigureFetcher(client, hosts),
                policy=self.tool_policy,
                checkpoint=self.conversations.checkpoint if plan.chat else (lambda turn: None),
                over_budget=lambda usage: (
                    None if client.is_free else self.spending.state(plan.ask, usage).error
                ),
                look_up=client.get,
                report_errors=report_errors,
                started=started,
            )
            running = RunningTurn(machine, client, stream, self.tool_policy, step, watch)
            view.begin(running.stop, running.look)
        except BaseException:
            stream.stop()
            if watch is not None:
                watch.leave()
            raise
        return running

    def _opened(self, plan: Plan) -> tuple[Plan, TurnClient, Stream]:
        """The first stream of a plan.

        If a replayed recording lacks the question and the user agrees, it is planned anew for the
        network. Raises `NotRecordedError` otherwise.
        """
        client = TurnClient(self, plan.ask)
        try:
            stream = client.open(plan)
        except NotRecordedError as error:
            recorded = plan.ask.endpoint.recorded
            if not recorded or not self.tape.goes_live(error, recorded):
                raise
            live = self.endpoints.find(recorded, live=True)
            check_key(live)
            notes = (*plan.ask.notes, f"{error.message} {error.why}".strip())
            plan = self.plan(replace(plan.ask, endpoint=live, carry=True, notes=notes))
            client = TurnClient(self, plan.ask)
            stream = client.open(plan)
        priced = None if client.is_free else plan.priced
        return replace(plan, source=stream.source, priced=priced), client, stream

    def forget_recorded(self) -> None:
        """Forget what was found out from a recording, which is replayed from its start."""
        self.conversations.unlearn(RECORDED)
        self.catalogues.forget_recorded()

    def as_used(self, turn: Turn) -> Turn:
        """A turn as the table of usage counts it: while a recording is replayed, as when it was
        recorded.
        """
        if self.tape.is_replaying and turn.host.endswith(RECORDED):
            return replace(turn, imported=False)
        return turn

    def _record(self, running: RunningTurn) -> Answer:
        answer, turn = running.machine.finish()
        if running.client.cached is not None or self.tape.is_recording:
            running.wait()
        if running.client.cached is not None and turn.status == "completed":
            running.client.cached.settle()
            if running.client.is_free:
                turn = replace(turn, usage=None, cached=True)
        if running.machine.found:
            self.hosts.learn(turn.host, running.machine.found)
        self.traced.append(TracedTurn(turn, running.machine.plan, tuple(running.client.streams)))
        if turn.chat:
            self.conversations.append(turn)
        if running.watch is not None or answer.error is not None:
            log_end(turn, answer.error)
        return answer


class TurnClient:
    """Opens the streams of one turn, through the tape and the cache of `--cache`."""

    def __init__(self, session: Session, ask: Ask) -> None:
        self.cached = CachedAnswers(session.conversations, fresh=ask.fresh) if ask.cache else None
        self._client = session.client
        self._endpoint = ask.endpoint
        self.streams: list[Stream] = []
        live = not ask.endpoint.recorded
        self._route = partial(session.tape.opener, live=live, cached=self.cached)

    @property
    def is_free(self) -> bool:
        """Whether no request went to a server."""
        found_all = self.cached is not None and not self.cached.asked
        return bool(self._endpoint.recorded) or found_all

    def open(self, plan: Plan) -> Stream:
        """Raises `NotRecordedError`."""
        silence = plan.ask.timeout
        stream = self._client.stream(
            plan.request, self._endpoint, silence=silence, route=self._route
        )
        self.streams.append(stream)
        return stream

    def get(self, path: str) -> Future[JSON | QwenError]:
        return self._client.get(self._endpoint, path, route=self._route)

    def fetch(self, url: str, *, limit: int, timeout: float) -> Future[bytes]:
        return self._client.fetch(url, limit=limit, timeout=timeout, route=self._route)
