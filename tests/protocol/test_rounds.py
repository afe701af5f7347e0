"""A turn of several responses: function calls, what is sent back, the next response."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_magic.protocol.call_outputs import CallResult, items_json, output_json, parse_items
from qwen_magic.protocol.decode import decode_event
from qwen_magic.protocol.items import FunctionCall, Message
from qwen_magic.protocol.response import Usage
from qwen_magic.protocol.state import ResponseState


def call(number: int, **fields: Any) -> dict[str, Any]:
    head = {"type": "function_call", "id": f"f{number}", "call_id": f"c{number}", "name": "rows"}
    return {**head, "arguments": "{}", "status": "completed", **fields}


def completed(
    state: ResponseState, *output: dict[str, Any], at: float = 1.0, **fields: Any
) -> None:
    response = {"status": "completed", "output": list(output), **fields}
    state.apply(decode_event({"type": "response.completed", "response": response}), at)


def usage(tokens: int) -> dict[str, Any]:
    return {"input_tokens": tokens, "output_tokens": 1, "x_tools": {"web_search": {"count": 1}}}


def message(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}]
    return {"type": "message", "id": "m", "role": "assistant", "content": content}


def test_calls_are_taken_up_and_answered_in_their_own_time() -> None:
    state = ResponseState()
    completed(state, call(1), call(2), id="r1", at=3.0)
    first, second = state.calls
    state.take_call(first, "asking", 5.0)
    assert (first.phase, first.done, first.started_at, first.ended_at) == (
        "asking",
        False,
        5.0,
        None,
    )
    state.take_call(first, "running", 6.0)
    version = state.version
    state.answer_call(first, CallResult("7"), 8.5)
    assert (first.phase, first.done, first.started_at, first.ended_at) == (
        "completed",
        True,
        6.0,
        8.5,
    )
    assert state.version > version
    assert state.calls == [second]
    state.answer_call(second, CallResult.failure("KeyError: 'x'"), 9.0)
    assert (second.phase, state.calls) == ("failed", [])


def test_the_next_response_stands_behind_the_first() -> None:
    state = ResponseState()
    completed(state, message("Let me look."), call(1), id="r1", usage=usage(10))
    state.answer_call(state.calls[0], CallResult("7"), 2.0)
    state.next_response()
    assert (state.status, state.terminal, state.newest, state.calls) == ("queued", False, [], [])
    completed(state, message("It is 7."), id="r2", usage=usage(30))
    assert [entry.key for entry in state.entries] == ["0", "1", "2"]
    assert state.text == "Let me look.\n\nIt is 7."
    assert state.id == "r2"
    assert state.usage == Usage(40, 2, 42, tools={"web_search": 2})
    assert state.response_usage == Usage(30, 1, 31, tools={"web_search": 1})


def test_a_response_that_is_asked_for_again_leaves_the_earlier_ones() -> None:
    state = ResponseState()
    completed(state, call(1), usage=usage(10))
    state.answer_call(state.calls[0], CallResult("7"), 2.0)
    state.next_response()
    completed(state, message("What?"), usage=usage(99))
    state.again()
    assert [type(item) for item in state.items] == [FunctionCall]
    assert state.usage == Usage(10, 1, 11, tools={"web_search": 1})
    completed(state, message("7."))
    assert [entry.key for entry in state.entries] == ["0", "1"]
    assert state.text == "7."


def test_outputs_stand_directly_behind_their_calls_on_the_wire() -> None:
    raws = (call(1), call(2), {"type": "function_call_output", "call_id": "c2", "output": "b"},
            {"type": "function_call_output", "call_id": "c1", "output": "a"})  # fmt: skip
    items = parse_items(raws)
    assert [item.output for item in items if isinstance(item, FunctionCall)] == ["a", "b"]
    assert [raw.get("output", raw["type"]) for raw in items_json(items)] == [
        "function_call", "a", "function_call", "b",
    ]  # fmt: skip


def read(*, status: str | None, output: str) -> FunctionCall:
    """A call as it is read from a record."""
    kept = {"type": "function_call_output", "call_id": "c1", "output": output}
    [item] = parse_items([call(1), kept | ({} if status is None else {"status": status})])
    assert isinstance(item, FunctionCall)
    return item


@pytest.mark.parametrize("status", ["completed", "failed", "refused"])
def test_how_a_call_ended_stands_beside_its_output(status: str) -> None:
    told = read(status=status, output="Error: as a log file has it")
    assert (told.failed, told.refused) == (status != "completed", status == "refused")
    assert parse_items(items_json([told])) == (told,)
    assert "status" not in output_json(told), "the service is told in words"


@pytest.mark.parametrize(
    ("output", "failed", "refused"),
    [("", False, False), ("7", False, False),
     ("Error: KeyError: 'x'", True, False), ("Error: not allowed: …", True, True)],
)  # fmt: skip
def test_outputs_in_records_of_earlier_versions(output: str, failed: bool, refused: bool) -> None:
    told = read(status=None, output=output)
    assert (told.failed, told.refused) == (failed, refused)


def test_an_output_without_a_call_is_kept_whole() -> None:
    lost = {"type": "function_call_output", "call_id": "c9", "output": "?"}
    assert items_json(parse_items([lost])) == (lost,)
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    [answered] = parse_items([call(1), {**lost, "call_id": "c1", "output": parts}])
    assert answered == FunctionCall("f1", "rows", "{}", "c1", "completed", "ab")


@given(st.lists(st.none() | st.text(), max_size=6))
def test_items_go_to_json_and_back(outputs: list[str | None]) -> None:
    items = tuple(
        FunctionCall(f"f{n}", "rows", "{}", f"c{n}", "completed", output)
        for n, output in enumerate(outputs)
    )
    assert parse_items(items_json((Message("m", "hi"), *items)))[1:] == items
