"""Message arrays, as in Chat Completions: checked, in the shape of the Responses API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON

ROLES: Final = ("system", "developer", "user", "assistant")
# Items of the Responses API beside messages that a caller may give: a call that was left to him,
# and what he answers to it.
_CALL_ITEMS: Final = ("function_call", "custom_tool_call")
_OUTPUT_ITEMS: Final = ("function_call_output", "custom_tool_call_output")
# Roles that other APIs have: they mark a list as meant for a model. That of Chat Completions'
# outputs of calls is read, any other is refused by name.
_OTHER_ROLES: Final = ("tool", "function")


def message_list(value: Sequence[object]) -> tuple[JSON, ...] | None:
    """The messages, where `value` is a list of them: where an element has a role of the API, or
    both `role` and `content`. None for other lists, which are data. Raises `UsageError` as
    `check_messages` does."""
    return check_messages(value) if any(map(_is_message, value)) else None


def check_messages(messages: Iterable[object]) -> tuple[JSON, ...]:
    """`messages` as input items: `{"role": …, "content": text or list of parts}`.

    The parts of Chat Completions (`text`, `image_url`) are given the names of the Responses API,
    and so are its calls (`tool_calls`) and their outputs (role `tool`). Items of the Responses API
    for calls and outputs pass as they are: so are calls answered that no function here answers.
    Raises `UsageError`, which names the position (from 0) of the first bad message.
    """
    checked = tuple(
        item for position, message in enumerate(messages) for item in _checked(position, message)
    )
    if not checked:
        raise UsageError("The list of messages is empty.", hint='It needs one of role "user".')
    return checked


def _is_message(item: object) -> bool:
    if not isinstance(item, Mapping):
        return False
    if item.get("type") in (*_CALL_ITEMS, *_OUTPUT_ITEMS):
        return True
    if "role" not in item:
        return False
    return "content" in item or item["role"] in (*ROLES, *_OTHER_ROLES)


def _checked(position: int, message: object) -> list[JSON]:
    if not isinstance(message, Mapping):
        raise _bad(position, f"is no dict but {_kind(message)}")
    role, kind = message.get("role"), message.get("type")
    if role is None and kind in (*_CALL_ITEMS, *_OUTPUT_ITEMS):
        return [_call_item(position, message)]
    if role == "tool" and message.get("tool_call_id"):
        output = {"type": "function_call_output", "call_id": message["tool_call_id"]}
        return [_call_item(position, {**output, "output": _words(message.get("content"))})]
    calls = message.get("tool_calls")
    if role == "assistant" and isinstance(calls, list | tuple) and calls:
        said = _checked(position, {**message, "tool_calls": ()}) if message.get("content") else []
        return [*said, *(_chat_call(position, call) for call in calls)]
    if role not in ROLES:
        near = get_close_matches(str(role), ROLES, n=1)
        wanted = f"did you mean {near[0]!r}" if near else f"the roles are {', '.join(ROLES)}"
        raise _bad(position, f"has the role {role!r}; {wanted}" if role else "has no role")
    content = message.get("content")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if not isinstance(content, list | tuple):
        raise _bad(position, f"has for content {_kind(content)}, not text or a list of parts")
    return [{"role": role, "content": [_part(position, role, part) for part in content]}]


def _call_item(position: int, item: Mapping[str, Any]) -> JSON:
    if not isinstance(item.get("call_id"), str) or not item["call_id"]:
        raise _bad(position, f'is a {item["type"]} without a "call_id"')
    if item["type"] in _OUTPUT_ITEMS and item.get("output") is None:
        raise _bad(position, f'is a {item["type"]} without an "output"')
    return _plain(position, dict(item))


def _chat_call(position: int, call: Any) -> JSON:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise _bad(position, 'has in "tool_calls" what is no call of a function')
    item = {"name": function.get("name"), "arguments": function.get("arguments", "{}")}
    return _call_item(position, {"type": "function_call", "call_id": call.get("id"), **item})


def _words(content: Any) -> Any:
    """Chat Completions' content of a tool: text, or a list of text parts."""
    if not isinstance(content, list | tuple):
        return content
    return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))


def _part(position: int, role: str, part: object) -> JSON:
    if isinstance(part, str):
        part = {"type": "text", "text": part}
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        raise _bad(position, 'has a part that is no dict with a "type"')
    match part["type"]:
        case "text":
            kind = "output_text" if role == "assistant" else "input_text"
            given: JSON = {"type": kind, "text": part.get("text", "")}
        case "image_url":
            given = {"type": "input_image", **_image(part.get("image_url"))}
        case _:
            given = dict(part)
    return _plain(position, given)


def _plain(position: int, given: JSON) -> JSON:
    try:
        plain: JSON = json.loads(json.dumps(given))
    except (TypeError, ValueError) as error:
        raise _bad(position, "has a part that JSON cannot hold", why=str(error)) from error
    return plain


def _image(image: Any) -> JSON:
    if not isinstance(image, Mapping):
        return {"image_url": image}
    detail = {"detail": image["detail"]} if image.get("detail") else {}
    return {"image_url": image.get("url", ""), **detail}


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _bad(position: int, fault: str, why: str = "") -> UsageError:
    return UsageError(
        f"Message {position} (counted from 0) {fault}.",
        why=why,
        hint='A message is {"role": "user", "content": "…"}.',
    )
