"""Replies that are not the Responses API, redirects, and failures of the network itself."""

from __future__ import annotations

import json
import pickle
import socket
import zlib

import pytest

from qwen_magic.client import Client, reader
from qwen_magic.client.http import redirected
from qwen_magic.client.reader import AnswerReader
from qwen_magic.client.transport_errors import is_loopback, without_password
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ConnectionLostError,
    ProtocolError,
    QwenError,
    RedirectRefusedError,
    ServerError,
    UsageError,
)
from qwen_magic.protocol.events import ResponseEnded, TextDelta
from qwen_magic.protocol.request import ResponseRequest

PAGE = b"\n<!DOCTYPE html><html><head><title>Corporate &amp; Login</title></head><body>x</body>"


@pytest.mark.parametrize("status", [200, 403, 404])
def test_a_web_page(serve, wire, whole, status):
    server = serve(wire.reply(status, PAGE, content_type="application/json"))
    _, stream = whole(server)
    assert isinstance(stream.error, ProtocolError)
    assert stream.error.message.endswith("answered with a web page, not the Responses API.")
    assert stream.error.why == f"The page: {status}, “Corporate & Login”."
    assert "base URL" in stream.error.hint
    assert len(server.seen) == 1


def test_a_web_page_of_a_gateway(serve, wire, whole):
    _, stream = whole(serve(wire.reply(502, b"<html><title>502 Bad Gateway</title>")))
    assert isinstance(stream.error, ServerError)
    assert stream.error.status == 502
    assert stream.error.why == "A web page: 502, “502 Bad Gateway”."


def test_an_error_in_xml(serve, wire, whole):
    body = (
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Expired</Message></Error>'
    )
    _, stream = whole(serve(wire.reply(403, body)))
    assert stream.error.why == "The page: 403, “Expired”."


def test_an_endless_web_page(serve, wire, whole):
    endless = [wire.STREAM + PAGE, b"x" * 100_000, wire.HOLD]
    _, stream = whole(serve(endless))
    assert isinstance(stream.error, ProtocolError)


ENDLESS = {
    "no output": b"data: {}\n\n" * 200,
    "events": b'data: {"type":"response.hologram"}\n\n' * 500,
    "bytes": b":" + b" " * 100_000 + b"\n",
}


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
def test_an_endless_stream(serve, wire, whole, monkeypatch, name, encoding):
    for limit, most in {"_LARGEST_ANSWER": 1e7, "_MOST_EVENTS": 1e5, "_MOST_HELD": 1e4}.items():
        monkeypatch.setattr(reader, limit, int(most))
    head = wire.STREAM.replace(b"\r\n", f"\r\nContent-Encoding: {encoding}\r\n".encode(), 1)
    wbits = {"gzip": 31, "deflate": 15}.get(encoding)
    packer = zlib.compressobj(wbits=wbits) if wbits else None
    pieces = [wire.created(), *[ENDLESS[name]] * 300]
    packed = [packer.compress(piece) for piece in pieces] if packer else pieces
    _, stream = whole(serve([head, *packed, packer.flush() if packer else b"", wire.HOLD]))
    assert isinstance(stream.error, ProtocolError)
    assert "without end" in stream.error.message


@pytest.mark.parametrize("depth", [200, 600, 990, 100_000])
def test_json_that_is_nested_without_end(serve, wire, whole, client, depth):
    """It is none: what reads, masks and writes JSON goes down by recursion."""
    nested = '{"a":' * depth + "[1e999]" + "}" * depth
    item = f'{{"type":"response.output_item.done","output_index":1,"item":{nested}}}'
    ended = f'{{"type":"response.completed","response":{nested}}}'
    deep = "".join(f"data: {each}\n\n" for each in (item, nested, ended)).encode()
    script = wire.STREAM + wire.created() + deep + wire.delta("Hello") + wire.completed()
    events, stream = whole(serve(script))
    assert stream.error is None
    assert "Hello" in [getattr(each.event, "delta", "") for each in events]
    pickle.dumps(events)
    json.dumps([getattr(each.event, "raw", None) for each in events])
    for status in (200, 400):
        _, stream = whole(serve(wire.reply(status, f'{{"error":{nested}}}'.encode())))
        assert isinstance(stream.error, QwenError)
        assert "RecursionError" not in str(stream.error)


@pytest.mark.parametrize(("status", "body"), [(200, b""), (200, b" \r\n\r\n"), (204, b"")])
def test_nothing(serve, wire, whole, status, body):
    _, stream = whole(serve(wire.reply(status, body)))
    assert isinstance(stream.error, ProtocolError)
    assert f"answered {status} with nothing in it" in stream.error.message


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"pong", "It begins: pong"),
        (b"[1, 2]", "It begins: [1, 2]"),
        (b'{"models":[]}', "It has the keys: models."),
        (b":only comments\n\n", "It begins: :only comments"),
        (b"data: hello\n\n", "It begins: hello"),
    ],
)
def test_something_else(serve, wire, whole, body, why):
    _, stream = whole(serve(wire.reply(200, body)))
    assert isinstance(stream.error, ProtocolError)
    assert stream.error.why == why


def test_after_a_malformed_event_the_answer_goes_on(serve, wire, whole):
    bad = wire.event({"type": "response.output_item.added", "item": 7})
    noise = b"data: ping\n\n" + bad + b"data: null\n\nevent: heartbeat\ndata: alive\n\n"
    script = [wire.STREAM + noise + wire.created() + wire.delta("Par"), 0.05, noise]
    events, stream = whole(serve([*script, wire.delta("tial") + wire.completed()]))
    assert stream.error is None
    assert [r.event.delta for r in events if isinstance(r.event, TextDelta)] == ["Par", "tial"]


def test_words_of_a_gateway_in_the_middle_are_told(serve, wire, whole):
    words = b"data: upstream request timeout\n\n"
    _, stream = whole(serve(wire.STREAM + wire.created() + wire.delta("Par") + words))
    assert isinstance(stream.error, ConnectionLostError)
    assert stream.error.why == "The last that came: upstream request timeout"


AFTER_THE_END = [
    b"data: [DONE]\n\n",
    b"data: DONE\n\n",
    b"data: null\n\n",
    b'data: {"done": true}\n\n',
    b"event: end\ndata: end\n\n",
    b"event: error\ndata: too late\n\n",
    b'data: {"error": {"message": "too late"}}\n\n',
    b'data: {"type": "response.failed", "response": {"error": {"message": "too late"}}}\n\n',
    b"\xff\xfe\x00 nonsense {",
]


@pytest.mark.parametrize("after", AFTER_THE_END)
def test_what_follows_the_end_changes_nothing_wherever_it_is_cut(wire, after):
    answer = wire.created() + wire.delta("Hi") + wire.completed()
    body = answer + after
    for cut in range(len(answer) - 3, len(body) + 1):
        reader = AnswerReader(200, {}, Endpoint("x", "http://127.0.0.1:1/v1"))
        events = reader.feed(body[:cut], 0.0) + reader.feed(body[cut:], 0.1) + reader.finish(0.2)
        assert reader.failure is None, cut
        assert reader.complete
        assert [type(each.event) for each in events][-1] is ResponseEnded


def test_what_follows_the_end_on_a_broken_connection(serve, wire, whole):
    chunked = wire.STREAM.replace(b"Connection: close", b"Transfer-Encoding: chunked")
    body = wire.created() + wire.delta("Hi") + wire.completed()
    piece = b"%x\r\n%s\r\n" % (len(body), body)
    for rest in ([wire.RESET], [b"zz\r\nno chunk"], [0.05, wire.RESET]):
        _, stream = whole(serve([chunked + piece, *rest]))
        assert stream.error is None


def test_json_cut_in_the_middle(serve, wire, whole):
    reply = wire.reply(200, wire.response("completed"))
    _, stream = whole(serve(reply[:-10]))
    assert isinstance(stream.error, ConnectionLostError)


def test_a_server_that_speaks_no_http(serve, whole):
    _, stream = whole(serve(b"220 mail.example ESMTP\r\n\r\n"))
    assert isinstance(stream.error, ProtocolError)
    assert "does not speak HTTP" in stream.error.message


@pytest.mark.parametrize("said", [[b"\x15\x03\x01\x00\x02\x02\x46"], [b""], [0.05, "reset"]])
def test_a_port_of_tls_that_is_asked_by_http(serve, wire, whole, said):
    _, stream = whole(serve([wire.RESET if each == "reset" else each for each in said]))
    assert isinstance(stream.error, ProtocolError | ConnectionLostError)
    assert "https://" in stream.error.hint


def test_a_connection_that_is_cut_in_the_answer_is_no_matter_of_tls(serve, wire, whole):
    _, stream = whole(serve([wire.STREAM + wire.created() + wire.delta("Hi"), 0.05, wire.RESET]))
    assert isinstance(stream.error, ConnectionLostError)
    assert "https://" not in stream.error.hint


@pytest.mark.parametrize("status", [301, 307, 308])
def test_a_redirect_on_the_same_host(serve, wire, whole, status):
    server = serve(wire.reply(status, location="/v2/responses"), wire.answer("Hi"))
    _, stream = whole(server)
    assert stream.error is None
    first, second = server.seen
    assert (second.method, second.path) == ("POST", "/v2/responses")
    assert second.body == first.body
    assert second.headers["authorization"] == first.headers["authorization"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host(serve, wire, whole, status):
    other = serve(wire.answer("stolen"))
    server = serve(wire.reply(status, location=f"{other.url}/responses"))
    _, stream = whole(server)
    assert isinstance(stream.error, RedirectRefusedError)
    assert f"127.0.0.1:{other.port}" in stream.error.message
    assert other.seen == []
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [302, 303])
def test_a_redirect_to_a_page_to_get(serve, wire, whole, status):
    server = serve(wire.reply(status, location="/login"))
    _, stream = whole(server)
    assert isinstance(stream.error, ProtocolError)
    assert "/login" in stream.error.message
    assert len(server.seen) == 1


def test_redirects_in_a_circle(serve, wire, whole):
    server = serve(wire.reply(307, location="/v1/responses"))
    _, stream = whole(server)
    assert isinstance(stream.error, ProtocolError)
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("http://h/a", "https://h/a", "https://h/a"),
        ("http://h:8000/a", "https://h:8000/a", "https://h:8000/a"),
        ("https://h/a", "https://h:443/b", "https://h:443/b"),
        ("https://h/a/b", "c", "https://h/a/c"),
        ("https://h/a", "//h/b", "https://h/b"),
        ("https://H/a", "https://h/b", "https://h/b"),
    ],
)
def test_same_server(url, location, target):
    assert redirected("POST", url, 307, location) == target


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://h/a", "http://h/a"),
        ("https://h/a", "https://h:444/a"),
        ("http://h:8000/a", "https://h:8443/a"),
        ("https://h/a", "https://h.evil/a"),
        ("https://h/a", "https://evil.h/a"),
        ("https://h/a", "https://h./a"),
        ("https://h/a", "https://evil\\@h/a"),
        ("https://h/a", "https://h\\.evil/a"),
        ("http://127.0.0.1:8000/a", "http://localhost:8000/a"),
        ("https://h/a", "https://h@evil/a"),
        ("https://h/a", "https://user:pw@h/a"),
        ("https://h/a", "ftp://h/a"),
        ("https://h/a", "//evil/a"),
        ("https://h/a", "javascript:alert(1)"),
    ],
)
def test_another_server(url, location):
    with pytest.raises(RedirectRefusedError) as raised:
        redirected("POST", url, 307, location)
    assert "pw" not in str(raised.value)


def test_an_unreadable_location():
    with pytest.raises(ProtocolError):
        redirected("POST", "https://h/a", 307, "https://[::1/a")


def test_a_known_local_server_that_is_not_running(ask):
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 11434)) == 0:
            pytest.skip("something listens on Ollama's port")
    stream = ask("http://localhost:11434/v1", retries=0)
    assert stream.wait(10)
    assert stream.error.message == "localhost:11434 refused the connection."
    assert "ollama serve" in stream.error.hint


def test_a_name_that_does_not_exist(ask, monkeypatch, pauses):
    # Loopback names are resolved without a network; this one by no resolver.
    stream = ask("http://no-such-host.invalid/v1", retries=0)
    assert stream.wait(60)
    assert isinstance(stream.error, ConnectionFailedError)
    assert stream.error.message == "The name no-such-host.invalid cannot be resolved."
    assert "network" in stream.error.hint


def test_https_to_a_server_of_http(ask, pauses):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        stream = ask(f"https://127.0.0.1:{port}/v1")
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            assert stream.wait(10)
    assert isinstance(stream.error, ConnectionFailedError)
    assert stream.error.message == f"No secure connection to 127.0.0.1:{port} could be made."
    assert "https" in stream.error.hint
    assert pauses == []


@pytest.mark.parametrize("key", ["sk-abc\n", "sk abc", "sk-abcé", "sk-…"])
def test_a_key_that_no_header_can_carry(client: Client, key):
    endpoint = Endpoint("x", "http://127.0.0.1:9/v1", key=key)
    with pytest.raises(AuthenticationError) as raised:
        client.stream(ResponseRequest("m", "Hi"), endpoint)
    assert "sk" not in str(raised.value)


@pytest.mark.wrong_request
def test_a_request_that_is_no_json(client: Client):
    request = ResponseRequest("m", "Hi", tools=({"type": object()},))
    with pytest.raises(UsageError):
        client.stream(request, Endpoint("x", "http://127.0.0.1:9/v1"))


def test_a_large_request_arrives_whole(serve, wire, client: Client):
    server = serve(wire.answer("x"))
    prompt = "x" * 3_000_000
    stream = client.stream(ResponseRequest("m", prompt), Endpoint("x", server.url))
    assert stream.wait(10)
    assert stream.error is None
    assert server.seen[0].json["input"] == prompt


def test_half_a_surrogate_pair_in_the_prompt(serve, wire, client: Client):
    server = serve(wire.answer("x"))
    stream = client.stream(ResponseRequest("m", "a\ud83db"), Endpoint("x", server.url))
    assert stream.wait(5)
    assert server.seen[0].json["input"] == "a?b"


def test_no_error_holds_a_key(serve, wire, ask):
    key = "token-abcdefgh-12345"
    echo = {"message": f"bad key {key}", "code": key, "request_id": key}
    scripts = [
        wire.reply(401, echo),
        wire.reply(500, f"<html><title>{key}</title>".encode()),
        wire.reply(403, f"<html><title>{key}</title>".encode()),
        wire.reply(200, f"echo {key}".encode()),
        wire.reply(200, {key: 1}),
        wire.reply(200, f"data: {key}\n\n".encode()),
        wire.STREAM + wire.failed(key, f"key={key}"),
        wire.reply(307, location=f"http://other/?key={key}"),
        wire.reply(303, location=f"/login?key={key}"),
        wire.reply(303, location=f"/login/{key}"),
    ]
    for script in scripts:
        stream = ask(serve(script), key=key)
        assert stream.wait(10)
        error = stream.error
        assert error is not None
        shown = f"{error} {error!r} {error.__dict__} {error.__cause__!r} {error.__context__!r}"
        assert "token-ab" not in shown, script
        assert error.__traceback__ is None


def test_loopback_and_passwords():
    assert all(map(is_loopback, ["http://127.9.9.9/", "http://[::1]:8/", "http://LOCALHOST:1"]))
    assert is_loopback("http://a.localhost/")
    assert not any(map(is_loopback, ["http://10.0.0.1/", "http://localhost.example/"]))
    assert without_password("at http://me:pw@host:1/ now") == "at http://host:1/ now"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 400_000,
        b"HTTP/1.1 200 " + b"a" * 400_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 307 X\r\nLocation: /" + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 307 X\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 307 X\r\nLocation: /\x01\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=lambda head: repr(head[:60]),
)
def test_nonsense_in_the_head_is_said_to_be_the_servers(serve, whole, head):
    _, stream = whole(serve([head]))
    assert isinstance(stream.error, ProtocolError)
    said = f"{stream.error.message} {stream.error.why} {stream.error.hint}"
    assert len(said) < 400
    assert "fault of qwen_magic" not in said
    assert "cut the connection" not in said
