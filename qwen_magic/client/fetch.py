"""Requests whose reply is wanted whole: a JSON object, or the bytes of a file."""

from __future__ import annotations

import json
import time
from contextlib import aclosing
from typing import Final
from urllib.parse import urlsplit

from qwen_magic.client.error_body import excerpt, is_page
from qwen_magic.client.http import Ask, Http, Reply
from qwen_magic.client.reader import AnswerReader
from qwen_magic.client.retry import AttemptError
from qwen_magic.client.transport_errors import silent
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import ProtocolError, TransportError
from qwen_magic.protocol.fields import JSON

_LARGEST: Final = 16 * 1024 * 1024  # bytes of JSON


async def get_json(http: Http, endpoint: Endpoint, path: str, timeout: float) -> JSON:
    """The JSON object at `path` below the endpoint's base URL. Raises `AttemptError`."""
    url = f"{endpoint.base_url}/{path.lstrip('/')}"
    headers = {**endpoint.headers(), "Accept": "application/json"}
    ask = Ask("GET", url, headers, silence=timeout, connect=timeout)
    async with http.open(ask) as reply:
        body = await _body(reply, ask, _LARGEST)
    if reply.status >= 300 or is_page(body):
        reader = AnswerReader(reply.status, reply.headers, endpoint)
        reader.feed(body, 0.0)
        reader.finish(0.0)
        if reader.failure is not None:
            raise reader.failure
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise AttemptError(
            ProtocolError(
                f"{endpoint.host} answered with something that is no JSON object.",
                why=f"It begins: {excerpt(body)}" if body else "It is empty.",
                hint="Check the endpoint's base URL.",
            )
        )
    return answer


async def get_bytes(http: Http, url: str, limit: int, timeout: float) -> bytes:
    """At most `limit` bytes at `url`, without redirects. Raises `AttemptError`."""
    ask = Ask("GET", url, {}, silence=timeout, connect=timeout, redirects=0)
    host = urlsplit(url).netloc
    async with http.open(ask) as reply:
        if reply.status != 200:
            raise AttemptError(TransportError(f"{host} answered {reply.status}."))
        return await _body(reply, ask, limit)


async def _body(reply: Reply, ask: Ask, limit: int) -> bytes:
    """The body, of at most `limit` bytes, within the ask's silence as a whole."""
    until = time.monotonic() + ask.silence
    body = bytearray()
    async with aclosing(reply.chunks()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > limit:
                raise AttemptError(
                    TransportError(
                        f"{urlsplit(ask.url).netloc} sent more than {limit / 2**20:.3g} MiB."
                    )
                )
            if time.monotonic() > until:
                raise silent(ask.url, ask.silence)
    return bytes(body)
