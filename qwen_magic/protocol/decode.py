"""JSON payloads -> events.

An event that is unknown, or malformed (no item, a delta that is an object), is kept as it came, and
the answer goes on without it: the text and the items come once more in later events. The tables at
the end say which names of the wire are read, and by what; `decode_event` looks one up.

    "response.output_text.delta"          _TEXTS["output_text"]    -> TextDelta("output_text", …)
    "response.web_search_call.searching"  item type and phase      -> ToolProgress(…)
    "response.hologram.delta"             in no table              -> UnknownEvent
    {"object": "response", …} no `type`   a whole response         -> ResponseEnded

A server asked to stream may answer with a whole object, as the body or inside the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias, cast, get_args

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
from qwen_magic.protocol.fields import JSON, integer, json_text, mapping, text
from qwen_magic.protocol.items import TOOL_TYPES, Annotation, TextKind, parse_item
from qwen_magic.protocol.response import EndStatus, ResponseError, Status, response_error
from qwen_magic.protocol.text import join_surrogates

_Reader: TypeAlias = Callable[[JSON], Event]


class _MalformedError(Exception):
    """A known event lacks required data."""


def decode_event(payload: JSON, name: str = "") -> Event:
    """Decode one payload. `name`: the SSE event's name, for payloads without a `type`.

    A complete response, or an error body, in place of an event is decoded as such.
    """
    kind = payload.get("type") or name
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is not None:
        try:
            return read(payload)
        except _MalformedError:
            return _unknown(text(kind), payload)
    known = None if text(kind).startswith("response.") else read_whole(payload)
    return known or _unknown(text(kind), payload)


def _unknown(kind: str, payload: JSON) -> UnknownEvent:
    delta = payload.get("delta")
    if isinstance(delta, str):  # whose missing half nobody waits for
        payload = payload | {"delta": join_surrogates(delta)}
    return UnknownEvent(kind, payload)


def _required(payload: JSON, key: str) -> JSON:
    value = payload.get(key)
    if isinstance(value, dict):
        return value
    raise _MalformedError


def _string(payload: JSON, key: str) -> str:
    value = payload.get(key)
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise _MalformedError


def _started(named: Status, payload: JSON) -> Event:
    """A running response; the status is its own if that is a running one."""
    response = _response(payload)
    said = response.get("status")
    status = cast(Status, said) if said in ("queued", "in_progress") else named
    return ResponseStarted(status, response)


def _ended(named: EndStatus, payload: JSON) -> Event:
    """An ended response; the status is its own if that is a final one."""
    response = _response(payload)
    said = response.get("status")
    status = cast(EndStatus, said) if said in get_args(EndStatus) else named
    return ResponseEnded(status, response)


def _response(payload: JSON) -> JSON:
    """The response object; empty if missing, as the event's name alone says that it ended."""
    return mapping(payload.get("response"))


def _item(make: type[ItemAdded] | type[ItemDone], payload: JSON) -> Event:
    return make(parse_item(_required(payload, "item")), integer(payload.get("output_index")))


def _place(payload: JSON) -> tuple[str, int | None]:
    """`item_id` and `output_index`."""
    return text(payload.get("item_id")), integer(payload.get("output_index"))


def _part_place(payload: JSON, index: str) -> tuple[str, int | None, int]:
    """The same and the part's index, which `index` names."""
    return *_place(payload), integer(payload.get(index)) or 0


def _delta(kind: TextKind, index: str, payload: JSON) -> Event:
    """The one reader that runs thousands of times a response: the usual kinds first."""
    get = payload.get
    delta, item_id, at, part = get("delta"), get("item_id"), get("output_index"), get(index, 0)
    if type(delta) is type(item_id) is str and type(at) is type(part) is int:
        return TextDelta(kind, delta, item_id, at, part)
    return TextDelta(kind, _string(payload, "delta"), *_part_place(payload, index))


def _done(kind: TextKind, index: str, key: str, payload: JSON) -> Event:
    given = payload.get(key)
    whole = (
        json_text(given)
        if key == "arguments" and isinstance(given, dict)
        else _string(payload, key)
    )
    return TextDone(kind, whole, *_part_place(payload, index))


# The text that a part of a content holds, by the part's type.
_PART_KINDS: Final[Mapping[str, TextKind]] = {
    "refusal": "refusal",
    "reasoning_text": "reasoning_text",
    "summary_text": "reasoning_summary_text",
}


def _part(phase: str, default: TextKind, index: str, payload: JSON) -> Event:
    part = _required(payload, "part")
    kind = _PART_KINDS.get(text(part.get("type")), default)
    place = _part_place(payload, index)
    if phase == "added":
        return PartAdded(kind, *place)
    return PartDone(kind, _string(part, "refusal" if kind == "refusal" else "text"), *place)


def _annotation(payload: JSON) -> Event:
    return AnnotationAdded(Annotation.from_json(_required(payload, "annotation")), *_place(payload))


def _progress(tool: str, phase: str, payload: JSON) -> Event:
    return ToolProgress(tool, phase, *_place(payload))


def _keep_alive(_payload: JSON) -> Event:
    return KeepAlive()


def read_whole(body: JSON) -> Event | None:
    """The event for a complete object (response or error); None for other objects."""
    if (
        body.get("object") == "response"
        or isinstance(body.get("output"), list)
        or (body.get("id") and body.get("status") in get_args(Status))
    ):
        payload = {"response": body}
        if body.get("status") in ("queued", "in_progress"):
            return _started("in_progress", payload)
        return _ended("failed" if body.get("error") else "completed", payload)
    if (
        any(body.get(key) for key in ("error", "detail", "error_msg", "errmsg"))
        or {"message", "code"} <= body.keys()
    ):
        return _error(body)
    return None


def _error(payload: JSON) -> ErrorEvent:
    """Flat and nested alike; `type` is the event's name."""
    said = {key: value for key, value in payload.items() if key != "type"}
    return ErrorEvent(response_error(said) or ResponseError())


# Name on the wire (after `response.`, before `.delta`) -> kind, index, key of the whole in `.done`.
# `reasoning_text` took the place of `reasoning_summary_text` on DashScope in August 2026;
# `reasoning` is the Open Responses specification's; dotted forms are OpenAI's of early 2025.
# The index of `reasoning_text` is not read: vLLM counts it up with every delta.
_TEXTS: Final[Mapping[str, tuple[TextKind, str, str]]] = {
    "output_text": ("output_text", "content_index", "text"),
    "refusal": ("refusal", "content_index", "refusal"),
    "reasoning_text": ("reasoning_text", "", "text"),
    "reasoning": ("reasoning_text", "", "text"),
    "reasoning_content": ("reasoning_text", "", "text"),
    "reasoning_summary_text": ("reasoning_summary_text", "summary_index", "text"),
    "reasoning_summary": ("reasoning_summary_text", "summary_index", "text"),
    "code_interpreter_call_code": ("code_interpreter_call_code", "", "code"),
    "code_interpreter_call.code": ("code_interpreter_call_code", "", "code"),
    "function_call_arguments": ("function_call_arguments", "", "arguments"),
    "mcp_call_arguments": ("mcp_call_arguments", "", "arguments"),
    "mcp_call.arguments": ("mcp_call_arguments", "", "arguments"),
    "custom_tool_call_input": ("custom_tool_call_input", "", "input"),
}
_PARTS: Final[Mapping[str, tuple[TextKind, str]]] = {
    "content_part": ("output_text", "content_index"),
    "reasoning_part": ("reasoning_text", "content_index"),
    "reasoning_summary_part": ("reasoning_summary_text", "summary_index"),
}
# Not every pair of these exists today; one that appears means what it says.
_TOOLS: Final = (*TOOL_TYPES, "image_generation_call")
_PHASES: Final = (
    "in_progress",
    "searching",
    "interpreting",
    "generating",
    "completed",
    "failed",
    "incomplete",
)
_RUNNING: Final[Mapping[str, Status]] = {
    "created": "in_progress",
    "queued": "queued",
    "in_progress": "in_progress",
}


def _readers() -> dict[str, _Reader]:
    table: dict[str, _Reader] = {
        "output_item.added": partial(_item, ItemAdded),
        "output_item.done": partial(_item, ItemDone),
        "output_text.annotation.added": _annotation,
        "output_text_annotation.added": _annotation,
    }
    for name, status in _RUNNING.items():
        table[name] = partial(_started, status)
    for end in get_args(EndStatus):
        table[end] = partial(_ended, end)
    table["done"] = partial(_ended, "completed")  # gateways, after OpenAI's Realtime API
    for name, (kind, index, key) in _TEXTS.items():
        table[f"{name}.delta"] = partial(_delta, kind, index)
        table[f"{name}.done"] = partial(_done, kind, index, key)
    for name, (kind, index) in _PARTS.items():
        for phase in ("added", "done"):
            table[f"{name}.{phase}"] = partial(_part, phase, kind, index)
    for tool in _TOOLS:
        for phase in _PHASES:
            table[f"{tool}.{phase}"] = partial(_progress, tool, phase)
    bare: dict[str, _Reader] = {"error": _error, "keepalive": _keep_alive, "ping": _keep_alive}
    return {f"response.{name}": read for name, read in table.items()} | bare


_READERS: Final[Mapping[str, _Reader]] = _readers()
