r"""A recording as text: JSON Lines, a header, then one object an exchange.

    {"recording": 1, "maker": "qwen_magic 0.1.0", "made": "2026-11-12T10:03:20+01:00"}
    {"at": "2026-11-12T10:03:22+01:00", "endpoint": "beijing", "host": "dashscope.aliyuncs.com",
     "base_url": "https://dashscope.aliyuncs.com/compatible-mode/v1",
     "request": {"method": "POST", "path": "responses", "body": {"model": "qwen3-max", …}},
     "status": 200, "headers": {"content-type": "text/event-stream"},
     "stream": [[212, "event:response.created\ndata:{…}\n\n"], [230, "…"]], "end": "complete"}

`stream` is the body as it came, cut after each blank line: an event stream in its frames, any other
body mostly in one. Joined it is the body again, to the letter; the milliseconds count from the
moment in which the request was made. A body that is no text stands in base64 (`"encoding"`).

`path` is below the base URL, below the host where it begins with a slash, or a whole address. `end`
is "complete", "stopped" (by the user), or what failed: `{"error": "ConnectionLostError", "message":
…}`. `authorized`: whether a key went along. `found`: what was known of the server besides its row
(`session.host_facts`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from qwen_magic.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    ProtocolError,
    QwenError,
    RedirectRefusedError,
    SilenceError,
    TransportError,
    UsageError,
)
from qwen_magic.protocol.fields import JSON, is_deep

VERSION: Final = 1
COMPLETE: Final = "complete"
STOPPED: Final = "stopped"
_FAILURES: Final[Mapping[str, type[QwenError]]] = {
    kind.__name__: kind
    for kind in (
        ConnectionFailedError,
        ConnectionLostError,
        ProtocolError,
        RedirectRefusedError,
        SilenceError,
    )
}
FAILURE_WORDS: Final = ("error", "message", "why", "hint", "retry")  # of an exchange that failed
_LONGEST: Final = 24 * 3600 * 1000  # milliseconds between a request and a frame

Frame: TypeAlias = tuple[int, str]
# How an exchange ended: COMPLETE, STOPPED, or an error's class and words.
End: TypeAlias = str | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its response, without keys. `status` 0: no response came."""

    method: str
    path: str
    body: JSON | None = None
    endpoint: str = ""
    base_url: str = ""
    host: str = ""
    at: str = ""  # when it was asked: ISO 8601 with the recorder's offset
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: tuple[Frame, ...] = ()
    end: End = COMPLETE
    encoding: str = ""
    authorized: bool = False
    found: JSON = field(default_factory=dict)

    @property
    def model(self) -> str:
        return str((self.body or {}).get("model") or "")

    def content(self, piece: str) -> bytes:
        """The bytes of one chunk of the stream."""
        if self.encoding == "base64":
            return base64.b64decode(piece)
        return piece.encode("utf-8", "surrogatepass")

    def failure(self) -> QwenError | None:
        """The error that ended it, or None."""
        if isinstance(self.end, str):
            return None
        kind = _FAILURES.get(self.end.get("error", ""), TransportError)
        words = {name: self.end.get(name, "") for name in ("why", "hint")}
        error = kind(self.end.get("message", "") or "The connection failed.", **words)
        error.retry = "connection" if self.end.get("retry") else None
        return error


# The file -----------------------------------------------------------------------------------------


def header_line(maker: str, made: str) -> str:
    """The first line. `maker`: the program that writes, `made`: when, as ISO 8601."""
    return _line({"recording": VERSION, "maker": maker, "made": made})


def exchange_line(exchange: Exchange) -> str:
    """An exchange as a line."""
    request: JSON = {"method": exchange.method, "path": exchange.path}
    if exchange.body is not None:
        request["body"] = exchange.body
    told: JSON = {
        "at": exchange.at,
        "endpoint": exchange.endpoint,
        "host": exchange.host,
        "base_url": exchange.base_url,
        "request": request,
        "status": exchange.status,
        "headers": dict(exchange.headers),
        "stream": [list(frame) for frame in exchange.stream],
        "end": exchange.end if isinstance(exchange.end, str) else dict(exchange.end),
        "encoding": exchange.encoding,
        "authorized": exchange.authorized,
        "found": exchange.found,
    }
    given = {
        name: each for name, each in told.items() if each not in ("", {}) and each is not False
    }
    return _line(given)


def _line(value: JSON) -> str:
    return json_of(value) + "\n"


def json_of(value: object) -> str:
    """JSON in one line. Surrogates, and characters that some readers split lines at, are
    escaped.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[\ud800-\udfff\u2028\u2029\x85]", lambda c: f"\\u{ord(c[0]):04x}", text)


def read_recording(text: str, name: str) -> tuple[Exchange, ...]:
    """Parse the text of a file. Raises `UsageError` with the line of a fault, or for a later
    version.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    header = _object(lines[0], name, 1, is_header=True)
    version = header.get("recording")
    if not isinstance(version, int) or isinstance(version, bool):
        raise _foreign(name)
    if version > VERSION:
        raise UsageError(
            f"{name} was recorded by a later version ({_short_repr(header.get('maker'))}).",
            hint="Update qwen_magic here, or record it anew.",
        )
    return tuple(
        _exchange(_object(line, name, number), name, number)
        for number, line in enumerate(lines[1:], 2)
        if line.strip()
    )


def read_exchange(line: str) -> Exchange:
    """Parse an exchange that the cache stores. Raises `UsageError`."""
    return _exchange(_object(line, "the cache", 1), "the cache", 1)


def _object(line: str, name: str, number: int, *, is_header: bool = False) -> JSON:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        if is_header:
            raise _foreign(name) from None
        raise _damaged(name, number, f"it is no JSON ({_reason(error)})") from None
    if not isinstance(value, dict):
        raise _foreign(name) if is_header else _damaged(name, number, "it is no JSON object")
    return value


def _exchange(said: JSON, name: str, number: int) -> Exchange:
    def checked(value: object, kind: Any, where: str, what: str) -> Any:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _damaged(name, number, f"`{where}` is no {what}")
        return value

    def text_of(of: JSON, key: str) -> str:
        return str(checked(of.get(key, ""), str, key, "text"))

    if is_deep(said):
        raise _damaged(name, number, "it is nested too deeply")
    request = checked(said.get("request"), dict, "request", "object")
    method, path = text_of(request, "method"), text_of(request, "path")
    if not method or not path:
        raise _damaged(name, number, "its `request` lacks a method or a path")
    body = request.get("body")
    status = checked(said.get("status", 0), int, "status", "number")
    headers = checked(said.get("headers", {}), dict, "headers", "object")
    end = checked(said.get("end", COMPLETE), str | dict, "end", "text or object")
    if isinstance(end, dict):
        end = {key: text_of(end, key) for key in FAILURE_WORDS if key in end}
    elif end not in (COMPLETE, STOPPED):
        raise _damaged(name, number, f"`end` is {_short_repr(end)}, not complete or stopped")
    encoding = text_of(said, "encoding")
    if encoding not in ("", "base64"):
        raise _damaged(name, number, f"`encoding` is {_short_repr(encoding)}, not base64")
    if not 0 <= status <= 599:
        raise _damaged(name, number, f"`status` is {status}, which is none of HTTP")
    stream = checked(said.get("stream", []), list, "stream", "list")
    return Exchange(
        method,
        path,
        None if body is None else checked(body, dict, "request.body", "object"),
        text_of(said, "endpoint"),
        text_of(said, "base_url"),
        text_of(said, "host"),
        text_of(said, "at"),
        status,
        {name.lower(): checked(each, str, "headers", "text") for name, each in headers.items()},
        tuple(_frame(each, encoding, name, number) for each in stream),
        end,
        encoding,
        said.get("authorized") is True,
        checked(said.get("found", {}), dict, "found", "object"),
    )


def _frame(said: object, encoding: str, name: str, number: int) -> Frame:
    match said:
        case [int() | float() as at, str() as piece] if 0 <= at <= _LONGEST and at is not True:
            if encoding:
                try:
                    base64.b64decode(piece, validate=True)
                except ValueError:
                    raise _damaged(name, number, "its `stream` is no base64") from None
            return round(at), piece
    raise _damaged(name, number, "`stream` holds what is no [milliseconds, text]")


def _foreign(name: str) -> UsageError:
    return UsageError(
        f"{name} is no recording: line 1 is no header with a `recording` in it.",
        hint="%qwen_record FILE.jsonl makes one.",
    )


def _damaged(name: str, number: int, why: str) -> UsageError:
    return UsageError(
        f"{name} is damaged in line {number}: {why}.",
        hint="Mend or take out that line, or record the lesson anew.",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, column {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _short_repr(value: object) -> str:
    text = " ".join(str(value).split())
    return repr(text if len(text) <= 60 else text[:59] + "…")
