r"""Server-sent events: bytes -> events of the event-stream format.

Lines end at `\n`, `\r\n` or `\r`, and nowhere else: JSON may hold U+2028 or U+0085 as they are. A
`\r` ends its line at once; a `\n` that opens the next chunk then belongs to it. Broken UTF-8
becomes U+FFFD. Unlike a browser, an event that the end of the body cuts off before its blank line
is handed over: `finish` cannot tell a server that leaves out the last line from a lost connection,
and the reader of the data can.

What is held back between two chunks: bytes of a character that is cut (`_utf8`), the pieces of a
line that is not ended (`_partial`), the fields of an event that no blank line has ended (`_event`,
`_data`), and whether a `\n` to come belongs to a `\r` that was read (`_after_cr`):

    feed(b"event:a\r")    line "event:a"; _event "a"; a \n would belong to it
    feed(b"\ndata:{")     the \n is dropped; _partial ["data:{"]
    feed(b"}\n")          line "data:{}"; _data ["{}"]
    feed(b"\n")           blank line: ServerSentEvent("a", "{}"); all is empty again

Source: the WHATWG HTML standard, section "Server-sent events"; DashScope writes no space after the
colon and puts a comment (`:HTTP_STATUS/200`) inside every event.
"""

from __future__ import annotations

import codecs
from typing import Final, NamedTuple

from qwen_magic.errors import ProtocolError

# A whole response with its tool outputs is one line of a few MB at the most.
MAX_EVENT_CHARS: Final = 64 * 1024 * 1024


class ServerSentEvent(NamedTuple):  # made faster than a dataclass, thousands of times an answer
    """One dispatched event. `event` is empty where it gives no name. Its `id` would serve to go on
    with a stream that broke, which no server of this protocol offers."""

    event: str
    data: str


class SSEDecoder:
    """Feed it the body's bytes in any pieces; it gives the events that are complete.

    Raises `ProtocolError` when one event grows beyond `max_chars`.
    """

    def __init__(self, max_chars: int = MAX_EVENT_CHARS) -> None:
        self._max_chars = max_chars
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._started = False  # a byte-order mark may only come before this
        self._after_cr = False  # the last chunk ended in \r: a \n next is part of that line end
        self._partial: list[str] = []  # the pieces of the line that is not ended yet
        self._event = ""
        self._data: list[str] = []
        self._size = 0  # characters held back in the two lists

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that `data` completes."""
        return self._decode(self._utf8.decode(data))

    def finish(self) -> list[ServerSentEvent]:
        """The last event, where the body ends without its blank line."""
        events = self._decode(self._utf8.decode(b"", final=True) + "\n\n")
        self._utf8.reset()
        return events

    def _decode(self, text: str) -> list[ServerSentEvent]:
        if not text:
            return []
        if not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        text = self._plain_line_ends(text)
        lines = text.split("\n")
        rest = lines.pop()
        events: list[ServerSentEvent] = []
        if lines:
            if self._partial:
                lines[0] = "".join(self._partial) + lines[0]
                self._partial.clear()
            self._read(lines, events)
        if rest:
            self._partial.append(rest)
            self._hold(len(rest))
        return events

    def _plain_line_ends(self, text: str) -> str:
        if self._after_cr and text:
            text = text.removeprefix("\n")
            self._after_cr = False
        if "\r" in text:
            self._after_cr = text.endswith("\r")
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text

    def _read(self, lines: list[str], events: list[ServerSentEvent]) -> None:
        """The hot loop: DashScope sends five lines an event."""
        pieces = self._data
        self._size = sum(map(len, pieces))
        for line in lines:
            if line.startswith("data:"):
                pieces.append(line[6:] if line.startswith("data: ") else line[5:])
                self._hold(len(line))
            elif not line:
                if pieces:
                    data = pieces[0] if len(pieces) == 1 else "\n".join(pieces)
                    if data:
                        events.append(ServerSentEvent(self._event, data))
                    pieces.clear()
                self._event = ""
                self._size = 0
            elif line.startswith("event:"):
                self._event = line[7:] if line.startswith("event: ") else line[6:]
            elif line == "data":  # without a colon: an empty line of data
                pieces.append("")

    def _hold(self, characters: int) -> None:
        self._size += characters
        if self._size > self._max_chars:
            raise ProtocolError(
                "The server sent one event without end.",
                why=f"It passed {self._max_chars:,} characters, and the rest was not read.",
                hint="If it comes again, look at the server's own log.",
            )
