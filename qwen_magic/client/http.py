"""The one place that knows httpx2: requests out, responses in, its exceptions as `QwenError`s.

Lives on the engine's loop; one httpx2 client for its life, so that connections are used again.
Redirects are followed only where they stay with the host that was asked: keys and prompts go to the
host that the user named, and nowhere else.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import ssl
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

import httpx2

from qwen_magic.client import transport_errors
from qwen_magic.errors import ProtocolError, QwenError, RedirectRefusedError, UsageError
from qwen_magic.masking import log_without_keys

Transport: TypeAlias = httpx2.AsyncBaseTransport
Trace: TypeAlias = Callable[[str, object], Awaitable[None]]

_CONNECT: Final = 10.0  # seconds
_WRITE: Final = 30.0
_PIECE: Final = 64 * 1024  # bytes of a request's body

# 302 and 303 ask for a GET: a prompt that was posted must not become a page that is read.
_KEEP_METHOD: Final = frozenset({301, 307, 308})
_REDIRECTS: Final = _KEEP_METHOD | {302, 303}
_PORTS: Final = {"http": 80, "https": 443}
_PARTS: Final = ("connection", "http11", "http2", "proxy", "socks")
_LOGGERS: Final = ("httpx2", *(f"httpcore2.{part}" for part in _PARTS))


for _each in _LOGGERS:
    logging.getLogger(_each).addFilter(log_without_keys)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request. `silence`: the longest wait for a byte, in seconds; `redirects`: how many
    of the same host to follow."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(default=None, repr=False)
    silence: float = 300.0
    connect: float = _CONNECT
    redirects: int = 3


class HttpResponse:
    """The head of a response, and its body as it comes. `headers` have lower-case names."""

    def __init__(self, response: httpx2.Response, request: HttpRequest) -> None:
        self._response = response
        self._request = request
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body's bytes, decompressed. Raises `QwenError`."""
        codings = self.headers.get("content-encoding", "").lower()
        for coding in codings.split(","):
            if not _is_decoded(coding.strip()):
                raise ProtocolError(
                    f"The server compressed its answer by {coding.strip()[:20]}, which was not "
                    "asked for and cannot be read here.",
                    hint="Have the proxy or gateway before it pass answers as they are.",
                )
        try:
            # Where nothing is to be decompressed, httpx2's own generators around the stream cost a
            # third of what reading a text takes.
            stream = self._response.aiter_bytes() if codings else self._response.stream
            assert isinstance(stream, AsyncIterable)
            async for chunk in stream:
                yield chunk
        except httpx2.HTTPError as exc:
            raise _failure(exc, str(self._response.url), self._request) from exc


class Http:
    """Opens requests. All of its methods belong to one event loop."""

    source = ""  # of an answer: the server itself (`tape.Opener`)

    def __init__(
        self,
        transport: Transport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """`transport`: httpx2's own seam, to answer without a network. `sleep`: how to wait before
        another attempt."""
        self._transport = transport
        self.sleep = sleep
        self._clients: dict[tuple[bool, bool], httpx2.AsyncClient] = {}

    @asynccontextmanager
    async def open(
        self, request: HttpRequest, trace: Trace | None = None
    ) -> AsyncIterator[HttpResponse]:
        """The response to `request`, its body still unread. Raises `QwenError`.

        `trace` is told the steps of the connection, in httpcore's names.
        """
        response = await self._follow(request, trace)
        try:
            yield HttpResponse(response, request)
        finally:
            await response.aclose()

    @property
    def is_open(self) -> bool:
        """Whether anything was asked, so that there are connections to close."""
        return bool(self._clients)

    async def aclose(self) -> None:
        clients = list(self._clients.values())
        self._clients.clear()
        await asyncio.gather(*(client.aclose() for client in clients))

    async def _follow(self, request: HttpRequest, trace: Trace | None) -> httpx2.Response:
        url = request.url
        for _ in range(request.redirects + 1):
            response = await self._send(request, url, trace)
            status, location = response.status_code, response.headers.get("location", "")
            if status not in _REDIRECTS or not location or not request.redirects:
                return response
            await response.aclose()
            url = redirected(request.method, url, status, location)
        raise ProtocolError(
            f"{urlsplit(url).netloc} redirects in a circle.", hint="Check the endpoint's base URL."
        )

    async def _send(self, request: HttpRequest, url: str, trace: Trace | None) -> httpx2.Response:
        try:
            sent = httpx2.Request(
                request.method,
                url,
                headers=_headers(request),
                content=None if request.content is None else _pieces(request.content),
                extensions={"timeout": _timeout(request)} | ({"trace": trace} if trace else {}),
            )
        except (httpx2.InvalidURL, ValueError) as exc:
            if url != request.url:
                raise _unreadable(request.url) from exc
            raise UsageError(
                f"{url!r} cannot be asked.", why=str(exc), hint="Check the base URL."
            ) from exc
        client = self._client(
            direct=transport_errors.is_loopback(url), tls=not url.lower().startswith("http:")
        )
        try:
            return await client.send(sent, stream=True, auth=None, follow_redirects=False)
        except httpx2.HTTPError as exc:
            raise _failure(exc, url, request, answered=False) from exc

    def _client(self, *, direct: bool, tls: bool) -> httpx2.AsyncClient:
        """By the proxies of the environment, or `direct`. Cookies of neither are ever sent:
        requests are not built by the client. Where nothing is encrypted no certificates are
        loaded, which is most of what the first request of a process waits for."""
        client = self._clients.get((direct, tls))
        if client is None:
            try:
                client = httpx2.AsyncClient(
                    transport=self._transport,
                    trust_env=not direct,
                    verify=tls_context() if tls or not direct else False,
                    # A request cancelled before its connection stands keeps its slot for ever.
                    limits=httpx2.Limits(max_connections=None),
                )
            except (ImportError, ValueError, httpx2.InvalidURL) as exc:
                raise transport_errors.proxy_unusable(exc) from exc
            self._clients[direct, tls] = client
        return client


def tls_context() -> ssl.SSLContext:
    """With the certificates of this machine's own store, to which companies add theirs, or with
    those that the environment names; made once. Raises `QwenError` where it names none."""
    return _tls_context(*(os.environ.get(name, "") for name in transport_errors.CERTIFICATES))


@cache
def _tls_context(file: str, folders: str) -> ssl.SSLContext:
    try:
        if not file and folders and not any(map(os.path.isdir, folders.split(os.pathsep))):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return httpx2.create_ssl_context()
    except OSError as error:  # TLS's own errors are such, too
        raise transport_errors.certificates_unusable(error) from None


def _is_decoded(coding: str) -> bool:
    """Whether httpx2 undoes a `Content-Encoding` as things are installed. None is asked for."""
    modules = {"br": ("brotli", "brotlicffi"), "zstd": ("compression.zstd", "backports.zstd")}
    if coding in modules:
        return any(_is_installed(name) for name in modules[coding])
    return coding in ("", "identity", "gzip", "x-gzip", "deflate")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not there
        return False


def _headers(request: HttpRequest) -> dict[str, str]:
    headers = {"User-Agent": _agent(), "Accept-Encoding": "identity", **request.headers}
    if request.content is not None:
        headers["Content-Length"] = str(len(request.content))
    return headers


async def _pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    """In pieces, so that the time to write one is bounded, not that of a large image."""
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]


def _timeout(request: HttpRequest) -> dict[str, float | None]:
    return httpx2.Timeout(
        connect=request.connect, read=request.silence, write=_WRITE, pool=None
    ).as_dict()


def _failure(
    exc: httpx2.HTTPError, url: str, request: HttpRequest, *, answered: bool = True
) -> QwenError:
    match exc:
        case httpx2.ConnectTimeout():
            return transport_errors.not_connected_in_time(url, request.connect)
        case httpx2.ConnectError() | httpx2.PoolTimeout():
            return transport_errors.not_connected(exc, url)
        case httpx2.ProxyError():
            return transport_errors.proxy_refused(exc, url)
        case httpx2.ReadTimeout():
            return transport_errors.silent(url, request.silence)
        case httpx2.WriteTimeout():
            return transport_errors.not_taken(url, _WRITE)
        case httpx2.DecodingError():
            return ProtocolError("The server's compression cannot be read.", why=str(exc))
        case httpx2.LocalProtocolError():
            # Its words may hold a header's value, and so the key.
            return UsageError("The request cannot be written as HTTP.")
        case _:
            return transport_errors.cut(exc, url, answered=answered)


def _agent() -> str:
    try:
        return f"qwen_magic/{version('qwen-magic')}"
    except PackageNotFoundError:
        return "qwen_magic/0"


def redirected(method: str, url: str, status: int, location: str) -> str:
    """The URL to ask in place of `url`. Raises `QwenError` where it may not be followed."""
    try:
        target = urlsplit(urljoin(url, location))
        same = _same_server(urlsplit(url), target)
    except ValueError as exc:
        raise _unreadable(url) from exc
    if not same:
        raise RedirectRefusedError(
            f"{urlsplit(url).netloc} redirects to another server, {_name(target)}.",
            why="Key and prompt were not sent there.",
            hint="If that is the right one, give its URL as the endpoint.",
        )
    if method != "GET" and status not in _KEEP_METHOD:
        raise ProtocolError(
            f"{target.netloc} answered with a redirect to {target.path or '/'} ({status}), "
            "not with a response.",
            hint="Check the base URL; a login page may stand before the service.",
        )
    return target.geturl()


def _unreadable(url: str) -> ProtocolError:
    return ProtocolError(
        f"{urlsplit(url).netloc} redirects to an address that cannot be read.",
        hint="Check the endpoint's base URL, and the server's own log.",
    )


def _same_server(old: SplitResult, new: SplitResult) -> bool:
    """The same host and port by the same scheme, or http -> https."""
    if new.username or new.password or old.hostname != new.hostname:
        return False
    same_port = _port(old) == _port(new)
    if old.scheme == new.scheme:
        return same_port
    upgrade = (old.scheme, new.scheme) == ("http", "https")
    return upgrade and (same_port or (_port(old), _port(new)) == (80, 443))


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS.get(parts.scheme, 0)


def _name(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.netloc.split('@')[-1]}"
