"""The reducer, event by event: what is there while the stream still runs."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from qwen_magic.protocol.decode import decode_event
from qwen_magic.protocol.events import Event
from qwen_magic.protocol.items import (
    CodeInterpreterCall,
    FunctionCall,
    Message,
    Reasoning,
    Source,
    WebSearchCall,
)
from qwen_magic.protocol.state import ResponseState

MESSAGE = {"type": "message", "id": "m", "status": "in_progress", "content": []}


def event(kind: str, **fields: Any) -> Event:
    return decode_event({"type": f"response.{kind}", **fields})


def added(item: dict[str, Any], index: int | None = 0) -> Event:
    return event("output_item.added", item=item, output_index=index)


def done(item: dict[str, Any], index: int | None = 0) -> Event:
    return event("output_item.done", item=item, output_index=index)


def delta(text: str, item_id: str = "m", index: int | None = 0, kind: str = "output_text") -> Event:
    return event(f"{kind}.delta", delta=text, item_id=item_id, output_index=index)


def completed(*output: dict[str, Any], **fields: Any) -> Event:
    return event("completed", response={"status": "completed", "output": list(output), **fields})


def reduced(*events: Event) -> ResponseState:
    state = ResponseState()
    for at, each in enumerate(events):
        state.apply(each, float(at))
    return state


def test_an_entry_from_added_to_done() -> None:
    state = reduced(event("created", response={"id": "r", "status": "queued"}))
    assert (state.status, state.entries) == ("queued", [])
    state.apply(added(MESSAGE), 5.0)
    (entry,) = state.entries
    assert (state.status, entry.phase, entry.done) == ("in_progress", "in_progress", False)
    assert (entry.started_at, entry.ended_at) == (5.0, None)
    state.apply(delta("Hel"), 6.0)
    state.apply(delta("lo"), 7.0)
    assert entry.chunks == ["Hel", "lo"]
    assert state.text == entry.text == "Hello"
    state.apply(done({**MESSAGE, "status": "completed"}), 8.0)
    assert (entry.phase, entry.done, entry.ended_at) == ("completed", True, 8.0)
    state.apply(completed(), 9.0)
    assert (state.entries, entry.ended_at) == ([entry], 8.0)
    assert state.items == (Message("m", "Hello", status="completed"),)


def test_versions_grow_with_changes_and_only_with_them() -> None:
    state = reduced(added(MESSAGE), delta("a"))
    (entry,) = state.entries
    before = (state.version, entry.version)
    state.apply(delta("b"))
    assert (state.version, entry.version) == (before[0] + 1, before[1] + 1)
    state.apply(event("output_text.done", text="ab", item_id="m", output_index=0))
    state.apply(delta(""))
    assert entry.version == before[1] + 1
    state.apply(done({**MESSAGE, "status": "completed"}))
    settled = entry.version
    assert settled > before[1] + 1
    state.apply(completed({**MESSAGE, "status": "completed"}))
    assert entry.version == settled


def test_a_better_source_replaces_the_text_and_says_so() -> None:
    preview = {**MESSAGE, "content": [{"type": "output_text", "text": "A preview."}]}
    state = reduced(added(preview))
    (entry,) = state.entries
    assert (state.text, entry.revision) == ("A preview.", 0)
    old = entry.chunks
    state.apply(delta("Better."))
    assert (state.text, entry.revision) == ("Better.", 1)
    assert old == ["A preview."]


def test_phases_of_a_search_and_its_placeholder() -> None:
    search = {"type": "web_search_call", "id": "s", "status": "in_progress"}
    state = reduced(added({**search, "action": {"type": "search", "query": "Web search"}}))
    (entry,) = state.entries
    assert entry.item == WebSearchCall("s", status="in_progress")
    for phase in ("in_progress", "searching", "completed"):
        state.apply(event(f"web_search_call.{phase}", item_id="s", output_index=0))
        assert (entry.phase, entry.done) == (phase, False)
    action = {"query": "q", "sources": [{"type": "url", "url": "https://a.example/"}]}
    state.apply(done({**search, "status": "completed", "action": action}))
    expected = WebSearchCall("s", ("q",), (Source("https://a.example/"),), status="completed")
    assert (entry.item, entry.done) == (expected, True)
    state.apply(event("web_search_call.searching", item_id="s", output_index=0))
    assert entry.phase == "completed"


def test_code_streams_and_is_the_items_code() -> None:
    call = {"type": "code_interpreter_call", "id": "c", "code": "", "outputs": None}
    state = reduced(
        added(call),
        delta("print(", "c", kind="code_interpreter_call_code"),
        delta("4)", "c", kind="code_interpreter_call_code"),
        event("code_interpreter_call.interpreting", item_id="c", output_index=0),
    )
    assert state.entries[0].chunks == ["print(", "4)"]
    assert state.entries[0].phase == "interpreting"
    assert state.items == (CodeInterpreterCall("c", "print(4)"),)
    assert state.text == ""


def test_progress_of_a_tool_that_was_never_added() -> None:
    state = reduced(event("web_search_call.searching", item_id="s", output_index=0))
    assert state.entries[0].phase == "searching"
    assert state.items == (WebSearchCall("s", status="in_progress"),)
    state.apply(added({"type": "web_search_call", "id": "s"}))
    assert len(state.entries) == 1


def test_a_delta_of_a_done_item_at_its_index_opens_another() -> None:
    """The index of a finished item may be used again by one that is never added."""
    state = reduced(
        added(MESSAGE), delta("One."), done(MESSAGE), delta("Two.", "other"), completed()
    )
    assert [entry.text for entry in state.entries] == ["One.", "Two."]
    assert state.text == "One.\n\nTwo."


def test_an_id_that_is_used_again_is_another_item() -> None:
    call = {"type": "function_call", "id": "same", "name": "f"}
    first, second = {**call, "call_id": "1"}, {**call, "call_id": "2"}
    state = reduced(added(first, 0), done(first, 0), added(second, 1), done(second, 1))
    assert [entry.done for entry in state.entries] == [True, True]
    state.apply(completed(first, second))
    assert state.items == (
        FunctionCall("same", "f", call_id="1"),
        FunctionCall("same", "f", call_id="2"),
    )


def test_unknown_ids_without_an_index_are_items_of_their_own() -> None:
    state = reduced(delta("One.", "a", None), delta("Two.", "b", None), delta("!", "a", None))
    assert [entry.text for entry in state.entries] == ["One.!", "Two."]


def test_deltas_that_name_nothing_belong_to_the_message_added_after_them() -> None:
    state = reduced(delta("Hel", "", None), added(MESSAGE), delta("lo"))
    assert [(entry.text, entry.item.id) for entry in state.entries] == [("Hello", "m")]


def test_the_index_of_a_done_event_is_not_the_items() -> None:
    """On DashScope it can be that of the item which streams next to it."""
    thought = {"type": "reasoning", "id": "r", "summary": [{"text": "Thought."}]}
    state = reduced(added(MESSAGE, 1), done(thought, 1), delta("Answer.", "rotated", 1))
    assert [entry.text for entry in state.entries] == ["Answer.", "Thought."]


def test_the_terminal_response_may_use_an_earlier_id() -> None:
    call = {"type": "function_call", "name": "f"}
    state = reduced(
        done({**call, "id": "a"}, 0),
        added({**call, "id": "b"}, 1),
        done({**call, "id": "rotated"}, 1),
        completed({**call, "id": "b", "call_id": "2"}, {**call, "id": "new", "call_id": "1"}),
    )
    calls = [item for item in state.items if isinstance(item, FunctionCall)]
    assert [(each.id, each.call_id) for each in calls] == [("new", "1"), ("b", "2")]


def test_an_error_in_an_mcp_item_is_a_failure() -> None:
    state = reduced(done({"type": "mcp_call", "id": "t", "error": "no route"}))
    assert state.entries[0].phase == "failed"


def test_one_id_for_items_of_two_types() -> None:
    thought = {"type": "reasoning", "id": "m"}
    state = reduced(
        added(thought, 0),
        delta("Thou", "m", 0, "reasoning_text"),
        added(MESSAGE, 1),
        delta("Ans", "m", 1),
        delta("ght.", "m", 0, "reasoning_text"),
        delta("wer.", "m", 1),
        completed(thought, MESSAGE),
    )
    assert (state.text, state.reasoning) == ("Answer.", "Thought.")
    assert len(state.entries) == 2


def test_arguments_under_another_calls_name_stay_with_their_item() -> None:
    call = {"type": "mcp_call", "id": "t", "name": "route"}
    state = reduced(added(call), delta("{}", "t", 0, "function_call_arguments"))
    (entry,) = state.entries
    assert entry.text == "{}"


def test_output_of_the_terminal_response_by_id_by_order_and_new() -> None:
    call = {"type": "function_call", "name": "f"}
    state = reduced(
        done({**call, "id": "a"}, 0),
        done({**call, "id": "b"}, 1),
        completed(
            {**call, "id": "b", "call_id": "of b"},
            {**call, "id": "c", "call_id": "of a"},
            {**call, "id": "d", "call_id": "new"},
        ),
    )
    assert [entry.key for entry in state.entries] == ["0", "1", "2"]
    calls = [item for item in state.items if isinstance(item, FunctionCall)]
    assert [each.call_id for each in calls] == ["of a", "of b", "new"]
    assert all(entry.done for entry in state.entries)


def test_what_a_later_value_leaves_empty_is_kept() -> None:
    call = {"type": "web_extractor_call", "id": "e"}
    state = reduced(added({**call, "goal": "g", "urls": ["u"]}), done({**call, "output": "o"}))
    item = state.entries[0].item
    assert (item.goal, item.urls, item.output) == ("g", ("u",), "o")  # type: ignore[union-attr]


def test_what_a_snapshot_leaves_empty_is_kept() -> None:
    full = {"id": "r", "model": "qwen3-max", "previous_response_id": "p", "created_at": 7}
    usage = {"input_tokens": 1, "output_tokens": 2}
    state = reduced(
        event("created", response={**full, "usage": usage}),
        event("in_progress", response={"model": "", "usage": None, "previous_response_id": None}),
    )
    assert (state.id, state.model, state.previous_response_id) == ("r", "qwen3-max", "p")
    assert (state.created_at, state.usage and state.usage.total_tokens) == (7.0, 3)


def test_the_raw_response_is_the_terminal_one() -> None:
    response = {"status": "completed", "id": "r", "x_extra": [1]}
    state = reduced(event("created", response={"id": "r"}))
    assert (state.raw, state.terminal) == ({}, False)
    state.apply(event("completed", response=response))
    assert (state.raw, state.terminal) == (response, True)


@pytest.mark.parametrize(
    "late",
    [
        delta("more"),
        added(MESSAGE, 1),
        done(MESSAGE, 1),
        event("created", response={"id": "other", "status": "queued"}),
        event("failed", response={"id": "other", "error": {"code": "late"}}),
        decode_event({"type": "error", "message": "late"}),
        event("web_search_call.searching", item_id="s"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_nothing_changes_the_answer_after_the_terminal_event(late: Event) -> None:
    state = reduced(added(MESSAGE), delta("Answer."), completed(id="r"))
    before = (state.id, state.status, state.error, state.text, state.items, len(state.entries))
    state.apply(late)
    after = (state.id, state.status, state.error, state.text, state.items, len(state.entries))
    assert after == before


def test_a_bare_error_ends_and_the_response_that_follows_fills_in() -> None:
    state = reduced(added(MESSAGE), delta("Half"))
    state.apply(decode_event({"type": "error", "code": "c", "message": "m", "request_id": "q"}))
    assert (state.terminal, state.status, state.entries[0].phase) == (True, "failed", "failed")
    state.apply(delta(" more"))
    response = {"id": "r", "model": "x", "error": {"code": "c2", "message": "m2"}}
    state.apply(event("failed", response=response))
    assert (state.id, state.model, state.text) == ("r", "x", "Half")
    assert state.error is not None
    assert (state.error.code, state.error.request_id) == ("c2", "q")


def test_the_first_end_counts_even_when_it_says_nothing() -> None:
    state = reduced(event("completed", response=None), event("failed", response={"id": "r"}))
    assert (state.status, state.id, state.terminal) == ("completed", "", True)


def test_completed_after_a_bare_error_does_not_mend_it() -> None:
    state = reduced(decode_event({"type": "error", "message": "m"}), completed(id="r"))
    assert (state.status, state.id) == ("failed", "r")


def test_annotations_are_added_to_their_message() -> None:
    citation = {"type": "url_citation", "url": "u", "start_index": 0, "end_index": 1}
    state = reduced(
        added(MESSAGE),
        delta("x"),
        event("output_text.annotation.added", annotation=citation, item_id="m", output_index=0),
    )
    (message,) = state.items
    assert isinstance(message, Message)
    assert [each.url for each in message.annotations] == ["u"]
    assert message.text == "x"


def test_reasoning_and_answer_of_several_items() -> None:
    state = reduced(
        done({"type": "reasoning", "id": "1", "summary": [{"text": "One."}]}, 0),
        done({"type": "reasoning", "id": "2", "summary": []}, 1),
        done({"type": "reasoning", "id": "3", "summary": [{"text": "Two."}]}, 2),
    )
    assert state.reasoning == "One.\n\nTwo."
    assert state.items == (Reasoning("1", "One."), Reasoning("2"), Reasoning("3", "Two."))


def test_a_state_can_be_pickled(state_of: Callable[[str], ResponseState]) -> None:
    state = state_of("streams/web_search.sse")
    again = pickle.loads(pickle.dumps(state))
    assert (again.items, again.text, again.raw) == (state.items, state.text, state.raw)


def test_a_delta_costs_the_same_however_long_the_text() -> None:
    """Not one list or string of the growing text is copied by a delta."""
    state = reduced(added(MESSAGE))
    (entry,) = state.entries
    chunks = entry.chunks
    for _ in range(2000):
        state.apply(delta("x"))
    assert entry.chunks is chunks
    assert len(chunks) == 2000
