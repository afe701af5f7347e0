"""HTTP/1.1 on one client's connection, by h11, with limits on time and size.

A record is kept of each request and its outcome.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast
from urllib.parse import unquote
from uuid import uuid4

import h11

from qwen_magic.demo.wire import JSON, read_json, to_json

_SECRET = frozenset(
    {"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie", "x-goog-api-key"}
)
_PIECE = 64 * 1024
_MOST_EARLY = 256 * 1024  # bytes of a next request that may wait while one is answered
_FOR_EVER = 10 * 365 * 86400.0  # seconds


class ClientGoneError(Exception):
    """The client has closed the connection."""


@dataclass(eq=False)
class RefusedError(Exception):
    """A request that is answered with an HTTP error."""

    message: str
    code: str = "InvalidParameter"
    status: int = 400
    nested: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class RequestRecord:
    """A request and its outcome. Times are `time.time()` seconds."""

    method: str = ""
    path: str = ""  # decoded, without its query
    time: float = 0.0
    headers: dict[str, Any] = field(default_factory=dict)  # without those that may hold a key
    body: dict[str, Any] | None = None  # None when it was no JSON object; without the same names
    key: str = "unchecked"  # or none, wrong, right
    status: int = 0  # 0 until the head was sent
    response_id: str = ""
    lesson: str = ""  # that answered; empty: a rule, or none
    context: list[dict[str, Any]] = field(default_factory=list)  # the conversation's items
    events: int = 0  # stream events sent
    closed_at: float | None = None  # when the client closed, before the answer had ended
    ended_at: float | None = None


def _without_secrets(value: dict[str, Any]) -> dict[str, Any]:
    """Remove values that may hold a key: some headers, and those of mcp tools in a request."""
    tools = value.get("tools")
    public = {k: each for k, each in value.items() if k.lower() not in ("headers", *_SECRET)}
    if isinstance(tools, list):
        public["tools"] = [_without_secrets(t) if isinstance(t, dict) else t for t in tools]
    return public


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits for a client, in seconds and bytes."""

    idle_seconds: float = 300.0  # between two requests, of who had the key; and for each write
    head_seconds: float = 10.0  # for a request's head; before it, of who has shown no key
    body_seconds: float = 60.0
    head: int = 64 * 1024
    body: int = 64 * 1024 * 1024


class Connection:
    """One client's socket, served by a thread of its own.

    Whatever the thread waits for (a request, the next delta, a run), it waits on the socket: so it
    sees the client's close at once, and `ClientGoneError` ends the answer. `end`, from another
    thread, ends it in the same way. `headers`, with names in lower case, and `record` are those of
    the request that is being answered.
    """

    def __init__(self, raw: socket.socket, limits: ReadLimits | None = None) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a delta is not held back
        self._socket = raw
        self._limits = limits or ReadLimits()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head)
        self._ended = False
        self.headers: dict[str, str] = {}
        self.record = RequestRecord()

    @property
    def keeps_alive(self) -> bool:
        """Whether another request may follow."""
        return self._http.our_state is self._http.their_state in (h11.IDLE, h11.DONE)

    def read_head(self) -> bool:
        """Read the next request's head; return False if the client was idle for too long.

        Raises `ClientGoneError`, and `RefusedError`, after which the connection cannot be used.
        """
        is_known = bool(self.record.path) and self.record.key in ("right", "unchecked")
        idle = self._limits.idle_seconds if is_known else self._limits.head_seconds
        self.record = RequestRecord()
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        try:
            if not self._http.trailing_data[0]:
                self._receive(time.monotonic() + idle)
        except TimeoutError:
            return False
        head = self._next_event(time.monotonic() + self._limits.head_seconds)
        assert isinstance(head, h11.Request)  # nothing else comes first
        self.headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        path = unquote(head.target.decode("latin-1").partition("?")[0])
        self.record = RequestRecord(head.method.decode(), path, time.time())
        self.record.headers = _without_secrets(self.headers)
        self._check([name for name, _ in head.headers])
        return True

    def _check(self, names: list[bytes]) -> None:
        """Refuse headers that another HTTP parser on the way could interpret differently."""
        if {b"content-length", b"transfer-encoding"} <= {*names} or names.count(
            b"authorization"
        ) > 1:
            raise RefusedError("The request's headers contradict each other.")
        if int(self.headers.get("content-length", 0)) > self._limits.body:
            raise RefusedError("The request's body is too long.", status=413)

    def read_body(self) -> Any:
        """The request's body as JSON. Raises like `read_head`."""
        end = time.monotonic() + self._limits.body_seconds
        body = bytearray()
        while isinstance(event := self._next_event(end), h11.Data):
            body += event.data
            if len(body) > self._limits.body:
                raise RefusedError("The request's body is too long.", status=413)
        value = read_json(body.decode("utf-8", "replace"))
        self.record.body = _without_secrets(value) if isinstance(value, dict) else None
        return value

    def _next_event(self, end: float) -> h11.Event:
        """The client's next event, before that time of the monotonic clock."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._receive(end)
            return cast(h11.Event, event)
        except TimeoutError as error:
            raise RefusedError("The request did not come in time.", status=408) from error
        except h11.RemoteProtocolError as error:
            said = f"This is no HTTP request: {error}"
            raise RefusedError(said, status=error.error_status_hint) from error

    def _receive(self, end: float) -> None:
        """Receive bytes. Raises `TimeoutError`, `ClientGoneError`."""
        try:
            self._socket.settimeout(max(end - time.monotonic(), 0.0))
            data = self._socket.recv(_PIECE)
        except (TimeoutError, BlockingIOError) as error:
            raise TimeoutError from error
        except OSError:
            data = b""
        if not data:
            self._gone()
        self._http.receive_data(data)

    def _gone(self) -> NoReturn:
        if not self._ended:  # by the client, before the server did
            self.record.closed_at = time.time()
        raise ClientGoneError

    def _write(self, *events: h11.Event) -> None:
        """Send, waiting while the client reads too slowly. Raises `ClientGoneError`."""
        data = b"".join(self._http.send(event) or b"" for event in events)
        try:
            self._socket.settimeout(self._limits.idle_seconds)
            self._socket.sendall(data)
        except OSError:
            self._gone()

    def reply(self, body: JSON | bytes, status: int = 200, **headers: str) -> None:
        """`content_type` and other headers: that of JSON without."""
        data = body if isinstance(body, bytes) else to_json(body)
        own = {"content_type": "application/json", "content_length": str(len(data)), **headers}
        sent = h11.Data(data=b"" if self.record.method == "HEAD" else data)
        self._write(self._head(status, own), sent, h11.EndOfMessage())

    def refuse(self, error: RefusedError) -> None:
        """An error in DashScope's shape, flat or nested."""
        request_id, told = str(uuid4()), {"code": error.code, "message": error.message}
        body: JSON = {"request_id": request_id, **told}
        if error.nested:
            inner = {**told, "param": None, "type": "invalid_request_error"}
            body = {"error": inner, "request_id": request_id}
        self.reply(body, error.status, x_request_id=request_id, **error.headers)

    def stream(self, *events: bytes) -> None:
        """A whole stream."""
        self.open_stream()
        for event in events:
            self.send(event)
        self.end_stream()

    def open_stream(self, content_type: str = "text/event-stream;charset=UTF-8") -> None:
        self._write(self._head(200, {"content_type": content_type, "cache_control": "no-cache"}))

    def send(self, event: bytes) -> None:
        """One event, or other piece, of the stream."""
        self._write(h11.Data(data=event))
        self.record.events += 1

    def end_stream(self) -> None:
        self._write(h11.EndOfMessage())

    def _head(self, status: int, headers: Mapping[str, str]) -> h11.Response:
        self.record.status = status
        sent = {"x_request_id": str(uuid4()), **headers}
        if self._http.their_state is not h11.DONE:  # what they send was not read to its end
            sent["connection"] = "close"
        named = [(name.replace("_", "-"), value) for name, value in sent.items()]
        return h11.Response(status_code=status, headers=named)

    def pause(self, seconds: float = _FOR_EVER) -> None:
        """Wait. Raises `ClientGoneError` as soon as the client closes."""
        end = time.monotonic() + seconds
        try:
            while len(self._http.trailing_data[0]) < _MOST_EARLY:
                self._receive(end)
        except TimeoutError:
            return
        self._gone()  # it sends without end

    def linger(self) -> None:
        """Wait until the client has read the answer, though it may still be sending.

        Closing with unread bytes would reset the connection, and the client would lose the answer.
        """
        end = time.monotonic() + 1.0
        with suppress(OSError):  # a TimeoutError is one
            self._socket.shutdown(socket.SHUT_WR)
            while (left := end - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(_PIECE):
                    return

    def end(self) -> None:
        """Interrupt the connection's thread."""
        self._ended = True
        with suppress(OSError):  # it is closed already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> NoReturn:
        """Break the connection with a TCP reset. Raises `ClientGoneError`."""
        self._ended = True
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        raise ClientGoneError
