"""One output item of a response as it grows."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Final, Literal, TypeAlias, assert_never

from qwen_magic.protocol.events import TextKind
from qwen_magic.protocol.items import (
    CallResult,
    CodeInterpreterCall,
    CustomToolCall,
    FileSearchCall,
    FunctionCall,
    ImageSearchCall,
    Item,
    McpCall,
    McpListTools,
    Message,
    Reasoning,
    UnknownItem,
    WebExtractorCall,
    WebSearchCall,
)
from qwen_magic.protocol.text import ITEM, GrowingText

# A function call on this side: its user is asked whether it may run; it runs.
CallPhase: TypeAlias = Literal["asking", "running"]
_ENDS: Final = ("completed", "failed", "incomplete")


class Entry:
    """An output item in a `ResponseState`, which alone changes it.

    `key`: stable, unique in the turn. `item`: the newest whole value; its text may lag behind
    `chunks` while it streams. `phase`: in_progress, searching, interpreting, generating,
    completed, failed or incomplete; of a function call also a `CallPhase`. `started_at`,
    `ended_at`: seconds, as given to `ResponseState.apply`. `version` grows at every change.
    """

    __slots__ = (
        "added",
        "done",
        "ended_at",
        "growing",
        "item",
        "key",
        "phase",
        "started_at",
        "version",
    )

    def __init__(self, key: str, item: Item, at: float, *, added: bool = True) -> None:
        self.key = key
        self.item = item
        self.phase = "in_progress"
        self.done = False
        self.added = added  # False while the server has only spoken of it, by id or index
        self.started_at = at
        self.ended_at: float | None = None
        self.growing = GrowingText()
        self.version = 0

    @property
    def chunks(self) -> list[str]:
        """The text so far, append-only within one `revision`: a message with its refusal,
        reasoning with an empty line between summary parts, code, the arguments of calls."""
        return self.growing.chunks

    @property
    def text(self) -> str:
        """The chunks, joined; kept until more come."""
        return self.growing.text

    @property
    def revision(self) -> int:
        """Grows where `chunks` was replaced, because a better source of the text came."""
        return self.growing.revision

    def take(self, item: Item, source: int) -> None:
        """A newer whole value of the item. What it leaves empty keeps its earlier value."""
        merged = _merge(self.item, item)
        grown = self.growing.replace(_texts(item), source)
        if grown or merged != self.item:
            self.version += 1
        self.item = merged

    def add(self, item: Item) -> None:
        """The server shows the item at its start."""
        self.added = True
        self.take(item, ITEM)
        if item.status in _ENDS and not self.done:
            self.phase = item.status
        elif isinstance(item, McpCall | McpListTools) and item.error:
            self.phase = "failed"

    def progress(self, phase: str) -> None:
        if not self.done and phase != self.phase:
            self.phase = phase
            self.version += 1

    def finish(self, phase: str, at: float) -> None:
        """Nothing more comes for this item. `phase`: how it ended, where the item does not say."""
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
        """A finished function call is taken up here: its user is asked, or it runs."""
        self.phase = phase
        self.done = False
        self.started_at, self.ended_at = at, None
        self.version += 1

    def answer(self, result: CallResult, at: float) -> None:
        """What became of a function call that was taken up."""
        assert isinstance(self.item, FunctionCall)
        self.item = replace(self.item, output=result.text, output_status=result.status)
        self.phase = "failed" if self.item.failed else "completed"
        self.done = True
        self.ended_at = at
        self.version += 1

    def finished(self) -> Item:
        """The item with its final text."""
        item, growing = self.item, self.growing
        if not growing.chunks:
            return item
        match item:
            case Message():
                text, refusal = growing.text_of("output_text"), growing.text_of("refusal")
                return replace(item, text=text, refusal=refusal)
            case Reasoning():
                return replace(item, text=growing.text)
            case CodeInterpreterCall():
                return replace(item, code=growing.text)
            case FunctionCall() | McpCall() | ImageSearchCall():
                return replace(item, arguments=growing.text)
            case CustomToolCall():
                return replace(item, input=growing.text)
            case WebSearchCall() | WebExtractorCall() | FileSearchCall() | McpListTools():
                return item
            case UnknownItem():
                return item
        assert_never(item)


def _texts(item: Item) -> list[tuple[TextKind, str]]:
    """The growing texts that a whole item holds."""
    match item:
        case Message():
            return [("output_text", item.text), ("refusal", item.refusal)]
        case Reasoning():
            return [("reasoning_text", item.text)]
        case CodeInterpreterCall():
            return [("code_interpreter_call_code", item.code)]
        case FunctionCall() | ImageSearchCall():
            return [("function_call_arguments", item.arguments)]
        case McpCall():
            return [("mcp_call_arguments", item.arguments)]
        case CustomToolCall():
            return [("custom_tool_call_input", item.input)]
        case WebSearchCall() | WebExtractorCall() | FileSearchCall() | McpListTools():
            return []
        case UnknownItem():
            return []
    assert_never(item)


def _merge(old: Item, new: Item) -> Item:
    """`new`, with `old`'s value in each field that it leaves empty."""
    if type(old) is not type(new):
        return new
    empty = {
        each.name: getattr(old, each.name)
        for each in fields(new)
        if not getattr(new, each.name) and getattr(old, each.name)
    }
    return replace(new, **empty) if empty else new
