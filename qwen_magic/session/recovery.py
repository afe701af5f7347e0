"""Continue a turn whose stream ended abnormally.

    the connection broke              fetch the rest of the answer, if the server keeps it: `rest`
    a parameter was refused           the same request without it: `without_refused`
    the earlier turns were lost       the same question, with them as text: `with_history_as_text`

The results are applied by the machine of the turn (`session.turn`); nothing is shown or fed here.
The caller performs the `Wait`s.
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
    """Send another request, made by this plan. `note` tells the user why."""

    plan: Plan
    note: str


class Recovery:
    """Finds a way to continue. `found`: what was learnt about the host (see
    `session.host_facts`).
    """

    def __init__(
        self,
        look_up: Callable[[str], Future[JSON | QwenError]],
        is_stopped: Callable[[], bool],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        """`look_up` starts a GET request and returns its future; `is_stopped` tells whether the
        turn was stopped.
        """
        self.found: JSON = {}
        self._look_up = look_up
        self._is_stopped = is_stopped
        self._clock = clock
        self._wall = wall

    # the connection broke

    def rest(self, plan: Plan, state: ResponseState) -> Generator[Wait, None, ResponseEnded | None]:
        """Poll the server for the complete response while it is still being written.

        None if it does not come. The request is not sent again, so nothing is paid or run twice.
        """
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
        """GET a response by its id; empty if the server cannot be reached."""
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
        """Retry without the parameter that the server refused, if the user did not ask for it.

        If the user did, the error's hint names the option to leave out.
        """
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

    def with_history_as_text(
        self, plan: Plan, state: ResponseState, error: QwenError | None
    ) -> Generator[Wait, None, Retry | None]:
        """Retry with the conversation as text, if the server does not have it.

        A server without known capabilities that has lost an answer of the last hour is assumed to
        keep none (`plan.keeps_ids`). DashScope and OpenAI do keep them.
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
        """Why the conversation has to be sent as text; empty if it has not.

        Either the server says that it lacks the previous response, or (if its capabilities are
        unknown) it names none in its final object though one was sent. The latter alone proves
        nothing (llama-stack never names it): the server has the earlier turns if it read more
        tokens than it was sent, or can still return the previous response.
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
    """Whether the connection broke during an answer that the server keeps."""
    is_broken = isinstance(error, ConnectionLostError | SilenceError) and not state.terminal
    is_new = bool(state.id) and state.id != plan.request.previous_response_id
    return is_broken and is_new and plan.keeps_ids and plan.request.extra.get("store") is not False


def _holds_what_came(plan: Plan, state: ResponseState, end: ResponseEnded) -> bool:
    """Whether the response from the server begins with the text received so far, and is not empty.

    What was received may be only thinking, possibly incomplete.
    """
    whole = ResponseState(thinks_in_text=plan.ask.endpoint.capabilities.thinks_in_text)
    whole.apply(end)
    came = _message_text(state).strip()
    return any(text.strip().startswith(came) for text in (_message_text(whole), whole.reasoning))


def _message_text(state: ResponseState) -> str:
    """The text of the newest response's messages, without separators."""
    return "".join(entry.text for entry in state.newest if isinstance(entry.item, Message))


def _read_more(plan: Plan, state: ResponseState) -> bool:
    """Whether the token usage proves that the model also read the turns before.

    Template, instructions and tools count in both turns, so a server that lost the turn before
    would report at most this request's own tokens in addition. A token has at least two bytes on
    average.
    """
    before, now = plan.parent, state.response_usage
    if plan.so_far or before is None or before.usage is None or now is None:
        return False
    sent = len(json.dumps(plan.request.body(), ensure_ascii=False).encode("utf-8", "replace"))
    return now.input_tokens > before.usage.input_tokens + sent / 2
