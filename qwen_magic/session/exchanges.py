"""Convert live requests to the exchanges of a recording, and store those that `--cache` reuses."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from qwen_magic.conversation.conversations import Conversations
from qwen_magic.endpoints import TABLE, Endpoint, find_endpoint
from qwen_magic.errors import UsageError
from qwen_magic.masking import Secret
from qwen_magic.recording import Take, masked_body
from qwen_magic.recording.file import COMPLETE, Exchange, exchange_line, read_exchange
from qwen_magic.session.host_facts import findings, with_findings

if TYPE_CHECKING:
    from qwen_magic.client.http import HttpRequest
    from qwen_magic.client.stream import Stream

_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
_NO_KEY: Final = "qz0-qz1-qz2"  # in the place of the key that was used; goes nowhere


def asked_of(request: HttpRequest, endpoint: Endpoint | None) -> Exchange:
    """The exchange of a request that has no answer yet; without headers."""
    body = json.loads(request.content) if request.content else None
    if endpoint is None:  # a figure
        host = urlsplit(request.url).netloc
        return Exchange(request.method, request.url, host=host, at=now(), encoding="base64")
    base = endpoint.base_url
    root = "/".join(base.split("/")[:3])
    url = request.url
    path = url.removeprefix(f"{base}/") if url.startswith(f"{base}/") else url.removeprefix(root)
    row = _endpoint_row(endpoint.name, base)
    return Exchange(
        *(request.method, path, body, endpoint.name, base, endpoint.server, now()),
        authorized=bool(endpoint.key),
        found=findings(row.capabilities, endpoint.capabilities),
    )


def exchange_of(stream: Stream) -> Exchange:
    """The exchange of a stream that has ended, without keys; a replayed one as it was recorded."""
    from qwen_magic.client.tape import Replaying

    if isinstance(stream.opener, Replaying):
        return stream.opener.played
    take = Take(asked_of(stream.request, stream.endpoint), stream.started_at)
    take.answered(200 if stream.error is None else getattr(stream.error, "status", 0), {})
    for at, chunk in stream.came:
        take.feed(chunk, at)
    return take.ended(stream.came[-1][0] if stream.came else stream.started_at)


def _endpoint_row(name: str, base_url: str) -> Endpoint:
    """Raises `UsageError` where the address is none."""
    row = next((row for row in TABLE if row.name == name), None)
    return row or find_endpoint(base_url, {}, allow_http=True)


def endpoint_of(exchange: Exchange, name: str) -> Endpoint:
    """The endpoint that a recorded exchange was made with. It has no key, and says whether one was
    used.
    """
    base = exchange.base_url.rstrip("/")
    try:
        checked = urlsplit(base)
        if checked.scheme not in ("http", "https") or not checked.hostname:
            raise UsageError("no address")
        row = _endpoint_row(exchange.endpoint, base)
    except (UsageError, ValueError):
        raise UsageError(f"{name} names an endpoint without an address: {base[:80]!r}.") from None
    key = Secret(_NO_KEY if exchange.authorized else "")
    made = replace(row, name=exchange.endpoint, base_url=base, key=key, key_optional=True)
    return with_findings(made, exchange.found)


def day(at: str) -> str:
    """The date of an ISO 8601 time, in its own time zone: "12 Nov 2026"."""
    try:
        then = datetime.fromisoformat(at)
    except ValueError:
        return "at some time"
    return f"{then.day} {_MONTHS[3 * then.month - 3 :][:3]} {then.year}"


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


class CachedAnswers:
    """The cache as one question with `--cache` uses it.

    `fresh`: look nothing up. `asked`: whether any request had to be sent to the server.
    """

    def __init__(self, conversations: Conversations, *, fresh: bool) -> None:
        self.asked = False
        self._conversations = conversations
        self._fresh = fresh
        self._new: list[Exchange] = []

    def find(self, asked: Exchange) -> Exchange | None:
        kept = None if self._fresh else self._conversations.cached(_key(asked))
        if not isinstance(kept, str):
            self.asked = True
            return None
        return read_exchange(kept)

    def note(self, exchange: Exchange) -> None:
        self._new.append(exchange)

    def settle(self) -> None:
        """Store the exchanges, as the question was answered completely."""
        for exchange in self._new:
            if exchange.status == 200 and exchange.end == COMPLETE:
                self._conversations.cache(_key(exchange), exchange_line(exchange))


def _key(asked: Exchange) -> str:
    """What makes two requests identical: all that is sent, and to where."""
    body = masked_body(asked.body)
    said = json.dumps([asked.base_url, asked.method, asked.path, body], sort_keys=True)
    return hashlib.sha256(said.encode("ascii")).hexdigest()
