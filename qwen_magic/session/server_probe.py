"""What a server can do, found out by asking it a few tiny questions.

    Round trip      "Remember the word pelican …"        it answers; whether the model thinks
    ids             "Which word …?" after that answer    it named, had, or known
    thinking        the same question with each switch   the one that keeps a model from thinking
    text.format     "Name a colour." as an object        an object came: read; prose: ignored
    images          one pixel                            taken, or refused
    functions       one is offered                       taken, or refused

What it finds is in the words of `session.host_facts`; `row` is the line for the table of endpoints.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, get_args

from qwen_magic.client import Client
from qwen_magic.client.error_map import refused_parameter
from qwen_magic.endpoints import Capabilities, Endpoint, ThinkingSwitch
from qwen_magic.errors import QwenError
from qwen_magic.protocol.fields import JSON, json_object, mappings, text
from qwen_magic.protocol.request import ResponseRequest
from qwen_magic.protocol.state import ResponseState
from qwen_magic.session.plan import thinking_fields

_WORD: Final = "pelican"
_REMEMBER: Final = f"Remember the word {_WORD}. Reply with the one word: ready"
_WHICH: Final = "Which word were you told to remember? Reply with that word alone."
_READY: Final = "Reply with the one word: ready"
_LONGEST: Final = 256  # output tokens of an answer
_SILENCE: Final = 60.0  # seconds; a server of one's own may have to load its model first
_PIXEL: Final = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAE"
    "hQGAhKmMIQAAAABJRU5ErkJggg=="
)
_OBJECT: Final[JSON] = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
    "additionalProperties": False,
}
_FORMAT: Final[JSON] = {
    "format": {"type": "json_schema", "name": "colour", "schema": _OBJECT, "strict": True}
}
_FUNCTION: Final[JSON] = {
    "type": "function",
    "name": "nothing",
    "description": "Does nothing. Never call it.",
    "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
    "strict": True,
}


def model_names(client: Client, endpoint: Endpoint) -> list[str]:
    """The model names that `GET /models` lists. Raises `QwenError`."""
    answer = client.get(endpoint, "models").result()
    if isinstance(answer, QwenError):
        raise answer
    listed = [text(model.get("id")) for model in mappings(answer.get("data"))]
    return [name for name in listed if name]


@dataclass(frozen=True, slots=True)
class _Reply:
    state: ResponseState
    error: QwenError | None

    @property
    def thought(self) -> bool:
        usage = self.state.usage
        return bool(self.state.reasoning or (usage and usage.reasoning_tokens))


class ServerProbe:
    """Tests one server with one model. `found` collects the findings."""

    def __init__(self, client: Client, endpoint: Endpoint, model: str) -> None:
        self.found: JSON = {"rejects": [], "ignores": []}
        self._client = client
        self._endpoint = endpoint
        self._model = model
        self._off: JSON = {}  # what keeps the model from thinking

    def lines(self) -> Iterator[tuple[str, str]]:
        """Run the tests, and yield (name, result in words) for each.

        Raises `QwenError` if the server does not answer at all.
        """
        first = self._ask(_REMEMBER)
        if first.error is not None:
            raise first.error
        said = " ".join(first.state.text.split())[:60]
        yield "Round trip", f"{first.state.model or self._model} answered: {said!r}"
        yield "Earlier turns", self._ids(first)
        yield "Thinking", self._thinking(first)
        yield "text.format", self._format()
        yield "Images", self._images()
        yield "Functions", self._functions()

    def _ids(self, first: _Reply) -> str:
        id = first.state.id
        then = self._ask(_WHICH, previous_response_id=id) if id else None
        keeps = then is not None and then.error is None and self._continued(then, id)
        self.found["keeps_ids"] = "yes" if keeps else "no"
        if keeps:
            return "kept: a conversation goes on by its id."
        return "not kept: they are sent again as text with each turn."

    def _continued(self, then: _Reply, id: str) -> bool:
        if then.state.raw.get("previous_response_id") == id or _WORD in then.state.text.lower():
            return True
        answer = self._client.get(self._endpoint, f"responses/{id}").result()
        return not isinstance(answer, QwenError) and answer.get("id") == id

    def _thinking(self, first: _Reply) -> str:
        for switch in get_args(ThinkingSwitch):
            off = thinking_fields(switch, False)
            reply = self._ask(_READY, **off) if off else first
            if self._was_refused(reply, off):
                continue
            if first.thought and not (reply.error or reply.thought):
                self.found["thinking"], self._off = switch, off
                return f"switched by {switch}."
        if first.thought:
            self.found["thinking"] = ""
            return "the model thinks, and no switch was found."
        return "the model did not think, so that its switch is not known."

    def _format(self) -> str:
        reply = self._ask("Name a colour.", text=_FORMAT, **self._off)
        if self._was_refused(reply, {"text": None}):
            return "refused; the schema in the prompt has to do."
        if json_object(reply.state.text) is not None:
            return "read."
        if reply.error is None and reply.state.text:
            self.found["ignores"].append("text")
            return "ignored; the schema in the prompt has to do."
        return "not known: the answer had no text."

    def _images(self) -> str:
        part = {"type": "input_image", "image_url": _PIXEL, "detail": "auto"}
        content = [{"type": "input_text", "text": "Which colour is this?"}, part]
        reply = self._ask(({"type": "message", "role": "user", "content": content},), **self._off)
        self.found["images"] = reply.error is None
        return "taken." if reply.error is None else f"refused ({reply.error.why or reply.error})."

    def _functions(self) -> str:
        reply = self._ask(_READY, tools=[_FUNCTION], **self._off)
        if self._was_refused(reply, {"tools": None}):
            return "refused."
        return "taken." if reply.error is None else f"failed ({reply.error.why or reply.error})."

    def _was_refused(self, reply: _Reply, parameters: Mapping[str, Any]) -> bool:
        """Whether the error names one of `parameters`; if so it is noted as rejected."""
        refused = refused_parameter(reply.error, dict(parameters))
        if refused and refused not in self.found["rejects"]:
            self.found["rejects"].append(refused)
        return bool(refused)

    def _ask(self, given: str | tuple[JSON, ...], **extra: Any) -> _Reply:
        request = ResponseRequest(
            self._model, given, max_output_tokens=_LONGEST, extra=extra, stream=True
        )
        state = ResponseState()
        stream = self._client.stream(request, self._endpoint, silence=_SILENCE, retries=0)
        with stream:
            for batch in stream.batches_sync():
                for received in batch:
                    state.apply(received.event, received.at)
        return _Reply(state, stream.error)


def row(endpoint: Endpoint) -> str:
    """The endpoint as a line of `qwen_magic.endpoints.TABLE`."""
    unknown = Capabilities()
    given = [
        f"{each.name}={_literal(value)}"
        for each in fields(Capabilities)
        if (value := getattr(endpoint.capabilities, each.name)) != getattr(unknown, each.name)
    ]
    parts = [
        *(_literal(endpoint.name), _literal(endpoint.base_url)),
        f"Capabilities({', '.join(given)})",
        *([_literal(endpoint.key_variable)] if endpoint.key_variable else []),
        *(["key_optional=True"] if endpoint.key_optional else []),
    ]
    return f"Endpoint({', '.join(parts)}),"


def _literal(value: object) -> str:
    """`value` as Python, with the quotes of this package."""
    if isinstance(value, frozenset):
        return f"frozenset({{{', '.join(map(_literal, sorted(value)))}}})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_literal(k)}: {_literal(v)}' for k, v in value.items())}}}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
