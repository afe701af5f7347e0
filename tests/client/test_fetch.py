"""`fetch`: a file wanted whole; what no request leaves behind."""

from __future__ import annotations

import pytest

from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import TransportError
from qwen_magic.protocol.request import ResponseRequest

KEY = "token-abcdefgh-12345"


def test_an_unexpected_fault_becomes_one_error_without_frames(client, monkeypatch):
    import httpx2

    async def broken(*_, **__):
        raise LookupError(KEY)

    monkeypatch.setattr(httpx2.AsyncClient, "send", broken)
    endpoint = Endpoint("x", "http://127.0.0.1:9/v1", key=KEY)
    stream = client.stream(ResponseRequest("m", "Hi"), endpoint)
    assert stream.wait(10)
    assert "LookupError" in stream.error.why
    assert KEY not in str(stream.error)
    assert stream.error.__traceback__ is None


def test_fetch(serve, wire, client):
    server = serve(wire.reply(200, b"\x89PNG", content_type="image/png"))
    assert client.fetch(f"{server.url}/a.png?x=1", limit=10, timeout=5).result(5) == b"\x89PNG"
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("GET", "/v1/a.png?x=1")
    assert "authorization" not in seen.headers
    assert "cookie" not in seen.headers


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda wire: wire.reply(403, b"expired"), "answered 403"),
        (lambda wire: wire.reply(302, location="/elsewhere"), "answered 302"),
        (lambda wire: wire.reply(200, b"x" * 11), "sent more than"),
    ],
)
def test_fetch_that_fails(serve, wire, client, make, words):
    server = serve(make(wire))
    with pytest.raises(TransportError, match=words):
        client.fetch(server.url, limit=10, timeout=5).result(5)
    assert len(server.seen) == 1


def test_fetch_that_is_given_up(serve, wire, client):
    server = serve([wire.HOLD])
    future = client.fetch(server.url, limit=10, timeout=5)
    while not server.seen:
        pass
    assert future.cancel()
    assert server.left.wait(5)


def test_cookies_are_not_kept(serve, wire, client):
    server = serve(wire.reply(200, {}, set_cookie="a=b"))
    for _ in range(2):
        client.fetch(server.url, limit=10, timeout=5).result(5)
    assert "cookie" not in server.seen[1].headers
