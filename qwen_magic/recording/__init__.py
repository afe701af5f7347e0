"""Recordings: real answers kept in a file, and given again from it. No socket, clock or display.

    live      client -> server -> bytes ----------------------> reader, turn, view, chain
                          '--- Take: [milliseconds, frame] -> Exchange -> a line of the file
    replayed  client -> replay.Replayer: the recorded exchange -> bytes -> the same reader, turn, …

An exchange is one request with what came back; a recording is a header and exchanges in the order
in which they ended. All HTTP of the package passes one place, `client.tape`, which hands bytes and
times to a `Take`, or asks a `Replayer` and plays its exchange in place of the network: everything
after it is the same code as live. `session.tape` says what is recorded or replayed, and keeps the
one exchange that `--cache` has in the store.

- **Matching** (`replay`): an exchange answers a request with the same model, input and options at
  the same place in the chain. The place is what was asked before, not an id: the id that a request
  continues after stands for the exchange that gave it.
- **Keys** are masked before a line is written; request headers are never looked at.
- **A recording is a foreign file.** It is read strictly. Its answers pass the decoder as a server's
  do. Its turns are marked `imported` and held with a host of their own (`Endpoint.recorded`), so
  that no id, call or usage of it ever counts anywhere else.

`Take` is one exchange while it is recorded: bytes and times in, an exchange without keys out. Keys
are masked as they are everywhere (`masking.redact`), inside the JSON of a frame: a pattern may take
what follows a key, and so the end of a string. What no frame holds whole, since the deltas of a
text spell it together, is looked for when all have come.
"""

from __future__ import annotations

import base64
import codecs
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from qwen_magic.errors import QwenError
from qwen_magic.masking import (
    KEY,
    MASKED,
    know_tools,
    looks,
    own_keys,
    redact,
    redacted,
    with_texts,
    without_named,
)
from qwen_magic.protocol.fields import JSON, json_object
from qwen_magic.recording.file import COMPLETE, FAILURE_WORDS, End, Exchange, Frame, json_of

# Headers of a response that the reader looks at; all others are left out.
_KEPT_HEADERS: Final = re.compile(r"content-type|retry-after|[\w-]*request-?id")
_BLANK_LINE: Final = re.compile(r"\r\n\r\n|\n\n|\r\r")
_DATA: Final = re.compile(r"(?m)^(data: ?)(.*)$")
_PLACE: Final = ("type", "item_id", "output_index", "content_index", "summary_index")


class Take:
    """An exchange while it is recorded: call `feed` for each chunk, then `ended`.

    Times are in seconds of any one clock.
    """

    def __init__(self, asked: Exchange, started: float) -> None:
        self._asked = asked
        self._started = started
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._frames: list[Frame] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._raw = bytearray() if asked.encoding else None

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        self._status = status
        self._headers = {
            name: redact(value) for name, value in headers.items() if _KEPT_HEADERS.fullmatch(name)
        }

    def feed(self, chunk: bytes, at: float) -> None:
        """A chunk of the body arrived."""
        if self._raw is not None:
            self._raw += chunk
            return
        text, start = self._rest + self._decoder.decode(chunk), 0
        for found in _BLANK_LINE.finditer(text, max(0, len(self._rest) - 3)):
            self._frames.append((self._time(at), masked_frame(text[start : found.end()])))
            start = found.end()
        self._rest = text[start:]

    def ended(self, at: float, end: End | QwenError = COMPLETE) -> Exchange:
        """The complete exchange. `end`: how it ended."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        if self._raw:
            rest = base64.b64encode(self._raw).decode("ascii")
        elif rest:
            rest = masked_frame(rest)
        frames = without_spread_keys([*self._frames, *([(self._time(at), rest)] if rest else ())])
        if isinstance(end, QwenError):
            told = {"error": type(end).__name__, "message": end.message}
            more = {name: getattr(end, name) for name in FAILURE_WORDS[2:]}
            end = told | {name: word for name, word in more.items() if word}
        return replace(
            self._asked,
            path=redact(self._asked.path),
            body=masked_body(self._asked.body),
            status=self._status,
            headers=self._headers,
            stream=frames,
            end=end,
        )

    def _time(self, at: float) -> int:
        return max(0, round((at - self._started) * 1000))


def masked_body(body: JSON | None) -> JSON | None:
    """A request's body as it is stored: without keys, and without the tools' server settings.

    A request is compared with recorded ones in this form.
    """
    if body is None:
        return None
    tools = body.get("tools")
    if isinstance(tools, list):
        tools = [each for each in tools if isinstance(each, dict)]
        know_tools(tools)
        body = {**body, "tools": [_masked_tool(tool) for tool in tools]}
    return with_texts(redacted(body), _without_passwords)  # type: ignore[no-any-return]  # a dict


def _masked_tool(tool: JSON) -> JSON:
    kept = dict(tool)
    if isinstance(kept.get("headers"), dict):
        kept["headers"] = dict.fromkeys(kept["headers"], MASKED)
    if "authorization" in kept:
        kept["authorization"] = MASKED
    return kept


def _without_passwords(text: str) -> str:
    return text if text.startswith("data:") else without_named(text)


def masked_frame(frame: str) -> str:
    """A frame of a stream, or a whole body, without keys; unchanged if it has none.

    Keys are masked inside the parsed JSON: a pattern on the text could remove the end of a string.
    """
    if _DATA.search(frame):
        return _DATA.sub(lambda line: line[1] + _masked_json(line[2]), frame)
    return _masked_json(frame)


def without_spread_keys(frames: Sequence[Frame]) -> tuple[Frame, ...]:
    """Remove keys that are spread over several deltas of a text: "sk-ab", "cd12"."""
    texts: dict[tuple[object, ...], list[tuple[int, JSON]]] = {}
    for number, (_, piece) in enumerate(frames):
        found = _DATA.search(piece) if '"delta"' in piece else None
        event = (json_object(found[2]) if found else None) or {}
        if isinstance(event.get("delta"), str):
            place = tuple(event.get(name) for name in _PLACE)
            texts.setdefault(tuple(map(str, place)), []).append((number, event))
    changed = list(frames)
    for deltas in texts.values():
        joined = "".join(event["delta"] for _, event in deltas)
        ours = own_keys()
        patterns = (looks(), *([ours.pattern] if ours else []))
        spans = [found.span() for pattern in patterns for found in pattern.finditer(joined)]
        start = 0
        for number, event in deltas if spans else ():
            end = start + len(event["delta"])
            clean = _cut(event["delta"], start, spans)
            if clean != event["delta"]:
                at, piece = frames[number]
                data = json_of({**event, "delta": clean})
                found = _DATA.search(piece)
                assert found is not None  # it had a delta
                changed[number] = at, piece[: found.start(2)] + data + piece[found.end(2) :]
            start = end
    return tuple(changed)


def _cut(text: str, start: int, spans: Sequence[tuple[int, int]]) -> str:
    """`text` (at offset `start`) with KEY in place of each span."""
    kept = [
        KEY * any(first == place for first, _ in spans)
        or char * (not any(first < place < last for first, last in spans))
        for place, char in enumerate(text, start)
    ]
    return "".join(kept)


def _masked_json(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return redact(text)
    masked = redacted(value)
    if masked == value:
        return text
    return json_of(masked)
