"""Message arrays: told from data, checked, given the names of the Responses API."""

from __future__ import annotations

import pytest

from qwen_magic.context.interpolation import single_reference
from qwen_magic.context.request_input import check_messages
from qwen_magic.context.request_input import message_list as messages_of
from qwen_magic.errors import UsageError


def message_list(text: str, namespace: dict[str, object]) -> object:
    """What a prompt that is one reference stands for, if it is messages."""
    value = single_reference(text, namespace)
    return messages_of(value) if isinstance(value, list) else None


TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "developer", "content": "x"},
]


@pytest.mark.parametrize("text", ["{talk}", "  {talk}\n", '{kept["talk"]}', "{own.talk}"])
def test_a_body_that_is_one_reference(text: str) -> None:
    class Own:
        talk = TALK

    namespace: dict[str, object] = {"talk": TALK, "kept": {"talk": TALK}, "own": Own()}
    assert message_list(text, namespace) == tuple(TALK)


@pytest.mark.parametrize(
    "text",
    ["{talk} please", "{{talk}}", "{nope}", "{text}", "{empty}", "{people}", "{staff}", "talk", ""],
)
def test_everything_else_is_a_prompt(text: str) -> None:
    namespace: dict[str, object] = {
        "talk": TALK,
        "text": "Hi",
        "empty": [],
        "people": [{"name": "Ada"}],
        "staff": [{"name": "Ada", "role": "engineer"}],
    }
    assert message_list(text, namespace) is None


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([*TALK, "Hi"], "Message 4 (counted from 0) is no dict but a value of type str."),
        ([{"role": "usr", "content": "Hi"}], "Message 0 (counted from 0) has the role 'usr'; did"),
        ([TALK[0], {"role": "tool", "content": "7"}], "Message 1 (counted from 0) has the role"),
        ([TALK[0], {"content": "Hi"}], "Message 1 (counted from 0) has no role."),
        ([TALK[0], {"role": "user"}], "Message 1 (counted from 0) has for content nothing"),
        ([{"role": "user", "content": 7}], "has for content a value of type int"),
        ([{"role": "user", "content": [7]}], 'has a part that is no dict with a "type"'),
        (
            [{"role": "user", "content": [{"type": "input_text", "text": b"x"}]}],
            "has a part that JSON cannot hold",
        ),
    ],
)
def test_a_bad_message_is_named(messages: list[object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        message_list("{m}", {"m": messages})
    assert said in caught.value.message


def test_an_empty_list_of_messages() -> None:
    with pytest.raises(UsageError, match="is empty"):
        check_messages([])


def test_parts_of_chat_completions_are_renamed() -> None:
    parts = [
        "plain",
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "input_image", "image_url": "https://example.com/b.png"},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,AA==", "filename": "a.txt"}},
    ]
    [message] = check_messages([{"role": "user", "content": parts, "name": "Ada"}])
    assert message == {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "plain"},
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
            {"type": "input_image", "image_url": "https://example.com/b.png"},
            {
                "type": "input_file",
                "file_data": "data:text/plain;base64,AA==",
                "filename": "a.txt",
            },
        ],
    }
    [answer] = check_messages([{"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}])
    assert answer["content"] == [{"type": "output_text", "text": "Hi"}]
    [answer] = check_messages([{"role": "assistant", "content": None, "refusal": "No."}])
    assert answer["content"] == [{"type": "refusal", "refusal": "No."}]


def test_the_detail_of_an_image_is_kept() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://a.example/a", "detail": "low"}}
    [message] = check_messages([{"role": "user", "content": [image]}])
    part = {"type": "input_image", "image_url": "https://a.example/a", "detail": "low"}
    assert message["content"] == [part]


OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([OUTPUT], [OUTPUT]),
        ([{"type": "reasoning", "id": "r", "summary": []}, OUTPUT], None),
        ([{"type": "web_search_call", "id": "w", "action": {}}, OUTPUT], None),
        ([{**OUTPUT, "output": [{"type": "input_text", "text": "42"}]}], None),
        ([{"type": "custom_tool_call_output", "call_id": "c1", "output": ""}], None),
        ([{"type": "function_call", "call_id": "c1", "name": "f"}, OUTPUT], None),
        ([{"role": "tool", "tool_call_id": "c1", "content": "42"}], [OUTPUT]),
        (
            [{"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "42"}]}],
            [OUTPUT],
        ),
        (
            [
                {
                    "role": "assistant",
                    "content": "Let me see.",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "f"}},
                        {"id": "c2", "type": "function",
                         "function": {"name": "g", "arguments": '{"a":1}'}},
                    ],
                }
            ],
            [
                {"role": "assistant", "content": "Let me see."},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call", "call_id": "c2", "name": "g", "arguments": '{"a":1}'},
            ],
        ),
    ],
)  # fmt: skip
def test_calls_and_their_outputs(given: list[object], expected: list[object] | None) -> None:
    assert list(check_messages(given)) == (expected or given)
    assert message_list("{outputs}", {"outputs": given}) == tuple(expected or given)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"type": "function_call_output", "output": "42"}, 'without a "call_id"'),
        ({"type": "function_call_output", "call_id": "", "output": "42"}, 'without a "call_id"'),
        ({"type": "function_call_output", "call_id": "c1"}, 'without an "output"'),
        ({"role": "tool", "tool_call_id": "c1"}, 'without an "output"'),
        ({"role": "assistant", "tool_calls": [7]}, "no call of a function"),
        ({**OUTPUT, "output": {1, 2}}, "that JSON cannot hold"),
    ],
)
def test_a_bad_call_or_output_is_named(item: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_messages([item])
    assert said in caught.value.message
