"""The input of a request: a prompt with what goes with it (described variables, files, images), or
a list of messages as in Chat Completions, checked and in the shape of the Responses API."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from qwen_magic.context.interpolation import look_up
from qwen_magic.context.models import sees_images
from qwen_magic.errors import UsageError
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.request import RequestPart

if TYPE_CHECKING:
    from qwen_magic.context.dataframe.describing import RowCount
    from qwen_magic.context.files import FilePart


@dataclass(frozen=True, slots=True)
class Attached:
    """The `input` of a request: a prompt with its attachments.

    `parts` describe the attachments for `--dry-run`, `summaries` (with their sizes) for the footer.
    """

    input: str | tuple[JSON, ...]
    summaries: tuple[str, ...] = ()
    parts: tuple[RequestPart, ...] = ()


def attach(
    prompt: str | tuple[JSON, ...],
    namespace: Mapping[str, object],
    *,
    model: str,
    data: Sequence[str] = (),
    rows: RowCount = None,
    mask: Collection[str] = (),
    images: Sequence[str] = (),
    shown: object = None,
    files: Sequence[str] = (),
    takes_images: bool = True,
    file_models: Sequence[str] = (),
    whole: bool = False,
    notebook: RequestPart | None = None,
) -> Attached:
    """`prompt` with descriptions of the variables `data` below it (names, or attributes and items
    as braces take them), the `whole` of each that is no table, `files` as what they are, and
    `images` (paths, addresses or names of variables; `last` is the figure `shown` last).
    `takes_images`: whether the server does, where the model may; `file_models`: patterns of its
    models that fetch files by address; `notebook`: what of it goes along. Raises `UsageError`."""
    read: list[FilePart] = []
    if files:
        takes = [pattern for pattern in file_models if fnmatchcase(model, pattern)]
        sees = sees_images(model) if takes_images else False
        read = _files(files, namespace, sees=sees, rows=rows, mask=mask)
        if not takes and any("file_url" in part for file in read for part in file.content):
            raise UsageError(
                f"{model} takes no addresses of files here.",
                hint=f"Take one that does ({', '.join(file_models) or 'none is known'}), or "
                "download the file and name that with -f: it is read here.",
            )
    if rows is not None and not data and not any(file.is_table for file in read):
        raise UsageError(
            f"--rows {rows} says how many rows go along, and no -d or -f says of what table.",
            hint=f"Name the table: -d NAME --rows {rows}",
        )
    if not data and not images and not files and not notebook:
        return Attached(prompt)
    if not isinstance(prompt, str):
        raise UsageError("-d, -f, -i and -n go with a prompt, not with a list of messages.")
    # Most questions need neither, and the first of a kernel waits for what it imports.
    from qwen_magic.context.dataframe.describing import describe_data
    from qwen_magic.context.images import LAST, check_vision, read_image

    text, summaries = prompt, []
    parts: list[RequestPart] = []
    if notebook:
        text, summaries, parts = f"{text}\n\n{notebook.text}", [notebook.summary], [notebook]
    for name in data:
        value = _value(name, namespace)
        part = describe_data(name, value, rows=rows, mask=mask, whole=whole)
        text += f"\n\n{part.text}"
        summaries += part.summaries
        parts.append(part.told_as("data", name))
    text = "\n\n".join([text, *(file.text for file in read if file.text)])
    summaries += [words for file in read for words in file.summaries]
    parts += [part for file in read for part in file.parts]
    content: list[JSON] = [{"type": "input_text", "text": text}]
    content += [part for file in read for part in file.content]
    for ref in images:
        value = namespace.get(ref, shown if ref == LAST else None)
        item, image = read_image(ref, value)
        content.append(item)
        summaries.append(image.summary)
        parts.append(image)
    if images or any(file.needs_vision for file in read):
        check_vision(model)  # a wrong name is reported first
    if len(content) == 1:
        return Attached(text, tuple(summaries), tuple(parts))
    return Attached(({"role": "user", "content": content},), tuple(summaries), tuple(parts))


def _files(refs: Sequence[str], namespace: Mapping[str, object], **how: Any) -> list[FilePart]:
    from qwen_magic.context.files import read_file  # which most questions do not need

    return [read_file(ref, namespace.get(ref), **how) for ref in dict.fromkeys(refs)]


def _value(name: str, namespace: Mapping[str, object]) -> object:
    if name in namespace:
        return namespace[name]
    try:
        return look_up(f"{{{name}}}", namespace)
    except LookupError:
        pass
    own = [n for n, value in namespace.items() if not (n.startswith("_") or callable(value))]
    near = get_close_matches(name, own, 1)
    raise UsageError(
        f"There is no variable {name!r} to describe.",
        hint=f"Did you mean {near[0]}?"
        if near
        else "-d takes names of the notebook's variables, and name.attr, name[0], name['key'].",
    )


def check_size(
    given: str | tuple[JSON, ...],
    system: str,
    summaries: Sequence[str],
    parts: Sequence[RequestPart] = (),
    *,
    most: int,
) -> None:
    """Raise `UsageError` if the request has more than about `most` tokens.

    `summaries` explain in the error what braces and options added. `parts` describe the input;
    those of PDF pages know how many tokens their images need.
    """
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    if len(text) + len(system) <= most:  # no text has more tokens than characters
        return
    from qwen_magic.context.dataframe.describing import estimate_tokens

    tokens = estimate_tokens(re.sub(r'"data:[^"]*"', "", text)) + estimate_tokens(system)
    tokens += sum(part.tokens or 0 for part in parts)
    if tokens > most:
        raise UsageError(
            f"This would send about {tokens:,} tokens, more than {most:,}.",
            why="; ".join(summaries),
            hint="--send-all sends it; %config QwenMagics.confirm_tokens sets the limit (0: none).",
        )


# Lists of messages -------------------------------------------------------------------------------

_MESSAGE: Final = 'A message is {"role": "user", "content": "…"}.'
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

    The parts of Chat Completions (`text`, `image_url`, `file`, a `refusal`) are given the names of
    the Responses API, and so are its calls (`tool_calls`) and their outputs (role `tool`). Items of
    the Responses API for calls, outputs and reasoning pass as they are: so are calls answered that
    no function here answers. Raises `UsageError`, which names the position (from 0) of the first
    bad message.
    """
    if isinstance(messages, Mapping | bytes) or not isinstance(messages, Iterable):
        raise UsageError(
            f"A prompt is a text or a list of messages; this is {_kind(messages)}.", hint=_MESSAGE
        )
    checked = tuple(
        item for position, message in enumerate(messages) for item in _items_of(position, message)
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


def _items_of(position: int, message: object) -> list[JSON]:
    if not isinstance(message, Mapping):
        raise _bad(position, f"is no dict but {_kind(message)}")
    role, kind = message.get("role"), message.get("type")
    if role is None and kind in (*_CALL_ITEMS, *_OUTPUT_ITEMS):
        return [_call_item(position, message)]
    if role is None and (kind == "reasoning" or str(kind).endswith("_call")):
        return [_as_json(position, dict(message))]
    if role == "tool" and message.get("tool_call_id"):
        output = {"type": "function_call_output", "call_id": message["tool_call_id"]}
        return [_call_item(position, {**output, "output": _content_text(message.get("content"))})]
    calls = message.get("tool_calls")
    if role == "assistant" and isinstance(calls, list | tuple) and calls:
        said = _items_of(position, {**message, "tool_calls": ()}) if message.get("content") else []
        return [*said, *(_chat_call(position, call) for call in calls)]
    if role not in ROLES:
        near = get_close_matches(str(role), ROLES, n=1)
        wanted = f"did you mean {near[0]!r}" if near else f"the roles are {', '.join(ROLES)}"
        raise _bad(position, f"has the role {role!r}; {wanted}" if role else "has no role")
    content = message.get("content")
    if content is None and role == "assistant" and message.get("refusal"):
        content = [{"type": "refusal", "refusal": message["refusal"]}]
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if not isinstance(content, list | tuple):
        raise _bad(position, f"has for content {_kind(content)}, not text or a list of parts")
    return [{"role": role, "content": [_checked_part(position, role, part) for part in content]}]


def _call_item(position: int, item: Mapping[str, Any]) -> JSON:
    if not isinstance(item.get("call_id"), str) or not item["call_id"]:
        raise _bad(position, f'is a {item["type"]} without a "call_id"')
    if item["type"] in _OUTPUT_ITEMS and item.get("output") is None:
        raise _bad(position, f'is a {item["type"]} without an "output"')
    return _as_json(position, dict(item))


def _chat_call(position: int, call: Any) -> JSON:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise _bad(position, 'has in "tool_calls" what is no call of a function')
    item = {"name": function.get("name"), "arguments": function.get("arguments", "{}")}
    return _call_item(position, {"type": "function_call", "call_id": call.get("id"), **item})


def _content_text(content: Any) -> Any:
    """Chat Completions' content of a tool: text, or a list of text parts."""
    if not isinstance(content, list | tuple):
        return content
    return "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))


def _checked_part(position: int, role: str, part: object) -> JSON:
    if isinstance(part, str):
        part = {"type": "text", "text": part}
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        raise _bad(position, 'has a part that is no dict with a "type"')
    match part["type"]:
        case "text":
            kind = "output_text" if role == "assistant" else "input_text"
            given: JSON = {"type": kind, "text": part.get("text", "")}
        case "file" if isinstance(part.get("file"), Mapping):
            given = {"type": "input_file", **part["file"]}
        case "image_url":
            given = {"type": "input_image", **_image(part.get("image_url"))}
        case _:
            given = dict(part)
    return _as_json(position, given)


def _as_json(position: int, given: JSON) -> JSON:
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
        hint=_MESSAGE,
    )
