"""One client's connection: bytes in and out, with the client's close noticed at once.

States: *reading* a request, *answering* it, *closed*. The event loop tells of a close
(`eof_received` or `connection_lost`) in whatever state; from then on `write` and `pause` raise
`ClientGoneError`, so that an answer stops being made within one turn of the loop, also while it
waits between two deltas.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from qwen_magic.demo.http11 import MAX_HEAD, BadRequestError, Request, content_length, parse_head

MAX_BODY = 64 * 1024 * 1024


class ClientGoneError(Exception):
    """The client has closed the connection."""


class Connection(asyncio.Protocol):
    """Runs `serve(self)` as a task for as long as the connection lives."""

    def __init__(self, serve: Callable[[Connection], Awaitable[None]]) -> None:
        self._serve = serve
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self.task: asyncio.Task[None] | None = None
        self.client_closed = False  # by the client, before the server did

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._transport is not None and len(self._buffer) > MAX_BODY + MAX_HEAD:
            self._transport.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        self._note_client_close()
        return True  # keep the transport, so that the answering task ends it in its own order

    def connection_lost(self, exc: Exception | None) -> None:
        self._note_client_close()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _note_client_close(self) -> None:
        if not self.closed:
            self.client_closed = True
        self._note_close()

    def _note_close(self) -> None:
        self._closed.set()
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
    def closed(self) -> bool:
        return self._closed.is_set()

    async def read_request(self) -> Request | None:
        """The next request; None when the client has closed. Raises `BadRequestError`."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BadRequestError("The request's head is too long.")
            if self.closed:
                return None
            await self._more()
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        request = parse_head(head)
        if request.headers.get("expect", "").lower() == "100-continue":
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return replace(request, body=await self._read_body(request))

    async def _read_body(self, request: Request) -> bytes:
        if request.headers.get("transfer-encoding", "").lower() == "chunked":
            return await self._read_chunks()
        length = content_length(request.headers)
        if length > MAX_BODY:
            raise BadRequestError("The request's body is too long.")
        return await self._read_exactly(length)

    async def _read_chunks(self) -> bytes:
        body = bytearray()
        while True:
            while (end := self._buffer.find(b"\r\n")) < 0:
                await self._more_or_gone()
            try:
                size = int(bytes(self._buffer[:end]).split(b";")[0], 16)
            except ValueError as error:
                raise BadRequestError("A chunk has no length.") from error
            del self._buffer[: end + 2]
            if len(body) + size > MAX_BODY:
                raise BadRequestError("The request's body is too long.")
            body += (await self._read_exactly(size + 2))[:size]
            if size == 0:
                return bytes(body)

    async def _read_exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            await self._more_or_gone()
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data

    async def _more_or_gone(self) -> None:
        if self.closed:
            raise ClientGoneError
        await self._more()

    async def _more(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def write(self, data: bytes) -> None:
        """Send, waiting while the client reads too slowly. Raises `ClientGoneError`."""
        if self.closed or self._transport is None:
            raise ClientGoneError
        self._transport.write(data)
        await self._writable.wait()
        if self.closed:
            raise ClientGoneError

    async def pause(self, seconds: float) -> None:
        """Wait that long; raises `ClientGoneError` as soon as the client closes."""
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            return
        raise ClientGoneError

    async def wait_closed(self) -> None:
        await self._closed.wait()

    def close(self) -> None:
        """Close after what is still to be sent."""
        self._note_close()
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self._note_close()
        if self._transport is None:
            return
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
