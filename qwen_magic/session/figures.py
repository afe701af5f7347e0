"""Download the figures that the code interpreter drew, before their links expire (after 12 hours).

An address comes from a sandbox's logs, so a page that the model read could have put any address
there. Therefore only the endpoint's own host and an exact list of hosts are contacted; redirects
are not followed; no key is sent; number, size and time are limited; and only content whose bytes
are those of an image is embedded.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from qwen_magic.context.images import media_type
from qwen_magic.document.steps import figure_urls
from qwen_magic.errors import QwenError
from qwen_magic.protocol.items import CodeInterpreterCall

if TYPE_CHECKING:
    from qwen_magic.protocol.entry import Entry

_TIMEOUT: Final = 15.0  # seconds for one figure
LARGEST_FIGURE: Final = 8 * 1024 * 1024  # bytes
MOST_FIGURES: Final = 40  # of a turn …
LARGEST_SUM: Final = 20 * 1024 * 1024  # … and their bytes: a notebook has to be opened again


class Fetches(Protocol):
    """What `FigureFetcher` needs of a client."""

    def fetch(self, url: str, *, limit: int, timeout: float) -> Future[bytes]:
        """At most `limit` bytes from `url`, without a key or redirects."""


@dataclass(frozen=True, slots=True)
class FetchedFigure:
    """A figure: its bytes, or the reason why it could not be fetched."""

    url: str
    content: bytes = b""
    reason: str = ""

    @property
    def data_uri(self) -> str:
        if not self.content:
            return ""
        return f"data:{media_type(self.content)};base64,{base64.b64encode(self.content).decode()}"


class FigureFetcher:
    """Fetches the figures of one turn, each once."""

    def __init__(self, client: Fetches, hosts: Collection[str]) -> None:
        """`hosts`: exact host names (with a port where the address has one).

        `busy`: whether something was wanted that was not handed over yet.
        """
        self.busy = False
        self._client = client
        self._hosts = frozenset(host.lower() for host in hosts)
        self._waiting: dict[str, Future[bytes]] = {}
        self._settled: dict[str, FetchedFigure] = {}
        self._handed_over: set[str] = set()
        self._asked = self._bytes = 0
        self._runs: set[str] = set()  # keys of code runs that were looked into

    def look_into(self, entries: Iterable[Entry]) -> None:
        """Start fetching the figures that the finished code runs among `entries` name."""
        for entry in entries:
            item = entry.item
            if not isinstance(item, CodeInterpreterCall) or entry.key in self._runs:
                continue
            if entry.done:
                self._runs.add(entry.key)
                for url in figure_urls(item):
                    self.want(url)

    def admitted(self, figures: Iterable[str]) -> tuple[str, ...]:
        """Those of a function's figures (`data:` addresses) that fit into the limits of an
        answer.
        """
        kept = []
        for figure in figures:
            size = len(figure) * 3 // 4
            fits = size <= LARGEST_FIGURE and self._bytes + size <= LARGEST_SUM
            if fits and self._asked < MOST_FIGURES:
                self._asked += 1
                self._bytes += size
                kept.append(figure)
        return tuple(kept)

    def forget_runs(self, but: Iterable[Entry]) -> None:
        """Forget all code runs except `but`: the response is requested again, and may reuse their
        keys.
        """
        self._runs &= {entry.key for entry in but}

    def want(self, url: str) -> None:
        """Start fetching `url`, unless that was done before or its host is not allowed."""
        if url in self._waiting or url in self._settled:
            return
        self.busy = True
        reason = self._refusal(url)
        if not reason and self._asked >= MOST_FIGURES:
            reason = f"an answer shows {MOST_FIGURES} figures at the most"
        if reason:
            self._settled[url] = FetchedFigure(url, reason=reason)
        else:
            self._asked += 1
            self._waiting[url] = self._client.fetch(url, limit=LARGEST_FIGURE, timeout=_TIMEOUT)

    def _refusal(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            host = parts.netloc.lower()
        except ValueError:
            return "its address cannot be read"
        if parts.scheme not in ("http", "https") or not host or "@" in host:
            return "its address cannot be read"
        if host in self._hosts:
            return ""
        return f"{host} is not in the list of figure hosts (%config QwenMagics.figure_hosts)"

    @property
    def pending(self) -> bool:
        return bool(self._waiting)

    def collect(self, on_figure: Callable[[FetchedFigure], None]) -> None:
        """Call `on_figure` with each figure that arrived or failed since the last call."""
        for url in [url for url, future in self._waiting.items() if future.done()]:
            figure = _outcome(url, self._waiting.pop(url))
            self._bytes += len(figure.content)
            if self._bytes > LARGEST_SUM:
                self._bytes -= len(figure.content)
                many = f"the figures of an answer have {LARGEST_SUM // 2**20} MiB at the most"
                figure = FetchedFigure(url, reason=many)
            self._settled[url] = figure
        for url, figure in self._settled.items():
            if url not in self._handed_over:
                self._handed_over.add(url)
                on_figure(figure)
        self.busy = bool(self._waiting)

    def give_up(self, reason: str) -> None:
        """Fail all figures that have not arrived, with this reason."""
        for url, future in self._waiting.items():
            future.cancel()
            self._settled[url] = FetchedFigure(url, reason=reason)
        self._waiting.clear()

    @property
    def figures(self) -> tuple[FetchedFigure, ...]:
        """All figures that arrived or failed, in this order."""
        return tuple(self._settled.values())


def _outcome(url: str, future: Future[bytes]) -> FetchedFigure:
    try:
        content = future.result()
    except QwenError as error:
        return FetchedFigure(url, reason=error.message)
    if not media_type(content):
        return FetchedFigure(url, reason="what came is not a PNG, JPEG, GIF or WebP image")
    return FetchedFigure(url, content)
