"""One turn from its open stream to the recorded answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from qwen_magic.answer import Answer
from qwen_magic.context.windows import fullness, window_fact, window_warning
from qwen_magic.conversation.chain import Turn, TurnStatus
from qwen_magic.document.facts import Outcome, failure
from qwen_magic.errors import UnknownResponseError
from qwen_magic.protocol.items import JSON, CodeInterpreterCall, item_json
from qwen_magic.protocol.state import ResponseState
from qwen_magic.session.figures import Figure, FigureFetcher, figure_urls
from qwen_magic.session.metadata import turn_metadata
from qwen_magic.session.plan import Plan
from qwen_magic.session.view import View

if TYPE_CHECKING:
    from qwen_magic.client import Received, Stream
    from qwen_magic.errors import QwenError


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
        view.begin(stream.stop)

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
            return "" if self.state.text else "the server no longer had the earlier turns"
        unnamed = self.state.terminal and not self.state.raw.get("previous_response_id")
        if self.plan.ask.endpoint.family == "other" and unnamed and not self.stream.error:
            return "the server keeps no earlier turns"
        return ""

    def restart(self, plan: Plan, stream: Stream) -> None:
        """Ask again, with another plan for the same question."""
        self.plan, self.stream = plan, stream
        if self.state.entries:
            self._view.restart()
        self.state = ResponseState()
        self._view.tell(plan.notes[-1])

    @property
    def waits_for_figures(self) -> bool:
        return self._figures.pending

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
        full = fullness(self.state.usage, self.plan.ask.window)
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
        return None if self.stream.stopped else self.stream.error

    def _outcome(self, error: QwenError | None) -> Outcome:
        if self.stream.stopped and not self.state.terminal:
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
            previous_response_id=plan.request.previous_response_id,
            cell=ask.cell,
            prompt=ask.prompt,
            input=ask.input,
            text=state.text,
            items=_kept(state),
            model=state.model or ask.model,
            host=ask.endpoint.host,
            usage=state.usage,
            created_at=self._created_at,
            seconds=self._clock() - self._started,
            stored=plan.keeps_ids,
        )


def _kept(state: ResponseState) -> tuple[JSON, ...]:
    return tuple(item_json(item) for item in state.items)
