"""Another attempt only where nothing can have begun: counted by what the server saw."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from qwen_magic.client import Backoff
from qwen_magic.client.error_body import retry_after, told_pause
from qwen_magic.errors import (
    ConnectionFailedError,
    ConnectionLostError,
    QuotaError,
    QwenError,
    RateLimitError,
    ServerError,
)
from qwen_magic.protocol.events import ResponseEnded, ResponseStarted, TextDelta

RATE = "Operation model request rate limit exceeded, please try again later."


def kinds(events):
    return [type(received.event) for received in events]


@pytest.mark.parametrize("status", [429, 503])
def test_turned_away_by_status(serve, wire, whole, pauses, status):
    refusal = wire.reply(status, {"code": "Throttling", "message": "later"})
    server = serve(refusal, refusal, wire.answer("Hi"))
    events, stream = whole(server)
    assert stream.error is None
    assert stream.attempts == 2
    assert kinds(events) == [ResponseStarted, ResponseStarted, TextDelta, ResponseEnded]
    assert len(server.seen) == 3
    assert server.seen[0].body == server.seen[2].body
    assert pauses[1] == 2 * pauses[0]


def test_the_attempts_end(serve, wire, whole):
    server = serve(wire.reply(503, {"message": "no"}))
    events, stream = whole(server, retries=1)
    assert isinstance(stream.error, ServerError)
    assert stream.error.status == 503
    assert len(server.seen) == 2
    assert events == []


def test_no_retries_when_none_are_allowed(serve, wire, whole):
    server = serve(wire.reply(429, {"message": "no"}))
    _, stream = whole(server, retries=0)
    assert isinstance(stream.error, RateLimitError)
    assert len(server.seen) == 1


@pytest.mark.parametrize("value", ["7", "7.0"])
def test_the_server_says_when(serve, wire, whole, pauses, value):
    whole(serve(wire.reply(429, {"message": "x"}, retry_after=value), wire.answer("Hi")))
    assert pauses == [7.0]


def test_the_server_asks_for_too_long(serve, wire, whole, pauses):
    _, stream = whole(serve(wire.reply(429, {"message": "x"}, retry_after="3600")))
    assert pauses == []
    assert "60 min" in stream.error.hint


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500, 502, 504])
def test_never_for_other_statuses(serve, wire, whole, status):
    server = serve(wire.reply(status, {"message": "no"}))
    _, stream = whole(server)
    assert stream.error.status == status
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("server_error", RATE),
        ("server_error", "<429> InternalError.Algo: Batch failed [Too many requests.]"),
        ("Throttling.RateQuota", "Requests throttled"),
    ],
)
def test_dashscopes_rate_limit_in_a_stream(serve, wire, whole, code, message):
    refusal = wire.STREAM + wire.created() + wire.failed(code, message)
    server = serve(refusal, wire.answer("Hi"))
    events, stream = whole(server)
    assert stream.error is None
    assert kinds(events) == [ResponseStarted, ResponseStarted, TextDelta, ResponseEnded]
    assert len(server.seen) == 2


def test_the_rate_limit_as_the_first_event(serve, wire, whole):
    server = serve(wire.STREAM + wire.failed("server_error", RATE), wire.answer("Hi"))
    _, stream = whole(server)
    assert stream.error is None
    assert len(server.seen) == 2


def test_the_rate_limit_as_a_bare_error(serve, wire, whole):
    error = wire.event({"type": "error", "code": "server_error", "message": RATE})
    server = serve([wire.STREAM + error, wire.HOLD], wire.answer("Hi"))
    _, stream = whole(server)
    assert stream.error is None
    assert len(server.seen) == 2


def test_the_rate_limit_as_json(serve, wire, whole):
    failed = wire.response(
        "failed", model="", output=[], error={"code": "server_error", "message": RATE}
    )
    server = serve(wire.reply(200, failed), wire.answer("Hi"))
    events, stream = whole(server)
    assert stream.error is None
    assert TextDelta in kinds(events)
    assert len(server.seen) == 2


def test_the_last_attempts_events_are_given(serve, wire, whole):
    server = serve(wire.STREAM + wire.created() + wire.failed("server_error", RATE))
    events, stream = whole(server)
    assert isinstance(stream.error, RateLimitError)
    assert stream.error.why == RATE
    assert stream.error.status == 200
    assert stream.error.request_id == "req-head"
    assert kinds(events) == [ResponseStarted, ResponseStarted, ResponseEnded]
    assert len(server.seen) == 3


def test_never_after_output(serve, wire, whole):
    server = serve(
        wire.STREAM + wire.created() + wire.delta("Hi") + wire.failed("server_error", RATE)
    )
    events, stream = whole(server)
    assert isinstance(stream.error, RateLimitError)
    assert kinds(events)[-2:] == [TextDelta, ResponseEnded]
    assert len(server.seen) == 1


def test_never_for_a_failed_json_response_with_output(serve, wire, whole):
    failed = wire.response("failed", error={"code": "server_error", "message": RATE})
    server = serve(wire.reply(200, failed))
    _, stream = whole(server)
    assert isinstance(stream.error, RateLimitError)
    assert len(server.seen) == 1


def test_never_for_other_failures_in_a_stream(serve, wire, whole):
    server = serve(wire.STREAM + wire.created() + wire.failed("server_error", "It broke."))
    _, stream = whole(server)
    assert isinstance(stream.error, ServerError)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "insufficient_quota"),
        (400, "Arrearage"),
        (403, "AllocationQuota.FreeTierOnly"),
        (402, ""),
    ],
)
def test_never_for_want_of_quota(serve, wire, whole, status, code):
    server = serve(wire.reply(status, {"code": code, "message": "no"}))
    _, stream = whole(server)
    assert isinstance(stream.error, QuotaError)
    assert len(server.seen) == 1


def test_never_after_a_reset(serve, wire, whole):
    server = serve([wire.RESET])
    _, stream = whole(server)
    assert isinstance(stream.error, ConnectionLostError)
    assert len(server.seen) == 1


def test_never_after_a_cut_without_an_answer(serve, whole):
    server = serve([])
    _, stream = whole(server)
    assert isinstance(stream.error, ConnectionLostError)
    assert len(server.seen) == 1


def test_never_after_a_cut_before_output(serve, wire, whole):
    server = serve(wire.STREAM + wire.created())
    _, stream = whole(server)
    assert isinstance(stream.error, ConnectionLostError)
    assert len(server.seen) == 1


def test_a_refused_connection(ask, pauses):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stream = ask(f"http://127.0.0.1:{port}/v1")
    assert stream.wait(10)
    assert isinstance(stream.error, ConnectionFailedError)
    assert stream.error.message == f"127.0.0.1:{port} refused the connection."
    assert pauses == [0.25, 0.5]


def test_retry_after_in_words():
    assert retry_after("12") == 12.0
    assert retry_after("-3") == 0.0
    assert retry_after("soon") is None
    assert retry_after("") is None
    assert retry_after("1970-01-01T00:00:09Z", "", lambda: 0.0) == 9.0
    at = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)
    assert retry_after(format_datetime(at, usegmt=True), "", lambda: at.timestamp() - 9) == 9.0
    assert retry_after(format_datetime(at, usegmt=True)) is not None
    # The server's own clock counts, however far ours is from it.
    said = format_datetime(at - timedelta(seconds=9), usegmt=True)
    assert retry_after(format_datetime(at, usegmt=True), said, lambda: 0.0) == 9.0


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Rate limit reached. Please try again in 7h12m0s. Visit https://x.org", 25920.0),
        ("Please try again in 860ms.", 0.86),
        ("Please retry in 36.5s", 36.5),
        ("try again in 1 minute and 5 seconds", 65.0),
        ("Try again in 2 days, 3 hours", 183600.0),
        ("retry after 20 seconds", 20.0),
        ("try again in 7 models", None),
        ("try again later, in 5 s or so", None),
    ],
)
def test_a_pause_in_a_messages_words(words, seconds):
    assert told_pause(words) == seconds


def test_backoff_grows_and_is_capped():
    failure = QwenError("x")
    failure.retry = "rate"
    most = Backoff(random=lambda: 1.0)
    assert [most.pause(failure, n) for n in range(6)] == [4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert Backoff(random=lambda: 0.0).pause(failure, 3) == 0.0
