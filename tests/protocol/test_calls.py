"""One call is one entry, at the right `call_id`, however a server names it."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from qwen_magic.protocol.body import EventDecoder
from qwen_magic.protocol.items import FunctionCall, UnknownItem
from qwen_magic.protocol.state import ResponseState

Payload = dict[str, Any]

# What an item of the nth call says of its names, and what its deltas say.
ITEM_NAMES: dict[str, Any] = {
    "both": lambda n: {"id": f"fc_{n}", "call_id": f"call_{n}"},
    "call_id": lambda n: {"call_id": f"call_{n}"},
    "null id": lambda n: {"id": None, "call_id": f"call_{n}"},
    "other id": lambda n: {"id": f"msg_9{n}", "call_id": f"call_{n}"},
    "one id": lambda n: {"id": "msg_0", "call_id": f"call_{n}"},
}
DELTA_NAMES: dict[str, Any] = {
    "id": lambda n: {"item_id": f"fc_{n}"},
    "call_id": lambda n: {"item_id": f"call_{n}"},
    "null": lambda n: {"item_id": None},
    "nothing": lambda n: {},
}
INDICES: dict[str, Any] = {
    "right": lambda n: {"output_index": n},
    "none": lambda n: {},
    "null": lambda n: {"output_index": None},
    "always 0": lambda n: {"output_index": 0},
    "text": lambda n: {"output_index": "first"},
}
ORDERS = ("one after another", "interleaved", "added at once")


def item(n: int, names: str, arguments: object = "", **more: object) -> Payload:
    base = {"type": "function_call", "name": "price", "arguments": arguments}
    named: Payload = ITEM_NAMES[names](n)
    return base | named | more


def arguments(n: int) -> str:
    return f'{{"fruit":"f{n}"}}'


def stream(count: int, order: str, added: str, delta: str, index: str, done: str) -> list[Payload]:
    """The events of `count` calls, each as a list of pieces, put in order."""
    calls = []
    for n in range(count):
        place = INDICES[index](n)
        head = {"type": "response.output_item.added", "item": item(n, added)} | place
        piece = {"type": "response.function_call_arguments.delta"} | DELTA_NAMES[delta](n) | place
        whole = {"type": "response.function_call_arguments.done", "arguments": arguments(n)}
        end = {"type": "response.output_item.done", "item": item(n, done, arguments(n))} | place
        first, rest = arguments(n)[:5], arguments(n)[5:]
        calls.append([
            head, {**piece, "delta": first}, {**piece, "delta": rest},
            whole | DELTA_NAMES[delta](n) | place, end,
        ])  # fmt: skip
    if order == "one after another":
        return list(itertools.chain.from_iterable(calls))
    if order == "interleaved":
        return list(itertools.chain.from_iterable(zip(*calls, strict=True)))
    heads = [call[0] for call in calls]
    return heads + [event for call in calls for event in call[1:]]


def reduced(events: list[Payload]) -> ResponseState:
    decoder, state = EventDecoder(), ResponseState()
    for payload in events:
        for event in decoder.feed(f"data: {json.dumps(payload)}\n\n".encode()):
            state.apply(event)
    return state


def completed(*output: Payload) -> Payload:
    response = {"id": "resp_1", "status": "completed", "output": list(output)}
    return {"type": "response.completed", "response": response}


def called(state: ResponseState) -> list[tuple[str, str]]:
    return [
        (call.call_id, call.arguments)
        for call in (entry.finished() for entry in state.calls)
        if isinstance(call, FunctionCall)
    ]


def can_be_told(order: str, added: str, delta: str, index: str) -> bool:
    """Whether the deltas say at all which of several open calls they belong to."""
    named = delta == "call_id" or (delta == "id" and added == "both")
    return order == "one after another" or named or index == "right"


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("added", ITEM_NAMES)
@pytest.mark.parametrize("delta", DELTA_NAMES)
def test_one_call_however_it_is_named(count: int, order: str, added: str, delta: str) -> None:
    expected = [(f"call_{n}", arguments(n)) for n in range(count)]
    for index, done in itertools.product(INDICES, ITEM_NAMES):
        if count > 1 and not can_be_told(order, added, delta, index):
            continue
        events = stream(count, order, added, delta, index, done)
        listed = [item(n, "other id", arguments(n)) for n in range(count)]
        for output in (listed, []):
            state = reduced([*events, completed(*output)])
            assert sorted(called(state)) == expected, (index, done, output)
            assert len(state.entries) == count


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("names", ITEM_NAMES)
def test_events_that_come_twice_or_not_at_all(count: int, names: str) -> None:
    expected = [(f"call_{n}", arguments(n)) for n in range(count)]
    listed = [item(n, names, arguments(n)) for n in range(count)]
    added = [{"type": "response.output_item.added", "item": item(n, names)} for n in range(count)]
    done = [{"type": "response.output_item.done", "item": each} for each in listed]
    for events in (
        [completed(*listed)],
        [completed(*listed, *listed)],
        [*done, completed()],
        [*done, completed(*listed)],
        [*added, completed(*listed)],
        [*added, *done, *done, completed(*listed)],
        [*added, *added, *done, completed(*listed)],
        [*added, *done, *added, *done, completed(*listed)],
        [*done, *added, completed(*listed)],
    ):
        assert sorted(called(reduced(events))) == expected, events


@pytest.mark.parametrize("early", [{}, {"id": "fc_0"}, {"call_id": None}, {"call_id": ""}])
def test_a_call_id_that_comes_late_or_goes_again(early: Payload) -> None:
    bare = {"type": "function_call", "name": "price", "arguments": ""} | early
    added = {"type": "response.output_item.added", "item": bare, "output_index": 0}
    whole = item(0, "both", arguments(0))
    done = {"type": "response.output_item.done", "item": whole, "output_index": 0}
    last = bare | {"arguments": arguments(0)}
    for events in ([added, done, completed()], [added, done, completed(last)]):
        assert called(reduced(events)) == [("call_0", arguments(0))]


@pytest.mark.parametrize(
    ("names", "call_id"), [({"id": "fc_7"}, "fc_7"), ({}, "call_0_resp_1"), ({"id": 7}, "7")]
)
def test_a_call_without_a_call_id_is_named_by_its_id_or_here(names: Payload, call_id: str) -> None:
    bare = {"type": "function_call", "name": "price", "arguments": arguments(0)} | names
    added = {"type": "response.output_item.added", "item": bare | {"arguments": ""}}
    done = {"type": "response.output_item.done", "item": bare}
    for events in ([completed(bare)], [done, completed(bare)], [added, done, completed(bare)]):
        assert called(reduced(events)) == [(call_id, arguments(0))]


def test_deltas_before_their_item_under_the_call_id() -> None:
    delta = {
        "type": "response.function_call_arguments.delta",
        "item_id": "call_0",
        "delta": arguments(0),
    }
    done = {"type": "response.output_item.done", "item": item(0, "both", arguments(0))}
    assert called(reduced([delta, done, completed()])) == [("call_0", arguments(0))]


def test_arguments_of_no_call_are_none() -> None:
    delta = {"type": "response.function_call_arguments.delta", "item_id": "x", "delta": "{}"}
    assert called(reduced([delta, completed()])) == []


FULL = '{"town": "Ulm", "days": 3}'


@pytest.mark.parametrize(
    "deltas",
    [
        [],
        [""],
        ["{}"],
        ["{}", FULL],
        [FULL],
        [FULL, FULL],
        [FULL[:10], FULL],
        ['{"town": "Ulm", ', '"days": '],
        [FULL[:-1]],
        [FULL[1:]],
        ["null"],
        ["NaN"],
        ['{"town": NaN}'],
        ["not JSON at all"],
    ],
)
@pytest.mark.parametrize("source", ["done", "item", "terminal", "all"])
@pytest.mark.parametrize("placeholder", ["", "{}", FULL])
def test_of_the_sources_of_arguments_the_one_that_parses_wins(
    deltas: list[str], source: str, placeholder: str
) -> None:
    start = item(0, "both", placeholder)
    whole = item(0, "both", FULL)
    name = "response.function_call_arguments"
    events: list[Payload] = [{"type": "response.output_item.added", "item": start}]
    events += [{"type": f"{name}.delta", "item_id": "fc_0", "delta": each} for each in deltas]
    if source in ("done", "all"):
        events.append({"type": f"{name}.done", "item_id": "fc_0", "arguments": FULL})
    if source in ("item", "all"):
        events.append({"type": "response.output_item.done", "item": whole})
    events.append(completed(*([whole] if source in ("terminal", "all") else [])))
    state = reduced(events)
    assert called(state) == [("call_0", FULL)]
    assert "".join(state.entries[0].chunks) == FULL


@pytest.mark.parametrize("worse", ["", "{", "{}", "null", "3"])
def test_a_whole_that_is_worse_than_the_deltas_changes_nothing(worse: str) -> None:
    name = "response.function_call_arguments"
    events: list[Payload] = [
        {"type": "response.output_item.added", "item": item(0, "both")},
        {"type": f"{name}.delta", "item_id": "fc_0", "delta": FULL},
        {"type": f"{name}.done", "item_id": "fc_0", "arguments": worse},
        {"type": "response.output_item.done", "item": item(0, "both", worse)},
        completed(item(0, "both", worse)),
    ]
    assert called(reduced(events)) == [("call_0", FULL)]


@pytest.mark.parametrize("where", ["added", "done", "terminal", "before its call"])
@pytest.mark.parametrize(
    ("output", "text"), [("7 °C", "7 °C"), ([{"type": "output_text", "text": "7"}], "7"), ("", "")]
)
def test_a_call_that_the_server_ran_itself_is_not_answered(
    where: str, output: object, text: str
) -> None:
    call, other = item(0, "both", arguments(0)), item(1, "both", arguments(1))
    result = {"type": "function_call_output", "id": "o", "call_id": "call_0", "output": output}
    done = [{"type": "response.output_item.done", "item": each} for each in (call, other)]
    by = "added" if where == "added" else "done"
    event = {"type": f"response.output_item.{by}", "item": result}
    listed = [call, result, other] if where == "terminal" else []
    streamed = {"terminal": done, "before its call": [event, *done]}.get(where, [*done, event])
    state = reduced([*streamed, completed(*listed)])
    assert called(state) == [("call_1", arguments(1))]
    calls = [each for each in state.items if isinstance(each, FunctionCall)]
    assert [each.output for each in calls] == [text, None]


def test_an_output_of_an_unknown_call_is_kept() -> None:
    result = {"type": "function_call_output", "call_id": "call_9", "output": "7"}
    kept = UnknownItem("", "function_call_output", result)
    assert reduced([completed(result)]).items == (kept,)


def test_without_a_terminal_event_a_call_is_there_to_be_answered() -> None:
    done = {"type": "response.output_item.done", "item": item(0, "both", arguments(0))}
    state = reduced([{"type": "response.created", "response": {"id": "resp_1"}}, done])
    assert not state.terminal
    state.conclude(1.0)
    assert (state.status, called(state)) == ("completed", [("call_0", arguments(0))])
