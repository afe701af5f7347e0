"""`get` and `fetch`: replies wanted whole; what no request leaves behind."""

from __future__ import annotations

import pytest

from qwen_magic.endpoints import DASHSCOPE, Endpoint
from qwen_magic.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ProtocolError,
    QwenError,
    SilenceError,
    TransportError,
)
from qwen_magic.protocol.request import ResponseRequest

KEY = "token-abcdefgh-12345"


@pytest.fixture
def get(client):
    def run(server, path="models", **options):
        found = client.get(Endpoint("x", server.url, DASHSCOPE, "K", KEY), path, **options).result(
            10
        )
        if isinstance(found, QwenError):
            raise found
        return found

    return run


def test_get(serve, wire, get):
    server = serve(wire.reply(200, {"data": [{"id": "qwen3-max"}]}))
    assert get(server) == {"data": [{"id": "qwen3-max"}]}
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("GET", "/v1/models")
    assert seen.headers["authorization"] == f"Bearer {KEY}"


def test_a_path_from_the_root(serve, wire, get):
    server = serve(wire.reply(200, {"ok": 1}))
    assert get(server, "/api/v1/models?page_no=1") == {"ok": 1}
    assert server.seen[0].path == "/api/v1/models?page_no=1"


def test_get_follows_on_the_same_host_only(serve, wire, get):
    server = serve(wire.reply(302, location="/v1/models/"), wire.reply(200, {"ok": 1}))
    assert get(server) == {"ok": 1}
    with pytest.raises(TransportError):
        get(serve(wire.reply(302, location="http://h.example/")))


def test_get_refused(serve, wire, get):
    body = {"code": "InvalidApiKey", "message": f"Bad {KEY}", "request_id": "r-1"}
    with pytest.raises(AuthenticationError) as raised:
        get(serve(wire.reply(401, body)))
    assert raised.value.request_id == "r-1"
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"<html>", "web page"), (b"[]", "no JSON object"), (b"", "no JSON object"), (b"{", "JSON")],
)
def test_get_of_something_else(serve, wire, get, body, words):
    with pytest.raises(ProtocolError, match=words):
        get(serve(wire.reply(200, body)))


def test_get_of_nobody_gives_the_error_back_without_frames(client):
    error = client.get(Endpoint("x", "http://127.0.0.1:9/v1"), "models").result(10)
    assert isinstance(error, ConnectionFailedError)
    assert error.__traceback__ is None


def test_get_of_a_silent_server(serve, wire, get):
    with pytest.raises(SilenceError):
        get(serve([wire.HOLD]), timeout=0.1)


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
