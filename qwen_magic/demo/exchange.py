"""One request being answered: a whole reply, or a stream of events."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

from qwen_magic.demo.connection import ClientGoneError, Connection
from qwen_magic.demo.http11 import Reply, Request, chunk_bytes, head_bytes, reply_bytes
from qwen_magic.demo.request_log import RequestLog, RequestRecord


class Exchange:
    """Writes one response onto the connection, and notes in `record` what happened."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self.request = request
        self.id = str(uuid4())
        self.record: RequestRecord | None = None
        self.keep_alive = request.keep_alive
        self._connection = connection
        self._chunked = request.version == "HTTP/1.1"
        self._done = False
        self.started = False  # the head is out

    async def reply(self, reply: Reply) -> None:
        self._note_status(reply.status)
        reply = replace(reply, headers={"x-request-id": self.id, **reply.headers})
        if self.request.method == "HEAD":
            reply = replace(reply, body=b"")
        await self._connection.write(reply_bytes(reply, keep_alive=self.keep_alive))
        self._done = True

    async def open_stream(self, content_type: str = "text/event-stream;charset=UTF-8") -> None:
        self._note_status(200)
        headers = {
            "content-type": content_type,
            "cache-control": "no-cache",
            "x-request-id": self.id,
        }
        if self._chunked:
            headers["transfer-encoding"] = "chunked"
        if not (self._chunked and self.keep_alive):
            self.keep_alive = False
            headers["connection"] = "close"
        await self._connection.write(head_bytes(200, headers))

    async def send(self, event: bytes) -> None:
        """One event, or other piece, of the stream."""
        await self._connection.write(chunk_bytes(event) if self._chunked else event)
        if self.record is not None:
            self.record.events += 1

    async def end_stream(self) -> None:
        if self._chunked:
            await self._connection.write(chunk_bytes(b""))
        self._done = True

    async def pause(self, seconds: float) -> None:
        await self._connection.pause(seconds)

    async def silence(self) -> None:
        """Say nothing until the client goes; then raises `ClientGoneError`."""
        await self._connection.wait_closed()
        raise ClientGoneError

    async def unless_gone(self, work: asyncio.Future[Any]) -> None:
        """Wait for the work; raises `ClientGoneError` as soon as the client closes before that."""
        gone = asyncio.ensure_future(self._connection.wait_closed())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if not work.done():
            raise ClientGoneError

    def reset(self) -> None:
        self._done = True
        self._connection.reset()

    def watch_close(self, log: RequestLog) -> asyncio.Task[None]:
        """A task that notes the client's close the moment it is seen."""

        async def watch() -> None:
            await self._connection.wait_closed()
            self.note_close()
            log.changed()

        return asyncio.ensure_future(watch())

    def note_close(self) -> None:
        record = self.record
        if record is None or self._done or record.client_closed:
            return
        if not self._connection.client_closed:
            return
        record.client_closed = True
        record.closed_at = time.time()

    def _note_status(self, status: int) -> None:
        self.started = True
        if self.record is not None:
            self.record.status = status
