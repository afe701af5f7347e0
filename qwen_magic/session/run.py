"""One turn from its open stream to the recorded answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from qwen_magic.answer import Answer
from qwen_magic.context.models import fullness, window_fact, window_warning
from qwen_magic.conversation.chain import Turn, TurnStatus
from qwen_magic.document.facts import Outcome, failure
from qwen_magic.errors import UnknownResponseError
from qwen_magic.protocol.items import CallResult, CodeInterpreterCall, items_json
from qwen_magic.protocol.state import ResponseState
from qwen_magic.session.figures import Figure, FigureFetcher, figure_urls
from qwen_magic.session.metadata import turn_metadata
from qwen_magic.session.plan import Plan
from qwen_magic.session.view import NoView, Poll, View

if TYPE_CHECKING:
    from qwen_magic.client import Received, Stream
    from qwen_magic.document.question import Question
    from qwen_magic.errors import QwenError
    from qwen_magic.protocol.entry import CallPhase, Entry


CHECKPOINT: Final = 1.0  # seconds between two


class TurnRun:
    """Feeds what a stream brings to the state and the view, then makes the turn and the answer.

    `clock` gives seconds that only grow, in the stream's own unit; `wall` seconds since 1970.
    """

    def __init__(
        self,
        plan: Plan,
        stream: Stream,
        view: View,
        figures: FigureFetcher,
        *,
        keep: Callable[[Turn], None] = lambda turn: None,
        told: bool = True,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`keep` is given the turn as far as it has come, about once a second. `told`: whoever
        asked is told of a failure, so that the view need only name it."""
        self.plan = plan
        self.stream = stream
        self.state = ResponseState()
        self._view = view
        self._figures = figures
        self._keep = keep
        self._told = told
        self._clock = clock
        self._started = clock()
        self._created_at = wall()
        self._kept_at = self._started
        self._notice = ""
        self._looked_into: set[str] = set()  # keys of code runs whose figures were asked for
        self._previous_id = plan.request.previous_response_id  # of the first response's request
        self._failure: QwenError | None = None
        self._facts: set[str] = set()  # that were said
        self._between = False  # a response has ended, and its function calls are being answered
        self.stop_asked = False
        view.begin(self.stop)

    def stop(self) -> None:
        """End the turn, from any thread."""
        self.stop_asked = True
        self.stream.stop()

    @property
    def stopped(self) -> bool:
        """Whether it was ended before it was over."""
        return self.stream.stopped or (self._is_open and self.stop_asked)

    @property
    def _is_open(self) -> bool:
        """Whether calls of the newest response wait for an answer from here."""
        return self._between or bool(self.plan.ask.functions and self.state.calls)

    @property
    def ended_well(self) -> bool:
        """Whether the newest response is complete, and nobody stopped the turn."""
        return self.state.status == "completed" and not (self.stop_asked or self.stream.error)

    def feed(self, batch: Sequence[Received]) -> None:
        """Apply what came, and show it."""
        if not batch:
            return
        for received in batch:
            self.state.apply(received.event, received.at)
        self._want_figures()
        self._view.update(self.state, self._clock())

    def tick(self) -> None:
        """Look at the clock, at figures on their way and at the connection."""
        if self.stream.retrying != self._notice:
            self._notice = self.stream.retrying
            self._view.notice(self._notice)
        self._figures.collect(self._show_figure)
        now = self._clock()
        if now - self._kept_at >= CHECKPOINT and self.state.entries:
            self._kept_at = now
            self._keep(self._turn("stopped"))
        self._view.tick(self.state, now)

    def lost(self) -> str:
        """Why the conversation must be told again as text; empty where it need not.

        Either the server says so, or, where nothing is known of it, it names no previous response
        at the end though one was given (DashScope is not known to name it always).
        """
        if not self.plan.request.previous_response_id or self.stream.stopped:
            return ""
        if isinstance(self.stream.error, UnknownResponseError):
            return "" if self.state.newest else "the server no longer had the earlier turns"
        unnamed = self.state.terminal and not self.state.raw.get("previous_response_id")
        if (
            self.plan.ask.endpoint.capabilities.keeps_ids == "unknown"
            and unnamed
            and not self.stream.error
        ):
            return "the server keeps no earlier turns"
        return ""

    def restart(self, plan: Plan, stream: Stream) -> None:
        """Ask for the newest response again, with another plan for the same question."""
        self.plan, self.stream = plan, stream
        if not plan.so_far:
            self._previous_id = plan.request.previous_response_id
        is_shown = bool(self.state.newest)
        self.state.again()
        self._looked_into = {entry.key for entry in self.state.entries}
        if is_shown:
            self._view.restart()
            self._view.update(self.state, self._clock())
        self._view.tell(plan.notes[-1])
        self._stop_late()

    def ask(self, entry: Entry, question: Question) -> Poll | None:
        """Have the view ask whether a call may run."""
        return self._view.ask(entry, question)

    def take_call(self, entry: Entry, phase: CallPhase) -> None:
        """Show that one of the state's `calls` is asked about, or runs."""
        self._between = True
        self.state.take_call(entry, phase, self._clock())
        self._view.update(self.state, self._clock())

    def answer_call(self, entry: Entry, result: CallResult) -> None:
        """Show what is sent back for a call."""
        self._between = True
        self.state.answer_call(entry, result, self._clock())
        self._view.update(self.state, self._clock())

    def go_on(self, plan: Plan, stream: Stream) -> None:
        """Take the model's next response, to what its calls gave."""
        self.plan, self.stream = plan, stream
        self.state.next_response()
        self._between = False
        self._view.update(self.state, self._clock())
        self._stop_late()

    def tell(self, fact: str) -> None:
        """Say something in the footer, once."""
        if fact not in self._facts:
            self._facts.add(fact)
            self._view.tell(fact)

    def warn(self, fact: str) -> None:
        """Say it in the footer; on stderr, where nothing is shown."""
        if fact not in self._facts and isinstance(self._view, NoView):
            sys.stderr.write(f"{fact}\n")
        self.tell(fact)

    def fail(self, error: QwenError) -> None:
        """The turn failed here, not at the server."""
        self._failure = error

    def _stop_late(self) -> None:
        """Where Stop was clicked just before there was another stream."""
        if self.stop_asked:
            self.stream.stop()

    @property
    def waits_for_figures(self) -> bool:
        return self._figures.pending

    def give_up_figures(self, reason: str) -> None:
        """Wait no longer for the figures that are still on their way."""
        self._figures.give_up(reason)

    def finish(self) -> tuple[Answer, Turn]:
        """Take what is left, show the end, and give the answer with the turn to record."""
        batch, _ended = self.stream.drain()
        self.feed(batch)
        self._figures.give_up("the turn ended before it came")
        self._figures.collect(self._show_figure)
        error = self._error()
        outcome = self._outcome(error)
        turn = self._turn(outcome.status)
        metadata = turn_metadata(turn, self.plan)
        self._tell_window()
        bundle = self._view.finish(self.state, self._clock(), outcome, metadata)
        answer = Answer(
            text=turn.text,
            reasoning=self.state.reasoning,
            items=self.state.items,
            figures=tuple(f.content for f in self._figures.figures if f.content),
            usage=self.state.usage,
            id=self.state.id,
            status=outcome.status,
            model=turn.model,
            chat=turn.chat,
            seconds=turn.seconds,
            raw=self.state.raw,
            bundle=bundle,
            metadata=metadata,
            error=error,
        )
        return answer, turn

    def _tell_window(self) -> None:
        full = fullness(self.state.response_usage, self.plan.ask.window)
        for words in (window_fact(full), window_warning(full)):
            if words:
                self._view.tell(words)

    def _want_figures(self) -> None:
        for entry in self.state.entries:
            if not isinstance(entry.item, CodeInterpreterCall) or entry.key in self._looked_into:
                continue
            if entry.done:
                self._looked_into.add(entry.key)
                for url in figure_urls(entry.item):
                    self._figures.want(url)

    def _show_figure(self, figure: Figure) -> None:
        self._view.figure(figure.url, figure.data_uri, figure.reason)

    def _error(self) -> QwenError | None:
        return None if self.stopped else self._failure or self.stream.error

    def _outcome(self, error: QwenError | None) -> Outcome:
        if self.stopped and (self._is_open or not self.state.terminal):
            return Outcome("stopped")
        if error is not None:
            return failure(error, told=self._told)
        if self.state.status == "incomplete":
            limit = self.plan.ask.max_output_tokens or 0
            by_limit = "max_output_tokens" in self.state.incomplete_reason
            return Outcome("incomplete", limit=limit, why="" if by_limit else self._incomplete())
        return Outcome("completed")

    def _incomplete(self) -> str:
        reason = self.state.incomplete_reason
        return f"The server's reason: {reason}." if reason else ""

    def _turn(self, status: TurnStatus) -> Turn:
        plan, ask, state = self.plan, self.plan.ask, self.state
        return Turn(
            key=plan.key,
            chat=plan.chat,
            status=status,
            parent=plan.parent.key if plan.parent else None,
            response_id=state.id,
            previous_response_id=self._previous_id,
            cell=ask.cell,
            prompt=ask.prompt,
            input=ask.input,
            text=state.text,
            items=items_json(state.items),
            model=state.model or ask.model,
            host=ask.endpoint.host,
            usage=state.usage,
            created_at=self._created_at,
            seconds=self._clock() - self._started,
            stored=plan.keeps_ids,
        )
