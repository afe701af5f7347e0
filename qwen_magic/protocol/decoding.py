"""JSON payloads -> events.

A malformed known event raises `ProtocolError`; an unknown one is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeAlias, get_args

from qwen_magic.errors import ProtocolError, redact
from qwen_magic.protocol.bodies import read_body, read_error, response_ended, response_started
from qwen_magic.protocol.events import (
    AnnotationAdded,
    EndStatus,
    Event,
    ItemAdded,
    ItemDone,
    KeepAlive,
    PartAdded,
    PartDone,
    Status,
    TextDelta,
    TextDone,
    TextKind,
    ToolProgress,
    UnknownEvent,
)
from qwen_magic.protocol.fields import JSON, integer, text
from qwen_magic.protocol.items import parse_item
from qwen_magic.protocol.items.read import parse_annotation
from qwen_magic.protocol.surrogates import join_surrogates

_Reader: TypeAlias = Callable[[JSON], Event]


def decode_event(payload: JSON, name: str = "") -> Event:
    """The event of one payload. `name`: the SSE event's name, for payloads without a `type`.

    A whole response, or an error body, in place of an event is read as what it is.
    """
    kind = payload.get("type") or name
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is not None:
        return read(payload)
    known = None if text(kind).startswith("response.") else read_body(payload)
    return known or _unknown(text(kind), payload)


def _unknown(kind: str, payload: JSON) -> UnknownEvent:
    delta = payload.get("delta")
    if isinstance(delta, str):  # whose missing half nobody waits for
        payload = payload | {"delta": join_surrogates(delta)}
    return UnknownEvent(kind, payload, integer(payload.get("sequence_number")))


def _required(payload: JSON, key: str) -> JSON:
    value = payload.get(key)
    if isinstance(value, dict):
        return value
    raise _malformed(payload, key, "an object")


def _string(payload: JSON, key: str) -> str:
    value = payload.get(key)
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise _malformed(payload, key, "a string")


def _malformed(payload: JSON, key: str, expected: str) -> ProtocolError:
    came = "nothing" if key not in payload else type(payload[key]).__name__
    kind = redact(text(payload.get("type")))[:80]
    return ProtocolError(
        f"The server sent a malformed event {kind}.",
        why=f"Expected {expected} as `{key}`, got {came}.",
    )


def _response(payload: JSON) -> JSON:
    return {} if payload.get("response") is None else _required(payload, "response")


def _started(status: Status, payload: JSON) -> Event:
    return response_started(_response(payload), status, integer(payload.get("sequence_number")))


def _ended(status: EndStatus, payload: JSON) -> Event:
    return response_ended(_response(payload), status, integer(payload.get("sequence_number")))


def _item_added(payload: JSON) -> Event:
    return ItemAdded(
        parse_item(_required(payload, "item")),
        integer(payload.get("output_index")),
        integer(payload.get("sequence_number")),
    )


def _item_done(payload: JSON) -> Event:
    return ItemDone(
        parse_item(_required(payload, "item")),
        integer(payload.get("output_index")),
        integer(payload.get("sequence_number")),
    )


def _delta(kind: TextKind, index: str, payload: JSON) -> Event:
    get = payload.get  # the one reader that runs thousands of times a response
    delta = get("delta")
    if type(delta) is not str:
        delta = _string(payload, "delta")
    return TextDelta(
        kind,
        delta,
        text(get("item_id")),
        integer(get("output_index")),
        integer(get(index)) or 0,
        integer(get("sequence_number")),
    )


def _done(kind: TextKind, index: str, key: str, payload: JSON) -> Event:
    return TextDone(
        kind,
        _string(payload, key),
        text(payload.get("item_id")),
        integer(payload.get("output_index")),
        integer(payload.get(index)) or 0,
        integer(payload.get("sequence_number")),
    )


# The text that a part of a content holds, by the part's type.
_PART_KINDS: Final[Mapping[str, TextKind]] = {
    "refusal": "refusal",
    "reasoning_text": "reasoning_text",
    "summary_text": "reasoning_summary_text",
}


def _part(phase: str, default: TextKind, index: str, payload: JSON) -> Event:
    part = _required(payload, "part")
    kind = _PART_KINDS.get(text(part.get("type")), default)
    place = (
        text(payload.get("item_id")),
        integer(payload.get("output_index")),
        integer(payload.get(index)) or 0,
        integer(payload.get("sequence_number")),
    )
    if phase == "added":
        return PartAdded(kind, *place)
    return PartDone(kind, _string(part, "refusal" if kind == "refusal" else "text"), *place)


def _annotation(payload: JSON) -> Event:
    return AnnotationAdded(
        parse_annotation(_required(payload, "annotation")),
        text(payload.get("item_id")),
        integer(payload.get("output_index")),
        integer(payload.get("sequence_number")),
    )


def _progress(tool: str, phase: str, payload: JSON) -> Event:
    return ToolProgress(
        tool,
        phase,
        text(payload.get("item_id")),
        integer(payload.get("output_index")),
        integer(payload.get("sequence_number")),
    )


def _keep_alive(payload: JSON) -> Event:
    return KeepAlive(integer(payload.get("sequence_number")))


# Name on the wire (after `response.`, before `.delta`) -> kind, index, key of the whole in `.done`.
# `reasoning_text` took the place of `reasoning_summary_text` on DashScope in August 2026;
# `reasoning` is the Open Responses specification's; dotted forms are OpenAI's of early 2025.
# The index of `reasoning_text` is not read: vLLM counts it up with every delta.
_TEXTS: Final[Mapping[str, tuple[TextKind, str, str]]] = {
    "output_text": ("output_text", "content_index", "text"),
    "refusal": ("refusal", "content_index", "refusal"),
    "reasoning_text": ("reasoning_text", "", "text"),
    "reasoning": ("reasoning_text", "", "text"),
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
_TOOLS: Final = (
    "web_search_call",
    "web_extractor_call",
    "code_interpreter_call",
    "file_search_call",
    "mcp_call",
    "mcp_list_tools",
    "web_search_image_call",
    "image_search_call",
    "image_generation_call",
)
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
        "output_item.added": _item_added,
        "output_item.done": _item_done,
        "output_text.annotation.added": _annotation,
        "output_text_annotation.added": _annotation,
    }
    for name, status in _RUNNING.items():
        table[name] = partial(_started, status)
    for end in get_args(EndStatus):
        table[end] = partial(_ended, end)
    for name, (kind, index, key) in _TEXTS.items():
        table[f"{name}.delta"] = partial(_delta, kind, index)
        table[f"{name}.done"] = partial(_done, kind, index, key)
    for name, (kind, index) in _PARTS.items():
        for phase in ("added", "done"):
            table[f"{name}.{phase}"] = partial(_part, phase, kind, index)
    for tool in _TOOLS:
        for phase in _PHASES:
            table[f"{tool}.{phase}"] = partial(_progress, tool, phase)
    bare: dict[str, _Reader] = {"error": read_error, "keepalive": _keep_alive, "ping": _keep_alive}
    return {f"response.{name}": read for name, read in table.items()} | bare


_READERS: Final[Mapping[str, _Reader]] = _readers()
