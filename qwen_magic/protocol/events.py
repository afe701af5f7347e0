"""The events of a response's stream, as values.

    ResponseStarted   response.created, .queued, .in_progress: a snapshot of the response
    ItemAdded         response.output_item.added
    PartAdded         response.content_part.added, and of reasoning_part, reasoning_summary_part
    TextDelta         every `….delta`: answer, refusal, reasoning, code, arguments
    TextDone          every `….done` of such a text: the whole of it
    PartDone          the `.done` of the parts above
    AnnotationAdded   response.output_text.annotation.added
    ToolProgress      response.<tool>.<phase>, such as web_search_call.searching
    ItemDone          response.output_item.done
    ResponseEnded     response.completed, .incomplete, .failed, .cancelled
    ErrorEvent        a bare `error`, or an error body in place of an event
    KeepAlive         keepalive, ping
    UnknownEvent      any other, kept whole

Events of one shape share a class, and a field tells them apart. Fields that servers leave out or
null are empty: `output_index` None, `item_id` "". `sequence_number` is read in `body.py` alone.
`decode.py` makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import Annotation, Item, TextKind
from qwen_magic.protocol.response import EndStatus, ResponseError, Status


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """A snapshot while the response runs. `model` is empty and `usage` null on DashScope, and a
    null `previous_response_id` means nothing yet."""

    status: Status
    response: JSON


@dataclass(frozen=True, slots=True)
class ItemAdded:
    item: Item
    output_index: int | None = None


@dataclass(frozen=True, slots=True)
class PartAdded:
    """A part of an item begins. `kind`: the part's text, as of the deltas to come."""

    kind: TextKind
    item_id: str = ""
    output_index: int | None = None
    part_index: int = 0


class TextDelta(NamedTuple):  # made faster than a dataclass, thousands of times an answer
    """More of a text. `delta` may begin or end with half of a surrogate pair.

    `part_index`: the wire's `content_index`, or `summary_index`; 0 where it is left out.
    """

    kind: TextKind
    delta: str
    item_id: str = ""
    output_index: int | None = None
    part_index: int = 0


@dataclass(frozen=True, slots=True)
class TextDone:
    """A complete text. If it differs from its deltas, they win, unless they are its beginning."""

    kind: TextKind
    text: str
    item_id: str = ""
    output_index: int | None = None
    part_index: int = 0


@dataclass(frozen=True, slots=True)
class PartDone:
    """A complete part of an item."""

    kind: TextKind
    text: str
    item_id: str = ""
    output_index: int | None = None
    part_index: int = 0


@dataclass(frozen=True, slots=True)
class AnnotationAdded:
    annotation: Annotation
    item_id: str = ""
    output_index: int | None = None


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """A tool call reached a phase: in_progress, searching, interpreting, generating, completed,
    failed or incomplete. `tool`: the item's type.
    """

    tool: str
    phase: str
    item_id: str = ""
    output_index: int | None = None


@dataclass(frozen=True, slots=True)
class ItemDone:
    item: Item
    output_index: int | None = None


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """Terminal. `status`: from the response itself, else from the event's name."""

    status: EndStatus
    response: JSON


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """Terminal, though a `response.failed` with the same error may follow."""

    error: ResponseError


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """No news; the connection is alive."""


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    type: str
    raw: JSON


Event: TypeAlias = (
    ResponseStarted
    | ItemAdded
    | PartAdded
    | TextDelta
    | TextDone
    | PartDone
    | AnnotationAdded
    | ToolProgress
    | ItemDone
    | ResponseEnded
    | ErrorEvent
    | KeepAlive
    | UnknownEvent
)
