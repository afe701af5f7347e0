"""The text of one output item, out of up to five sources that may differ.

The best source that has come speaks: deltas, else `….done`, else the part's `.done`, else the
item, else the terminal response. Where a better one comes after a lesser one, `chunks` is a new
list and `revision` one higher; in every other case `chunks` only grows. Two exceptions:

- Sources that agree, one being the beginning of the other: the longest speaks (servers lose the
  last deltas: vLLM 2026). Whole texts that come before the deltas do not count: they may hold the
  first of them.
- Arguments of calls: a source that is a JSON object goes before one that is none, or is `{}`.

A text has parts (contents of a message, some of them a refusal; summaries of a reasoning), and
precedence among the three streamed sources holds for each by itself. A run of chunks of one part
is a *stretch*. Of a reasoning's two texts, thinking and summary, the first that streams speaks.

    extend("output_text", 0, "Hel")      chunks ["Hel"]                    a stretch begins
    extend("output_text", 0, "lo")       chunks ["Hel", "lo"]
    offer("output_text", 0, "Hello!", TEXT_DONE)     no change: deltas are the better source
    extend("refusal", 1, "No.")          chunks ["Hel", "lo", "No."]       another stretch
    replace([("output_text", "Hi")], ITEM)           no change: something has streamed

    extend("output_text", 0, "Hel")      chunks ["Hel"]
    offer("output_text", 0, "Hello", TEXT_DONE)      chunks ["Hel", "lo"]: they agree

Text can always be encoded. JSON may spell half of a UTF-16 pair (`"\\ud83d"`), and a server may put
the halves of one emoji into two deltas; Python keeps such a half as a code point that no encoder
takes. A half at the end of a delta waits for its other half; a lone one becomes U+FFFD.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any, Final

from qwen_magic.protocol.fields import JSON, json_object
from qwen_magic.protocol.items import TextKind

# Sources, the better the higher.
TERMINAL, ITEM, PART_DONE, TEXT_DONE, DELTAS = 1, 2, 3, 4, 5

_SUMMARY: Final = "reasoning_summary_text"
_ARGUMENTS: Final = ("function_call_arguments", "mcp_call_arguments")
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
        """The stretches of one kind, joined; the very text where there is no other kind."""
        if {stretch.kind for stretch in self._stretches} == {kind}:
            return self.text
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
        if not text:
            return False
        text = join_surrogates(text)
        if text == self.text:  # the same in other words: another index, or out of the item
            self._best[kind, part] = max(source, self._best.get((kind, part), 0))
            self._kinds.add(kind)
            self._whole = 0
            return False
        if kind in _ARGUMENTS and self.chunks:
            return self._take_arguments(kind, text, source)
        rest = self._rest_of(kind, part, text)
        if rest:
            return self._append(kind, part, rest)
        if self._is_cumulative(text):
            self._put([(kind, text)])
            return True
        if self._best.get((kind, part), 0) >= source or self._has_growing_index(kind, part, text):
            return False
        if not self._begin(kind, part, source):
            return False
        self.chunks.append(text)
        return True

    def replace(
        self, texts: Iterable[tuple[TextKind, str]], source: int, *, is_last: bool = True
    ) -> bool:
        """Take the item's own texts (ITEM, TERMINAL) where nothing has streamed, or where what did
        is their beginning. `is_last`: no delta of them is still to come."""
        known = [(kind, join_surrogates(text)) for kind, text in texts if text]
        if not known:
            return False
        joined = "".join(text for _, text in known)
        if joined == self.text:
            if not self._best:
                self._whole = max(source, self._whole)
            return False
        if known[0][0] in _ARGUMENTS and self.chunks and is_last:
            return self._take_arguments(known[0][0], joined, source)
        if self.chunks and is_last and joined.startswith(self.text):
            return self._append_behind(known, len(self.text))
        if is_last and self._is_cumulative(joined):
            self._put(known)
            return True
        if self._best or source < self._whole:
            return False
        self._put(known)
        self._whole = source
        return True

    def restart(self) -> None:
        """What came was not this text; another begins."""
        self._clear()
        self._best.clear()
        self._kinds.clear()
        self._kind, self._half = None, ""

    def close(self) -> bool:
        """Nothing more comes: half a character that waits becomes U+FFFD."""
        half, self._half = self._half, ""
        if half:
            self.chunks.append("\ufffd")
        return bool(half)

    def _take_arguments(self, kind: TextKind, text: str, source: int) -> bool:
        """Take a call's whole arguments, where they are better than what came before."""
        now, new = _worth(self.text), _worth(text)
        best = max(self._best.values(), default=self._whole)
        if new < now or (new == now and source <= best and not text.startswith(self.text)):
            return False
        if text.startswith(self.text):
            return self._append(kind, 0, text[len(self.text) :])
        self._put([(kind, text)])
        self._best[kind, 0] = max(source, best)
        self._kinds.add(kind)
        return True

    def _rest_of(self, kind: TextKind, part: int, text: str) -> str:
        """What `text` has behind the deltas that came, where those are its beginning; else "".

        Either all of them (the index of a part says little: some servers count it up with every
        delta), or those of this part, where it is the newest.
        """
        if kind not in self._kinds or self._whole:
            return ""
        is_known = (kind, part) in self._best
        if (is_known or kind != _SUMMARY) and text.startswith(self.text):
            return text[len(self.text) :]
        own = [each for each in self._stretches if (each.kind, each.part) == (kind, part)]
        if own != self._stretches[-1:]:
            return ""
        chunks = self.chunks[own[0].start :]
        if kind == _SUMMARY and own[0].start:
            del chunks[0]  # the empty line before it
        streamed = "".join(chunks)
        return text[len(streamed) :] if text.startswith(streamed) else ""

    def _append(self, kind: TextKind, part: int, rest: str) -> bool:
        self._half = ""  # its character is in `rest`
        self.chunks.append(rest)
        self._best.setdefault((kind, part), DELTAS)
        return True

    def _append_behind(self, known: Sequence[tuple[TextKind, str]], there: int) -> bool:
        """Append what is not there yet of texts whose first `there` characters are."""
        self._half = ""
        for kind, text in known:
            if there < len(text):
                if not self._stretches or self._stretches[-1].kind != kind:
                    self._stretches.append(_Stretch(kind, 0, len(self.chunks)))
                self.chunks.append(text[there:])
            there = max(0, there - len(text))
        return True

    def _is_cumulative(self, text: str) -> bool:
        """Whether what streamed are beginnings of `text`, the last of them all of it: each delta
        held the text so far, or the whole came once more. (Deltas that arrived together are one
        chunk, so that it is the text that tells.)"""
        streamed, place, size = "".join(self.chunks), 0, 0
        while size < len(streamed) - place:
            place += size
            rest = streamed[place : place + len(text)]
            size = len(commonprefix((rest, text)))  # noqa: RUF071, these are no paths
            if not size:
                return False
        return place > 0 and size == len(text)

    def _has_growing_index(self, kind: TextKind, part: int, text: str) -> bool:
        """Whether `text` is no part of its own, but the whole of deltas whose index was counted up
        with each: they are one chunk a part, and it begins like the first."""
        starts = [each.start for each in self._stretches if each.kind == kind]
        return (
            len(starts) > 1
            and (kind, part) not in self._best
            and starts == list(range(starts[0], starts[0] + len(starts)))
            and len(self.chunks) == starts[-1] + 1
            and text.startswith(self.chunks[starts[0]])
        )

    def _put(self, known: Sequence[tuple[TextKind, str]]) -> None:
        """These texts in place of all that came."""
        self._clear()
        self._half = ""
        for kind, text in known:
            self._stretches.append(_Stretch(kind, 0, len(self.chunks)))
            self.chunks.append(text)

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


def _worth(arguments: str) -> int:
    """Of the arguments of a call: whole ones are worth more than none, and those than no JSON."""
    parsed = json_object(arguments)
    return 0 if parsed is None else 2 if parsed else 1


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
