"""What a refusal says, in any shape that was seen: code, message, request id, when to come back.

The shapes of JSON are `protocol.response`'s; gateways also send web pages, one event of a
stream, or a body so long that it is not read to its end.
"""

from __future__ import annotations

import html
import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from qwen_magic.protocol.response import read_reason

_PAUSE = re.compile(
    r"\b(?:again|retry) (?:in|after) ((?:(?:and )?\d+(?:\.\d+)? ?"
    r"(?:ms|[dhms]|days?|hours?|min(?:ute)?s?|sec(?:ond)?s?)(?![a-z]),? ?)+)",
    re.IGNORECASE,
)
_UNITS: Final = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_TITLE = re.compile(rb"<(title|message)\b[^>]*>(.*?)</\1", re.IGNORECASE | re.DOTALL)
_MESSAGE = re.compile(rb'"(?:message|detail|msg)"\s*:\s*"((?:[^"\\]|\\.){1,2000})')
_REQUEST_ID_HEADERS: Final = ("x-request-id", "x-dashscope-request-id", "x-dashscope-requestid")
_BOM: Final = b"\xef\xbb\xbf"
LONGEST_PAUSE: Final = 60.0  # seconds; to be asked for more is a matter of the user
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
        said = _cut_message(body) or excerpt(body)
        return ErrorBody(status, message=said, request_id=request_id(headers))
    reason = read_reason(payload)
    return ErrorBody(
        status, reason.code, one_line(reason.message), reason.request_id or request_id(headers)
    )


def request_id(headers: Mapping[str, str]) -> str:
    """The request id of a response's headers (lower-case names), or empty."""
    return next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), "")


def retry_after(value: str, date: str = "", now: Callable[[], float] = time.time) -> float | None:
    """Seconds out of a Retry-After header: a number, or an HTTP date against the server's own
    `date` (the header of the same reply), where there is none against `now` (Unix time): the two
    clocks may be hours apart. None for anything else."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    until, since = _unix_time(value), _unix_time(date)
    return None if until is None else max(0.0, until - (now() if since is None else since))


def _unix_time(date: str) -> float | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            return read(date).timestamp()
        except (ValueError, OverflowError):
            continue
    return None


def told_pause(message: str) -> float | None:
    """Seconds out of a message's own words: "Please try again in 7m12.5s"."""
    found = _PAUSE.search(message)
    parts = re.findall(r"([\d.]+) ?(ms|[dhms])", found[1].lower()) if found else []
    return sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else None


def span(seconds: float) -> str:
    """A time to wait, in words: "90 s", "24 h"."""
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < 120 * size or (unit == "h" and seconds < 48 * size):
            return f"{math.ceil(seconds / size)} {unit}"
    days = seconds / 86400
    return f"{math.ceil(days)} days" if days < 100_000 else "for ever"


def is_page(head: bytes) -> bool | None:
    """Whether a body is a web page, by its first byte that is not blank; None: too early to say.
    Content types are not to be trusted: gateways label one thing as the other."""
    start = head.removeprefix(_BOM).lstrip()
    return start.startswith(b"<") if start else None


def page_title(body: bytes) -> str:
    """The title of a web page, the message of an error in XML, or empty."""
    match = _TITLE.search(body)
    return one_line(html.unescape(match[2].decode("utf-8", "replace")))[:100] if match else ""


def excerpt(body: bytes) -> str:
    """The beginning of a body of unknown kind, as one line."""
    return one_line(body[:400].decode("utf-8", "replace"))[:120]


def one_line(message: str) -> str:
    """`message` without line breaks and control characters, of a length for a terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _payload(body: bytes) -> object:
    """The JSON of a body, also of a body that is a stream of one error event."""
    for part in (body, *re.findall(rb"(?m)^data: ?(\{.*)$", body)[:1]):
        try:
            payload = json.loads(part)
        except (ValueError, RecursionError):
            continue
        if isinstance(payload, dict | list):
            return payload
    return None


def _cut_message(body: bytes) -> str:
    """The message of a JSON body whose end is missing."""
    match = _MESSAGE.search(body)
    return one_line(match[1].decode("utf-8", "replace").replace("\\n", " ")) if match else ""
