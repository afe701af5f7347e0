"""HTTP/1.1 on one client's connection: h11 reads and writes it, within limits of time and size."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn, cast
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import h11

from qwen_magic.demo.request_log import RequestRecord
from qwen_magic.demo.wire import JSON, to_json

_PIECE = 64 * 1024
_MOST_EARLY = 256 * 1024  # bytes of a next request that may wait while one is answered
_FOR_EVER = 10 * 365 * 86400.0  # seconds


class ClientGoneError(Exception):
    """The client has closed the connection."""


class RefusedError(Exception):
    """A request that is answered with an HTTP error in DashScope's shape, flat or nested."""

    def __init__(
        self,
        message: str,
        code: str = "InvalidParameter",
        status: int = 400,
        *,
        nested: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.nested = nested
        self.headers = headers or {}

    def body(self, request_id: str) -> JSON:
        told = {"code": self.code, "message": str(self)}
        if not self.nested:
            return {"request_id": request_id, **told}
        error = {**told, "param": None, "type": "invalid_request_error"}
        return {"error": error, "request_id": request_id}


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What a client may take up: seconds, and bytes."""

    idle_seconds: float = 300.0  # between two requests
    head_seconds: float = 10.0  # from a request's first byte to the end of its head
    body_seconds: float = 60.0
    head: int = 64 * 1024
    body: int = 64 * 1024 * 1024
    stranger_body: int = 1024 * 1024  # of a request that will be refused


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are in lower case; `path` is decoded and without its query."""

    method: str = ""
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Connection:
    """One client's socket, served by a thread of its own.

    Whatever the thread waits for (a request, the next delta, a run), it waits on the socket: so it
    sees the client's close at once, and `ClientGoneError` ends the answer. `end`, from another
    thread, ends it in the same way.
    """

    def __init__(self, raw: socket.socket, limits: ReadLimits | None = None) -> None:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a delta is not held back
        self._socket = raw
        self._limits = limits or ReadLimits()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head)
        self._early = b""  # of a next request, which came while this one was answered
        self._ended = False
        self.client_closed = False  # by the client, before the server did

    @property
    def keeps_alive(self) -> bool:
        """Whether another request may come, now that this one is answered."""
        return self._http.our_state is self._http.their_state is h11.DONE

    def read_request(self, welcome: Callable[[Request], bool]) -> Request | None:
        """The next request; None when the client has been idle for too long.

        `welcome` is shown the request without its body: only where it is true may a large one
        come. Raises `RefusedError`, after which the connection is of no more use, and
        `ClientGoneError`.
        """
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        try:
            if not (self._early or self._http.trailing_data[0]):
                self._early = self._receive(time.monotonic() + self._limits.idle_seconds)
        except TimeoutError:
            return None
        try:
            head = self._next_event(time.monotonic() + self._limits.head_seconds)
            assert isinstance(head, h11.Request)  # nothing else comes first
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            path = unquote(urlsplit(head.target.decode("latin-1")).path)
            request = Request(head.method.decode(), path, headers)
            return replace(request, body=self._body(request, welcome(request)))
        except TimeoutError as error:
            raise RefusedError("The request did not come in time.", status=408) from error
        except (h11.RemoteProtocolError, ValueError) as error:
            status = getattr(error, "error_status_hint", 400)
            raise RefusedError(f"This is no HTTP request: {error}", status=status) from error

    def _body(self, request: Request, is_welcome: bool) -> bytes:
        limit = self._limits.body if is_welcome else self._limits.stranger_body
        too_long = RefusedError("The request's body is too long.", status=413)
        if int(request.headers.get("content-length", "0")) > limit:
            raise too_long
        if self._http.they_are_waiting_for_100_continue:
            self.write(h11.InformationalResponse(status_code=100, headers=[]))
        end = time.monotonic() + self._limits.body_seconds
        body = bytearray()
        while isinstance(event := self._next_event(end), h11.Data):
            body += event.data
            if len(body) > limit:
                raise too_long
        return bytes(body)

    def _next_event(self, end: float) -> h11.Event:
        """The client's next event. Raises `TimeoutError`, `ClientGoneError`."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self._receive(end))
        return cast(h11.Event, event)

    def _receive(self, end: float) -> bytes:
        """Bytes, before that time of the monotonic clock. Raises as above."""
        if self._early:
            data, self._early = self._early, b""
            return data
        try:
            self._socket.settimeout(max(end - time.monotonic(), 0.0))
            data = self._socket.recv(_PIECE)
        except (TimeoutError, BlockingIOError) as error:
            raise TimeoutError from error
        except OSError:
            data = b""
        if not data:
            self._gone()
        return data

    def _gone(self) -> NoReturn:
        self.client_closed = not self._ended
        raise ClientGoneError

    def write(self, *events: h11.Event) -> None:
        """Send, waiting while the client reads too slowly. Raises `ClientGoneError`."""
        data = b"".join(self._http.send(event) or b"" for event in events)
        try:
            self._socket.settimeout(None)
            self._socket.sendall(data)
        except OSError:
            self._gone()

    def pause(self, seconds: float | None) -> None:
        """Wait that long, or for ever; raises `ClientGoneError` as soon as the client closes."""
        end = time.monotonic() + (_FOR_EVER if seconds is None else seconds)
        early, self._early = self._early, b""
        try:
            while len(early) < _MOST_EARLY:
                early += self._receive(end)
        except TimeoutError:
            self._early = early
            return
        self._gone()  # it sends without end

    def linger(self, seconds: float = 1.0) -> None:
        """Let the client read what was sent, although it may still be sending: a close with unread
        bytes is a reset, which takes the answer from it."""
        end = time.monotonic() + seconds
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while True:
                self._receive(end)
        except (OSError, ClientGoneError):  # a TimeoutError is one
            pass

    def end(self) -> None:
        """Break off what the connection's thread does."""
        self._ended = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> NoReturn:
        """Break the connection with a TCP reset. Raises `ClientGoneError`."""
        self._ended = True
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        raise ClientGoneError


class Exchange:
    """One request being answered: a whole reply, or a stream. Notes in `record` what happened."""

    def __init__(self, connection: Connection, request: Request | None = None) -> None:
        self.request = request or Request()
        self.id = str(uuid4())
        self.record = RequestRecord(request_id=self.id)
        self._connection = connection
        self._done = False
        self.started = False  # the head is out

    def _head(self, status: int, headers: Mapping[str, str]) -> h11.Response:
        self.started = True
        self.record.status = status
        sent = {**headers, "x-request-id": self.id}
        return h11.Response(status_code=status, headers=list(sent.items()))

    def reply(
        self,
        body: JSON | bytes,
        status: int = 200,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        data = body if isinstance(body, bytes) else to_json(body)
        length = {"content-type": content_type, "content-length": str(len(data))}
        bodiless = self.request.method == "HEAD" or not data
        parts = () if bodiless else (h11.Data(data=data),)
        head = self._head(status, {**length, **(headers or {})})
        self._connection.write(head, *parts, h11.EndOfMessage())
        self._done = True

    def refuse(self, error: RefusedError) -> None:
        self.reply(error.body(self.id), error.status, headers=error.headers)

    def open_stream(self, content_type: str = "text/event-stream;charset=UTF-8") -> None:
        head = self._head(200, {"content-type": content_type, "cache-control": "no-cache"})
        self._connection.write(head)

    def send(self, event: bytes) -> None:
        """One event, or other piece, of the stream."""
        self._connection.write(h11.Data(data=event))
        self.record.events += 1

    def end_stream(self) -> None:
        self._connection.write(h11.EndOfMessage())
        self._done = True

    def pause(self, seconds: float | None) -> None:
        """None: until the client goes. Raises `ClientGoneError` when it does."""
        self._connection.pause(seconds)

    def reset(self) -> NoReturn:
        self._done = True
        self._connection.reset()

    def end(self) -> None:
        """Note the end, and whether it was the client that closed."""
        if self._connection.client_closed and not self._done:
            self.record.client_closed, self.record.closed_at = True, time.time()
        self.record.ended_at = time.time()
