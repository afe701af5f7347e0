"""What a refusal says, in any shape that was seen: code, message, request id, when to come back.

DashScope's are flat (`{"code", "message", "request_id"}`), OpenAI's nested (`{"error": {…}}`),
Ollama's a string (`{"error": "…"}`), FastAPI's a `detail`; gateways send web pages, or one event
of a stream.
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from qwen_magic.protocol.fields import JSON, mapping, mappings, text

_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_REQUEST_ID_HEADERS: Final = ("x-request-id", "x-dashscope-request-id", "x-dashscope-requestid")
_BOM: Final = b"\xef\xbb\xbf"
_LONGEST: Final = 300  # characters of a server's message that are shown


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a server says of a failure. `status`: of HTTP; 200 for one inside a stream."""

    status: int = 200
    code: str = ""
    message: str = ""
    request_id: str = ""


def read_error_body(status: int, headers: Mapping[str, str], body: bytes) -> ErrorBody:
    """What an HTTP error's body says; the message is the body itself where it is no JSON."""
    payload = _payload(body)
    if payload is None:
        return ErrorBody(status, message=excerpt(body), request_id=request_id(headers))
    error = payload.get("error")
    nested = mapping(error) or next(iter(mappings(payload.get("errors"))), {}) or payload
    if "message" not in nested and isinstance(nested.get("error"), str):
        nested = {**nested, "message": error}
    return ErrorBody(
        status,
        code=text(nested.get("code")) or text(nested.get("type")),
        message=one_line(text(nested.get("message")) or _detail(payload)),
        request_id=text(payload.get("request_id"))
        or text(nested.get("request_id"))
        or request_id(headers),
    )


def request_id(headers: Mapping[str, str]) -> str:
    """The request id of a response's headers (lower-case names), or empty."""
    return next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), "")


def retry_after(value: str, now: Callable[[], float] = time.time) -> float | None:
    """Seconds out of a Retry-After header: a number, or an HTTP date against `now` (Unix time);
    None for anything else."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now())
    except ValueError:
        return None


def is_page(head: bytes) -> bool | None:
    """Whether a body is a web page, by its first byte that is not blank; None: too early to say.
    Content types are not to be trusted: gateways label one thing as the other."""
    start = head.removeprefix(_BOM).lstrip()
    return start.startswith(b"<") if start else None


def page_title(body: bytes) -> str:
    """The title of a web page, or empty."""
    match = _TITLE.search(body)
    return one_line(html.unescape(match[1].decode("utf-8", "replace")))[:100] if match else ""


def excerpt(body: bytes) -> str:
    """The beginning of a body of unknown kind, as one line."""
    return one_line(body[:400].decode("utf-8", "replace"))[:120]


def one_line(message: str) -> str:
    """`message` without line breaks and control characters, of a length for a terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _payload(body: bytes) -> JSON | None:
    """The JSON object of a body, also of a body that is a stream of one error event."""
    for part in (body, *re.findall(rb"(?m)^data: ?(\{.*)$", body)[:1]):
        try:
            payload = json.loads(part)
        except ValueError:
            continue
        if isinstance(payload, list) and payload:  # some gateways wrap it
            payload = payload[0]
        if isinstance(payload, dict):
            response = mapping(payload.get("response"))
            return response if response.get("error") else payload
    return None


def _detail(payload: JSON) -> str:
    """FastAPI's `detail` (a string, or a list of what is wrong where), or a bare `message`."""
    detail = payload.get("detail") or payload.get("msg")
    first = next(iter(mappings(detail)), None)
    if first is None:
        return text(detail)
    where = ".".join(str(part) for part in first.get("loc") or () if part != "body")
    return f"{where}: {text(first.get('msg'))}" if where else text(first.get("msg"))
