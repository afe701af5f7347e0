"""Whole JSON objects that are no events: a response, an error body.

A server asked to stream may answer with one of them, as the body or inside the stream.
"""

from __future__ import annotations

from typing import cast, get_args

from qwen_magic.errors import redact
from qwen_magic.protocol.events import (
    EndStatus,
    ErrorEvent,
    Event,
    ResponseEnded,
    ResponseError,
    ResponseStarted,
    Status,
)
from qwen_magic.protocol.fields import JSON, integer, mapping, text


def read_body(body: JSON) -> Event | None:
    """The one event that a whole object stands for; None where it is neither kind."""
    if (
        body.get("object") == "response"
        or isinstance(body.get("output"), list)
        or (body.get("id") and body.get("status") in get_args(Status))
    ):
        return _whole(body)
    if body.get("error") or ("message" in body and "code" in body):
        return read_error(body)
    return None


def read_error(payload: JSON) -> ErrorEvent:
    """Flat and nested alike; an outer `request_id` belongs to a nested error too."""
    flat = {key: value for key, value in payload.items() if key not in ("type", "error")}
    error = response_error(payload.get("error")) or response_error(flat) or ResponseError()
    request_id = error.request_id or redact(text(payload.get("request_id")))
    return ErrorEvent(
        ResponseError(error.code, error.message, request_id),
        integer(payload.get("sequence_number")),
    )


def response_error(raw: object) -> ResponseError | None:
    """A response's `error` field; None where it is null or says nothing."""
    fields = {"message": raw} if isinstance(raw, str) else mapping(raw)
    code = redact(text(fields.get("code")) or text(fields.get("type")))
    message = redact(text(fields.get("message")))
    if not code and not message:
        return None
    return ResponseError(code, message, redact(text(fields.get("request_id"))))


def response_started(
    response: JSON, named: Status, sequence_number: int | None = None
) -> ResponseStarted:
    """A running response, with its own status where that is a running one."""
    said = response.get("status")
    status = cast(Status, said) if said in ("queued", "in_progress") else named
    return ResponseStarted(status, response, sequence_number)


def response_ended(
    response: JSON, named: EndStatus, sequence_number: int | None = None
) -> ResponseEnded:
    """An ended response, with its own status where that says how it ended."""
    said = response.get("status")
    status = cast(EndStatus, said) if said in get_args(EndStatus) else named
    return ResponseEnded(status, response, sequence_number)


def _whole(response: JSON) -> Event:
    if response.get("status") in ("queued", "in_progress"):
        return response_started(response, "in_progress")
    return response_ended(response, "failed" if response.get("error") else "completed")
