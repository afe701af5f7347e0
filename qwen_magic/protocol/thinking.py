"""`<think>…</think>` at the beginning of a text, which local servers leave in the answer.

    start --"<think>"--> thinking --"</think>"--> gap --not a space--> answer
    start --anything else--> answer

A tag may be cut anywhere between two pieces: what may be the beginning of one is held back. White
space around the thinking belongs to neither. Qwen's templates put the first tag into the prompt;
where a server is known to do so (`may_lack_start`), an end that nothing began makes thinking of all
that came before it:

    start --anything else--> unopened --"</think>"--> gap

But a text that speaks of the tags (`</think>` in quotes, or behind a `<think>`) stays as it is.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

# `recall`: what was handed over as the answer so far was thinking, and so is this.
Piece: TypeAlias = tuple[Literal["thought", "answer", "recall"], str]
_State: TypeAlias = Literal["start", "thinking", "gap", "answer", "unopened"]

_START: Final = "<think>"
_END: Final = "</think>"
_QUOTES: Final = ("`", '"', "'", "“", "„", "«")


class ThinkSplitter:
    """Feed it a text in any pieces; it gives what is thinking and what is the answer."""

    __slots__ = ("_began", "_held", "_may_lack_start", "_quotes", "_state", "_tail")

    def __init__(self, *, may_lack_start: bool = False) -> None:
        self._may_lack_start = may_lack_start
        self._state: _State = "start"
        self._held = ""
        self._began = False  # some thinking came
        self._tail = ""  # the last characters that were handed over while `unopened`
        self._quotes = False  # the text speaks of a `<think>`

    @property
    def is_plain(self) -> bool:
        """Whether all that comes is the answer."""
        return self._state == "answer" and not self._held

    def feed(self, text: str) -> list[Piece]:
        self._held += text
        pieces: list[Piece] = []
        while self._step(pieces):
            pass
        return pieces

    def close(self) -> list[Piece]:
        """What was held back, when nothing more comes."""
        held, self._held = self._held, ""
        match self._state:
            case "thinking":
                return [("thought", held.rstrip())] if held.rstrip() else []
            case "gap":
                return []
        return [("answer", held)] if held else []

    def _step(self, pieces: list[Piece]) -> bool:
        """Take what is decided out of what is held; whether there may be more."""
        held = self._held
        match self._state:
            case "start":
                text = held.lstrip()
                if _START.startswith(text):
                    if text != _START:
                        return False
                elif not text.startswith(_START):
                    self._state = "unopened" if self._may_lack_start else "answer"
                    return True
                self._state, self._held = "thinking", text[len(_START) :]
                return True
            case "thinking" | "unopened" as state:
                return self._until_end(pieces, is_open=state == "unopened")
            case "gap":
                self._held = held.lstrip()
                if self._held:
                    self._state = "answer"
                return bool(self._held)
            case _:
                self._held = ""
                if held:
                    pieces.append(("answer", held))
                return False

    def _until_end(self, pieces: list[Piece], *, is_open: bool) -> bool:
        held = self._held if is_open or self._began else self._held.lstrip()
        said, tag, rest = held.partition(_END)
        if tag and is_open and self._is_quoted(said):
            self._hand_over(pieces, said + tag, rest)
            return True
        if tag:
            if is_open:
                pieces.append(("recall", said))
            elif said.rstrip():
                pieces.append(("thought", said.rstrip()))
            self._state, self._held = "gap", rest
            return True
        safe = held[: len(held) - _partial_end(held)]
        if is_open:
            self._is_quoted(safe)
            self._hand_over(pieces, safe, held[len(safe) :])
            return False
        safe = safe.rstrip()
        self._held = held[len(safe) :]
        if safe:
            self._began = True
            pieces.append(("thought", safe))
        return False

    def _is_quoted(self, said: str) -> bool:
        """Whether a tag behind `said` is spoken of, and ends nothing."""
        before = self._tail + said
        self._quotes = self._quotes or _START in before
        return self._quotes or before.endswith(_QUOTES)

    def _hand_over(self, pieces: list[Piece], words: str, rest: str) -> None:
        self._held = rest
        self._tail = (self._tail + words)[-len(_START) :]
        if words:
            pieces.append(("answer", words))


def _partial_end(text: str) -> int:
    """How many characters at the end of `text` may begin the end's tag."""
    return next((n for n in range(len(_END) - 1, 0, -1) if text.endswith(_END[:n])), 0)


def split_thinking(text: str, *, may_lack_start: bool = False) -> tuple[str, str]:
    """The thinking and the answer of a whole text."""
    if _START not in text and not (may_lack_start and _END in text):
        return "", text
    splitter = ThinkSplitter(may_lack_start=may_lack_start)
    thought = answer = ""
    for kind, said in [*splitter.feed(text), *splitter.close()]:
        match kind:
            case "thought":
                thought += said
            case "answer":
                answer += said
            case "recall":
                thought, answer = (answer + said).strip(), ""
    return thought, answer
