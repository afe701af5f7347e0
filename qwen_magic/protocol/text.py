"""The text of one output item, out of up to five sources that may differ.

The best source that has come speaks: deltas, else `….done`, else the part's `.done`, else the
item, else the terminal response. Where a better one comes after a lesser one, `chunks` is a new
list and `revision` one higher; in every other case `chunks` only grows.

A text has parts (contents of a message, some of them a refusal; summaries of a reasoning), and
precedence among the three streamed sources holds for each by itself. A run of chunks of one part
is a *stretch*. Of a reasoning's two texts, thinking and summary, the first that streams speaks.

    extend("output_text", 0, "Hel")      chunks ["Hel"]                    a stretch begins
    extend("output_text", 0, "lo")       chunks ["Hel", "lo"]
    offer("output_text", 0, "Hello!", TEXT_DONE)     no change: deltas are the better source
    extend("refusal", 1, "No.")          chunks ["Hel", "lo", "No."]       another stretch
    replace([("output_text", "Hi")], ITEM)           no change: something has streamed

Text can always be encoded. JSON may spell half of a UTF-16 pair (`"\\ud83d"`), and a server may put
the halves of one emoji into two deltas; Python keeps such a half as a code point that no encoder
takes. A half at the end of a delta waits for its other half; a lone one becomes U+FFFD.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import TextKind

# Sources, the better the higher.
TERMINAL, ITEM, PART_DONE, TEXT_DONE, DELTAS = 1, 2, 3, 4, 5

_SUMMARY: Final = "reasoning_summary_text"
_OTHER_REASONING: Final[dict[str, TextKind]] = {
    "reasoning_text": "reasoning_summary_text",
    "reasoning_summary_text": "reasoning_text",
}


@dataclass(frozen=True, slots=True)
class _Stretch:
    kind: TextKind
    part: int
    start: int  # index in `chunks`


class TextAccumulator:
    """Text that grows by deltas and may be put right once, by a better source."""

    __slots__ = (
        "_best",
        "_counted",
        "_half",
        "_joined",
        "_kind",
        "_kinds",
        "_part",
        "_stretches",
        "_whole",
        "chunks",
        "revision",
    )

    def __init__(self) -> None:
        self.chunks: list[str] = []
        self.revision = 0
        self._stretches: list[_Stretch] = []
        self._best: dict[tuple[TextKind, int], int] = {}  # best source of each streamed part
        self._kinds: set[TextKind] = set()  # what has streamed
        self._whole = 0  # ITEM or TERMINAL, where the text came whole from there
        self._kind: TextKind | None = None  # the part that takes deltas now
        self._part = 0
        self._half = ""  # a high surrogate that waits for its other half
        self._joined, self._counted = "", (0, 0)

    @property
    def text(self) -> str:
        """The whole so far; costs nothing where nothing came since the last time."""
        now = (self.revision, len(self.chunks))
        if now != self._counted:
            revision, length = self._counted
            if revision == self.revision:
                self._joined += "".join(self.chunks[length:])
            else:
                self._joined = "".join(self.chunks)
            self._counted = now
        return self._joined

    def text_of(self, kind: TextKind) -> str:
        """The stretches of one kind, joined."""
        ends = [each.start for each in self._stretches[1:]] + [len(self.chunks)]
        return "".join(
            "".join(self.chunks[stretch.start : end])
            for stretch, end in zip(self._stretches, ends, strict=True)
            if stretch.kind == kind
        )

    def extend(self, kind: TextKind, part: int, delta: str) -> bool:
        """Append a delta; whether anything changed. Constant cost, but where a part begins."""
        if not delta:
            return False
        if (kind != self._kind or part != self._part) and not self._begin(kind, part, DELTAS):
            return False
        if self._half or not delta.isascii():
            delta, self._half = split_half(self._half + delta)
            if not delta:
                return False
            delta = join_surrogates(delta)
        self.chunks.append(delta)
        return True

    def offer(self, kind: TextKind, part: int, text: str, source: int) -> bool:
        """Take the whole of a part (TEXT_DONE, PART_DONE) unless a better source has spoken."""
        if not text or self._best.get((kind, part), 0) >= source:
            return False
        text = join_surrogates(text)
        if text == self.text:  # the same in other words: another index, or out of the item
            self._best[kind, part] = source
            self._kinds.add(kind)
            self._whole = 0
            return False
        if not self._begin(kind, part, source):
            return False
        self.chunks.append(text)
        return True

    def replace(self, texts: Iterable[tuple[TextKind, str]], source: int) -> bool:
        """Take the item's own texts (ITEM, TERMINAL) where nothing has streamed."""
        known = [(kind, join_surrogates(text)) for kind, text in texts if text]
        if self._best or source < self._whole or not known:
            return False
        self._whole = source
        if "".join(text for _, text in known) == self.text:
            return False
        self._clear()
        for kind, text in known:
            self._stretches.append(_Stretch(kind, 0, len(self.chunks)))
            self.chunks.append(text)
        self._whole = source
        return True

    def close(self) -> bool:
        """Nothing more comes: half a character that waits becomes U+FFFD."""
        half, self._half = self._half, ""
        if half:
            self.chunks.append("\ufffd")
        return bool(half)

    def _begin(self, kind: TextKind, part: int, source: int) -> bool:
        """Start a stretch, unless what is there is better; whether it was started."""
        known = self._best.get((kind, part), 0)
        if known > source or _OTHER_REASONING.get(kind) in self._kinds:
            return False
        if self._whole:
            self._clear()
        elif 0 < known < source and not self._drop_last(kind, part):
            return False
        self.close()
        self._stretches.append(_Stretch(kind, part, len(self.chunks)))
        if kind == _SUMMARY and self.chunks:
            self.chunks.append("\n\n")
        self._best[kind, part] = source
        self._kinds.add(kind)
        self._kind, self._part = (kind if source == DELTAS else None), part
        return True

    def _drop_last(self, kind: TextKind, part: int) -> bool:
        """Take back a part's lesser text, which must be the last; whether that was so."""
        last = self._stretches[-1]
        if (last.kind, last.part) != (kind, part):
            return False
        self._stretches.pop()
        self.chunks = self.chunks[: last.start]
        self.revision += 1
        return True

    def _clear(self) -> None:
        if self.chunks:
            self.chunks = []
            self.revision += 1
        self._stretches.clear()
        self._whole = 0


def join_surrogates(text: str) -> str:
    """`text` with adjacent halves joined to their character, lone ones replaced by U+FFFD."""
    if text.isascii() or not has_surrogates(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def split_half(text: str) -> tuple[str, str]:
    """`text` without a high surrogate at its end, and that surrogate (or nothing)."""
    if text and "\ud800" <= text[-1] <= "\udbff":
        return text[:-1], text[-1]
    return text, ""


def clean(payload: JSON) -> JSON:
    """`payload` with every string joined, but for a top-level `delta`, whose half may follow."""
    return {
        join_surrogates(key): value if key == "delta" and isinstance(value, str) else _clean(value)
        for key, value in payload.items()
    }


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return join_surrogates(value)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {join_surrogates(key): _clean(each) for key, each in value.items()}
    return value
