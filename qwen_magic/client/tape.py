"""Requests on their way: to the network, to the network and into a recording, or to a recording.

An `Opener` opens requests as `Http` does. Which one a request takes, a `Route` says, on the thread
of whoever asks; the opener then works on the engine's loop.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TypeAlias

from qwen_magic.client.http import Http, HttpRequest, Trace
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import QwenError
from qwen_magic.recording import Take
from qwen_magic.recording.file import COMPLETE, STOPPED, End, Exchange

if TYPE_CHECKING:
    from qwen_magic.client.http import HttpResponse


class Response(Protocol):
    """The head of a response, and its body as it comes. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body's bytes. Raises `QwenError`."""


class Opener(Protocol):
    """What a request is made through. `source`: where its answer comes from, in words for the
    footer; empty: from the server."""

    source: str

    def open(
        self, request: HttpRequest, trace: Trace | None = None
    ) -> AbstractAsyncContextManager[Response]:
        """The response to `request`, its body still unread. Raises `QwenError`."""

    def sleep(self, seconds: float, /) -> Awaitable[object]:
        """Wait before another attempt."""


# The opener of a request to an endpoint (None: to an address), in place of the network's.
Route: TypeAlias = Callable[[HttpRequest, Endpoint | None, Http], Opener]


class Recording:
    """Opens requests by the network, and gives each exchange to `keep` when it has ended, on the
    engine's thread. `asked`: the request as an exchange without an answer."""

    source = ""

    def __init__(self, http: Http, asked: Exchange, keep: Callable[[Exchange], None]) -> None:
        self._http = http
        self._asked = asked
        self._keep = keep

    @asynccontextmanager
    async def open(
        self, request: HttpRequest, trace: Trace | None = None
    ) -> AsyncIterator[Response]:
        take = Take(self._asked, time.monotonic())
        end: End | QwenError = COMPLETE
        try:
            async with self._http.open(request, trace) as response:
                take.answered(response.status, response.headers)
                yield _Watched(response, take)
        except QwenError as error:
            end = error
            raise
        except asyncio.CancelledError:
            end = STOPPED
            raise
        finally:
            self._keep(take.ended(time.monotonic(), end))

    async def sleep(self, seconds: float) -> None:
        await self._http.sleep(seconds)


class _Watched:
    """A response whose bytes a `Take` is given as they are read."""

    def __init__(self, response: HttpResponse, take: Take) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._take = take

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._response.chunks()) as chunks:
            async for chunk in chunks:
                self._take.feed(chunk, time.monotonic())
                yield chunk


class Replaying:
    """Answers from exchanges: `found`, and where the request is made again what `again` gives.

    `speed`: 1 keeps the recorded times, 2 is twice as fast, `math.inf` gives all at once.
    """

    def __init__(
        self,
        found: Exchange,
        speed: float,
        source: str,
        again: Callable[[], Exchange | None] = lambda: None,
    ) -> None:
        self.source = source
        self.played = found  # the newest one
        self._exchanges = [found]
        self._again = again
        self._speed = speed

    @asynccontextmanager
    async def open(
        self, request: HttpRequest, trace: Trace | None = None
    ) -> AsyncIterator[Response]:
        exchange = self._exchanges.pop() if self._exchanges else self._again()
        if exchange is None:
            raise QwenError("The recording has no other attempt at this request.")
        self.played = exchange
        response = _Replayed(exchange, self._speed)
        if not exchange.status:
            async with aclosing(response.chunks()) as chunks:
                async for _ in chunks:
                    pass
        yield response

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


class _Replayed:
    """A recorded response that comes at its recorded times."""

    def __init__(self, exchange: Exchange, speed: float) -> None:
        self.status = exchange.status
        self.headers = exchange.headers
        self._exchange = exchange
        self._speed = speed
        self._started = time.monotonic()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        exchange = self._exchange
        pieces = [(at, exchange.content(piece)) for at, piece in exchange.stream]
        if math.isinf(self._speed) and pieces:
            pieces = [(0, b"".join(content for _, content in pieces))]
        for at, content in pieces:
            pause = self._started + at / 1000 / self._speed - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            yield content
        failure = exchange.failure()
        if failure is not None:
            raise failure
        if exchange.end == STOPPED:  # whoever listened then stopped it here
            raise asyncio.CancelledError
