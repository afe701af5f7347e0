"""The body of a response, in pieces of bytes -> events.

The body may be an event stream, or (its first character is a `{`) one plain JSON object: a server
that does not stream, or an error. Nothing is lost to a bad event: those before it in the same
piece are handed over first, and the next call raises.
"""

from __future__ import annotations

import codecs
import json

from qwen_magic.errors import ProtocolError, redact
from qwen_magic.protocol.decode import decode_event, read_whole
from qwen_magic.protocol.events import ErrorEvent, Event, UnknownEvent
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.response import ResponseError
from qwen_magic.protocol.sse import MAX_EVENT_CHARS, ServerSentEvent, SSEDecoder
from qwen_magic.protocol.text import clean

_SPACE = b" \t\r\n"


class EventDecoder:
    """Feed it the body's bytes; it gives the events that are complete.

    `done`: the server said `[DONE]`; what follows is ignored. Raises `ProtocolError` for data that
    is no JSON object, a malformed event, and a body that passes 64 MiB without end.
    """

    def __init__(self) -> None:
        self.done = False
        self._sse = SSEDecoder()
        self._head: bytearray | None = bytearray()  # the body's beginning, until its kind shows
        self._body: bytearray | None = None  # a plain JSON body so far
        self._fault: ProtocolError | None = None

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        self._raise_fault()
        if self._head is not None:
            data = self._look(self._head, data)
        if self._body is None:
            return self._receive(data)
        self._body += data
        if len(self._body) > MAX_EVENT_CHARS:
            raise ProtocolError("The server sent a JSON body without end.")
        return []

    def finish(self) -> list[Event]:
        """The last events; a plain JSON body's one event. An event that the end of the stream cuts
        in the middle is dropped: its connection was lost."""
        self._raise_fault()
        if self._body is not None:
            body, self._body = self._body, None
            return [_read_plain(bytes(body))]
        head, self._head = self._head, None
        events = self._receive(bytes(head or b""))
        return events + self._events(self._sse.finish(), cut=True)

    def _look(self, head: bytearray, data: bytes) -> bytes:
        """What to decode now that `data` came; decides between the two kinds of body."""
        head += data
        start = head.removeprefix(codecs.BOM_UTF8).lstrip(_SPACE)
        if not start or codecs.BOM_UTF8.startswith(bytes(start)):
            return b""
        data, self._head = bytes(head), None
        if start[:1] == b"{":
            self._body = bytearray()
        return data

    def _receive(self, data: bytes) -> list[Event]:
        return self._events(self._sse.feed(data)) if data and not self.done else []

    def _events(self, frames: list[ServerSentEvent], *, cut: bool = False) -> list[Event]:
        events: list[Event] = []
        try:
            for frame in frames:
                if frame.data == "[DONE]":
                    self.done = True
                if self.done:
                    break
                event = _decode(frame, cut=cut)
                if event is not None:
                    events.append(event)
        except ProtocolError as fault:
            if not events:
                raise
            self._fault = fault
        return events

    def _raise_fault(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault


def _decode(frame: ServerSentEvent, *, cut: bool) -> Event | None:
    """The frame's event; None for one whose end is missing (`cut`: the body ended in it)."""
    try:
        payload = json.loads(frame.data)
    except (ValueError, RecursionError) as error:
        if frame.event == "error":  # an error in plain words
            return ErrorEvent(ResponseError(message=_excerpt(frame.data)))
        if cut:
            return None
        raise _not_json(frame.data) from error
    return decode_event(_object(payload, frame.data), frame.event)


def _read_plain(body: bytes) -> Event:
    data = body.decode("utf-8-sig", "replace")
    try:
        payload = _object(json.loads(data), data)
    except (ValueError, RecursionError) as error:
        raise _not_json(data) from error
    event = read_whole(payload) or decode_event(payload)
    if isinstance(event, UnknownEvent):
        raise ProtocolError(
            "The server's JSON is neither a response nor an error.",
            why=f"It has the keys: {_excerpt(', '.join(payload)) or 'none'}.",
            hint="Check that the endpoint's URL is the base URL of a Responses API.",
        )
    return event


def _object(payload: object, data: str) -> JSON:
    """The payload of `data`, as the object that it must be, fit to be encoded."""
    if not isinstance(payload, dict):
        raise ProtocolError(
            "The server sent data that is not a JSON object.", why=f"It begins: {_excerpt(data)}"
        )
    if "\\ud" in data or "\\uD" in data:  # halves of surrogate pairs come by escapes only
        return clean(payload)
    return payload


def _not_json(data: str) -> ProtocolError:
    return ProtocolError(
        "The server sent data that is not JSON.", why=f"It begins: {_excerpt(data)}"
    )


def _excerpt(data: str) -> str:
    """At most 120 characters on one line, without keys."""
    words = " ".join(redact(data[:4096]).split())
    return words if len(words) <= 120 else words[:119] + "…"
