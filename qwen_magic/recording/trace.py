"""The timeline of a turn: its exchanges as spans of time, each with an explanation.

    sent ── wait ──> first event ── read ──> think, tool, write … ──> the terminal event
                                                '-- yours: functions of the notebook, between two

Times are in milliseconds since the turn's first request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from qwen_magic.errors import QwenError
from qwen_magic.protocol.body import EventDecoder
from qwen_magic.protocol.events import Event, TextDelta
from qwen_magic.protocol.fields import JSON, json_object, mapping, mappings, text
from qwen_magic.protocol.items import FunctionCall, Item, McpCall, Message, Reasoning, item_type
from qwen_magic.protocol.state import ResponseState
from qwen_magic.recording.file import Exchange
from qwen_magic.recording.replay import question_of

Kind: TypeAlias = Literal["wait", "read", "think", "tool", "write", "yours"]

EXPLAINED: Final[dict[Kind, str]] = {
    "wait": "Waiting: the request travels, and the service finds a machine that is free.",
    "read": "Reading: the model reads all that was sent, and all earlier turns that the server "
    "keeps; the longer they are, the longer.",
    "think": "Thinking: tokens that the model writes for itself before it answers.",
    "tool": "Tools: the service searches, reads pages or runs code, and the model reads what came "
    "of it.",
    "write": "Writing: the answer itself, one token after the other; each is computed from all "
    "before it.",
    "yours": "Yours: functions of this notebook run here, and their results are sent back.",
}

_NOTHING: Final = 20.0  # milliseconds between two requests in which no function can have run


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the turn's time. `about`: what happens in it, in a word or two."""

    kind: Kind
    about: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Moment:
    """An event of the stream, by its name in the protocol. `says`: what is new in it."""

    at: float
    name: str
    says: str


@dataclass(frozen=True, slots=True)
class Trace:
    """The timeline of a turn.

    `first_word`: when the answer's text began, None if none came; `words`: in the answer.
    """

    spans: tuple[Span, ...]
    moments: tuple[Moment, ...]
    first_word: float | None
    words: int

    @property
    def end(self) -> float:
        return max((span.end for span in self.spans), default=0.0)

    @property
    def words_a_second(self) -> float:
        """The speed while the answer was written; 0 if unknown."""
        spent = sum(span.end - span.start for span in self.spans if span.kind == "write")
        return self.words / spent * 1000 if spent > 0 and self.words > 1 else 0.0


def trace(exchanges: Sequence[tuple[float, Exchange]]) -> Trace:
    """The timeline of these exchanges, each given with the time of its request."""
    spans: list[Span] = []
    moments: list[Moment] = []
    end, first_word, answer = 0.0, None, ""
    for asked_at, exchange in exchanges:
        start = max(asked_at, end)  # a replay is faster than what it replays
        if spans and start > end + _NOTHING:
            is_yours = _brings_results(exchange)
            about = "functions" if is_yours else "until it was asked again"
            spans.append(Span("yours" if is_yours else "wait", about, end, start))
        last = exchange.stream[-1][0] if exchange.stream else 0
        if exchange.status not in (0, 200):
            spans.append(Span("wait", f"refused ({exchange.status})", start, start + last))
        came = [(start + at, event) for at, event in _events(exchange)]
        deltas = [
            (at, e.delta) for at, e in came if isinstance(e, TextDelta) and e.kind == "output_text"
        ]
        if deltas and first_word is None:
            first_word = deltas[0][0]
        answer += "".join(delta for _, delta in deltas)
        spans += _spans(start, came) if exchange.status in (0, 200) else ()
        moments += _moments(start, exchange)
        end = max([start + last, *(span.end for span in spans)])
    return Trace(tuple(spans), tuple(moments), first_word, len(answer.split()))


def questions(exchanges: Sequence[Exchange]) -> list[list[Exchange]]:
    """The exchanges of a recording, grouped by question: retries and function results belong to
    one.
    """
    found: list[list[Exchange]] = []
    for exchange in exchanges:
        if exchange.method != "POST" or exchange.body is None:
            continue
        goes_on = _brings_results(exchange)
        before = found[-1][-1] if found else None
        if before is not None and before.status != 200:
            goes_on |= question_of(before.body or {}) == question_of(exchange.body)
        if goes_on and found:
            found[-1].append(exchange)
        else:
            found.append([exchange])
    return found


def _brings_results(exchange: Exchange) -> bool:
    """Whether the request carries results of functions."""
    given = mappings((exchange.body or {}).get("input"))
    return bool(given) and text(given[-1].get("type")).endswith("_call_output")


def _events(exchange: Exchange) -> Iterator[tuple[float, Event]]:
    """The events of a stream with their times; empty for other bodies."""
    decoder = EventDecoder()
    try:
        for at, piece in exchange.stream:
            for event in decoder.feed(exchange.content(piece)):
                yield at, event
        for event in decoder.finish():
            yield exchange.stream[-1][0], event
    except QwenError:  # a refusal is told by the turn itself
        return


def _spans(start: float, came: Sequence[tuple[float, Event]]) -> Iterator[Span]:
    """The spans of one response, in the order in which its items began."""
    if not came:
        return
    state, (first, _), (last, _) = ResponseState(), came[0], came[-1]
    for at, event in came:
        state.apply(event, at)
    yield Span("wait", "connection, queue", start, first)
    output = min((entry.started_at for entry in state.entries), default=last)
    if output > first:
        yield Span("read", "what was sent", first, output)
    for entry in state.entries:
        kind, about = _kind(entry.item)
        end = last if entry.ended_at is None else entry.ended_at
        yield Span(kind, about, entry.started_at, max(entry.started_at, end))


def _kind(item: Item) -> tuple[Kind, str]:
    match item:
        case Reasoning():
            return "think", "thinking"
        case Message():
            return "write", "answer"
        case FunctionCall(name=name):
            return "write", f"calls {name}"
        case McpCall(name=name):
            return "tool", name or "mcp"
    return "tool", item_type(item).removesuffix("_call")


def _moments(start: float, exchange: Exchange) -> Iterator[Moment]:
    """The events by their names in the protocol."""
    for at, piece in exchange.stream:
        for line in piece.splitlines():
            if not line.startswith("data:"):
                continue
            event = json_object(line.removeprefix("data:"))
            if event is None:
                yield Moment(start + at, "data", line.removeprefix("data:").strip())
            else:
                yield Moment(start + at, text(event.get("type")), _news_of(event))


def _news_of(event: JSON) -> str:
    """What is new in an event."""
    if isinstance(event.get("delta"), str):
        return repr(event["delta"])
    item, response = mapping(event.get("item")), mapping(event.get("response"))
    words = [text(item.get("type")), text(item.get("name")), text(response.get("status"))]
    usage = mapping(response.get("usage"))
    if usage.get("total_tokens"):
        words.append(f"{usage['total_tokens']} tokens")
    return " ".join(filter(None, words))


def kinds_of(spans: Iterable[Span]) -> list[Kind]:
    """The kinds of spans, in the order of their first occurrence."""
    return list(dict.fromkeys(span.kind for span in spans))
