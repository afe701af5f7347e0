"""Message arrays, as in Chat Completions: checked, in the shape of the Responses API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from qwen_magic.context.interpolation import single_reference
from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON

ROLES: Final = ("system", "developer", "user", "assistant")
# Roles that other APIs have: they mark a list as meant for a model, and are refused by name.
_OTHER_ROLES: Final = ("tool", "function")


def message_list(text: str, namespace: Mapping[str, object]) -> tuple[JSON, ...] | None:
    """The messages, where `text` is exactly one `{name}` of a list of them; else None.

    A list counts as one of messages where an element has a role of the API, or both `role` and
    `content`; other lists are data, and expand. Raises `UsageError` as `check_messages` does.
    """
    value = single_reference(text, namespace)
    if not isinstance(value, list | tuple) or not any(_is_message(item) for item in value):
        return None
    return check_messages(value)


def check_messages(messages: Iterable[object]) -> tuple[JSON, ...]:
    """`messages` as input items: `{"role": …, "content": text or list of parts}`.

    The parts of Chat Completions (`text`, `image_url`) are given the names of the Responses API.
    Raises `UsageError`, which names the position (from 0) of the first bad message.
    """
    checked = tuple(_checked(position, message) for position, message in enumerate(messages))
    if not checked:
        raise UsageError("The list of messages is empty.", hint='It needs one of role "user".')
    return checked


def _is_message(item: object) -> bool:
    if not isinstance(item, Mapping) or "role" not in item:
        return False
    return "content" in item or item["role"] in (*ROLES, *_OTHER_ROLES)


def _checked(position: int, message: object) -> JSON:
    if not isinstance(message, Mapping):
        raise _bad(position, f"is no dict but {_kind(message)}")
    role = message.get("role")
    if role not in ROLES:
        near = get_close_matches(str(role), ROLES, n=1)
        wanted = f"did you mean {near[0]!r}" if near else f"the roles are {', '.join(ROLES)}"
        raise _bad(position, f"has the role {role!r}; {wanted}" if role else "has no role")
    content = message.get("content")
    if isinstance(content, str):
        return {"role": role, "content": content}
    if not isinstance(content, list | tuple):
        raise _bad(position, f"has for content {_kind(content)}, not text or a list of parts")
    return {"role": role, "content": [_part(position, role, part) for part in content]}


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
            given = {"type": "input_image", "image_url": _address(part.get("image_url"))}
        case _:
            given = dict(part)
    try:
        plain: JSON = json.loads(json.dumps(given))
    except (TypeError, ValueError) as error:
        raise _bad(position, "has a part that JSON cannot hold", why=str(error)) from error
    return plain


def _address(image: Any) -> Any:
    return image.get("url", "") if isinstance(image, Mapping) else image


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _bad(position: int, fault: str, why: str = "") -> UsageError:
    return UsageError(
        f"Message {position} (counted from 0) {fault}.",
        why=why,
        hint='A message is {"role": "user", "content": "…"}.',
    )
