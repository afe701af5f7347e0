r"""Server-sent events: bytes -> events of the event-stream format.

Lines end at `\n`, `\r\n` or `\r`, and nowhere else: JSON may hold U+2028 or U+0085 as they are. A
`\r` ends its line at once; a `\n` that opens the next chunk then belongs to it. Broken UTF-8
becomes U+FFFD. Unlike a browser, an event that the end of the body cuts off before its blank line
is handed over: `finish` cannot tell a server that leaves out the last line from a lost connection,
and the reader of the data can.

What is held back between two chunks: bytes of a character that is cut (`_utf8`), the pieces of an
event that no blank line has ended (`_held`), and whether a `\n` to come belongs to a `\r` that was
read (`_after_cr`):

    feed(b"event:a\r")    _held ["event:a\n"]; a \n would belong to the \r
    feed(b"\ndata:{")     the \n is dropped; _held ["event:a\n", "data:{"]
    feed(b"}\n\n")        the text "event:a\ndata:{}" is complete; all is empty again

Source: the WHATWG HTML standard, section "Server-sent events"; DashScope writes no space after the
colon and puts a comment (`:HTTP_STATUS/200`) inside every event.
"""

from __future__ import annotations

import codecs
from typing import Final, NamedTuple

from qwen_magic.errors import ProtocolError

# A whole response with its tool outputs is one line of a few MB at the most.
MAX_EVENT_CHARS: Final = 64 * 1024 * 1024


class ServerSentEvent(NamedTuple):
    """One event. `event` is empty where it gives no name. Its `id` would serve to go on with a
    stream that broke, which no server of this protocol offers."""

    event: str
    data: str


def read_event(text: str) -> ServerSentEvent | None:
    """The event of the text between two blank lines; None where it has no data."""
    name, pieces = "", []
    for line in text.split("\n"):
        if line.startswith("data:"):
            pieces.append(line[6:] if line.startswith("data: ") else line[5:])
        elif line.startswith("event:"):
            name = line[7:] if line.startswith("event: ") else line[6:]
        elif line == "data":  # without a colon: an empty line of data
            pieces.append("")
    data = "\n".join(pieces)
    return ServerSentEvent(name, data) if data else None


class SSEDecoder:
    """Feed it the body's bytes in any pieces; it gives the texts of the events that are complete,
    for `read_event`: thousands of deltas an answer are told apart without reading their lines.

    Raises `ProtocolError` when one event grows beyond `max_chars`.
    """

    def __init__(self, max_chars: int = MAX_EVENT_CHARS) -> None:
        self._max_chars = max_chars
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._started = False  # a byte-order mark may only come before this
        self._after_cr = False  # the last chunk ended in \r: a \n next is part of that line end
        self._held: list[str] = []
        self._size = 0  # characters held back

    def feed(self, data: bytes) -> list[str]:
        """The texts of the events that `data` completes."""
        return self._decode(self._utf8.decode(data))

    def finish(self) -> list[str]:
        """That of the last event, where the body ends without its blank line."""
        texts = self._decode(self._utf8.decode(b"", final=True) + "\n\n")
        self._utf8.reset()
        return texts

    def _decode(self, text: str) -> list[str]:
        if text and not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        text = self._plain_line_ends(text)
        if not text:
            return []
        held = self._held
        if held:
            is_ended = text.startswith("\n") and held[-1].endswith("\n")
            if not is_ended and "\n\n" not in text:
                return self._hold(text)
            text = "".join((*held, text))
        *texts, rest = text.split("\n\n")
        self._held, self._size = [], 0
        if rest:
            self._hold(rest)
        return texts

    def _plain_line_ends(self, text: str) -> str:
        if self._after_cr and text:
            text = text.removeprefix("\n")
            self._after_cr = False
        if "\r" in text:
            self._after_cr = text.endswith("\r")
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        return text

    def _hold(self, text: str) -> list[str]:
        """Keep the beginning of an event; no event is complete."""
        self._held.append(text)
        self._size += len(text)
        if self._size > self._max_chars:
            raise ProtocolError(
                "The server sent one event without end.",
                why=f"It passed {self._max_chars:,} characters, and the rest was not read.",
                hint="If it comes again, look at the server's own log.",
            )
        return []
