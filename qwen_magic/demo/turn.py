"""One turn as the answering side reads it: the conversation's words, and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from qwen_magic.demo.schema.wish import is_repair, wished_schema, without_wish
from qwen_magic.demo.switches import Switches, without_switches

JSON: TypeAlias = dict[str, Any]

_FENCED = re.compile(r"^(`{3,})\n(.*?\n)\1$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Utterance:
    role: str  # "user" | "assistant" | "system" | "developer"
    text: str


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a function gave back: the name and arguments of its call, and the output."""

    name: str
    arguments: str
    output: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked, of whom, with what."""

    prompt: str  # the newest user text, without `demo:` lines and the paragraph of a schema
    history: tuple[Utterance, ...] = ()  # everything before it
    instructions: tuple[str, ...] = ()  # `instructions`, then system and developer messages
    tools: frozenset[str] = frozenset()  # types of the built-in tools offered
    functions: tuple[JSON, ...] = ()  # function tools offered
    results: tuple[CallResult, ...] = ()  # outputs that came after the newest user text
    logs: tuple[str, ...] = ()  # what runs of code gave after the newest user text
    schema: JSON | None = None  # what the answer is to be JSON of
    repairs: bool = False  # the JSON before is to be mended; `prompt` is then what asked for it
    rest: str = ""  # what the incomplete answer before had still to say
    images: int = 0  # pictures in the newest user message
    dead_link: bool = False
    bad_arguments: bool = False  # function calls have arguments that are no JSON
    unknown_function: bool = False  # function calls name a function that there is not

    @property
    def number(self) -> int:
        """Which turn of the conversation this is, from 1."""
        return 1 + sum(utterance.role == "user" for utterance in self.history)

    @property
    def told(self) -> tuple[str, ...]:
        """All that the user said, oldest first, this prompt included."""
        earlier = (utterance.text for utterance in self.history if utterance.role == "user")
        return (*earlier, self.prompt)


def input_items(value: str | list[JSON]) -> list[JSON]:
    """A request's `input` as items."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return value


def item_text(item: JSON) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def is_message(item: JSON) -> bool:
    return item.get("type", "message") == "message" and "role" in item


def newest_prompt(items: Sequence[JSON]) -> str:
    """The newest user text as it was sent; empty without one."""
    asked = _asked(items)
    return item_text(items[asked]) if asked >= 0 else ""


def read_turn(body: JSON, context: Sequence[JSON], rest: str, switches: Switches) -> Turn:
    """The turn that a checked request body asks for, in a conversation of those items."""
    messages = [item for item in context if is_message(item)]
    asked, schema, repairs = _read_wish(context)
    history = tuple(
        Utterance(item["role"], without_wish(without_switches(item_text(item))))
        for n, item in enumerate(context)
        if is_message(item) and (n < asked or (n > asked and item["role"] == "assistant"))
        if item["role"] in ("user", "assistant")
    )
    tools = [] if body.get("tool_choice") == "none" else body.get("tools") or []
    return Turn(
        prompt=_prompt(context[asked]) if asked >= 0 else "",
        history=history,
        instructions=_instructions(body, messages),
        tools=frozenset(tool["type"] for tool in tools if tool["type"] != "function"),
        functions=tuple(tool for tool in tools if tool["type"] == "function"),
        results=_results(context, asked),
        logs=_logs(context[asked + 1 :]),
        schema=schema,
        repairs=repairs,
        rest=rest,
        images=_images(context[asked]) if asked >= 0 else 0,
        dead_link=switches.dead_link,
        bad_arguments=switches.bad_arguments,
        unknown_function=switches.unknown_function,
    )


def _prompt(item: JSON) -> str:
    return without_wish(without_switches(item_text(item)))


def _is_user(item: JSON) -> bool:
    return is_message(item) and item["role"] == "user"


def _asked(items: Sequence[JSON]) -> int:
    """The place of the newest user message; -1 without. One that is no more than a schema's
    paragraph belongs to the message before it."""
    last = max((n for n, item in enumerate(items) if _is_user(item)), default=-1)
    text = item_text(items[last]) if last >= 0 else ""
    alone = wished_schema(text) is not None and not without_wish(text).strip()
    return last - 1 if alone and last and _is_user(items[last - 1]) else last


def _read_wish(context: Sequence[JSON]) -> tuple[int, JSON | None, bool]:
    """The place of the message that asks, the schema that it wishes, whether it is asked again."""
    users = [item for item in context if _is_user(item)]
    if not users or not is_repair(item_text(users[-1]).strip()):
        return _asked(context), wished_schema(item_text(users[-1])) if users else None, False
    for n in reversed(range(len(context))):
        text = item_text(context[n]) if _is_user(context[n]) else ""
        if (schema := wished_schema(text)) is not None:
            return _asked(context[: n + 1]), schema, True
    return context.index(users[-1]), None, True


def _instructions(body: JSON, messages: Sequence[JSON]) -> tuple[str, ...]:
    given = [body["instructions"]] if body.get("instructions") else []
    roles = ("system", "developer")
    return (*given, *(item_text(item) for item in messages if item["role"] in roles))


def _results(context: Sequence[JSON], last: int) -> tuple[CallResult, ...]:
    calls = {item.get("call_id"): item for item in context if item.get("type") == "function_call"}
    found = []
    for item in context[last + 1 :]:
        if item.get("type") == "function_call_output":
            call = calls.get(item.get("call_id"), {})
            output = item.get("output")
            text = output if isinstance(output, str) else str(output)
            found.append(CallResult(call.get("name", "?"), call.get("arguments", ""), text))
    return tuple(found)


def _logs(items: Sequence[JSON]) -> tuple[str, ...]:
    """The text of the fences in the outputs of runs."""
    runs = [item for item in items if item.get("type") == "code_interpreter_call"]
    logs = [output.get("logs", "") for run in runs for output in run.get("outputs") or []]
    return tuple(match[2] for text in logs for match in _FENCED.finditer(text))


def _images(item: JSON) -> int:
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    return sum(isinstance(part, dict) and part.get("type") == "input_image" for part in parts)
