"""What can still be made of a turn when a stream of it ended in a way that was not asked for.

    the connection broke              the rest of the answer, where the server gives it out: `rest`
    a parameter was refused           the same request without it: `without_refused`
    the earlier turns were lost       the same question, with them as text: `told_as_text`

What comes out is for the machine of the turn to do (`session.turn`); nothing is shown, fed or asked
of a model here. Whoever drives the turn does the `Wait`s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote

from qwen_magic.document.words import plural
from qwen_magic.errors import (
    ConnectionLostError,
    QwenError,
    SilenceError,
    TransportError,
    UnknownResponseError,
)
from qwen_magic.protocol.events import ResponseEnded
from qwen_magic.protocol.items import Message
from qwen_magic.protocol.state import ResponseState
from qwen_magic.session.plan import Plan
from qwen_magic.tools.loop import Wait

if TYPE_CHECKING:
    from qwen_magic.protocol.fields import JSON
    from qwen_magic.protocol.response import EndStatus

RECENT: Final = 3600.0  # seconds in which a server that keeps answers has not lost one
REST_PATIENCE: Final = 60.0  # seconds that an answer whose stream broke is asked for …
REST_PAUSE: Final = 1.0  # … so far apart …
REST_TRIES: Final = 3  # … or until the server was out of reach so often


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask once more, by this plan. `note`: why, in words for the reader."""

    plan: Plan
    note: str


class Recovery:
    """`found`: what was found out about the host meanwhile (`session.host_facts`)."""

    def __init__(
        self,
        look_up: Callable[[str], Future[JSON | QwenError]],
        is_stopped: Callable[[], bool],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`look_up` begins to ask the server for the JSON at a path; `is_stopped`: whether the turn
        has been stopped by now."""
        self.found: JSON = {}
        self._look_up = look_up
        self._is_stopped = is_stopped
        self._clock = clock
        self._wall = wall

    # the connection broke

    def rest(self, plan: Plan, state: ResponseState) -> Generator[Wait, None, ResponseEnded | None]:
        """The whole answer from the server that keeps it, for as long as it says that it is still
        being written; None where it does not come. Nothing is asked, paid or run twice."""
        until, failures = self._clock() + REST_PATIENCE, 0
        while self._clock() < until and failures < REST_TRIES and not self._is_stopped():
            found = yield from self._given_out(state.id)
            status = found.get("status")
            if status in ("completed", "incomplete"):
                end = ResponseEnded(cast("EndStatus", status), found)
                return end if _holds_what_came(plan, state, end) else None
            if found and status not in ("queued", "in_progress"):
                return None
            failures += not found
            pause = self._clock() + REST_PAUSE
            while self._clock() < pause and not self._is_stopped():
                yield Wait()
        return None

    def _given_out(self, id: str) -> Generator[Wait, None, JSON]:
        """A response as the server gives it out, if it does; empty where it does not answer."""
        found = self._look_up(f"responses/{quote(id, safe='')}")
        while not (found.done() or self._is_stopped()):
            yield Wait()
        answer = found.result() if found.done() else {}
        if isinstance(answer, TransportError):
            return {}
        is_it = not isinstance(answer, QwenError) and answer.get("id") == id
        return cast("JSON", answer) if is_it else {"status": "unknown"}

    # a parameter was refused

    def without_refused(
        self, plan: Plan, state: ResponseState, error: QwenError | None
    ) -> Retry | None:
        """The same request without a parameter that nobody asked for and the server refused. Of one
        that was asked for, the error says by which option."""
        if error is None or state.newest:
            return None
        from qwen_magic.client.error_map import refused_parameter

        parameter, ask = refused_parameter(error, plan.request.body()), plan.ask
        if not parameter:
            return None
        option = ask.option_behind(parameter)
        if option:
            if option not in error.hint:
                error.hint = f"Leave out {option}: {ask.endpoint.name} does not take `{parameter}`."
            return None
        note = f"without {parameter} ({ask.endpoint.name} refused it)"
        self.found["rejects"] = [*self.found.get("rejects", ()), parameter]
        return Retry(plan.without(parameter, note), note)

    # the earlier turns were lost

    def told_as_text(
        self, plan: Plan, state: ResponseState, error: QwenError | None
    ) -> Generator[Wait, None, Retry | None]:
        """The same question with the conversation as text, where the server turned out not to have
        it.

        A server of which nothing is known, and that does not have an answer of the last hour, is
        taken to keep none (`plan.keeps_ids`). DashScope and OpenAI keep what they are told.
        """
        why = yield from self._lost(plan, state, error)
        if not why:
            return None
        is_recent = bool(plan.so_far) or (  # an answer of this very turn
            plan.parent is not None and abs(self._wall() - plan.parent.created_at) < RECENT
        )
        forgets = plan.ask.endpoint.capabilities.keeps_ids == "unknown" and is_recent
        if forgets:
            self.found["keeps_ids"] = "no"
        count = len(plan.path) + bool(plan.so_far)
        turns = plural(count, "turn was", "turns were")
        note = f"{why}: {count} {turns} sent again as text"
        return Retry(
            plan.with_history_as_text(note, keeps_ids=plan.keeps_ids and not forgets), note
        )

    def _lost(
        self, plan: Plan, state: ResponseState, error: QwenError | None
    ) -> Generator[Wait, None, str]:
        """Why the conversation must be told again as text; empty where it need not.

        Either the server says so, or, where nothing is known of it, it names no previous response
        at the end though one was given. That alone is no sign of loss (llama-stack never names
        it): the server has the earlier turns where it read more than it was sent, or can still
        give out the response.
        """
        before = plan.request.previous_response_id
        if not before:
            return ""
        if isinstance(error, UnknownResponseError):
            return "" if state.newest else "the server no longer had the earlier turns"
        raw = state.raw  # empty where the server said no more than `[DONE]`
        unnamed = bool(raw) and not raw.get("previous_response_id")
        may_forget = plan.ask.endpoint.capabilities.keeps_ids == "unknown"
        if not (may_forget and unnamed) or error:
            return ""
        if _read_more(plan, state) or (yield from self._given_out(before)).get("id"):
            self.found["keeps_ids"] = "yes"
            return ""
        return "" if self._is_stopped() else "the server keeps no earlier turns"


def may_have_rest(plan: Plan, state: ResponseState, error: QwenError | None) -> bool:
    """Whether the connection broke in an answer that the server keeps."""
    is_broken = isinstance(error, ConnectionLostError | SilenceError) and not state.terminal
    is_new = bool(state.id) and state.id != plan.request.previous_response_id
    return is_broken and is_new and plan.keeps_ids and plan.request.extra.get("store") is not False


def _holds_what_came(plan: Plan, state: ResponseState, end: ResponseEnded) -> bool:
    """Whether the response that the server gives out is the whole of what came, and neither empty
    nor another text. What came may be thinking whose end was still to come."""
    whole = ResponseState(thinks_in_text=plan.ask.endpoint.capabilities.thinks_in_text)
    whole.apply(end)
    came = _message_text(state).strip()
    return any(text.strip().startswith(came) for text in (_message_text(whole), whole.reasoning))


def _message_text(state: ResponseState) -> str:
    """The text of the newest response, without what joins its messages."""
    return "".join(entry.text for entry in state.newest if isinstance(entry.item, Message))


def _read_more(plan: Plan, state: ResponseState) -> bool:
    """Whether the usage proves that the model read the turn before, too.

    What comes to every request (the template, instructions, tools) counts in the turn before as
    well; so a server that had lost it would count at most the tokens of this request more. A token
    has two bytes at least, on the average of any text.
    """
    before, now = plan.parent, state.response_usage
    if plan.so_far or before is None or before.usage is None or now is None:
        return False
    sent = len(json.dumps(plan.request.body(), ensure_ascii=False).encode("utf-8", "replace"))
    return now.input_tokens > before.usage.input_tokens + sent / 2
