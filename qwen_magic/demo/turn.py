"""One turn as the answering side reads it: the conversation's words, and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from qwen_magic.demo.switches import Switches, without_switches

JSON: TypeAlias = dict[str, Any]


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

    prompt: str  # the newest user text, without `demo:` lines
    history: tuple[Utterance, ...] = ()  # everything before it
    instructions: tuple[str, ...] = ()  # `instructions`, then system and developer messages
    tools: frozenset[str] = frozenset()  # types of the built-in tools offered
    functions: tuple[JSON, ...] = ()  # function tools offered
    results: tuple[CallResult, ...] = ()  # outputs that came after the newest user text
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
    texts = [item_text(item) for item in items if is_message(item) and item["role"] == "user"]
    return texts[-1] if texts else ""


def read_turn(body: JSON, context: Sequence[JSON], rest: str, switches: Switches) -> Turn:
    """The turn that a checked request body asks for, in a conversation of those items."""
    spoken = [(n, item) for n, item in enumerate(context) if is_message(item)]
    last = max((n for n, item in spoken if item["role"] == "user"), default=-1)
    history = tuple(
        Utterance(item["role"], without_switches(item_text(item)))
        for n, item in spoken
        if n < last or (n > last and item["role"] == "assistant")
        if item["role"] in ("user", "assistant")
    )
    tools = [] if body.get("tool_choice") == "none" else body.get("tools") or []
    return Turn(
        prompt=without_switches(item_text(context[last])) if last >= 0 else "",
        history=history,
        instructions=_instructions(body, [item for _, item in spoken]),
        tools=frozenset(tool["type"] for tool in tools if tool["type"] != "function"),
        functions=tuple(tool for tool in tools if tool["type"] == "function"),
        results=_results(context, last),
        rest=rest,
        images=_images(context[last]) if last >= 0 else 0,
        dead_link=switches.dead_link,
        bad_arguments=switches.bad_arguments,
        unknown_function=switches.unknown_function,
    )


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


def _images(item: JSON) -> int:
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    return sum(isinstance(part, dict) and part.get("type") == "input_image" for part in parts)
