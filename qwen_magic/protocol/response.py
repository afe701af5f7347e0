"""The status, error and usage of a response object.

An error is read from any JSON shape that servers use. The same shapes come as the body of an HTTP
error, as an event of a stream, and as the `error` of a response:

    OpenAI, vLLM      {"error": {"message", "type", "code", "param"}}
    DashScope         {"code", "message", "request_id"}
    Ollama            {"error": "in words"}
    FastAPI           {"detail": "in words"}, {"detail": [{"loc": ["body", "input"], "msg"}]}
    RFC 9457          {"type": URL, "title", "detail", "errors": {"field": ["why"]}}
    OpenRouter        {"error": {"message", "metadata": {"raw": JSON as text, "provider_name"}}}
    gateways          any of these inside another, as an object or as JSON in a text
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Final, Literal, TypeAlias

from qwen_magic.masking import redact
from qwen_magic.protocol.fields import JSON, count, mapping, mappings, text

Status: TypeAlias = Literal[
    "queued", "in_progress", "completed", "incomplete", "failed", "cancelled"
]
EndStatus: TypeAlias = Literal["completed", "incomplete", "failed", "cancelled"]

_WORDS: Final = ("message", "Message", "msg", "error_description", "error_message", "errorMessage",
                 "error_msg", "errmsg", "faultstring", "reason", "detail", "title",
                 "description")  # fmt: skip
_CODES: Final = ("code", "error_code", "errcode", "__type")
_INSIDE: Final = ("error", "errors", "detail", "message", "fault", "response", "body", "data")
_WHERE: Final = ("loc", "field", "pointer", "name", "path")
_DEEPEST: Final = 10  # a gateway's body inside another's takes two or three
_MOST: Final = 3  # complaints of a list that are told


@dataclass(frozen=True, slots=True)
class ResponseError:
    """Why a request or response failed, in the service's words; any field may be empty.

    `message` names the parameter concerned if the server does.
    """

    code: str = ""
    message: str = ""
    request_id: str = ""


def response_error(raw: object) -> ResponseError | None:
    """Read a response's `error`, or an error body; None if it is null or says nothing."""
    reason = read_reason(raw)
    if not reason.code and not reason.message:
        return None
    return ResponseError(redact(reason.code), redact(reason.message), redact(reason.request_id))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and tool calls of a response. All-zero usage is seen on the wire: `known` is then
    False and nothing should be shown.

    Of the input, `cached_tokens` were read from a cache, `session_cached_tokens` of these from the
    one that the request's session-cache header asks for, and `cache_creation_tokens` were written
    to that: each has a price of its own.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    tools: Mapping[str, int] = field(default_factory=dict)  # calls by tool (`x_tools`)
    session_cached_tokens: int = 0
    cache_creation_tokens: int = 0

    @property
    def known(self) -> bool:
        return bool(self.input_tokens or self.output_tokens or self.total_tokens)

    def __add__(self, other: Usage) -> Usage:
        """The sum of both, for several responses."""
        names = [each.name for each in fields(self) if each.name != "tools"]
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        calls = (*self.tools, *other.tools)
        tools = {tool: self.tools.get(tool, 0) + other.tools.get(tool, 0) for tool in calls}
        return Usage(**sums, tools=tools)


def parse_usage(raw: JSON | None) -> Usage:
    """Tokens, calls by tool out of `x_tools`, and out of `x_details` what the session cache did (it
    alone names a `cache_type`). None or nonsense gives an all-zero usage.

    Bridges to Chat Completions leave its names: `prompt_tokens`, `completion_tokens`.
    """
    raw = mapping(raw)
    caches = [mapping(each.get("prompt_tokens_details")) for each in mappings(raw.get("x_details"))]
    spent = count(raw.get("input_tokens")) or count(raw.get("prompt_tokens"))
    got = count(raw.get("output_tokens")) or count(raw.get("completion_tokens"))
    read = mapping(raw.get("input_tokens_details")) or mapping(raw.get("prompt_tokens_details"))
    written = mapping(raw.get("output_tokens_details")) or mapping(
        raw.get("completion_tokens_details")
    )
    return Usage(
        input_tokens=spent,
        output_tokens=got,
        total_tokens=count(raw.get("total_tokens")) or spent + got,
        cached_tokens=count(read.get("cached_tokens")),
        reasoning_tokens=count(written.get("reasoning_tokens")),
        tools={
            name: count(mapping(tool).get("count"))
            for name, tool in mapping(raw.get("x_tools")).items()
        },
        session_cached_tokens=sum(
            count(cache.get("cached_tokens")) for cache in caches if cache.get("cache_type")
        ),
        cache_creation_tokens=sum(
            count(cache.get("cache_creation_input_tokens")) for cache in caches
        ),
    )


# Errors -------------------------------------------------------------------------------------------


def read_reason(payload: object) -> ResponseError:
    """The reason in an error object, a list of such objects, or a text."""
    return _read(payload, 0)


def _read(value: object, depth: int) -> ResponseError:
    match value:
        case str():
            return _of_text(value, depth)
        case list():
            return _of_list(value, depth)
        case dict() if depth < _DEEPEST:
            return _of_object(value, depth)
    return ResponseError()


def _of_text(words: str, depth: int) -> ResponseError:
    if words.lstrip()[:1] in ("{", "["):
        try:
            inner = _read(json.loads(words), depth + 1)
        except (ValueError, RecursionError):
            return ResponseError(message=words)
        if inner.message or inner.code:
            return inner
    return ResponseError(message=words)


def _of_list(values: Iterable[object], depth: int) -> ResponseError:
    """The first few errors of a list, each with the field it concerns."""
    reasons: list[str] = []
    first = ResponseError()
    for value in values:
        reason = _read(value, depth + 1)
        first = first if first.code or first.request_id else reason
        if reason.message and len(reasons) < _MOST:
            where = _where(mapping(value))
            is_named = not where or where in reason.message
            reasons.append(reason.message if is_named else f"{where}: {reason.message}")
    return ResponseError(first.code, "; ".join(reasons), first.request_id)


def _of_object(payload: JSON, depth: int) -> ResponseError:
    inside = [_inside(key, payload.get(key), depth) for key in _INSIDE]
    inside.append(_of_provider(mapping(payload.get("metadata")), depth))
    own = next((str(payload[key]) for key in _WORDS if _is_words(payload.get(key))), "")
    deeper = [each.message for each in inside if each.message]
    message = own
    for words in deeper:
        if words not in message:
            joint = "" if not message else " " if message.endswith((".", ":")) else ": "
            message = f"{message}{joint}{words}"
    error = payload.get("error")
    if isinstance(error, str) and not (error.lstrip().startswith(("{", "[")) or message):
        message = error
    parameter = text(payload.get("param"))
    if parameter and message and parameter not in message:
        message = f"{message} (parameter: {parameter})"
    codes = [_code(payload), *(each.code for each in inside)]
    named = (code for code in codes if code and not code.isdigit())
    return ResponseError(
        next(named, next(filter(None, codes), "")),
        message,
        text(payload.get("request_id"))
        or next((each.request_id for each in inside if each.request_id), ""),
    )


def _inside(key: str, value: object, depth: int) -> ResponseError:
    """What stands deeper under `key`. Plain words there are the object's own."""
    if isinstance(value, str):
        inner = _of_text(value, depth + 1)
        return inner if inner.message != value else ResponseError()
    if key == "errors" and isinstance(value, dict) and not _is_reason(value):
        reasons = [f"{field}: {_complaints(said, depth)}" for field, said in list(value.items())]
        return ResponseError(message="; ".join(reasons[:_MOST]))
    return _read(value, depth + 1)


def _is_reason(value: JSON) -> bool:
    return any(_is_words(value.get(key)) for key in _WORDS)


def _complaints(said: object, depth: int) -> str:
    return text(said) or _read(said, depth + 1).message


def _of_provider(metadata: JSON, depth: int) -> ResponseError:
    """OpenRouter: the error of the provider behind it."""
    raw = _read(metadata.get("raw"), depth + 1)
    provider = text(metadata.get("provider_name"))
    if raw.message and provider and provider not in raw.message:
        return ResponseError(raw.code, f"{raw.message} ({provider})", raw.request_id)
    return raw


def _is_words(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.lstrip()[0] not in "{["


def _code(payload: JSON) -> str:
    code = next((text(payload[key]) for key in _CODES if payload.get(key)), "")
    kind = text(payload.get("type"))
    is_code = kind not in ("error", "about:blank") and "://" not in kind
    is_code = is_code and not kind.startswith("response.")  # the event's name
    return code or (kind if is_code else "")


def _where(complaint: JSON) -> str:
    for key in _WHERE:
        place = complaint.get(key)
        if isinstance(place, list):
            return ".".join(str(part) for part in place if part != "body")
        if text(place):
            return text(place)
    return ""
