"""Items go out in one form, whatever they came as."""

from __future__ import annotations

from typing import Any

import pytest

from qwen_magic.protocol.request import input_items


def test_messages_of_every_role() -> None:
    for role in ("user", "system", "developer"):
        for given in (
            "Hi",
            [{"type": "text", "text": "Hi"}],
            [{"type": "output_text", "text": "Hi"}],
        ):
            [item] = input_items([{"role": role, "content": given}])
            content = [{"type": "input_text", "text": "Hi"}]
            assert item == {"type": "message", "role": role, "content": content}


@pytest.mark.parametrize(
    "given",
    [
        {"role": "assistant", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "input_text", "text": "Hi"}], "id": "x"},
        {"type": "message", "role": "assistant", "status": "incomplete", "id": "rs_7",
         "content": [{"type": "output_text", "text": "Hi", "annotations": None, "logprobs": None}]},
    ],
)  # fmt: skip
def test_items_of_the_assistant(given: dict[str, Any]) -> None:
    [item] = input_items([given])
    assert item.pop("id").startswith("msg_")
    assert item == {
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
    }


def test_the_ids_that_are_made_tell_places_apart_and_stay() -> None:
    talk = [{"role": "assistant", "content": "Hi"}] * 3
    ids = [item["id"] for item in input_items(talk)]
    assert len(set(ids)) == 3
    assert ids == [item["id"] for item in input_items(talk)]


@pytest.mark.parametrize("names", [{"call_id": "c"}, {"call_id": "c", "id": "fc_1"}, {"id": "c"}])
@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": 1}', '{"a": 1}'), ({"a": 1}, '{"a": 1}'), ("{", "{}"), ("", "{}"), (None, "{}"),
        ("null", "{}"), ("[1]", "{}"), ('{"a": NaN}', "{}"), (7, "{}"),
    ],
)  # fmt: skip
def test_calls_go_by_call_id_with_arguments_that_are_json(
    names: dict[str, str], arguments: object, sent: str
) -> None:
    call = {"type": "function_call", "name": "f", "arguments": arguments, "status": "completed"}
    [item] = input_items([call | names])
    assert item == {"type": "function_call", "call_id": "c", "name": "f", "arguments": sent}


@pytest.mark.parametrize("kind", ["function_call_output", "custom_tool_call_output"])
@pytest.mark.parametrize(
    ("output", "sent"), [("7", "7"), (7, "7"), (None, ""), ({"a": 1}, '{"a": 1}'), ([], [])]
)
def test_outputs(kind: str, output: object, sent: object) -> None:
    given = {"type": kind, "call_id": "c", "output": output, "status": "failed", "id": "fo_1"}
    assert input_items([given]) == [{"type": kind, "call_id": "c", "output": sent}]


def test_images_say_their_detail() -> None:
    parts = [
        {"type": "input_image", "image_url": "u"},
        {"type": "input_image", "image_url": "u", "detail": None},
        {"type": "input_image", "image_url": "u", "detail": "high"},
        {"type": "input_file", "file_url": "u"},
    ]
    [item] = input_items([{"role": "user", "content": parts}])
    assert [part.get("detail") for part in item["content"]] == ["auto", "auto", "high", None]


def test_searches_get_an_id_of_their_own() -> None:
    action = {"type": "search", "query": "q"}
    [item] = input_items([{"type": "web_search_call", "id": "msg_1", "action": action}])
    assert item["id"].startswith("ws_")
    assert (item["status"], item["action"]) == ("completed", action)


def test_other_items_stay() -> None:
    item = {"type": "item_reference", "id": "x"}
    assert input_items([item]) == [item]
