"""Payloads to events: every name has its type, every field may be missing, none may be wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_magic.protocol.decode import decode_event
from qwen_magic.protocol.events import (
    AnnotationAdded,
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
from qwen_magic.protocol.items import Annotation, Message
from qwen_magic.protocol.state import ResponseState

PLACE = {"item_id": "msg_1", "output_index": 2, "sequence_number": 5}
TEXTS = {
    "output_text": ("output_text", "text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("reasoning_text", "text"),
    "reasoning": ("reasoning_text", "text"),
    "reasoning_content": ("reasoning_text", "text"),
    "reasoning_summary_text": ("reasoning_summary_text", "text"),
    "reasoning_summary": ("reasoning_summary_text", "text"),
    "code_interpreter_call_code": ("code_interpreter_call_code", "code"),
    "function_call_arguments": ("function_call_arguments", "arguments"),
    "mcp_call_arguments": ("mcp_call_arguments", "arguments"),
    "custom_tool_call_input": ("custom_tool_call_input", "input"),
}
DOCUMENTED_PROGRESS = [
    ("web_search_call", "in_progress searching completed"),
    ("code_interpreter_call", "in_progress interpreting completed"),
    ("file_search_call", "in_progress searching completed"),
    ("mcp_call", "in_progress completed failed"),
    ("mcp_list_tools", "in_progress completed failed"),
    ("image_generation_call", "in_progress generating completed"),
]


def event(kind: str, **fields: Any) -> Any:
    return decode_event({"type": kind, **fields})


@pytest.mark.parametrize("name", TEXTS)
def test_texts_by_every_name(name: str) -> None:
    kind, key = TEXTS[name]
    delta = event(f"response.{name}.delta", delta="x", **PLACE)
    done = event(f"response.{name}.done", **{key: "xy"}, **PLACE)
    assert delta == TextDelta(kind, "x", "msg_1", 2, 0)  # type: ignore[arg-type]
    assert done == TextDone(kind, "xy", "msg_1", 2, 0)  # type: ignore[arg-type]


def test_the_index_of_a_part() -> None:
    assert event("response.output_text.delta", delta="x", content_index=3).part_index == 3
    summary = event("response.reasoning_summary_text.delta", delta="x", summary_index=4)
    assert summary.part_index == 4
    # vLLM counts it up with every delta.
    assert event("response.reasoning_text.delta", delta="x", content_index=9).part_index == 0


@pytest.mark.parametrize(("tool", "phases"), DOCUMENTED_PROGRESS)
def test_progress_of_tools(tool: str, phases: str) -> None:
    for phase in phases.split():
        got = event(f"response.{tool}.{phase}", **PLACE)
        assert got == ToolProgress(tool, phase, "msg_1", 2)


@pytest.mark.parametrize(
    ("name", "part", "kind", "key"),
    [
        ("content_part", "output_text", "output_text", "text"),
        ("content_part", "refusal", "refusal", "refusal"),
        ("content_part", "reasoning_text", "reasoning_text", "text"),
        ("reasoning_part", "reasoning_text", "reasoning_text", "text"),
        ("reasoning_summary_part", "summary_text", "reasoning_summary_text", "text"),
    ],
)
def test_parts(name: str, part: str, kind: str, key: str) -> None:
    whole = {"type": part, key: "xy"}
    added = event(f"response.{name}.added", part=whole, **PLACE)
    done = event(f"response.{name}.done", part=whole, **PLACE)
    assert added == PartAdded(kind, "msg_1", 2, 0)  # type: ignore[arg-type]
    assert done == PartDone(kind, "xy", "msg_1", 2, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "said", "status"),
    [
        ("created", "queued", "queued"),
        ("created", None, "in_progress"),
        ("queued", None, "queued"),
        ("in_progress", "in_progress", "in_progress"),
        ("completed", "completed", "completed"),
        ("completed", None, "completed"),
        ("completed", "incomplete", "incomplete"),
        ("completed", "failed", "failed"),
        ("completed", "in_progress", "completed"),
        ("incomplete", None, "incomplete"),
        ("failed", None, "failed"),
        ("cancelled", "cancelled", "cancelled"),
    ],
)
def test_the_response_says_its_status_better_than_the_name(
    kind: str, said: str | None, status: str
) -> None:
    got = event(f"response.{kind}", response={"status": said})
    assert isinstance(got, ResponseStarted | ResponseEnded)
    assert got.status == status


def test_items() -> None:
    raw = {"type": "message", "id": "msg_1"}
    assert event("response.output_item.added", item=raw) == ItemAdded(Message("msg_1"))
    done = event("response.output_item.done", item=raw, output_index=1.0)
    assert done == ItemDone(Message("msg_1"), 1)


def test_annotations() -> None:
    raw = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2}
    got = event("response.output_text.annotation.added", annotation=raw, **PLACE)
    assert got == AnnotationAdded(Annotation("url_citation", "u", "t", 1, 2), "msg_1", 2)


@pytest.mark.parametrize("name", ["keepalive", "ping"])
def test_signs_of_life(name: str) -> None:
    assert event(name) == KeepAlive()


@pytest.mark.parametrize(
    "fields",
    [{}, {"item_id": None, "output_index": None, "sequence_number": None, "content_index": None}],
)
def test_missing_and_null_fields_are_empty(fields: dict[str, Any]) -> None:
    delta = event("response.output_text.delta", delta="x", **fields)
    assert delta == TextDelta("output_text", "x")
    assert event("response.output_text.delta", **fields).delta == ""
    assert event("response.web_search_call.searching", **fields).item_id == ""
    assert event("response.completed", response=None, **fields) == ResponseEnded("completed", {})


def test_unknown_events_are_kept() -> None:
    raw = {"type": "response.brand.new", "code": 1, "message": "not an error", "error": {"a": 1}}
    assert decode_event(raw) == UnknownEvent("response.brand.new", raw)
    assert decode_event({}) == UnknownEvent("", {})
    assert decode_event({"type": 7}) == UnknownEvent("7", {"type": 7})


@pytest.mark.parametrize("value", [None, "x", 3, [], True])
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("response.output_item.added", "item"),
        ("response.output_item.done", "item"),
        ("response.content_part.added", "part"),
        ("response.content_part.done", "part"),
        ("response.output_text.annotation.added", "annotation"),
    ],
)
def test_an_event_without_what_it_is_about_is_kept_as_unknown(
    kind: str, key: str, value: object
) -> None:
    assert event(kind, **{key: value}) == UnknownEvent(kind, {"type": kind, key: value})
    assert event(kind) == UnknownEvent(kind, {"type": kind})


@pytest.mark.parametrize("value", [{"text": "x"}, ["x"], 3, True])
@pytest.mark.parametrize(
    ("kind", "key"), [("output_text.delta", "delta"), ("reasoning_text.done", "text")]
)
def test_a_text_that_is_none_is_kept_as_unknown(kind: str, key: str, value: object) -> None:
    raw = {"type": f"response.{kind}", key: value}
    assert decode_event(raw) == UnknownEvent(f"response.{kind}", raw)


@pytest.mark.parametrize("response", [None, "x", 3, []])
def test_an_end_counts_whatever_it_carries(response: object) -> None:
    assert event("response.completed", response=response) == ResponseEnded("completed", {})
    assert event("response.done", response=response) == ResponseEnded("completed", {})


def test_arguments_given_as_an_object() -> None:
    done = event("response.function_call_arguments.done", arguments={"a": 1})
    assert done.text == '{"a": 1}'


NAMES = [
    "error",
    "response.created",
    "response.completed",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.output_text.annotation.added",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.function_call_arguments.delta",
    "response.web_search_call.searching",
]
SCALARS = st.none() | st.integers(-1, 2) | st.floats() | st.sampled_from(["", "a", "\ud83d", "é"])
ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "web_search_call"])},
    optional={"id": SCALARS, "status": SCALARS, "arguments": SCALARS, "content": SCALARS},
)
PAYLOADS = st.fixed_dictionaries(
    {"type": st.sampled_from(NAMES)},
    optional={
        "item": ITEM,
        "item_id": SCALARS,
        "output_index": SCALARS,
        "delta": st.sampled_from(["", "x", "\ud83d", "\ude00"]) | SCALARS,
        "text": SCALARS,
        "content_index": SCALARS,
        "part": st.fixed_dictionaries({"text": SCALARS}),
        "annotation": ITEM,
        "response": st.fixed_dictionaries({}, optional={"output": st.lists(ITEM, max_size=3)}),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PAYLOADS, max_size=25))
def test_any_order_of_any_events_is_reduced(payloads: list[dict[str, Any]]) -> None:
    state = ResponseState()
    for payload in payloads:
        before = [(entry, entry.revision, len(entry.chunks)) for entry in state.entries]
        state.apply(decode_event(payload))
        for entry, revision, length in before:
            assert entry.revision > revision or len(entry.chunks) >= length
        assert [entry for entry, _, _ in before] == state.entries[: len(before)]
    assert len({entry.key for entry in state.entries}) == len(state.entries)
    assert all("".join(entry.chunks) == entry.text for entry in state.entries)
    state.text.encode()
    assert len(state.items) == len(state.entries)
