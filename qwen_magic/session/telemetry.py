"""What is told of turns to those who run programs: lines of `logging`, spans of OpenTelemetry.

    logger `qwen_magic`    INFO     a turn begins, and how it ended: model, host, tokens, seconds
                           WARNING  it failed, or is asked again
                           DEBUG    the prompt too, without keys
    span `chat MODEL`      a request to a model, as OpenTelemetry's semantic conventions for
                           generative AI have it: names, tokens, ids; what was said only where
                           OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for it
    span `execute_tool F`  a function that is run here

`session.session` looks whether there is anybody to hear: a question of a notebook does not come by
here. Spans are made where the program has imported `opentelemetry.trace`, without which nobody
could have set up where they go: so nothing is imported here.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from qwen_magic.errors import printed
from qwen_magic.masking import redact

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from qwen_magic.conversation.chain import Turn
    from qwen_magic.endpoints import Endpoint
    from qwen_magic.errors import QwenError
    from qwen_magic.protocol.state import ResponseState
    from qwen_magic.session.plan import Plan
    from qwen_magic.tools.loop import Invoke

LOGGER: Final = logging.getLogger("qwen_magic")
LOGGER.addHandler(logging.NullHandler())  # a program that sets up nothing hears nothing
_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
# Parameters of a request, by the names that the conventions have for them.
_PARAMETERS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_output_tokens": "max_tokens",
}


class Watch:
    """Reports one turn: `asks` and `answered` for each of its requests, then `ended`."""

    def __init__(self, plan: Plan) -> None:
        self._span: Span | None = None
        ask = plan.ask
        place = f"turn {plan.number} of {plan.chat}" if plan.chat else "outside any conversation"
        LOGGER.info("asking %s at %s, %s", printed(ask.model), ask.endpoint.host, printed(place))
        if LOGGER.isEnabledFor(logging.DEBUG):
            LOGGER.debug("prompt: %s", printed(ask.prompt))

    def asks(self, plan: Plan) -> None:
        """A request is sent."""
        trace = sys.modules.get("opentelemetry.trace")
        if trace is None:
            return
        made = trace.get_tracer("qwen_magic").start_span(
            f"chat {plan.ask.model}",
            kind=trace.SpanKind.CLIENT,
            attributes=_of_request(plan),
        )
        self._span = made

    def answered(self, state: ResponseState, error: QwenError | None) -> None:
        """The request has ended, for whatever reason."""
        if self._span is not None:
            self._span.set_attributes(_of_response(state))
            if _captures():
                self._span.set_attribute(
                    "gen_ai.output.messages", _message(state.text, "assistant")
                )
            if error is not None:
                _failed(self._span, error)
        self.leave()

    def leave(self) -> None:
        """End all open spans."""
        if self._span is not None:
            self._span.end()
            self._span = None

    @contextmanager
    def runs(self, call: Invoke) -> Iterator[None]:
        """A function runs; spans that it creates become children of this one."""
        trace = sys.modules.get("opentelemetry.trace")
        if trace is None:
            yield
            return
        with trace.get_tracer("qwen_magic").start_as_current_span(
            f"execute_tool {call.tool.name}",
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": call.tool.name,
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.id": call.call_id,
            },
        ):
            yield


def log_end(turn: Turn, error: QwenError | None) -> None:
    """Log the end of a turn."""
    usage = turn.usage
    tokens = f"{usage.input_tokens:,} + {usage.output_tokens:,} tokens" if usage else "no usage"
    facts = (turn.status, printed(turn.model), turn.seconds, tokens, printed(turn.response_id))
    if error is None:
        LOGGER.info("%s: %s in %.1f s, %s, %s", *facts)
    else:
        failure = f"{type(error).__name__}: {printed(error.message)}"
        LOGGER.warning("%s: %s in %.1f s, %s, %s: %s", *facts, failure)


def _of_request(plan: Plan) -> dict[str, Any]:
    """The span's attributes that are known before the answer."""
    ask = plan.ask
    parts = urlsplit(ask.endpoint.base_url)
    body = plan.request.body()
    given = {
        f"gen_ai.request.{name}": body[parameter]
        for parameter, name in _PARAMETERS.items()
        if parameter in body
    }
    if _captures():
        given["gen_ai.input.messages"] = _message(ask.prompt, "user")
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _provider(ask.endpoint),
        "gen_ai.request.model": ask.model,
        "gen_ai.output.type": "json" if ask.schema else "text",
        **({"gen_ai.conversation.id": plan.chat} if plan.chat else {}),
        **given,
        "server.address": parts.hostname or "",
        "server.port": parts.port or {"http": 80}.get(parts.scheme, 443),
    }


def _captures() -> bool:
    """Whether the user has message content put into spans."""
    return os.environ.get(_CONTENT, "").lower() in ("true", "span_only", "span_and_event")


def _message(text: str, role: str) -> str:
    """A message in the form of OpenTelemetry's conventions: JSON."""
    parts = [{"type": "text", "content": redact(text)}]
    return json.dumps([{"role": role, "parts": parts}], ensure_ascii=False)


def _provider(endpoint: Endpoint) -> str:
    """The provider's name in OpenTelemetry's conventions; `dashscope` for Model Studio."""
    return "dashscope" if endpoint.capabilities.has_known_models else endpoint.name


def _of_response(state: ResponseState) -> dict[str, Any]:
    """The span's attributes from the newest response."""
    attributes: dict[str, Any] = {}
    if state.id:
        attributes["gen_ai.response.id"] = state.id
    if state.model:
        attributes["gen_ai.response.model"] = state.model
    if state.status:
        attributes["gen_ai.response.finish_reasons"] = (state.incomplete_reason or state.status,)
    if (usage := state.response_usage) is not None and usage.known:
        attributes |= {
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        }
    return attributes


def _failed(span: Span, error: QwenError) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR, error.message))
