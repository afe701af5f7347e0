"""The body of a response, in pieces of bytes -> events.

The body may be an event stream, or (its first character is a `{`) one plain JSON object: a server
that does not stream, or an error.

Data of a stream that is no JSON object (`ping`, `null`, an event that a proxy cut) is kept as an
unknown event, `{"data": …}`, and the stream goes on. Some gateways send every event twice; the
second one, with the same `sequence_number`, is left out:

    0 created  0 created  1 delta "a"  1 delta "a"      read: created, delta "a"
    0 created  0 delta "a"  0 delta "a"                 the numbers say nothing: all are read
"""

from __future__ import annotations

import codecs
import json
import re

from qwen_magic.errors import ProtocolError
from qwen_magic.masking import KEY, redact
from qwen_magic.protocol.decode import decode_event, read_whole
from qwen_magic.protocol.events import ErrorEvent, Event, UnknownEvent
from qwen_magic.protocol.fields import JSON, integer
from qwen_magic.protocol.response import ResponseError
from qwen_magic.protocol.sse import MAX_EVENT_CHARS, ServerSentEvent, SSEDecoder
from qwen_magic.protocol.text import clean

_SPACE = b" \t\r\n"


class EventDecoder:
    """Feed it the body's bytes; it gives the events that are complete.

    `done`: the server said `[DONE]`; what follows is ignored. Raises `ProtocolError` for a plain
    body that is no JSON object, and for what passes 64 MiB without end. `keys` finds what is never
    to come in: keys of ours that a server repeats.
    """

    def __init__(self, keys: re.Pattern[str] | None = None) -> None:
        self.done = False
        self._keys = keys
        self._sse = SSEDecoder()
        self._head: bytearray | None = bytearray()  # the body's beginning, until its kind shows
        self._body: bytearray | None = None  # a plain JSON body so far
        # A mark of the data by sequence number; None: two events had one number.
        self._numbered: dict[int, int] | None = {}

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes."""
        if self._head is not None:
            data = self._look(self._head, data)
        if self._body is None:
            return self._receive(data)
        self._body += data
        if len(self._body) > MAX_EVENT_CHARS:
            raise ProtocolError(
                "The server sent a JSON body without end.",
                why=f"It passed {MAX_EVENT_CHARS:,} bytes, and the rest was not read.",
                hint="If it comes again, look at the server's own log.",
            )
        return []

    def finish(self) -> list[Event]:
        """The last events; a plain JSON body's one event. An event that the end of the stream cuts
        in the middle is dropped: its connection was lost."""
        if self._body is not None:
            body, self._body = self._body, None
            if self._keys is not None:
                known = self._keys.sub(KEY, body.decode("utf-8", "surrogateescape"))
                body = bytearray(known.encode("utf-8", "surrogateescape"))
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
        for frame in frames:
            if frame.data.strip() == "[DONE]":
                self.done = True
            if self.done:
                break
            event = self._decode(frame, cut=cut)
            if event is not None:
                events.append(event)
        return events

    def _decode(self, frame: ServerSentEvent, *, cut: bool) -> Event | None:
        """The frame's event; None for one that is repeated, or whose end is missing (`cut`: the
        body ended in it)."""
        data = frame.data if self._keys is None else self._keys.sub(KEY, frame.data)
        try:
            payload = json.loads(data)
        except (ValueError, RecursionError):
            if frame.event == "error":  # an error in plain words
                return ErrorEvent(ResponseError(message=_excerpt(data)))
            return None if cut else UnknownEvent(frame.event, {"data": data})
        if not isinstance(payload, dict):
            return UnknownEvent(frame.event, {"data": data})
        if self._is_repeated(integer(payload.get("sequence_number")), data):
            return None
        return decode_event(_encodable(payload, data), frame.event)

    def _is_repeated(self, number: int | None, data: str) -> bool:
        """Whether this very event came before, and the numbers of events mean anything."""
        mark = hash(data)
        if self._numbered is None or number is None:
            return False
        if number not in self._numbered:
            self._numbered[number] = mark
            return False
        is_same = self._numbered[number] == mark
        if not is_same:
            self._numbered = None
        return is_same


def _read_plain(body: bytes) -> Event:
    data = body.decode("utf-8-sig", "replace")
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise not_json(data) from error
    payload = _encodable(payload, data)
    event = read_whole(payload) or decode_event(payload)
    if isinstance(event, UnknownEvent):
        raise ProtocolError(
            "The server's JSON is neither a response nor an error.",
            why=f"It has the keys: {_excerpt(', '.join(payload)) or 'none'}.",
            hint="Check that the endpoint's URL is the base URL of a Responses API.",
        )
    return event


def _encodable(payload: JSON, data: str) -> JSON:
    """The payload of `data`, fit to be encoded."""
    if "\\ud" in data or "\\uD" in data:  # halves of surrogate pairs come by escapes only
        return clean(payload)
    return payload


def not_json(data: str) -> ProtocolError:
    """The server sent nothing but this."""
    return ProtocolError(
        "The server sent data that is not JSON.", why=f"It begins: {_excerpt(data)}"
    )


def _excerpt(data: str) -> str:
    """At most 120 characters on one line, without keys."""
    words = " ".join(redact(data[:4096]).split())
    return words if len(words) <= 120 else words[:119] + "…"
