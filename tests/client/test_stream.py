"""A stream over a real socket: order, ends, stop, and both ways to consume it."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from itertools import pairwise

import pytest

from qwen_magic.errors import ConnectionLostError, ServerError, SilenceError
from qwen_magic.protocol.events import ResponseEnded, ResponseStarted, TextDelta


def text(events):
    return "".join(r.event.delta for r in events if isinstance(r.event, TextDelta))


def all_of(batches):
    return [received for batch in batches for received in batch]


def test_a_stream_in_dashscopes_framing(serve, wire, whole):
    server = serve(wire.answer("Hel", "lo"))
    events, stream = whole(server)
    kinds = [type(received.event) for received in events]
    assert kinds == [ResponseStarted, ResponseStarted, TextDelta, ResponseEnded]
    assert text(events) == "Hello"
    assert stream.error is None
    assert not stream.stopped
    assert stream.request_id == "req-head"
    assert stream.first_byte_at is not None
    assert stream.first_byte_at <= events[0].at <= events[-1].at


def test_the_request_that_is_sent(serve, wire, whole):
    server = serve(wire.answer("x"))
    whole(server, key="sk-abc")
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/v1/responses")
    assert seen.json == {"model": "qwen3-max", "input": "Hi", "stream": True}
    assert seen.headers["authorization"] == "Bearer sk-abc"
    assert seen.headers["accept"] == "text/event-stream, application/json"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"].startswith("qwen_magic/")


def test_no_key_no_header(serve, wire, whole):
    server = serve(wire.answer("x"))
    whole(server, key="")
    assert "authorization" not in server.seen[0].headers


def test_a_plain_json_response(serve, wire, whole):
    events, stream = whole(serve(wire.reply(200, wire.response("completed"))))
    assert stream.error is None
    (received,) = events
    assert received.event.response["output"][0]["content"][0]["text"] == "Hello"


def test_compressed_bodies_are_read(serve, wire, whole):
    import gzip

    body = gzip.compress(wire.created() + wire.delta("zipped") + wire.completed())
    events, stream = whole(serve(wire.reply(200, body, content_encoding="gzip")))
    assert stream.error is None
    assert text(events) == "zipped"


def test_done_without_a_terminal_event_is_an_end(serve, wire, whole):
    server = serve(wire.STREAM + wire.created() + wire.delta("Hi") + b"data: [DONE]\n\n")
    events, stream = whole(server)
    assert text(events) == "Hi"
    assert stream.error is None
    assert not stream.stopped


def test_the_end_is_seen_though_the_server_holds_the_connection(serve, wire, ask):
    server = serve([wire.answer("Hi"), wire.HOLD])
    stream = ask(server)
    batches = list(stream.batches_sync())
    assert text(all_of(batches)) == "Hi"
    assert not server.left.is_set()
    stream.stop()  # of no effect any more
    assert stream.wait(5)
    assert not stream.stopped
    assert stream.error is None


def test_an_error_event_waits_for_its_response_failed(serve, wire, whole):
    error = wire.event({"type": "error", "error": {"code": "boom", "message": "It broke."}})
    failed = wire.failed("boom", "It broke.")
    events, stream = whole(serve([wire.STREAM + wire.created() + error, 0.05, failed]))
    assert isinstance(events[-1].event, ResponseEnded)
    assert isinstance(stream.error, ServerError)


def test_a_bare_error_with_the_connection_held_ends_too(serve, wire, whole):
    error = wire.event({"type": "error", "error": {"code": "boom", "message": "It broke."}})
    events, stream = whole(
        serve([wire.STREAM + wire.created() + wire.delta("Hi") + error, wire.HOLD])
    )
    assert text(events) == "Hi"
    assert stream.error.why == "It broke."
    assert not stream.stopped


def test_a_failure_after_output_keeps_the_events(serve, wire, whole):
    server = serve(
        wire.STREAM + wire.created() + wire.delta("Par") + wire.failed("server_error", "x")
    )
    events, stream = whole(server)
    assert text(events) == "Par"
    assert events[-1].event.status == "failed"
    assert isinstance(stream.error, ServerError)
    assert len(server.seen) == 1


def test_a_cut_stream_keeps_the_events(serve, wire, whole):
    events, stream = whole(serve(wire.STREAM + wire.created() + wire.delta("Par")))
    assert text(events) == "Par"
    assert isinstance(stream.error, ConnectionLostError)


def test_silence(serve, wire, whole):
    events, stream = whole(serve([wire.STREAM + wire.created(), wire.HOLD]), silence=0.1)
    assert isinstance(stream.error, SilenceError)
    assert "0.1 s" in stream.error.message
    assert [type(r.event) for r in events] == [ResponseStarted, ResponseStarted]


def test_stop_closes_the_connection(serve, wire, ask):
    server = serve([wire.STREAM + wire.created() + wire.delta("Par"), wire.HOLD])
    stream = ask(server)
    for batch in stream.batches_sync():
        if text(batch):
            break
    asked = time.monotonic()
    stream.stop()
    stream.stop()
    assert stream.stopped
    assert stream.wait(5)
    assert server.left.wait(5)
    assert server.left_at - asked < 2  # 2 to 5 ms where nothing else runs
    assert stream.stopped
    assert stream.error is None
    assert stream.drain() == ([], True)


def test_stop_before_anything(client, ask, serve, wire):
    server = serve([wire.HOLD])
    stream = ask(server)
    stream.stop()
    assert stream.wait(5)
    assert stream.stopped


def test_stop_in_a_pause(engine, serve, wire):
    from qwen_magic.client import Client
    from qwen_magic.endpoints import Endpoint
    from qwen_magic.protocol.request import ResponseRequest

    client = Client(engine)  # with its real pauses
    server = serve(wire.reply(429, {"message": "x"}, retry_after="50"))
    stream = client.stream(ResponseRequest("m", "Hi"), Endpoint("x", server.url))
    for _ in stream.batches_sync():
        if stream.retrying:
            break
    assert stream.retrying == "Too many requests; trying again in 50 s"
    stream.stop()
    assert stream.wait(5)
    assert stream.stopped
    assert stream.retrying == ""
    assert client.close()


def test_sixty_stops_at_random_times_leave_nothing(serve, wire, ask, client):
    chance = random.Random(1)
    script = [wire.STREAM + wire.created()]
    for _ in range(10):
        script += [wire.delta("x"), 0.001]
    server = serve([*script, wire.completed()], [*script, wire.HOLD])
    streams = []
    for _ in range(60):
        stream = ask(server)
        streams.append(stream)
        time.sleep(chance.uniform(0, 0.02))
        stream.stop()
    assert all(stream.wait(5) for stream in streams)
    assert client.live == 0
    deadline = time.monotonic() + 5
    while server.open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.open == 0


def test_with_stops_at_the_end_of_the_block(serve, wire, ask):
    server = serve([wire.STREAM + wire.created() + wire.delta("x"), wire.HOLD])
    with ask(server) as stream:
        pass
    assert stream.wait(5)
    assert stream.stopped


def test_async_batches(serve, wire, ask):
    script = [wire.STREAM + wire.created()]
    for number in range(20):
        script += [wire.delta(f"{number} "), 0.005]
    server = serve([*script, wire.completed()])

    async def consume():
        stream = ask(server)
        return [(time.monotonic(), b) async for b in stream.batches(0.04) if b], stream

    batches, stream = asyncio.run(consume())
    events = [received for _, batch in batches for received in batch]
    assert text(events) == "".join(f"{number} " for number in range(20))
    assert isinstance(events[-1].event, ResponseEnded)
    assert stream.error is None
    assert 2 <= len(batches) < 20
    with_text = [at for at, batch in batches if text(batch)]
    pauses = [later - earlier for earlier, later in pairwise(with_text[:-1])]  # the end is at once
    assert min(pauses) > 0.035


def test_async_batches_of_what_came_before(serve, wire, ask):
    stream = ask(serve(wire.answer("all")))
    assert stream.wait(5)

    async def consume():
        return [batch async for batch in stream.batches()]

    (batch,) = asyncio.run(consume())
    assert text(batch) == "all"


def test_async_stop_ends_the_loop(serve, wire, ask):
    server = serve([wire.STREAM + wire.created() + wire.delta("x"), wire.HOLD])

    async def consume():
        stream = ask(server)
        async for _ in stream.batches():
            stream.stop()
        return stream

    assert asyncio.run(consume()).stopped


def test_an_empty_async_batch_tells_of_a_pause(serve, wire, engine):
    from qwen_magic.client import Client
    from qwen_magic.endpoints import Endpoint
    from qwen_magic.protocol.request import ResponseRequest

    release = threading.Event()

    async def sleep(seconds):
        while not release.is_set():
            await asyncio.sleep(0.005)

    client = Client(engine, sleep=sleep)
    server = serve(wire.reply(503), wire.answer("then"))

    async def consume():
        stream = client.stream(ResponseRequest("m", "Hi"), Endpoint("x", server.url))
        told, events = [], []
        async for batch in stream.batches():
            events += batch
            if stream.retrying:
                told.append((stream.retrying, batch))
                release.set()
        return told, events

    told, events = asyncio.run(consume())
    assert "trying again in" in told[0][0]
    assert told[0][1] == []
    assert text(events) == "then"
    assert client.close()


def test_sync_batches_come_also_when_nothing_does(serve, wire, ask):
    server = serve([wire.STREAM + wire.created() + wire.delta("a"), 0.2, wire.completed()])
    batches = list(ask(server).batches_sync())
    assert text(all_of(batches)) == "a"
    assert batches.count([]) >= 2


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="POSIX signals")
def test_an_interrupt_of_the_sync_consumer(serve, wire, ask):
    server = serve([wire.STREAM + wire.created() + wire.delta("Par"), wire.HOLD])
    stream = ask(server)
    got = []

    def consume():
        main = threading.main_thread().ident
        interrupt = threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT))
        with stream:
            for batch in stream.batches_sync():
                got.extend(batch)
                if batch and text(got):
                    interrupt.start()

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            consume()
    finally:
        signal.signal(signal.SIGINT, previous)
    assert text(got) == "Par"
    assert stream.wait(5)
    assert stream.stopped
    assert server.left.wait(5)


def test_a_finished_connection_is_used_again(serve, wire, whole):
    def chunked(*parts):
        return b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in parts) + b"0\r\n\r\n"

    head = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = serve([head + chunked(wire.created(), wire.delta("x"), wire.completed())])
    for _ in range(3):
        whole(server)
    assert [seen.connection for seen in server.seen] == [1, 1, 1]
