"""The server's own reason for an error, out of any shape of JSON that was seen.

    OpenAI, vLLM      {"error": {"message", "type", "code", "param"}}
    DashScope         {"code", "message", "request_id"}
    Ollama            {"error": "in words"}
    FastAPI           {"detail": "in words"}, {"detail": [{"loc": ["body", "input"], "msg"}]}
    RFC 9457          {"type": URL, "title", "detail", "errors": {"field": ["why"]}}
    OpenRouter        {"error": {"message", "metadata": {"raw": JSON as text, "provider_name"}}}
    gateways          any of these inside another, as an object or as JSON in a text

The same shapes come as the body of an HTTP error, as an event of a stream, and as the `error` of a
response.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from qwen_magic.protocol.fields import JSON, mapping, text

_WORDS: Final = ("message", "Message", "msg", "error_description", "error_message", "errorMessage",
                 "faultstring", "reason", "detail", "title", "description")  # fmt: skip
_INSIDE: Final = ("error", "errors", "detail", "message", "fault", "response", "body", "data")
_WHERE: Final = ("loc", "field", "pointer", "name", "path")
_DEEPEST: Final = 10  # a gateway's body inside another's takes two or three
_MOST: Final = 3  # complaints of a list that are told


@dataclass(frozen=True, slots=True)
class Reason:
    """What a server says of an error; each field may be empty. `message` names the parameter that
    it is about, where the server says so."""

    code: str = ""
    message: str = ""
    request_id: str = ""


def read_reason(payload: object) -> Reason:
    """The reason that an error object, a list of such, or a text gives."""
    return _read(payload, 0)


def _read(value: object, depth: int) -> Reason:
    match value:
        case str():
            return _of_text(value, depth)
        case list():
            return _of_list(value, depth)
        case dict() if depth < _DEEPEST:
            return _of_object(value, depth)
    return Reason()


def _of_text(words: str, depth: int) -> Reason:
    if words.lstrip()[:1] in ("{", "["):
        try:
            inner = _read(json.loads(words), depth + 1)
        except (ValueError, RecursionError):
            return Reason(message=words)
        if inner.message or inner.code:
            return inner
    return Reason(message=words)


def _of_list(values: Iterable[object], depth: int) -> Reason:
    """The first few complaints, each with the place that it is about."""
    told: list[str] = []
    first = Reason()
    for value in values:
        reason = _read(value, depth + 1)
        first = first if first.code or first.request_id else reason
        if reason.message and len(told) < _MOST:
            where = _where(mapping(value))
            is_named = not where or where in reason.message
            told.append(reason.message if is_named else f"{where}: {reason.message}")
    return Reason(first.code, "; ".join(told), first.request_id)


def _of_object(payload: JSON, depth: int) -> Reason:
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
    return Reason(
        next(named, next(filter(None, codes), "")),
        message,
        text(payload.get("request_id"))
        or next((each.request_id for each in inside if each.request_id), ""),
    )


def _inside(key: str, value: object, depth: int) -> Reason:
    """What stands deeper under `key`. Plain words there are the object's own."""
    if isinstance(value, str):
        inner = _of_text(value, depth + 1)
        return inner if inner.message != value else Reason()
    if key == "errors" and isinstance(value, dict) and not _is_reason(value):
        told = [f"{field}: {_complaints(said, depth)}" for field, said in list(value.items())]
        return Reason(message="; ".join(told[:_MOST]))
    return _read(value, depth + 1)


def _is_reason(value: JSON) -> bool:
    return any(_is_words(value.get(key)) for key in _WORDS)


def _complaints(said: object, depth: int) -> str:
    return text(said) or _read(said, depth + 1).message


def _of_provider(metadata: JSON, depth: int) -> Reason:
    """OpenRouter: what the provider behind it said."""
    raw = _read(metadata.get("raw"), depth + 1)
    provider = text(metadata.get("provider_name"))
    if raw.message and provider and provider not in raw.message:
        return Reason(raw.code, f"{raw.message} ({provider})", raw.request_id)
    return raw


def _is_words(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.lstrip()[0] not in "{["


def _code(payload: JSON) -> str:
    code = text(payload.get("code"))
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
