"""One response, in pieces of bytes -> the events to hand on, and what went wrong. Sans-IO.

    held       nothing but the response's own snapshots came: nothing is handed on, since the
               service may still turn the request away, and the next attempt begins anew
      --output--> begun      every event is handed on; no other attempt may follow
    either  --terminal event--> complete;  --error, end of bytes--> `failure`, or complete

A reply with an HTTP error, or with a web page, is read whole and becomes a `failure`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from qwen_magic.client.error_body import (
    LONGEST_PAUSE,
    ErrorBody,
    excerpt,
    is_page,
    one_line,
    page_title,
    read_error_body,
    request_id,
    retry_after,
    span,
    told_pause,
)
from qwen_magic.client.error_map import PLAIN_HTTP, classify
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import ConnectionLostError, ProtocolError, QwenError
from qwen_magic.masking import own_keys
from qwen_magic.protocol.body import EventDecoder, not_json
from qwen_magic.protocol.events import (
    ErrorEvent,
    Event,
    KeepAlive,
    ResponseEnded,
    ResponseStarted,
    UnknownEvent,
)
from qwen_magic.protocol.fields import json_text, text
from qwen_magic.protocol.response import ResponseError, response_error

_LARGEST: Final = 64 * 1024  # bytes that are read of an error body or a web page
_PIECE: Final = 1024 * 1024  # bytes that are decoded at once
_LARGEST_ANSWER: Final = 256 * 1024 * 1024  # bytes of all events; figures are a few MB each
_MOST_EVENTS: Final = 1_000_000  # a delta is a token or more
_MOST_HELD: Final = 10_000  # events before any output


class Received(NamedTuple):
    """An event, and when its bytes came (`time.monotonic`)."""

    event: Event
    at: float


class AnswerReader:
    """Reads one response.

    `complete`: the terminal event came; `ending`: nothing of worth can follow for long; `enough`:
    the rest need not be read; `failure`: what went wrong, with why it may be tried again.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        endpoint: Endpoint,
        model: str = "",
        sent_id: str = "",
    ) -> None:
        """`sent_id`: the `previous_response_id` of the request, or empty."""
        self.begun = False
        self.complete = False
        self.ending = False
        self.enough = False
        self.failure: QwenError | None = None
        self._status = status
        self._headers = headers
        self._endpoint = endpoint
        self._model = model
        self._sent_id = sent_id
        self._decoder: EventDecoder | None = None  # made when the body's kind is known
        self._refused = not 200 <= status < 300
        self._head = bytearray()  # the beginning of the body; the whole of an error's
        self._held: list[Received] = []
        self._came = False  # any event
        self._size = 0  # bytes that came
        self._events = 0
        self._at = 0.0  # when the newest bytes came
        self._noise = ""  # what came last, where that was no event of a response

    def feed(self, chunk: bytes, at: float) -> list[Received]:
        """The events to hand on now that `chunk` came at the time `at`."""
        if len(chunk) > _PIECE:  # a compressed one may be a thousand times what came
            pieces = (chunk[start : start + _PIECE] for start in range(0, len(chunk), _PIECE))
            return [each for piece in pieces if not self.enough for each in self.feed(piece, at)]
        self._at = at
        self._size += len(chunk)
        if self._size > _LARGEST_ANSWER:
            self._give_up(f"It passed {_LARGEST_ANSWER:,} bytes")
            return []
        if self._decoder is not None:
            return self._decode(chunk, at)
        self._head += chunk
        if not self._refused:
            page = is_page(bytes(self._head))
            if page is None and len(self._head) < _LARGEST:
                return []
            if not page:
                self._decoder = EventDecoder(own_keys(self._endpoint.secret))
                return self._decode(bytes(self._head), at)
            self._refused = True
        self.enough = len(self._head) >= _LARGEST
        return []

    def finish(self, at: float) -> list[Received]:
        """The last events. After it `complete` or `failure` is set."""
        rest = self._decoder is not None and not self.enough
        events = self._decode(None, at) if rest else []
        if not self.complete and self.failure is None:
            self.failure = self._refusal() if self._refused else self._unfinished()
        return events

    def release(self) -> list[Received]:
        """The events that were held back, when nothing follows, and no other attempt."""
        waiting = self._decoder.release() if self._decoder is not None else []
        late = [each for event in waiting for each in self._admit(Received(event, self._at))]
        return self._take_held() + late

    def _take_held(self) -> list[Received]:
        held, self._held = self._held, []
        return held

    def _decode(self, chunk: bytes | None, at: float) -> list[Received]:
        assert self._decoder is not None
        if self.complete:  # whatever follows: the answer is there
            return []
        try:
            events = self._decoder.finish() if chunk is None else self._decoder.feed(chunk)
        except ProtocolError as error:
            self.failure = self.failure or error
            self.enough = True
            return []
        admitted: list[Received] = []
        self._events += len(events)
        if self._events > _MOST_EVENTS:
            self._give_up(f"It passed {_MOST_EVENTS:,} events")
            return []
        for event in events:
            admitted += self._admit(Received(event, at))
        if self._decoder.done and self.begun:  # `[DONE]` instead of a terminal event
            self.complete = self.ending = True
        return admitted

    def _admit(self, received: Received) -> list[Received]:
        event = received.event
        if self.complete or isinstance(event, KeepAlive):
            return []
        self._noise = _noise(event)
        self._came = self._came or not self._noise
        self._judge(event)
        if not self.begun:
            self.begun = _is_output(event)
            if self.begun and self.failure is not None:  # a failed response that has output
                self.failure.retry = None
            self._held.append(received)
            if len(self._held) > _MOST_HELD:
                self._give_up(f"{_MOST_HELD:,} events came, and no output")
            return self._take_held() if self.begun else []
        return [received]

    def _give_up(self, why: str) -> None:
        """Nothing more is read."""
        self.enough = True
        self.failure = self.failure or ProtocolError(
            f"{self._endpoint.server} answers without end.",
            why=f"{why}: the rest was not read.",
            hint="If it comes again, look at the server's own log.",
        )

    def _judge(self, event: Event) -> None:
        """Notice an end, with what it says of a failure."""
        match event:
            case ErrorEvent(said):
                self.ending = True
                self._fail(said)
            case ResponseEnded(status, response):
                self.complete = self.ending = True
                error = response_error(response.get("error"))
                if status == "cancelled":
                    self._fail(error or ResponseError(message="The response was cancelled."))
                elif status == "failed" or (error and status != "completed"):
                    self._fail(error or ResponseError())

    def _fail(self, said: ResponseError) -> None:
        """The first failure that says something is the one that counts."""
        if self.failure is not None and not self.failure.why:
            self.failure = None
        if self.failure is None:
            self.failure = self._classified(
                ErrorBody(
                    self._status,
                    said.code,
                    one_line(said.message),
                    said.request_id or request_id(self._headers),
                ),
                again=not self.begun,
            )

    def _classified(self, body: ErrorBody, *, again: bool) -> QwenError:
        error = classify(body, self._endpoint, self._model, self._sent_id)
        headers = self._headers
        said = retry_after(headers.get("retry-after", ""), headers.get("date", ""))
        said = told_pause(body.message) if said is None and error.retry == "rate" else said
        pause = error.retry_after = said
        is_long = pause is not None and pause > LONGEST_PAUSE
        if is_long and (error.retry is not None or self._status == 429):
            error.hint = f"It asks to wait {span(pause or 0.0)}: run the cell again then."
        if is_long or not again:
            error.retry = None
        return error

    def _refusal(self) -> QwenError:
        body = bytes(self._head)
        if not is_page(body):
            return self._classified(read_error_body(self._status, self._headers, body), again=True)
        title, known_id = page_title(body), request_id(self._headers)
        said = f"{self._status}, “{title}”" if title else str(self._status)
        words = body.decode("utf-8", "replace") if self._status >= 400 else title
        speaks_tls = re.search(PLAIN_HTTP, words, re.IGNORECASE)
        if speaks_tls and speaks_tls[0] not in title:  # Apache says it below a plain title
            said = f"{said}, “{speaks_tls[0]}”"
        if self._status == 429 or self._status >= 500 or speaks_tls:
            page = ErrorBody(self._status, message=f"A web page: {said}.", request_id=known_id)
            return self._classified(page, again=True)
        return ProtocolError(
            f"{self._endpoint.server} answered with a web page, not the Responses API.",
            why=f"The page: {said}.",
            hint="Check the endpoint's base URL; a proxy or a login page may stand before it.",
            status=self._status,
            request_id=known_id,
        )

    def _unfinished(self) -> ConnectionLostError | ProtocolError:
        """The bytes ended, and nothing said that the answer did."""
        host = self._endpoint.server
        if self._came:
            return ConnectionLostError(
                f"{host} ended the stream before the answer was complete.",
                why=f"The last that came: {excerpt(self._noise.encode())}" if self._noise else "",
                hint="Run the cell again. It is not repeated by itself: the answer had begun.",
            )
        if self._noise:
            return not_json(self._noise, "events that are not of the Responses API")
        if not self._head.strip():
            return ProtocolError(
                f"{host} answered {self._status} with nothing in it.",
                hint="Check the endpoint's base URL, and the server's own log.",
                status=self._status,
                request_id=request_id(self._headers),
            )
        return ProtocolError(
            f"{host} answered with something that is not the Responses API.",
            why=f"It begins: {excerpt(bytes(self._head))}",
            hint="Check the endpoint's base URL"
            + ("." if urlsplit(self._endpoint.base_url).path else ": it usually ends in /v1."),
            status=self._status,
            request_id=request_id(self._headers),
        )


def _is_output(event: Event) -> bool:
    """Whether the event shows that the service has begun to answer."""
    match event:
        case ResponseStarted() | ErrorEvent():
            return False
        case UnknownEvent():
            return not _noise(event)
        case ResponseEnded(status, response):
            return status != "failed" or bool(response.get("output"))
    return True


def _noise(event: Event) -> str:
    """What an event says that is none of a response's: a heartbeat, or words of a gateway."""
    if not isinstance(event, UnknownEvent) or event.type.startswith("response."):
        return ""
    return text(event.raw.get("data")) or json_text(event.raw)
