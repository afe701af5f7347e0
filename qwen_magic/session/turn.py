"""One turn as a machine without input and output: what came is given to it, what is to be done it
gives back. It knows no socket, thread, display or way of waiting; its clock is an argument.

    machine = TurnMachine(plan, view, …)
    for action in machine.steps():      # a generator: what came of an action is sent into it
        Open      open a stream for this plan's request; `feed` what it brings, sends a `StreamEnd`
            Invoke    run a function of the notebook, sends its `CallResult`
        Approve   ask the user by a line of text, sends the `Verdict`
        Wait      let a moment pass
    machine.finish()                    # the answer, and the turn to record

What takes time is an action, so that a caller that blocks and one that awaits drive the same
machine (`session.session` has both). What takes none is a call of what the machine was given: the
`view` shows, `figures` begins to fetch, `checkpoint` keeps. While a stream is open or an action is
under way, the caller calls `tick` about thirty times a second.

    ┌─────────── the same question, told as text, or without a parameter ────────────────┐
    v                                                                                    │
    streaming ──StreamEnd──> ended ──earlier turns were lost, a parameter was refused────┘
    ^                          ├──the model called functions of ours──> answering
    │                          │                                            │
    └───────── the next response of the same turn <── not stopped, in budget┘
                               └──else──> waiting for figures ──all came, or 10 s──> over

- At most one stream is open. A click on Stop (`stop_asked`, from any thread) leads to the end from
  every state; whoever drives closes the stream at once, and the machine asks for no other.
- A stream that broke is never opened anew: the rest of its answer is what the server gives out by
  the response's id (`Capabilities.keeps_ids`), or it is missing (`session.recovery`).
- A response is told as text at most once: the request then names no previous response. A
  parameter is left out at most once.
- `finish` may be called in any state, and once: a turn that is cut short by Stop, by an interrupt
  or by a failure is recorded with what came.
- There is one clock. What the view shows and what is recorded as `seconds` count from `started`,
  to one and the same `now` at the end.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from qwen_magic.answer import Answer
from qwen_magic.context.models import fullness, is_text_only, window_fact, window_warning
from qwen_magic.conversation.archive.notebook import refer_to, turn_metadata
from qwen_magic.conversation.chain import CALLS, Turn, TurnStatus
from qwen_magic.document.footer import Outcome, failure
from qwen_magic.errors import APIError, QwenError
from qwen_magic.masking import redact, redacted
from qwen_magic.protocol.call_outputs import CallResult, images_message, items_json
from qwen_magic.protocol.events import ItemDone, ResponseEnded
from qwen_magic.protocol.items import FunctionCall, Message
from qwen_magic.protocol.response import Usage
from qwen_magic.protocol.state import ResponseState
from qwen_magic.session.figures import FetchedFigure, FigureFetcher
from qwen_magic.session.plan import Plan
from qwen_magic.session.recovery import Recovery, may_have_rest
from qwen_magic.session.view import NoView, View
from qwen_magic.tools.loop import Action as CallAction
from qwen_magic.tools.loop import Poll, TurnCalls, Wait
from qwen_magic.tools.policy import ToolPolicy

if TYPE_CHECKING:
    from qwen_magic.client.reader import Received
    from qwen_magic.document.question import Question
    from qwen_magic.protocol.entry import CallPhase, Entry
    from qwen_magic.protocol.fields import JSON

CHECKPOINT: Final = 1.0  # seconds between two
FIGURE_PATIENCE: Final = 10.0  # seconds that a finished answer waits for its figures
MOST_REPAIRS: Final = 2  # of an answer that is to be an object


@dataclass(frozen=True, slots=True)
class Open:
    """Open a stream for `plan.request`, and feed its events until it ends."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """How a stream ended: complete, with an error, or `stopped`."""

    error: QwenError | None = None
    stopped: bool = False


Action: TypeAlias = Open | CallAction
Steps: TypeAlias = Generator[Action, Any, None]


class TurnMachine:
    """One turn: turns the events of its streams into a state, a view, an answer and a record.

    `clock`: monotonic seconds, as in the fed events; `wall`: seconds since 1970.
    """

    def __init__(
        self,
        plan: Plan,
        view: View,
        *,
        figures: FigureFetcher,
        policy: ToolPolicy,
        checkpoint: Callable[[Turn], None] = lambda turn: None,
        over_budget: Callable[[Usage], QwenError | None] = lambda usage: None,
        look_up: Callable[[str], Future[JSON | QwenError]],
        report_errors: bool = True,
        started: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """The functions that the machine calls, and its start.

        - `checkpoint` is called about once a second with the turn so far;
        - `over_budget` returns the error for this much usage, or None;
        - `look_up` starts a GET request for JSON at a path;
        - `report_errors`: the caller raises a failure, so the view need only name it, and the user
          can be asked by a line of input;
        - `started`: when the question was asked, on `clock`; None: now.
        """
        self.plan = plan
        thinks_in_text = plan.ask.endpoint.capabilities.thinks_in_text
        self.state = ResponseState(thinks_in_text=thinks_in_text)
        self.stop_asked = False
        turn = weakref.proxy(self)  # in no cycle: a Qwen that is dropped closes at once
        self._recovery = Recovery(look_up, lambda: turn.stop_asked, clock, wall)
        self._view = view
        self._figures = figures
        self._checkpoint = checkpoint
        self._over_budget = over_budget
        self._report_errors = report_errors
        self._clock = clock
        self._started = clock() if started is None else started
        self._created_at = wall()
        self._calls = TurnCalls(
            plan.ask.functions,
            policy,
            chat=plan.chat,
            offered=plan.ask.tools,
            prompts=report_errors,
            sees=plan.ask.endpoint.capabilities.images and not is_text_only(plan.ask.model),
            clock=clock,
        )
        self._end = StreamEnd()  # of the newest stream
        self._rest: list[Received] = []
        self._pictures: list[JSON] = []  # that functions gave and the model was not sent yet
        self._answering = False  # a response has ended, and its function calls are being answered
        self._previous_id = plan.request.previous_response_id  # of the first response's request
        self._repairs = 0
        self._failure: QwenError | None = None  # the turn's own, not the server's
        self._notice = ""
        self._checked_at = self._started
        self._said: set[str] = set()

    @property
    def found(self) -> JSON:
        """What was learnt about the host (see `session.host_facts`)."""
        return self._recovery.found

    # what is to be done

    def steps(self) -> Steps:
        """Yield the actions of the turn, to its end."""
        self._checkpoint(self._turn("stopped", self._clock()))  # what follows may be killed
        while True:
            self._end = yield Open(self.plan)
            yield from self._fetch_rest()
            if not (self._end.error or self._end.stopped or self.stop_asked):
                self.state.conclude(self._clock())
            goes_on = (yield from self._ask_again()) or (yield from self._answer_calls())
            if not (goes_on or self._repair()):
                break
        yield from self._await_figures()

    def _fetch_rest(self) -> Generator[Wait, None, None]:
        """After a broken connection, fetch the rest of the answer from the server if it keeps
        it.
        """
        if not may_have_rest(self.plan, self.state, self._end.error):
            return
        self._view.notice("the connection broke; asking for the rest of the answer")
        end = yield from self._recovery.rest(self.plan, self.state)
        if end is not None:
            from qwen_magic.client.reader import Received

            self._rest = [Received(end, self._clock())]
            self.feed(self._rest)
            self._end = StreamEnd()
            self.tell("the connection broke; the rest came from what the server keeps")
        self._view.notice("")

    def _ask_again(self) -> Generator[Wait, None, bool]:
        """Whether to request the newest response again by another request; what it brought is
        discarded.
        """
        if self.stop_asked or self._end.stopped:
            return False
        plan, state, error = self.plan, self.state, self._end.error
        retry = self._recovery.without_refused(plan, state, error)
        retry = retry or (yield from self._recovery.with_history_as_text(plan, state, error))
        if retry is None:
            return False
        self.plan = retry.plan
        if not plan.so_far:
            self._previous_id = retry.plan.request.previous_response_id
        is_shown = bool(state.newest)
        state.again()
        self._figures.forget_runs(state.entries)
        if is_shown:
            self._view.restart()
            self._show()
        self._view.tell(retry.note)
        return True

    def _answer_calls(self) -> Generator[CallAction, Any, bool]:
        """Run the functions that the newest response called; return whether the model continues
        with them.
        """
        calls, state = self.state.calls, self.state
        ended_well = state.status == "completed" and not (self.stop_asked or self._end.error)
        if not ended_well or not self._calls.pending(calls):
            return False
        if self._calls.is_last:
            self._failure = QwenError(
                f"The model called functions again after {self._calls.rounds}, "
                "though it was told to answer.",
                hint="Ask more narrowly, or raise %config QwenMagics.tool_rounds.",
            )
            return False
        yield from self._calls.answers(calls, self)
        if self.stop_asked or self._is_over_budget():
            return False
        answered = [entry.item for entry in calls if isinstance(entry.item, FunctionCall)]
        pictures, self._pictures = tuple(self._pictures), []
        self.plan = self.plan.going_on(
            state.id, state.items, answered, pictures, is_last=self._calls.exhausted
        )
        state.next_response()
        self._answering = False
        self._show()
        return True

    def _repair(self) -> bool:
        """Whether to ask for a correction, as the newest response lacks the object that the schema
        describes.
        """
        schema, state = self.plan.ask.schema, self.state
        ended_well = state.status == "completed" and not (self.stop_asked or self._end.error)
        if schema is None or not ended_well or state.calls or self._failure is not None:
            return False
        from qwen_magic.tools.validation import SchemaMismatchError

        try:
            schema.parse(state.text)
            return False
        except SchemaMismatchError as mismatch:
            error = mismatch
        if self._repairs == MOST_REPAIRS or self._is_over_budget():
            return False
        self._repairs += 1
        newest = "\n\n".join(e.text for e in state.newest if isinstance(e.item, Message) and e.text)
        state.set_aside(str(error.faults[0]) if error.faults else error.message)
        words = schema.retry_prompt(error)
        self.plan = self.plan.repaired(state.id, state.items, newest, words)
        state.next_response()
        self._show()
        return True

    def _is_over_budget(self) -> bool:
        if self.state.usage is not None:
            self._failure = self._over_budget(self.state.usage)
        return self._failure is not None

    def _await_figures(self) -> Generator[Wait, None, None]:
        until = self._clock() + FIGURE_PATIENCE
        while self._figures.pending and self._clock() < until and not self.stop_asked:
            yield Wait()
        if not self.stop_asked:
            self._figures.give_up(f"it did not come within {FIGURE_PATIENCE:.0f} s")

    # what came

    def feed(self, batch: Sequence[Received]) -> None:
        """Apply events of a stream, and show the new state."""
        if not batch:
            return
        for received in batch:
            self.state.apply(received.event, received.at)
        if any(isinstance(received.event, ItemDone | ResponseEnded) for received in batch):
            self._figures.look_into(self.state.entries)
        self._show()

    def fetched(self) -> list[Received]:
        """Events of the newest response that came outside its stream; returned once."""
        rest, self._rest = self._rest, []
        return rest

    def tick(self, retrying: str = "") -> None:
        """Called as time passes. `retrying`: a line to show while the connection is retried."""
        if retrying != self._notice:
            self._notice = retrying
            self._view.notice(retrying)
        if self._figures.busy:
            self._figures.collect(self._show_figure)
        now = self._clock()
        if now - self._checked_at >= CHECKPOINT and self.state.entries:
            self._checked_at = now
            self._checkpoint(self._turn("stopped", now))
        self._view.tick(self.state, now)

    # what becomes of the calls (`tools.loop.CallingTurn`)

    def take_call(self, entry: Entry, phase: CallPhase) -> None:
        self._answering = True
        self.state.take_call(entry, phase, self._clock())
        self._show()

    def answer_call(self, entry: Entry, result: CallResult) -> None:
        self._answering = True
        if result.images:
            self._pictures.append(images_message(entry.finished(), result.images))
        result = replace(result, figures=self._figures.admitted(result.figures))
        self.state.answer_call(entry, result, self._clock())
        self._show()

    def ask_about(self, entry: Entry, question: Question) -> Poll | None:
        return self._view.ask(entry, question)

    def tell(self, fact: str) -> None:
        if fact not in self._said:
            self._said.add(fact)
            self._view.tell(fact)

    def warn(self, fact: str) -> None:
        """Show a fact in the footer; without a view, print it to stderr."""
        if fact not in self._said and isinstance(self._view, NoView):
            sys.stderr.write(f"{fact}\n")
        self.tell(fact)

    # the end

    def cut_off(self, end: StreamEnd) -> None:
        """The turn was ended by an interrupt or an error; no further step follows."""
        self.stop_asked = True
        self._end = end

    def finish(self) -> tuple[Answer, Turn]:
        """Show the end; return the answer, and the turn to record."""
        self._figures.give_up("the turn ended before it came")
        self._figures.collect(self._show_figure)
        error = None if self._stopped else self._failure or self._end.error
        if isinstance(error, APIError) and self.plan.ask.retirement:
            error.hint = f"{self.plan.ask.retirement}."
        outcome = self._outcome(error)
        now = self._clock()
        turn = self._turn(outcome.status, now)
        metadata = turn_metadata(turn, parent=self.plan.parent, number=self.plan.number)
        self._tell_window()
        self._tell_thinking()
        bundle = self._view.finish(self.state, now, outcome, metadata)
        figures = [figure for figure in self._figures.figures if figure.content]
        answer = Answer(
            text=turn.text,
            reasoning=self.state.reasoning,
            items=self.state.items,
            figures=tuple(figure.content for figure in figures),
            drawn={} if bundle else {figure.url: figure.data_uri for figure in figures},
            usage=self.state.usage,
            id=self.state.id,
            status=outcome.status,
            model=turn.model,
            chat=turn.chat,
            seconds=turn.seconds,
            raw=self.state.raw,
            bundle=bundle,
            metadata=refer_to(bundle.get("text/markdown", ""), metadata),
            error=error,
        )
        return self.plan.ask.parsed(answer), turn

    @property
    def _stopped(self) -> bool:
        """Whether the turn was ended before it was complete."""
        is_over = self.state.terminal and not self._is_open
        return self._end.stopped or (self.stop_asked and not is_over)

    @property
    def _is_open(self) -> bool:
        """Whether function calls of the newest response have no result yet."""
        return self._answering or bool(self.plan.ask.functions and self.state.calls)

    def _outcome(self, error: QwenError | None) -> Outcome:
        if self._stopped and (self._is_open or not self.state.terminal):
            return Outcome("stopped")
        if error is not None:
            return failure(error, is_raised=self._report_errors)
        if self.state.status == "incomplete":
            reason = self.state.incomplete_reason
            limit = self.plan.ask.extra.get("max_output_tokens", 0)
            says = reason and "max_output_tokens" not in reason
            why = f"The server's reason: {reason}." if says else ""
            return Outcome("incomplete", limit=limit, why=why, lacks=self._lacks())
        return Outcome("completed", lacks=self._lacks())

    def _lacks(self) -> Literal["", "text", "all"]:
        """What a complete answer lacks: its text, or everything. An answer may end with a call."""
        state = self.state
        if state.text or any(entry.type in CALLS for entry in state.newest):
            return ""
        return "text" if state.reasoning else "all"

    @cached_property
    def _prompt(self) -> str:
        return redact(self.plan.ask.prompt)

    @cached_property
    def _input(self) -> str | tuple[JSON, ...]:
        kept: str | tuple[JSON, ...] = redacted(self.plan.ask.input)
        return kept

    def _turn(self, status: TurnStatus, now: float) -> Turn:
        plan, ask, state = self.plan, self.plan.ask, self.state
        return Turn(
            key=plan.key,
            chat=plan.chat,
            status=status,
            parent=plan.parent.key if plan.parent else None,
            response_id=state.id,
            previous_response_id=self._previous_id,
            cell=ask.cell,
            prompt=self._prompt,
            input=self._input,
            text=state.text,
            items=items_json(state.items),
            model=state.model or ask.model,
            host=ask.endpoint.host,
            usage=state.usage,
            created_at=self._created_at,
            seconds=now - self._started,
            stored=plan.keeps_ids,
            imported=bool(ask.endpoint.recorded),
        )

    # what is shown

    def _show(self) -> None:
        self._view.update(self.state, self._clock())

    def _show_figure(self, figure: FetchedFigure) -> None:
        self._view.figure(figure.url, figure.data_uri, figure.reason)

    def _tell_thinking(self) -> None:
        """Say so if the model thought though it was asked not to."""
        ask = self.plan.ask
        effort = str(ask.effort)
        refused = effort in ("none", "0") if effort else ask.think is False
        if refused and self.state.reasoning:
            option = f"--effort {effort}" if effort else "--no-think"
            self._view.tell(f"{option} had no effect on {self.state.model or ask.model} there")

    def _tell_window(self) -> None:
        full = fullness(self.state.response_usage, self.plan.ask.window)
        for words in (window_fact(full), window_warning(full)):
            if words:
                self._view.tell(words)
