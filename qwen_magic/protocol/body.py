"""The body of a response, in pieces of bytes -> events.

The body may be an event stream, or (its first character is a `{`) one plain JSON object: a server
that does not stream, or an error.

Data of a stream that is no JSON object (`ping`, `null`, an event that a proxy cut) is kept as an
unknown event, `{"data": …}`, and the stream goes on. Some gateways send every event twice; the
second one, with the same `sequence_number`, is left out:

    0 created  0 created  1 delta "a"  1 delta "a"      read: created, delta "a"
    0 created  0 delta "a"  0 delta "a"                 the numbers say nothing: all are read

Deltas of one part of a text that come together are one delta: servers write each as a chunk of its
own, and those of a burst are looked at once.

A key of ours that the server repeats never comes in. A delta whose end may be the beginning of one
waits for the next delta of its text; all others pass as they are:

    "take sk-"  "zQ4"  "w9, then"       read: "take [key], then"     the key is sk-zQ4w9
    "use sk-"   "learn"                 read: "use sk-", "learn"
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, cast

from qwen_magic.errors import ProtocolError
from qwen_magic.masking import KEY, LONG, OPENING, Keys, redact
from qwen_magic.protocol.decode import decode_event, read_whole
from qwen_magic.protocol.events import (
    ErrorEvent,
    Event,
    ItemDone,
    PartDone,
    ResponseEnded,
    TextDelta,
    TextDone,
    UnknownEvent,
)
from qwen_magic.protocol.fields import JSON, bounded, integer
from qwen_magic.protocol.response import ResponseError
from qwen_magic.protocol.sse import MAX_EVENT_CHARS, SSEDecoder, read_event
from qwen_magic.protocol.text import clean

_read_json = json.JSONDecoder().raw_decode
_SPACE = b" \t\r\n"
_ENDS: Final = (TextDone, PartDone, ItemDone, ResponseEnded, ErrorEvent)  # of a text


@dataclass(slots=True)
class _Tail:
    """The end of a text that streams: what went out last, too short to be `OPENING`, and the deltas
    that wait."""

    sent: str = ""
    waiting: list[TextDelta] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.sent + "".join(event.delta for event in self.waiting)

    def pop(self, end: int) -> list[TextDelta]:
        """The deltas that lie in the first `end` characters of the text; they wait no more."""
        count, there = 0, len(self.sent)
        for event in self.waiting:
            there += len(event.delta)
            if there > end:
                break
            count += 1
        popped, self.waiting = self.waiting[:count], self.waiting[count:]
        return popped


@dataclass(frozen=True, slots=True)
class _DeltaForm:
    """The text of a delta's event but for its id, its words and its number, which are all that is
    new in the next one: reading those costs a quarter of reading lines and JSON.

        id        before                            words  between                number  after
        "id:9⏎"   "event:…⏎data:{…,"delta":""        Hel    "","sequence_number":"   7      "}"
    """

    event: TextDelta
    before: str
    between: str
    after: str
    start: int  # of the data, in `before`

    @classmethod
    def of(cls, text: str, event: TextDelta) -> _DeltaForm | None:
        """That of `event`, whose `text` is; None where they cannot be told apart in it."""
        line = text.startswith("id:") and text.find("\n") + 1
        before, delta, rest = text[line:].partition('"delta":"')
        middle, number, after = rest.partition('"sequence_number":')
        digits = after[: len(after) - len(after.lstrip("0123456789"))]
        name, data, start = before.partition("data:")
        if (
            not (digits and data and middle.startswith(f'{event.delta}"'))
            or "data" in name
            or "\n" in rest
        ):
            return None
        between = middle[len(event.delta) :] + number
        at = len(name) + len(data) + start.startswith(" ")
        return cls(event, before + delta, between, after[len(digits) :], at)

    def read(self, text: str) -> tuple[TextDelta, int, int] | None:
        """The delta of an event's text, its number, and where its data begins; None where it is
        another event, or no JSON."""
        line = text.find("\n") + 1 if text.startswith("id:") else 0
        if not (text.startswith(self.before, line) and text.endswith(self.after)):
            return None
        begins = line + len(self.before)
        words, between, number = text[begins : -len(self.after)].partition(self.between)
        if not between or not words.isprintable():
            return None
        if "\\" in words or '"' in words:
            try:
                words = json.loads(f'"{words}"')
            except ValueError:
                return None
        if not (number.isascii() and number.isdecimal()) or number[0] == "0":
            return None
        kind, _, item_id, at, part = self.event
        return TextDelta(kind, words, item_id, at, part), int(number), line + self.start


def joined(events: list[Event]) -> list[Event]:
    """The same, where deltas of one part of a text that came together are one."""
    found: list[Event] = []
    for place, group in groupby(events, _place):
        run = list(group)
        if place is not None and len(run) > 1:
            deltas = cast("list[TextDelta]", run)
            run = [deltas[0]._replace(delta="".join([event.delta for event in deltas]))]
        found += run
    return found


def _place(event: Event) -> tuple[object, ...] | None:
    """Which part of which text a delta belongs to; None for other events."""
    return (event[0], event[2:]) if type(event) is TextDelta else None


def _key_may_begin(text: str, start: int, keys: Keys) -> int:
    """Where the end of `text[start:]` begins that may be the beginning of a key; the length of
    `text` where none does."""
    longest = len(keys.forms[0])
    for found in keys.opening.finditer(text, max(start, len(text) - longest)):
        rest = text[found.start() :]
        if any(len(rest) < len(form) and form.startswith(rest) for form in keys.forms):
            return found.start()
    return len(text)


class EventDecoder:
    """Feed it the body's bytes; it gives the events that are complete.

    `done`: the server said `[DONE]`; what follows is ignored. Raises `ProtocolError` for a plain
    body that is no JSON object, and for what passes 64 MiB without end. `keys`: what is never to
    come in.
    """

    def __init__(self, keys: Keys | None = None) -> None:
        self.done = False
        self._keys = keys
        self._tails: dict[tuple[object, ...], _Tail] = {}  # by text
        self._form: _DeltaForm | None = None  # of the newest delta
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
            return [_read_plain(bytes(body), self._keys)]
        head, self._head = self._head, None
        events = self._receive(bytes(head or b""))
        return events + self._events(self._sse.finish(), cut=True) + self.release()

    def release(self) -> list[Event]:
        """The deltas that wait, now that nothing follows them. What is too long a part of a key
        goes as one."""
        events: list[Event] = []
        for tail in self._tails.values():
            assert self._keys is not None
            text = tail.text
            start = _key_may_begin(text, 0, self._keys)
            rest = text[start:]
            told = KEY if len(rest) >= LONG else self._keys.sub(rest)
            if told != rest:
                told = text[min(len(tail.sent), start) : start] + told
                tail.waiting = [tail.waiting[0]._replace(delta=told)]
            events += tail.waiting
        self._tails.clear()
        return events

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

    def _events(self, texts: list[str], *, cut: bool = False) -> list[Event]:
        decoded: list[Event] = []
        for text in texts:
            event = self._decode(text, cut=cut)
            if self.done:
                break
            if event is not None:
                decoded.append(event)
        events = joined(decoded)
        if self._keys is not None:
            events = [told for event in events for told in self._told_of(event, self._keys)]
        return events + self.release() if self.done else events

    def _told_of(self, event: Event, keys: Keys) -> Sequence[Event]:
        """What can be told now that `event` came."""
        if type(event) is not TextDelta:
            return [*self.release(), event] if isinstance(event, _ENDS) else [event]
        place = event.kind, event.item_id, event.output_index
        tail = self._tails.get(place) or self._tails.setdefault(place, _Tail())
        if not tail.waiting:
            text = tail.sent + event.delta
            if not keys.may_be_in(text):
                tail.sent = text[1 - OPENING :]
                return [event]
        return self._told_with(tail, event, keys)

    def _told_with(self, tail: _Tail, event: TextDelta, keys: Keys) -> list[TextDelta]:
        """What can be told of the text that `tail` ends now that `event` came."""
        tail.waiting.append(event)
        text, clear, start, there = tail.text, "", 0, len(tail.sent)
        while (found := keys.pattern.search(text, start)) and (
            found.start() < _key_may_begin(text, start, keys)
        ):
            clear += text[start : found.start()] + KEY
            start, there = found.end(), min(there, found.start())
        end = _key_may_begin(text, start, keys)
        if not start:
            told = tail.pop(end)
            tail.sent = (tail.sent + "".join(each.delta for each in told))[1 - OPENING :]
            return told
        clear += text[start:end]
        tail.sent = clear[1 - OPENING :]
        tail.waiting = [event._replace(delta=text[end:])] if end < len(text) else []
        return [event._replace(delta=clear[there:])]

    def _decode(self, text: str, *, cut: bool) -> Event | None:
        """The event of an event's text; None for one that is repeated or has no data, or whose end
        is missing (`cut`: the body ended in it)."""
        if self._form is not None and (found := self._form.read(text)) is not None:
            event, digits, start = found
            return None if self._is_repeated(digits, text[start:]) else event
        frame = read_event(text)
        if frame is None:
            return None
        data, keys = frame.data, self._keys
        if data[0] != "{":  # proxies that write events anew may write their prefix twice
            data = data.strip().removeprefix("data:").lstrip()
            if data == "[DONE]":
                self.done = True
                return None
        if keys is not None:
            data = keys.sub_unsplit(data)
        try:
            payload = _loads(data)
        except (ValueError, RecursionError):
            if frame.event == "error":  # an error in plain words
                return ErrorEvent(ResponseError(message=_excerpt(data)))
            return None if cut else UnknownEvent(frame.event, {"data": data})
        if not isinstance(payload, dict):
            return UnknownEvent(frame.event, {"data": data})
        given = payload.get("sequence_number")
        number = given if type(given) is int else integer(given)
        if self._is_repeated(number, frame.data):
            return None
        if "\\" in data:
            if keys is not None and "delta" not in payload:
                payload = keys.clear(payload)  # one that was spelled by escapes
            payload = _encodable(payload, data)
        decoded = decode_event(payload, frame.event)
        if type(decoded) is TextDelta:
            self._form = _DeltaForm.of(text, decoded) or self._form
        return decoded

    def _is_repeated(self, number: int | None, data: str) -> bool:
        """Whether this very event came before, and the numbers of events mean anything."""
        if self._numbered is None or number is None:
            return False
        mark = hash(data)
        if self._numbered.setdefault(number, mark) is mark:
            return False
        is_same = self._numbered[number] == mark
        if not is_same:
            self._numbered = None
        return is_same


def _loads(data: str) -> object:
    """`json.loads`, which spends a third of its time on looking for white space."""
    value, end = _read_json(data)
    return bounded(value if end == len(data) else json.loads(data), data)


def _read_plain(body: bytes, keys: Keys | None) -> Event:
    data = (keys.sub_bytes(body) if keys else body).decode("utf-8-sig", "replace")
    try:
        payload = bounded(json.loads(data), data)
    except (ValueError, RecursionError) as error:
        raise not_json(data) from error
    payload = _encodable(keys.clear(payload) if keys else payload, data)
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


def not_json(data: str, what: str = "data that is not JSON") -> ProtocolError:
    """The server sent nothing but this."""
    return ProtocolError(
        f"The server sent {what}.",
        why=f"It begins: {_excerpt(data)}",
        hint="Check that the endpoint's URL is the base URL of a Responses API.",
    )


def _excerpt(data: str) -> str:
    """At most 120 characters on one line, without keys."""
    words = " ".join(redact(data[:4096]).split())
    return words if len(words) <= 120 else words[:119] + "…"
