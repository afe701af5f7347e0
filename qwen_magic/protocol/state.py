"""One response, as the events so far tell it; of a turn that calls functions, all its responses.

    queued -> in_progress -> completed | incomplete | failed | cancelled
       ^                         |
       '---- next_response ------'  after `answer_call` for each of its `calls`

`ResponseState.apply` is the only way in which a response changes. Three invariants:

- An entry, once there, keeps its key and its place among the others (thinking that is found in the
  text of a message gets a place before it); its text only grows, or is replaced by a better
  source's (`Entry.revision`).
- After a terminal event nothing changes the answer. A bare `error` is terminal, but the
  `response.failed` that may follow it is still read.
- Without a terminal event `terminal` stays False, whatever else came: the stream was cut.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from qwen_magic.protocol.call_outputs import CALL_OUTPUT, CallResult, server_result
from qwen_magic.protocol.entries import Entries, MessageTexts, call_id_of
from qwen_magic.protocol.entry import CallPhase, Entry
from qwen_magic.protocol.events import (
    AnnotationAdded,
    ErrorEvent,
    Event,
    ItemAdded,
    ItemDone,
    KeepAlive,
    PartAdded,
    PartDone,
    ResponseEnded,
    ResponseStarted,
    TextDelta,
    TextDone,
    ToolProgress,
    UnknownEvent,
)
from qwen_magic.protocol.fields import JSON, mapping, mappings, number, text
from qwen_magic.protocol.items import (
    ITEM_TYPES,
    CustomToolCall,
    FunctionCall,
    Item,
    Message,
    Reasoning,
    UnknownItem,
    parse_item,
)
from qwen_magic.protocol.response import (
    ResponseError,
    Status,
    Usage,
    parse_usage,
    response_error,
)
from qwen_magic.protocol.text import ITEM, PART_DONE, TERMINAL, TEXT_DONE

__all__ = ["Entry", "ResponseError", "ResponseState", "Status"]

_MOST_UNKNOWN: Final = 1_000  # events


class ResponseState:
    """The response so far. `version` grows with every event that says anything.

    `usage`: None until the server gives one (it may be all zero: `Usage.known`); of all responses
    together, `response_usage` of the newest. `error`: why it failed. `incomplete_reason`: such as
    `max_output_tokens`. `raw`: the terminal response object as it came, {} before. `unknown`:
    the first events of unknown types. `entries`, `text`, `reasoning` and `items` are of all
    responses, everything else of the newest.
    """

    def __init__(self, *, thinks_in_text: bool = False) -> None:
        """`thinks_in_text`: the server is known to leave thinking in the text (`thinking.py`)."""
        self._thinks_in_text = thinks_in_text
        self.id = ""
        self.model = ""
        self.status: Status = "queued"
        self.error: ResponseError | None = None
        self.incomplete_reason = ""
        self.usage: Usage | None = None
        self.previous_response_id = ""
        self.created_at = 0.0  # seconds since 1970, the server's clock
        self.terminal = False
        self.version = 0
        self.raw: JSON = {}
        self.unknown: list[UnknownEvent] = []
        self.response_usage: Usage | None = None
        self._before: list[Entry] = []  # of the responses before this one
        self._usage_before: Usage | None = None
        self._entries = Entries()
        self._texts = MessageTexts(self._entries, may_lack_start=thinks_in_text)
        self._ended = False  # `terminal`, and not by a bare `error` alone

    @property
    def entries(self) -> list[Entry]:
        """The output items, in the order of first sight."""
        return [*self._before, *self._entries.all] if self._before else self._entries.all

    @property
    def newest(self) -> list[Entry]:
        """The output items of the newest response."""
        return self._entries.all

    @property
    def calls(self) -> list[Entry]:
        """The function calls of the newest response that have no output: neither did the server
        run them, nor was anything sent back."""
        return [
            entry
            for entry in self._entries.all
            if isinstance(entry.item, FunctionCall) and entry.added and not entry.answered
        ]

    @property
    def text(self) -> str:
        """The answer: all messages, an empty line between them."""
        return self._joined_text(Message)

    @property
    def reasoning(self) -> str:
        """All thinking, an empty line between its items."""
        return self._joined_text(Reasoning)

    @property
    def items(self) -> tuple[Item, ...]:
        """The output items with their text as of now."""
        return tuple(entry.finished() for entry in self.entries)

    def take_call(self, entry: Entry, phase: CallPhase, at: float) -> None:
        """One of `calls` is taken up on this side, at `at` (the clock of `apply`)."""
        self.version += 1
        entry.call(phase, at)

    def answer_call(self, entry: Entry, result: CallResult, at: float) -> None:
        """What will be sent back for one of `calls`."""
        self.version += 1
        entry.answer(result, at)

    def set_aside(self, fault: str) -> None:
        """The messages of the newest response are no answer: a better one will be asked for."""
        self.version += 1
        for entry in self.newest:
            if isinstance(entry.item, Message):
                entry.set_aside(fault)

    def next_response(self) -> None:
        """Begin the next response of the same turn; what is there stays in front of it."""
        self._before = self.entries
        self._usage_before = self.usage
        self.again()

    def again(self) -> None:
        """Begin the newest response anew, without what came of it."""
        self.version += 1
        self._entries = Entries(len(self._before))
        self._texts = MessageTexts(self._entries, may_lack_start=self._thinks_in_text)
        self._ended = self.terminal = False
        self.status, self.error, self.incomplete_reason = "queued", None, ""
        self.usage, self.response_usage, self.raw = self._usage_before, None, {}

    def conclude(self, at: float) -> None:
        """The stream ended well, though without a terminal event: the server said `[DONE]`."""
        if not self.terminal:
            self.version += 1
            self._close("completed", at)

    def apply(self, event: Event, at: float = 0.0) -> None:
        """Take in one event, which came at `at` (seconds, any monotonic clock)."""
        if self.terminal and not self._may_follow(event):
            return
        self.version += 1
        match event:
            case TextDelta():
                self._mark_in_progress()
                entry = self._entries.streaming(
                    ITEM_TYPES[event.kind], event.item_id, event.output_index, at
                )
                if event.kind == "output_text" and not entry.is_plain:
                    self._texts.extend(entry, event.part_index, event.delta, at)
                elif entry.growing.extend(event.kind, event.part_index, event.delta):
                    entry.version += 1
            case TextDone():
                self._offer(event, TEXT_DONE, at)
            case PartDone():
                self._offer(event, PART_DONE, at)
            case ItemAdded():
                self._mark_in_progress()
                if not self._is_output(event.item, at):
                    entry = self._entries.added(event.item, event.output_index, at)
                    entry.add(
                        self._texts.without_thinking(entry, event.item, ITEM, at, is_last=False)
                    )
            case ItemDone():
                self._item_done(event, at)
            case ToolProgress():
                self._entries.streaming(event.tool, event.item_id, event.output_index, at).progress(
                    event.phase
                )
            case AnnotationAdded():
                self._annotate(event, at)
            case ResponseStarted():
                self.status = event.status
                self._read(event.response)
            case ResponseEnded():
                self._end(event, at)
            case ErrorEvent():
                self.error = event.error
                self._close("failed", at)
            case UnknownEvent():
                if len(self.unknown) < _MOST_UNKNOWN:
                    self.unknown.append(event)
            case PartAdded() | KeepAlive():
                pass
            case _:
                assert_never(event)

    def _may_follow(self, event: Event) -> bool:
        """Whether an event after the terminal one is read at all."""
        return isinstance(event, UnknownEvent) or (
            isinstance(event, ResponseEnded) and not self._ended
        )

    def _mark_in_progress(self) -> None:
        if self.status == "queued":
            self.status = "in_progress"

    def _joined_text(self, kind: type[Message] | type[Reasoning]) -> str:
        texts = (entry.text for entry in self.entries if isinstance(entry.item, kind))
        return "\n\n".join(each for each in texts if each)

    def _offer(self, event: TextDone | PartDone, source: int, at: float) -> None:
        if not event.text:
            return
        entry = self._entries.streaming(
            ITEM_TYPES[event.kind], event.item_id, event.output_index, at
        )
        if event.kind == "output_text":
            self._texts.offer(entry, event.part_index, event.text, source, at)
        elif entry.growing.offer(event.kind, event.part_index, event.text, source):
            entry.version += 1

    def _item_done(self, event: ItemDone, at: float) -> None:
        self._mark_in_progress()
        if self._is_output(event.item, at):
            return
        entry = self._entries.done(event.item, event.output_index, at)
        entry.add(self._texts.without_thinking(entry, event.item, ITEM, at), is_last=True)
        entry.finish("completed", at)

    # functions that the server ran itself

    def _is_output(self, item: Item, at: float) -> bool:
        """Whether `item` is what a function gave that the server called and ran, and its call is
        here: the output belongs to that, and nothing is to be sent back for it."""
        entry = self._entries.call(_output_of(item) or "")
        if entry is None or not isinstance(entry.item, FunctionCall):
            return False
        assert isinstance(item, UnknownItem)
        result = server_result(item.raw)
        if result is not None and not entry.answered:
            entry.answer(result, at)
        return True

    def _annotate(self, event: AnnotationAdded, at: float) -> None:
        entry = self._entries.streaming("message", event.item_id, event.output_index, at)
        if isinstance(entry.item, Message):
            known = entry.item.annotations
            entry.item = replace(entry.item, annotations=(*known, event.annotation))
            entry.version += 1

    def _end(self, event: ResponseEnded, at: float) -> None:
        status: Status = "failed" if self.terminal else event.status  # after a bare `error`
        self._ended = True
        self.raw = event.response
        self._read(event.response)
        output = [parse_item(each) for each in mappings(event.response.get("output"))]
        called = {call_id_of(item) for item in output}
        outputs = [each for each in output if _output_of(each) in called]
        others = [item for item in output if not (item in outputs or self._is_output(item, at))]
        for entry, item in self._entries.final(others, at):
            entry.added = True
            entry.take(self._texts.without_thinking(entry, item, TERMINAL, at), TERMINAL)
        for item in outputs:
            self._is_output(item, at)
        self._close(status, at)

    def _close(self, status: Status, at: float) -> None:
        self.status = status
        self.terminal = True
        phase = "incomplete" if status == "cancelled" else status
        for entry in list(self._entries.all):
            self._texts.flush(entry, at)
            self._name_call(entry)
        for entry in self._entries.all:
            self._is_output(entry.item, at)  # a call that came after its output
        for entry in self.entries:
            entry.finish(phase, at)

    def _name_call(self, entry: Entry) -> None:
        """A call that no `call_id` came for is named by its id, or by a name made here."""
        item = entry.item
        if isinstance(item, FunctionCall | CustomToolCall) and not item.call_id:
            name = item.id or f"call_{entry.key}_{self.id}".rstrip("_")
            entry.item = replace(item, call_id=name)

    def _read(self, response: JSON) -> None:
        """What the response object says of itself; what it leaves empty keeps its value."""
        self.id = text(response.get("id")) or self.id
        self.model = text(response.get("model")) or self.model
        self.created_at = number(response.get("created_at")) or self.created_at
        self.previous_response_id = (
            text(response.get("previous_response_id")) or self.previous_response_id
        )
        reason = text(mapping(response.get("incomplete_details")).get("reason"))
        self.incomplete_reason = reason or self.incomplete_reason
        error = response_error(response.get("error"))
        if error is not None:
            before = self.error.request_id if self.error else ""
            request_id = error.request_id or text(response.get("request_id")) or before
            self.error = replace(error, request_id=request_id)
        if isinstance(response.get("usage"), dict):
            usage = self.response_usage = parse_usage(response["usage"])
            self.usage = self._usage_before + usage if self._usage_before else usage


def _output_of(item: Item) -> str | None:
    """The `call_id` of the call that `item` is the output of; None where it is no output."""
    if isinstance(item, UnknownItem) and item.type == CALL_OUTPUT:
        return text(item.raw.get("call_id"))
    return None
