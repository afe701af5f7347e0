"""The client as a whole: its end, proxies of the environment, httpx2's own seam."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace

import httpx2
import pytest

from qwen_magic.client import Client
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import ConnectionFailedError
from qwen_magic.protocol.request import ResponseRequest

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
REQUEST = ResponseRequest("qwen3-max", "Hi")


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_close_in_the_middle_of_streams(serve, wire):
    server = serve([wire.STREAM + wire.created() + wire.delta("x"), wire.HOLD])
    client = Client()
    streams = [client.stream(REQUEST, Endpoint("x", server.url)) for _ in range(3)]
    for stream in streams:
        next(batch for batch in stream.batches_sync() if batch)
    assert client.live == 3
    assert client.close()
    assert client.close()
    assert client.live == 0
    assert all(stream.stopped and stream.done for stream in streams)
    assert not [t for t in threading.enumerate() if t.name == "qwen-engine"]
    with pytest.raises(RuntimeError, match="closed"):
        client.stream(REQUEST, Endpoint("x", server.url))
    gc.collect()  # warnings of what was left open are errors here


def test_close_at_once():
    client = Client()
    stream = client.stream(REQUEST, Endpoint("x", "http://127.0.0.1:9/v1"))
    assert client.close()
    assert stream.done
    gc.collect()


def test_close_unused():
    assert Client().close()


def test_close_leaves_a_shared_engine_running(engine, serve, wire):
    for _ in range(2):
        client = Client(engine)
        stream = client.stream(REQUEST, Endpoint("x", serve(wire.answer("x")).url))
        assert stream.wait(5)
        assert client.close()


def test_an_engine_closed_under_a_stream(engine, serve, wire):
    client = Client(engine)
    server = serve([wire.STREAM + wire.created() + wire.delta("x"), wire.HOLD])
    stream = client.stream(REQUEST, Endpoint("x", server.url))
    next(batch for batch in stream.batches_sync() if batch)
    assert engine.close()
    assert stream.wait(5)
    assert stream.stopped
    assert server.left.wait(5)


def test_the_seam_of_httpx(engine, wire):
    def answer(request):
        assert request.headers["authorization"] == "Bearer k"
        return httpx2.Response(200, content=wire.created() + wire.delta("x") + wire.completed())

    client = Client(engine, transport=httpx2.MockTransport(answer))
    stream = client.stream(REQUEST, Endpoint("x", "https://h.example/v1", key="k"))
    assert stream.wait(5)
    assert stream.error is None
    assert len(stream.drain()[0]) == 4
    assert client.close()


def test_a_fault_of_our_own_is_an_error_and_an_end(engine):
    def answer(request):
        raise LookupError("k-secret")

    client = Client(engine, transport=httpx2.MockTransport(answer))
    stream = client.stream(REQUEST, Endpoint("x", "https://h.example/v1", key="k-secret"))
    assert stream.wait(5)
    assert stream.drain() == ([], True)
    assert stream.error is not None
    assert "LookupError" in stream.error.why
    assert "k-secret" not in str(stream.error)
    assert client.close()


def test_a_proxy_of_the_environment(serve, wire, client, monkeypatch):
    proxy = serve(wire.answer("by proxy"))
    monkeypatch.setenv("http_proxy", f"http://me:pw@127.0.0.1:{proxy.port}")
    stream = client.stream(REQUEST, Endpoint("x", "http://h.example/v1"))
    assert stream.wait(5)
    assert stream.error is None
    assert proxy.seen[0].path == "http://h.example/v1/responses"
    assert "proxy-authorization" in proxy.seen[0].headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_goes_by_no_proxy(serve, wire, client, monkeypatch, host):
    proxy, server = serve(wire.answer("by proxy")), serve(wire.answer("direct"))
    monkeypatch.setenv("all_proxy", f"http://127.0.0.1:{proxy.port}")
    stream = client.stream(REQUEST, Endpoint("x", server.url.replace("127.0.0.1", host)))
    assert stream.wait(5)
    assert stream.error is None
    assert (len(server.seen), proxy.seen) == (1, [])


@pytest.mark.parametrize(("status", "hint"), [(407, "password"), (502, "NO_PROXY")])
def test_a_proxy_that_refuses(serve, wire, client, monkeypatch, status, hint):
    proxy = serve(wire.reply(status))
    monkeypatch.setenv("https_proxy", f"http://me:pw@127.0.0.1:{proxy.port}")
    stream = client.stream(REQUEST, Endpoint("x", "https://h.example/v1", key="sk-abcdef"))
    assert stream.wait(5)
    assert isinstance(stream.error, ConnectionFailedError)
    assert stream.error.message == (
        f"The proxy 127.0.0.1:{proxy.port} did not connect to h.example."
    )
    assert hint in stream.error.hint
    assert [seen.method for seen in proxy.seen] == ["CONNECT"]
    assert "authorization" not in proxy.seen[0].headers


def test_a_proxy_that_is_not_there(client, monkeypatch, pauses):
    monkeypatch.setenv("https_proxy", "http://me:pw@127.0.0.1:9")
    stream = client.stream(REQUEST, Endpoint("x", "https://h.example/v1"))
    assert stream.wait(5)
    assert stream.error is not None
    assert "by way of the proxy 127.0.0.1:9, refused" in stream.error.message
    assert "HTTPS_PROXY" in stream.error.hint
    assert "pw" not in str(stream.error)
    assert len(pauses) == 2


@pytest.mark.parametrize("proxy", ["gopher://me:pw@127.0.0.1:9", "http://me:pw@127.0.0.1:x"])
def test_a_proxy_that_cannot_be_used(client, monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy)
    stream = client.stream(REQUEST, Endpoint("x", "https://h.example/v1"))
    assert stream.wait(5)
    assert isinstance(stream.error, ConnectionFailedError)
    assert "proxy" in stream.error.message
    assert "pw" not in str(stream.error)


def test_only_one_module_imports_httpx():
    from pathlib import Path

    import qwen_magic.client

    package = Path(qwen_magic.client.__file__).parents[1]
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if any(
            line.split()[:2] in (["import", "httpx2"], ["from", "httpx2"])
            for line in path.read_text().splitlines()
        )
    }
    assert users == {"client/http.py"}


def test_a_chained_request_asks_for_the_session_cache(client, serve, wire):
    server = serve(wire.answer("Hello"))
    first = ResponseRequest("qwen3-max", "Hi", session_cache=True)
    for request in (first, replace(first, previous_response_id="resp_1")):
        assert client.stream(request, Endpoint("x", server.url)).wait(10)
    sent = [seen.headers.get("x-dashscope-session-cache") for seen in server.seen]
    assert sent == [None, "enable"]
