"""Message arrays: told from data, checked, given the names of the Responses API."""

from __future__ import annotations

import pytest

from qwen_magic.context.messages import check_messages, message_list
from qwen_magic.errors import UsageError

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
    ]
    [message] = check_messages([{"role": "user", "content": parts, "name": "Ada"}])
    assert message == {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "plain"},
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "https://example.com/a.png"},
            {"type": "input_image", "image_url": "https://example.com/b.png"},
        ],
    }
    [answer] = check_messages([{"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}])
    assert answer["content"] == [{"type": "output_text", "text": "Hi"}]
