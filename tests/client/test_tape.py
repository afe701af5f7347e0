"""What was recorded of a real socket, replayed: the same events, errors and ends, in their time."""

import math

import pytest

from qwen_magic.client.tape import Recording, Replaying
from qwen_magic.endpoints import DASHSCOPE, Endpoint
from qwen_magic.errors import ConnectionFailedError
from qwen_magic.protocol.events import ResponseEnded, TextDelta
from qwen_magic.recording.file import STOPPED, Exchange, exchange_line, read_exchange

NOBODY = "http://127.0.0.1:9/v1"
ASKED = Exchange("POST", "responses", {"model": "qwen3-max", "input": "Hi"})


@pytest.fixture
def record(client, whole):
    """`record(server)` asks it once; the exchanges, as a file would have them."""

    def ran(server, ask=whole):
        kept = []
        client.route = lambda request, endpoint, http: Recording(http, ASKED, kept.append)
        ask(server)
        return [read_exchange(exchange_line(each)) for each in kept]

    return ran


@pytest.fixture
def replay(client, ask, whole):
    """`replay(exchanges)` asks where nobody listens, answered by them one after the other."""

    def ran(exchanges, speed=math.inf, ask=whole, server=NOBODY):
        left = list(exchanges)
        opener = Replaying(left.pop(0), speed, "recorded", lambda: left.pop(0))
        client.route = lambda request, endpoint, http: opener
        return ask(server)

    return ran


def told(events, stream):
    """What a turn has of a stream, without its times."""
    return [each.event for each in events], repr(stream.error), stream.stopped, stream.attempts


def scripts(wire):
    begun = wire.STREAM + wire.created() + wire.delta("Par")
    return {
        "an answer": [wire.answer("Hel", "lo €")],
        "in pieces": [[wire.answer("Hello €")[:-200], 0.01, wire.answer("Hello €")[-200:]]],
        "plain": [wire.reply(200, wire.response("completed"))],
        "refused": [wire.reply(401, {"error": {"message": "No.", "code": "bad_key"}})],
        "busy, then an answer": [wire.reply(503, b"busy", retry_after="1"), wire.answer("x")],
        "a page": [wire.reply(200, b"<html><title>Login</title>", content_type="text/html")],
        "cut": [begun],
        "reset": [[begun, wire.RESET]],
        "failed": [begun + wire.failed("server_error", "It broke.")],
    }


def test_every_kind_of_end_is_the_same_again(wire, serve, whole, record, replay, client):
    for name, script in scripts(wire).items():
        live = []
        server = serve(*script)
        exchanges = record(server, lambda server, live=live: live.append(whole(server)))
        replayed = replay(exchanges, server=server)
        assert len(server.seen) == len(exchanges), name
        assert told(*replayed) == told(*live[0]), name
        assert replayed[1].request_id == live[0][1].request_id, name
        assert (live[0][1].source, replayed[1].source) == ("", "recorded")


def test_a_server_that_is_gone_is_gone_again(record, replay):
    exchanges = record(NOBODY)
    assert [each.status for each in exchanges] == [0, 0, 0]
    events, stream = replay(exchanges)
    assert not events
    assert isinstance(stream.error, ConnectionFailedError)
    assert stream.attempts == 2


def test_what_was_stopped_ends_where_it_was_stopped(wire, serve, ask, record, replay):
    def until_text(server):
        stream = ask(server)
        for batch in stream.batches_sync():
            if any(isinstance(each.event, TextDelta) for each in batch):
                stream.stop()
        assert stream.wait(5)

    server = serve([wire.STREAM + wire.created() + wire.delta("Par"), wire.HOLD])
    (exchange,) = record(server, until_text)
    assert exchange.end == STOPPED
    events, stream = replay([exchange])
    assert [each.event.delta for each in events if isinstance(each.event, TextDelta)] == ["Par"]
    assert stream.stopped
    assert stream.error is None


def spread(wire, *milliseconds):
    """An answer whose deltas come at these times."""
    deltas = [(at, wire.delta(str(at)).decode()) for at in milliseconds]
    end = (milliseconds[-1], wire.completed().decode())
    return Exchange(
        "POST", "responses", status=200, stream=((0, wire.created().decode()), *deltas, end)
    )


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_no_event_comes_before_its_time_or_out_of_order(wire, replay, speed):
    events, _ = replay([spread(wire, 40, 160, 200)], speed)
    deltas = [each for each in events if isinstance(each.event, TextDelta)]
    first = events[0].at
    for each in deltas:
        due = int(each.event.delta) / 1000 / speed
        assert due - 0.01 <= each.at - first
    assert [each.event.delta for each in deltas] == ["40", "160", "200"]


def test_instant_is_one_batch(wire, replay, ask):
    stream = replay([spread(wire, *range(0, 9000, 30))], math.inf, ask)
    batches = [batch for batch in stream.batches_sync() if batch]
    assert len(batches) == 1
    assert isinstance(batches[0][-1].event, ResponseEnded)


def test_a_replay_is_stopped_while_it_waits(wire, replay, ask):
    stream = replay([spread(wire, 0, 3_600_000)], 1.0, ask)
    for batch in stream.batches_sync():
        if any(isinstance(each.event, TextDelta) for each in batch):
            stream.stop()
    assert stream.wait(5)
    assert stream.stopped


def test_json_and_bytes_are_recorded_too(wire, serve, client):
    kept = []
    client.route = lambda request, endpoint, http: Recording(http, ASKED, kept.append)
    server = serve(
        wire.reply(200, {"data": []}),
        wire.reply(404, {"error": {"message": "No such model"}}),
        wire.reply(200, b"\x89PNG", content_type="image/png"),
    )
    endpoint = Endpoint("here", server.url, DASHSCOPE)
    assert client.get(endpoint, "models").result(5) == {"data": []}
    assert "No such model" in client.get(endpoint, "models/x").result(5).why
    assert client.fetch(f"{server.url}/a.png", limit=99, timeout=5).result(5) == b"\x89PNG"
    assert [each.status for each in kept] == [200, 404, 200]
    client.route = lambda request, endpoint, http: Replaying(kept.pop(0), math.inf, "")
    assert client.get(endpoint, "models").result(5) == {"data": []}
    assert "No such model" in client.get(endpoint, "models/x").result(5).why
