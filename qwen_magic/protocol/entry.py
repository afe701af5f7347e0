"""An output item of a response while it grows: its newest value, its text, its phase."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Final, Literal, TypeAlias

from qwen_magic.protocol.call_outputs import CallResult
from qwen_magic.protocol.items import (
    STREAMED,
    AnswerAttempt,
    FunctionCall,
    Item,
    McpCall,
    McpListTools,
    TextKind,
    item_type,
)
from qwen_magic.protocol.text import ITEM, TextAccumulator
from qwen_magic.protocol.thinking import ThinkSplitter

# A function call on this side: its user is asked whether it may run; it runs.
CallPhase: TypeAlias = Literal["asking", "running"]
_ENDS: Final = ("completed", "failed", "incomplete")


class Entry:
    """An output item in a `ResponseState`, which alone changes it.

    `key`: stable, unique in the turn. `item`: the newest whole value; its text may lag behind
    `chunks` while it streams. `type`: the item's, as on the wire. `phase`: in_progress, searching,
    interpreting, generating, completed, failed or incomplete; of a function call also a
    `CallPhase`. `started_at`, `ended_at`: seconds, as given to `ResponseState.apply`. `version`
    grows at every change.
    """

    __slots__ = (
        "added",
        "done",
        "ended_at",
        "growing",
        "is_plain",
        "item",
        "key",
        "phase",
        "splitter",
        "started_at",
        "thinking",
        "type",
        "version",
    )

    def __init__(self, key: str, item: Item, at: float, *, added: bool = True) -> None:
        self.key = key
        self.item = item
        self.type = item_type(item)  # asked for with every delta
        self.phase = "in_progress"
        self.done = False
        self.added = added  # False while the server has only spoken of it, by id or index
        self.started_at = at
        self.ended_at: float | None = None
        self.growing = TextAccumulator()
        # Of a message whose text begins with its thinking: the entry that this became.
        self.thinking: Entry | None = None
        self.splitter: ThinkSplitter | None = None  # while the text of a message streams
        self.is_plain = False  # all that it still brings is the answer
        self.version = 0

    @property
    def chunks(self) -> list[str]:
        """The text so far, append-only within one `revision`: a message with its refusal,
        reasoning with an empty line between summary parts, code, the arguments of calls."""
        return self.growing.chunks

    @property
    def text(self) -> str:
        """The chunks, joined and cached until more arrive."""
        return self.growing.text

    @property
    def revision(self) -> int:
        """Increases when `chunks` is replaced because a better source of the text came."""
        return self.growing.revision

    def take(self, item: Item, source: int, *, is_last: bool = True) -> None:
        """Set a newer value of the item; empty fields keep their earlier values.

        `is_last`: no more deltas follow.
        """
        merged = _merge(self.item, item)
        grown = self.growing.replace(_texts(item), source, is_last=is_last)
        if grown or merged != self.item:
            self.version += 1
        self.item, self.type = merged, item_type(merged)

    def add(self, item: Item, *, is_last: bool = False) -> None:
        """The server shows the item at its start, or (`is_last`) at its end."""
        self.added = True
        self.take(item, ITEM, is_last=is_last)
        if item.status in _ENDS and not self.done:
            self.phase = item.status
        elif isinstance(item, McpCall | McpListTools) and item.error:
            self.phase = "failed"

    def progress(self, phase: str) -> None:
        if not self.done and phase != self.phase:
            self.phase = phase
            self.version += 1

    def finish(self, phase: str, at: float) -> None:
        """The item is complete. `phase`: how it ended, if the item itself does not say."""
        self.growing.close()
        if self.done:
            return
        status = self.item.status
        if self.phase not in ("failed", "incomplete"):
            self.phase = status if status in _ENDS else phase
        if status and status != self.phase:
            self.item = replace(self.item, status=self.phase)
        self.done = True
        self.ended_at = at
        self.version += 1

    def call(self, phase: CallPhase, at: float) -> None:
        """Start to handle a finished function call: ask the user, or run it."""
        self.phase = phase
        self.done = False
        self.started_at, self.ended_at = at, None
        self.version += 1

    def answer(self, result: CallResult, at: float) -> None:
        """Set the result of a function call."""
        assert isinstance(self.item, FunctionCall)
        self.item = replace(
            self.item,
            output=result.text,
            output_status=result.status,
            figures=result.figures,
        )
        self.phase = "failed" if self.item.failed else "completed"
        self.done = True
        self.ended_at = at
        self.version += 1

    def set_aside(self, fault: str) -> None:
        """A finished message is not the object that was asked for."""
        self.item = AnswerAttempt(self.item.id, self.text, fault, self.item.status)
        self.type = item_type(self.item)
        self.version += 1

    @property
    def answered(self) -> bool:
        """Whether it is a function call with a result."""
        return isinstance(self.item, FunctionCall) and self.item.output is not None

    def finished(self) -> Item:
        """The item with its final text."""
        if not self.growing.chunks:
            return self.item
        streamed = STREAMED.get(type(self.item), ())
        whole = len({name for _, name in streamed}) == 1  # one field takes all of the text
        texts: dict[str, Any] = {
            name: self.growing.text if whole else self.growing.text_of(kind)
            for kind, name in streamed
        }
        return replace(self.item, **texts)


def _texts(item: Item) -> list[tuple[TextKind, str]]:
    """The streamed texts that a complete item holds, by kind."""
    usual = {name: kind for kind, name in reversed(STREAMED.get(type(item), ()))}
    return [(kind, getattr(item, name)) for name, kind in usual.items()]


def _merge(old: Item, new: Item) -> Item:
    """`new`, with the values of `old` in its empty fields."""
    if type(old) is not type(new):
        return new
    empty = {
        each.name: getattr(old, each.name)
        for each in fields(new)
        if getattr(new, each.name) is None
        or (not getattr(new, each.name) and getattr(old, each.name))
    }
    return replace(new, **empty) if empty else new
