"""The texts of messages, without the thinking that some of them begin with (`thinking.py`).

That becomes an entry of its own, a `Reasoning` directly before the message; so does the thinking in
each whole text that comes later, so that the sources of both are compared like any others.
"""

from __future__ import annotations

from dataclasses import replace

from qwen_magic.protocol.entries import Entries
from qwen_magic.protocol.entry import Entry
from qwen_magic.protocol.items import Item, Message, Reasoning
from qwen_magic.protocol.thinking import Piece, ThinkSplitter, split_thinking


class MessageTexts:
    """Takes in what a server says of the texts of messages among `entries`.

    `may_lack_start`: it is known to leave out the tag that begins the thinking.
    """

    def __init__(self, entries: Entries, *, may_lack_start: bool) -> None:
        self._entries = entries
        self._may_lack_start = may_lack_start

    def extend(self, entry: Entry, part: int, delta: str, at: float) -> None:
        """More of a message's text, as long as it is not known to be plain."""
        splitter = entry.splitter
        if splitter is None:
            splitter = ThinkSplitter(may_lack_start=self._may_lack_start)
            entry.splitter = splitter
        for piece in splitter.feed(delta):
            self._take(entry, part, piece, at)
        entry.is_plain = splitter.is_plain

    def offer(self, entry: Entry, part: int, text: str, source: int, at: float) -> None:
        """The whole of a part, as a stream says it."""
        self.flush(entry, at)
        thought, words = self._split(text)
        if thought and self._thinking_of(entry).growing.offer("reasoning_text", 0, thought, source):
            self._thinking_of(entry).version += 1
        if entry.growing.offer("output_text", part, words, source):
            entry.version += 1

    def without_thinking(
        self, entry: Entry, item: Item, source: int, at: float, *, is_last: bool = True
    ) -> Item:
        """`item`, a whole value of the entry's, without the thinking in its text. `is_last`: no
        delta is still to come."""
        if not isinstance(item, Message):
            return item
        if is_last:
            self.flush(entry, at)
        thought, words = self._split(item.text)
        if thought:
            thinking = self._thinking_of(entry)
            thinking.take(Reasoning(id="", text=thought), source, is_last=is_last)
        return replace(item, text=words) if words != item.text else item

    def flush(self, entry: Entry, at: float) -> None:
        """A whole text comes, or the end: nothing is held back any longer."""
        if entry.splitter is not None:
            for piece in entry.splitter.close():
                self._take(entry, 0, piece, at)

    def _take(self, entry: Entry, part: int, piece: Piece, at: float) -> None:
        kind, words = piece
        entry.version += 1
        if kind == "answer":
            if entry.thinking is not None:
                entry.thinking.finish("completed", at)
            entry.growing.extend("output_text", part, words)
            return
        if kind == "recall":
            words = (entry.text + words).strip()
            entry.growing.restart()
        if words:
            thinking = self._thinking_of(entry)
            thinking.version += 1
            thinking.growing.extend("reasoning_text", 0, words)

    def _thinking_of(self, entry: Entry) -> Entry:
        if entry.thinking is None:
            item = Reasoning(id="", status="in_progress")
            entry.thinking = self._entries.before(entry, item, entry.started_at)
        return entry.thinking

    def _split(self, words: str) -> tuple[str, str]:
        return split_thinking(words, may_lack_start=self._may_lack_start)
