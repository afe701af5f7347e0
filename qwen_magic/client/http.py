"""The one place that knows httpx2: requests out, replies in, its exceptions as `AttemptError`s.

Lives on the engine's loop; one httpx2 client for its life, so that connections are used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final, TypeAlias

import httpx2

from qwen_magic.client import redirects, transport_errors
from qwen_magic.client.retry import AttemptError
from qwen_magic.errors import ProtocolError, UsageError

Transport: TypeAlias = httpx2.AsyncBaseTransport
Trace: TypeAlias = Callable[[str, object], Awaitable[None]]

_CONNECT: Final = 10.0  # seconds
_WRITE: Final = 30.0
_PIECE: Final = 64 * 1024  # bytes of a request's body


@dataclass(frozen=True, slots=True)
class Ask:
    """One HTTP request. `silence`: the longest wait for a byte, in seconds; `redirects`: how many
    of the same host to follow."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None
    silence: float = 300.0
    connect: float = _CONNECT
    redirects: int = redirects.MOST


class Reply:
    """The head of a response, and its body as it comes. `headers` have lower-case names."""

    def __init__(self, response: httpx2.Response, ask: Ask) -> None:
        self._response = response
        self._ask = ask
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body's bytes, decompressed. Raises `AttemptError`."""
        try:
            async for chunk in self._response.aiter_bytes():
                yield chunk
        except httpx2.HTTPError as exc:
            raise _failure(exc, str(self._response.url), self._ask) from exc


class Http:
    """Opens requests. All of its methods belong to one event loop."""

    def __init__(self, transport: Transport | None = None) -> None:
        """`transport`: httpx2's own seam, to answer without a network."""
        self._transport = transport
        self._clients: dict[bool, httpx2.AsyncClient] = {}

    @asynccontextmanager
    async def open(self, ask: Ask, trace: Trace | None = None) -> AsyncIterator[Reply]:
        """The reply to `ask`, its body still unread. Raises `AttemptError`.

        `trace` is told the steps of the connection, in httpcore's names.
        """
        response = await self._follow(ask, trace)
        try:
            yield Reply(response, ask)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        clients = list(self._clients.values())
        self._clients.clear()
        await asyncio.gather(*(client.aclose() for client in clients))

    async def _follow(self, ask: Ask, trace: Trace | None) -> httpx2.Response:
        url = ask.url
        for _ in range(ask.redirects + 1):
            response = await self._send(ask, url, trace)
            location = response.headers.get("location", "")
            if response.status_code not in redirects.STATUSES or not location or not ask.redirects:
                return response
            await response.aclose()
            url = redirects.redirected(ask.method, url, response.status_code, location)
        raise redirects.too_many(url)

    async def _send(self, ask: Ask, url: str, trace: Trace | None) -> httpx2.Response:
        try:
            request = httpx2.Request(
                ask.method,
                url,
                headers=_headers(ask),
                content=None if ask.content is None else _pieces(ask.content),
                extensions={"timeout": _timeout(ask)} | ({"trace": trace} if trace else {}),
            )
        except (httpx2.InvalidURL, ValueError) as exc:
            raise AttemptError(
                UsageError(f"{url!r} cannot be asked.", why=str(exc), hint="Check the base URL.")
            ) from exc
        client = self._client(direct=transport_errors.is_loopback(url))
        try:
            return await client.send(request, stream=True, auth=None, follow_redirects=False)
        except httpx2.HTTPError as exc:
            raise _failure(exc, url, ask) from exc

    def _client(self, *, direct: bool) -> httpx2.AsyncClient:
        """By the proxies of the environment, or `direct`. Cookies of neither are ever sent:
        requests are not built by the client."""
        client = self._clients.get(direct)
        if client is None:
            try:
                client = httpx2.AsyncClient(
                    transport=self._transport,
                    trust_env=not direct,
                    # A request cancelled before its connection stands keeps its slot for ever.
                    limits=httpx2.Limits(max_connections=None),
                )
            except (ImportError, ValueError, httpx2.InvalidURL) as exc:
                raise transport_errors.proxy_unusable(exc) from exc
            self._clients[direct] = client
        return client


def _headers(ask: Ask) -> dict[str, str]:
    headers = {"User-Agent": _agent(), "Accept-Encoding": "identity", **ask.headers}
    if ask.content is not None:
        headers["Content-Length"] = str(len(ask.content))
    return headers


async def _pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    """In pieces, so that the time to write one is bounded, not that of a large image."""
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]


def _timeout(ask: Ask) -> dict[str, float | None]:
    return httpx2.Timeout(connect=ask.connect, read=ask.silence, write=_WRITE, pool=None).as_dict()


def _failure(exc: httpx2.HTTPError, url: str, ask: Ask) -> AttemptError:
    match exc:
        case httpx2.ConnectTimeout():
            return transport_errors.not_connected_in_time(url, ask.connect)
        case httpx2.ConnectError() | httpx2.PoolTimeout():
            return transport_errors.not_connected(exc, url)
        case httpx2.ProxyError():
            return transport_errors.proxy_refused(exc, url)
        case httpx2.ReadTimeout():
            return transport_errors.silent(url, ask.silence)
        case httpx2.WriteTimeout():
            return transport_errors.not_taken(url, _WRITE)
        case httpx2.DecodingError():
            return AttemptError(
                ProtocolError("The server's compression cannot be read.", why=str(exc))
            )
        case httpx2.LocalProtocolError():
            # Its words may hold a header's value, and so the key.
            return AttemptError(UsageError("The request cannot be written as HTTP."))
        case _:
            return transport_errors.cut(exc, url)


def _agent() -> str:
    try:
        return f"qwen_magic/{version('qwen-magic')}"
    except PackageNotFoundError:
        return "qwen_magic/0"
