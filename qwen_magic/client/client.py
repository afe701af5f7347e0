"""`Client`: what the rest of the package asks the network through."""

from __future__ import annotations

import asyncio
import json
import os
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import aclosing
from typing import Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

from qwen_magic.client.engine import Engine
from qwen_magic.client.error_body import excerpt, is_page
from qwen_magic.client.http import Http, HttpRequest, Transport
from qwen_magic.client.stream import Backoff, Stream
from qwen_magic.client.tape import Opener, Response, Route
from qwen_magic.client.transport_errors import silent, unexpected
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import (
    AuthenticationError,
    ProtocolError,
    QwenError,
    TransportError,
    UsageError,
    redact_error,
)
from qwen_magic.masking import own_keys
from qwen_magic.protocol.fields import JSON, bounded
from qwen_magic.protocol.request import ResponseRequest

_LARGEST_JSON: Final = 16 * 1024 * 1024  # bytes

T = TypeVar("T")
_DOWNLOAD_REDIRECTS = 5


class Client:
    """Asks endpoints, on the engine's loop, with one HTTP client for its life. Thread-safe.

    In a forked child it begins anew: the parent's streams and connections are the parent's. One
    that is dropped without `close` takes its connections and its own engine with it.
    """

    def __init__(
        self,
        engine: Engine | None = None,
        *,
        transport: Transport | None = None,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`engine`: shared, or one of its own, which `close` then closes too; `transport`:
        httpx2's seam; `backoff`, `sleep`: how to wait before another attempt.

        `route` may be set: it says of each request whether it goes to the network, and whether what
        comes is recorded."""
        self._engine = engine or Engine()
        self._owns_engine = engine is None
        self._transport = transport
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._closed = False
        self._pid = os.getpid()
        self._streams: dict[Stream, Future[None]] = {}
        self.route: Route = lambda request, endpoint, http: http
        self._orphaned: list[object] = []
        self._open()

    @property
    def live(self) -> int:
        """How many streams have not ended, or not cleaned up their connection."""
        self._notice_fork()
        return len(self._streams)

    def stream(
        self,
        request: ResponseRequest,
        endpoint: Endpoint,
        *,
        silence: float = 300.0,
        retries: int = 2,
        route: Route | None = None,
    ) -> Stream:
        """Begin to ask; returns at once. What goes wrong on the way is the stream's `error`.

        `silence`: the longest wait for a byte, in seconds; `retries`: further attempts where
        nothing can have begun; `route`: this one in place of the client's. Raises `UsageError` or
        `AuthenticationError` for what cannot be sent at all.
        """
        self._notice_fork()
        _check_key(endpoint)
        http_request = HttpRequest(
            "POST",
            f"{endpoint.base_url}/responses",
            {
                **endpoint.headers(),
                **request.headers(),
                "Content-Type": "application/json",
                "Accept": "text/event-stream, application/json",
            },
            _content({**request.body(), "stream": True}),
            silence,
        )
        stream = Stream(
            self._engine,
            (route or self.route)(http_request, endpoint, self._http),
            http_request,
            endpoint,
            request.model,
            request.previous_response_id,
            retries=retries,
            backoff=self._backoff,
            beside=self._streams,
        )
        future = self.submit(stream.run())
        self._streams[stream] = future
        future.add_done_callback(lambda done: self._settle(stream, done))
        return stream

    def get(
        self, endpoint: Endpoint, path: str, *, timeout: float = 10.0, route: Route | None = None
    ) -> Future[JSON | QwenError]:
        """The JSON object at `path`, or why there is none: below the base URL ("models"), or below
        the host's root where it begins with a slash ("/api/v1/models").

        `timeout` bounds each wait for the server, in seconds. The error is given back, not raised:
        its frames would hold the key. Raises `AuthenticationError` for a key that cannot be sent.
        """
        _check_key(endpoint)
        url = urljoin(f"{endpoint.base_url}/", path)
        headers = {**endpoint.headers(), "Accept": "application/json"}
        request = HttpRequest("GET", url, headers, silence=timeout, connect=timeout)
        return self.submit(self._get(request, endpoint, route or self.route))

    def fetch(
        self, url: str, *, limit: int, timeout: float, route: Route | None = None
    ) -> Future[bytes]:
        """The bytes at `url`, asked for without key, cookies and redirects. The future raises a
        `QwenError`, also for more than `limit` bytes."""
        request = HttpRequest("GET", url, {}, silence=timeout, connect=timeout, redirects=0)
        return self.submit(self._fetch(request, limit, route or self.route))

    def download(
        self, url: str, write: Callable[[bytes], object], *, limit: int, timeout: float
    ) -> Future[None]:
        """Hand the bytes at `url` to `write` as they come, on the engine's thread. The future
        raises a `QwenError`, also for more than `limit` bytes and for `timeout` seconds of silence.

        Asked without key, cookies and prompt, and so redirects are followed to any host: whether
        the bytes are the right ones is the caller's to check, by their sum.
        """
        return self.submit(self._download(url, write, limit, timeout))

    def close(self, timeout: float = 2.0) -> bool:
        """Stop every stream and close the connections; whether that was done in `timeout` seconds.
        Idempotent."""
        self._notice_fork()
        first, self._closed = not self._closed, True
        self._when_dropped.detach()
        clean = True
        if first and (self._streams or self._http.is_open):
            for stream in list(self._streams):
                stream.stop()
            try:
                self._engine.submit(self._shut(timeout / 2)).result(timeout)
            except (RuntimeError, TimeoutError):  # the engine is closed already, or too slow
                clean = False
        if self._owns_engine:
            clean = self._engine.close(timeout) and clean
        return clean

    # on the engine's loop

    async def _get(
        self, request: HttpRequest, endpoint: Endpoint, route: Route
    ) -> JSON | QwenError:
        try:
            return await _get_json(route(request, endpoint, self._http), request, endpoint)
        except QwenError as error:
            return redact_error(error, endpoint.key)
        except Exception as error:
            return unexpected(error)

    async def _fetch(self, request: HttpRequest, limit: int, route: Route) -> bytes:
        async with route(request, None, self._http).open(request) as response:
            if response.status != 200:
                host = urlsplit(request.url).netloc
                raise TransportError(f"{host} answered {response.status}.")
            return await _body(response, request, limit)

    async def _download(
        self, url: str, write: Callable[[bytes], object], limit: int, timeout: float
    ) -> None:
        for _ in range(_DOWNLOAD_REDIRECTS):
            request = HttpRequest("GET", url, {}, silence=timeout, redirects=0)
            async with self._http.open(request) as response:
                if 300 <= response.status < 400 and "location" in response.headers:
                    url = urljoin(url, response.headers["location"])
                    continue
                if response.status != 200:
                    raise TransportError(f"{urlsplit(url).netloc} answered {response.status}.")
                done = 0
                async with aclosing(response.chunks()) as chunks:
                    async for chunk in chunks:
                        done += len(chunk)
                        if done > limit:
                            raise _too_much(url, limit)
                        write(chunk)
                return
        raise TransportError(f"{urlsplit(url).netloc} redirects in a circle.")

    async def _shut(self, patience: float) -> None:
        streams = [asyncio.wrap_future(future) for future in self._streams.values()]
        if streams:
            await asyncio.wait(streams, timeout=patience)
        await self._http.aclose()

    # on any thread

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run `coroutine` on the engine's loop."""
        self._notice_fork()
        if self._closed:
            coroutine.close()
            raise RuntimeError("The client is closed.")
        return self._engine.submit(coroutine)

    def _settle(self, stream: Stream, future: Future[None]) -> None:
        self._streams.pop(stream, None)
        stream.settle(future)

    def _notice_fork(self) -> None:
        if os.getpid() != self._pid:
            self._pid = os.getpid()
            # Kept, not collected: their sockets are the parent's.
            self._orphaned += [self._streams, self._http]
            self._streams = {}
            self._when_dropped.detach()
            self._open()

    def _open(self) -> None:
        self._http = Http(self._transport, self._sleep)
        given = self._engine, self._http, self._owns_engine
        self._when_dropped = weakref.finalize(self, _let_go, *given)
        self._when_dropped.atexit = False  # the process takes all with it


def _let_go(engine: Engine, http: Http, owns_engine: bool) -> None:
    """A client was dropped: its connections close, and its own engine ends."""
    if owns_engine:
        engine.let_go(http.aclose)
    elif http.is_open:
        engine.call(lambda: asyncio.ensure_future(http.aclose()))


async def _get_json(opener: Opener, request: HttpRequest, endpoint: Endpoint) -> JSON:
    """The JSON object that a request is answered with. Raises `QwenError`."""
    async with opener.open(request) as response:
        body = await _body(response, request, _LARGEST_JSON)
    keys = own_keys(endpoint.secret)
    body = keys.sub_bytes(body) if keys else body
    if response.status >= 300 or is_page(body):
        from qwen_magic.client.reader import AnswerReader

        reader = AnswerReader(response.status, response.headers, endpoint)
        reader.feed(body, 0.0)
        reader.finish(0.0)
        if reader.failure is not None:
            raise reader.failure
    try:
        answer = bounded(json.loads(body), body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ProtocolError(
            f"{endpoint.server} answered with something that is no JSON object.",
            why=f"It begins: {excerpt(body)}" if body else "It is empty.",
            hint="Check the endpoint's base URL.",
        )
    return keys.clear(answer) if keys else answer


async def _body(response: Response, request: HttpRequest, limit: int) -> bytes:
    """The body, of at most `limit` bytes, within the request's silence as a whole."""
    until = time.monotonic() + request.silence
    body = bytearray()
    async with aclosing(response.chunks()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit:
                raise _too_much(request.url, limit)
            if time.monotonic() > until:
                raise silent(request.url, request.silence)
    return bytes(body)


def _too_much(url: str, limit: int) -> TransportError:
    return TransportError(f"{urlsplit(url).netloc} sent more than {limit / 2**20:.3g} MiB.")


def _content(body: JSON) -> bytes:
    try:
        text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError) as exc:
        raise UsageError(
            "The request holds a value that JSON cannot carry.",
            why=str(exc),
            hint="Look at the tools and parameters that were given.",
        ) from exc
    return text.encode("utf-8", "replace")  # half of a surrogate pair has no UTF-8


def _check_key(endpoint: Endpoint) -> None:
    """HTTP could not carry it, and the complaint would show it."""
    if not all("!" <= character <= "~" for character in endpoint.key):
        raise AuthenticationError(
            "The API key holds a space, a line break or a character that no key has.",
            hint="Copy it again, and give it with %qwen_key.",
        )
