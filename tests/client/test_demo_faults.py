"""Every fault of the embedded server, as the client reports it. The two share no code."""

from __future__ import annotations

import pytest
from demo_server import demo_server
from fuzz import patience

from qwen_magic import errors
from qwen_magic.demo.turn import FAULTS
from qwen_magic.endpoints import Endpoint
from qwen_magic.protocol.events import ResponseEnded, TextDelta
from qwen_magic.protocol.request import ResponseRequest

EXPECTED: dict[str, type[errors.QwenError] | None] = {
    "400": errors.InvalidRequestError,
    "missing-model": errors.InvalidRequestError,
    "unsupported-model": errors.NotFoundError,
    "not-enabled": errors.InvalidRequestError,
    "too-long": errors.InvalidRequestError,
    "moderation": errors.ModerationError,
    "not-found-previous": errors.UnknownResponseError,
    "arrearage": errors.QuotaError,
    "401": errors.AuthenticationError,
    "no-key": errors.AuthenticationError,
    "403": errors.PermissionDeniedError,
    "404": errors.NotFoundError,
    "405": errors.NotFoundError,
    "429": errors.RateLimitError,
    "429-retry-after": errors.RateLimitError,
    "429-allocation": errors.RateLimitError,
    "429-burst": errors.RateLimitError,
    "429-quota": errors.QuotaError,
    "500": errors.ServerError,
    "old-model": errors.ServerError,
    "503": errors.ServerError,
    "502": errors.ServerError,
    "504": errors.ServerError,
    "html": errors.ProtocolError,
    "empty": errors.ProtocolError,
    "not-json": errors.ProtocolError,
    "redirect": errors.RedirectRefusedError,
    "failed": errors.ServerError,
    "rate-limit-200": errors.RateLimitError,
    "too-many": errors.RateLimitError,
    "moderation-200": errors.ModerationError,
    "overflow": errors.ServerError,
    "error-event": errors.ServerError,
    "error-data": errors.ServerError,
    "reset": errors.ConnectionLostError,
    "silence": errors.SilenceError,
    "reset-mid": errors.ConnectionLostError,
    "silence-mid": errors.SilenceError,
    "cut": errors.ConnectionLostError,
    "failed-late": errors.ServerError,
    "moderation-late": errors.ModerationError,
    "incomplete": None,
    "incomplete-inside": None,
}
LATE = {name for name, fault in FAULTS.items() if fault.kind == "stream"}


def test_no_fault_is_left_out():
    assert set(EXPECTED) == set(FAULTS)


@pytest.fixture(scope="module")
def demo():
    with demo_server() as server:
        yield Endpoint("demo", server.base_url)


@pytest.fixture
def told(client, demo):
    """Ask the demo server for what the prompt commands."""

    def run(command, **options):
        request = ResponseRequest("demo", f"demo: {command}\nHello")
        stream = client.stream(request, demo, **options)
        assert stream.wait(patience(10))
        return stream.drain()[0], stream

    return run


@pytest.mark.parametrize("name", EXPECTED)
def test_faults(name, told):
    events, stream = told(f"error {name}", silence=0.3 if "silence" in name else patience(20.0))
    expected = EXPECTED[name]
    if expected is None:
        assert stream.error is None
    else:
        assert type(stream.error) is expected
        assert len(str(stream.error).splitlines()) <= 3
    assert any(isinstance(each.event, TextDelta) for each in events) == (name in LATE)


@pytest.mark.parametrize("name", ["429", "503", "rate-limit-200", "too-many"])
def test_what_passes_is_tried_again(name, told):
    events, stream = told(f"error {name}, fail first 2")
    assert stream.error is None
    assert stream.attempts == 2
    assert any(isinstance(each.event, TextDelta) for each in events)


def test_the_old_spelling_of_reasoning(told):
    events, stream = told("reasoning old")
    assert stream.error is None
    assert isinstance(events[-1].event, ResponseEnded)
