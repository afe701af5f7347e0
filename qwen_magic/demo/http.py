"""HTTP/1.1 on one client's connection: h11 reads and writes it, within limits of time and size.

States: *reading* a request, *answering* it, *closed*. The event loop tells of a close
(`eof_received` or `connection_lost`) in whatever state; from then on `write` and `pause` raise
`ClientGoneError`, so that an answer stops being made within one turn of the loop, also while it
waits between two deltas.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import h11

from qwen_magic.demo.request_log import RequestRecord
from qwen_magic.demo.wire import JSON, to_json

_T = TypeVar("_T")
_WAITING = 256 * 1024  # bytes of a next request that may wait while one is answered


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


class Connection(asyncio.Protocol):
    """Runs `serve(self)` as a task for as long as the connection lives."""

    def __init__(
        self, serve: Callable[[Connection], Awaitable[None]], limits: ReadLimits | None = None
    ) -> None:
        self._serve = serve
        self._limits = limits or ReadLimits()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head)
        self._received = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.closed = asyncio.Event()
        self._transport: asyncio.Transport
        self.task: asyncio.Task[None] | None = None
        self.client_closed = False  # by the client, before the server did

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > _WAITING:
            self._transport.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        self.connection_lost(None)
        return True  # keep the transport, so that the answering task ends it in its own order

    def connection_lost(self, exc: Exception | None) -> None:
        self.client_closed = self.client_closed or not self.closed.is_set()
        self._note_close()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _note_close(self) -> None:
        self.closed.set()
        self._news.set()
        self._writable.set()

    async def _run(self) -> None:
        try:
            await self._serve(self)
        except ClientGoneError:
            pass
        finally:
            self.close()

    # What the answering task calls.

    @property
    def keeps_alive(self) -> bool:
        """Whether another request may come, now that this one is answered."""
        return self._http.our_state is self._http.their_state is h11.DONE

    async def read_request(self, welcome: Callable[[Request], bool]) -> Request | None:
        """The next request; None when the client has been idle for too long.

        `welcome` is shown the request without its body: only where it is true may a large one
        come. Raises `RefusedError`, after which the connection is of no more use, and
        `ClientGoneError`.
        """
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        try:
            async with asyncio.timeout(self._limits.idle_seconds):
                await self._more(self._http.trailing_data[0])
        except TimeoutError:
            return None
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                head = await self._next_event()
            assert isinstance(head, h11.Request)  # nothing else comes first
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            path = unquote(urlsplit(head.target.decode("latin-1")).path)
            request = Request(head.method.decode(), path, headers)
            async with asyncio.timeout(self._limits.body_seconds):
                return replace(request, body=await self._body(request, welcome(request)))
        except TimeoutError as error:
            raise RefusedError("The request did not come in time.", status=408) from error
        except (h11.RemoteProtocolError, ValueError) as error:
            status = getattr(error, "error_status_hint", 400)
            raise RefusedError(f"This is no HTTP request: {error}", status=status) from error

    async def _body(self, request: Request, is_welcome: bool) -> bytes:
        limit = self._limits.body if is_welcome else self._limits.stranger_body
        too_long = RefusedError("The request's body is too long.", status=413)
        if int(request.headers.get("content-length", "0")) > limit:
            raise too_long
        if self._http.they_are_waiting_for_100_continue:
            await self.write(h11.InformationalResponse(status_code=100, headers=[]))
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > limit:
                raise too_long
        return bytes(body)

    async def _next_event(self) -> h11.Event:
        """The client's next event. Raises `ClientGoneError` where it has closed before that."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            await self._more()
            data, self._received = bytes(self._received), bytearray()
            if not data:
                raise ClientGoneError
            self._transport.resume_reading()
            self._http.receive_data(data)
        return cast(h11.Event, event)

    async def _more(self, there: bytes = b"") -> None:
        while not (self._received or there or self.closed.is_set()):
            self._news.clear()
            await self._news.wait()

    async def write(self, *events: h11.Event) -> None:
        """Send, waiting while the client reads too slowly. Raises `ClientGoneError`."""
        if not self.closed.is_set():
            self._transport.write(b"".join(self._http.send(event) or b"" for event in events))
            await self._writable.wait()
        if self.closed.is_set():
            raise ClientGoneError

    async def pause(self, seconds: float | None) -> None:
        """Wait that long, or for ever; raises `ClientGoneError` as soon as the client closes."""
        try:
            async with asyncio.timeout(seconds):
                await self.closed.wait()
        except TimeoutError:
            return
        raise ClientGoneError

    async def linger(self, seconds: float = 1.0) -> None:
        """Let the client read what was sent, although it may still be sending: a close with unread
        bytes is a reset, which takes the answer from it."""
        self._transport.write_eof()
        try:
            async with asyncio.timeout(seconds):
                while not self.closed.is_set():
                    await self._more()
                    self._received.clear()
                    self._transport.resume_reading()
        except TimeoutError:
            pass

    def close(self) -> None:
        """Close after what is still to be sent."""
        self._note_close()
        self._transport.close()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self._note_close()
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class Exchange:
    """One request being answered: a whole reply, or a stream. Notes in `record` what happened."""

    def __init__(self, connection: Connection, request: Request | None = None) -> None:
        self.request = request or Request()
        self.id = str(uuid4())
        self.record: RequestRecord | None = None
        self._connection = connection
        self._done = False
        self.started = False  # the head is out

    def _head(self, status: int, headers: Mapping[str, str]) -> h11.Response:
        self.started = True
        if self.record is not None:
            self.record.status = status
        sent = {**headers, "x-request-id": self.id}
        return h11.Response(status_code=status, headers=list(sent.items()))

    async def reply(
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
        await self._connection.write(head, *parts, h11.EndOfMessage())
        self._done = True

    async def refuse(self, error: RefusedError) -> None:
        await self.reply(error.body(self.id), error.status, headers=error.headers)

    async def open_stream(self, content_type: str = "text/event-stream;charset=UTF-8") -> None:
        head = self._head(200, {"content-type": content_type, "cache-control": "no-cache"})
        await self._connection.write(head)

    async def send(self, event: bytes) -> None:
        """One event, or other piece, of the stream."""
        await self._connection.write(h11.Data(data=event))
        if self.record is not None:
            self.record.events += 1

    async def end_stream(self) -> None:
        await self._connection.write(h11.EndOfMessage())
        self._done = True

    async def pause(self, seconds: float | None) -> None:
        """None: until the client goes. Raises `ClientGoneError` when it does."""
        await self._connection.pause(seconds)

    async def unless_gone(self, work: asyncio.Task[_T]) -> _T:
        """What the work gives. It is cancelled, and `ClientGoneError` raised, as soon as the client
        closes before that."""
        gone = asyncio.ensure_future(self._connection.closed.wait())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise ClientGoneError
            return work.result()
        finally:
            gone.cancel()
            work.cancel()
            await asyncio.wait((work, gone))

    def reset(self) -> None:
        self._done = True
        self._connection.reset()

    def watch_close(self, changed: Callable[[], None]) -> asyncio.Task[None]:
        """A task that notes the client's close the moment it is seen."""

        async def watch() -> None:
            await self._connection.closed.wait()
            self.note_close()
            changed()

        return asyncio.ensure_future(watch())

    def note_close(self) -> None:
        record = self.record
        if record is None or self._done or record.client_closed:
            return
        if self._connection.client_closed:
            record.client_closed = True
            record.closed_at = time.time()
