"""The turn that is asked for: what the request and the conversation before it come to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qwen_magic.demo.switches import Switches, without_switches
from qwen_magic.demo.wire import JSON

# The words by which the product asks for JSON of a schema, and for a better one.
_SCHEMA = re.compile(
    r"(?:\n\n)?^Give the answer as JSON: [^\n]* this JSON Schema\.\n\n```json\n(.*?)\n```[ \t]*$",
    re.DOTALL | re.MULTILINE,
)
_REPAIR = re.compile(
    r"\s*Your JSON does not fit the schema:\n\n.*\n\nSend the whole value again, mended, [^\n]*\s*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a function call of this turn gave."""

    name: str
    arguments: str  # JSON
    output: str

    @property
    def value(self) -> Any:
        """The output, read where it is JSON."""
        try:
            return json.loads(self.output)
        except (ValueError, RecursionError):
            return self.output

    @property
    def failed(self) -> bool:
        return self.output.startswith("Error:")


@dataclass(frozen=True, slots=True)
class Turn:
    """`prompt` is the newest user text without `demo:` lines and the paragraph of a schema."""

    prompt: str
    switches: Switches
    earlier: tuple[tuple[str, str], ...] = ()  # (prompt, answer) of the turns before, oldest first
    instructions: str = ""
    tools: frozenset[str] = frozenset()  # what is offered: built-in types, names of functions
    functions: Mapping[str, tuple[str, ...]] | None = None  # names of the parameters, by function
    results: tuple[CallResult, ...] = ()  # outputs that came after the newest user text
    schema: JSON | None = None  # what the answer is to be JSON of
    repairs: bool = False  # the JSON before is to be mended
    rest: str = ""  # what the incomplete answer before had still to say


def input_items(value: str | list[JSON]) -> list[JSON]:
    """A request's `input` as items."""
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


def item_text(item: JSON) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def newest_prompt(items: Sequence[JSON]) -> str:
    """The newest user text as it was sent; empty without one."""
    asked = _asked(items)
    return item_text(items[asked]) if asked >= 0 else ""


def read_turn(body: JSON, context: Sequence[JSON], rest: str, switches: Switches) -> Turn:
    """The turn that a checked request body asks for, in a conversation of those items."""
    asked = _asked(context)
    after = context[asked + 1 :]
    texts = [item_text(item) for item in (context[asked], *after) if _is(item, "user")]
    tools = [] if body.get("tool_choice") == "none" else body.get("tools") or []
    functions = {tool["name"]: _parameters(tool) for tool in tools if tool["type"] == "function"}
    offered = {tool["type"] for tool in tools if tool["type"] != "function"} | set(functions)
    pictured = asked >= 0 and _has_image(context[asked])
    given = body.get("instructions")
    systems = [item_text(item) for item in context if _is(item, "system", "developer")]
    return Turn(
        prompt=_clean(item_text(context[asked])) if asked >= 0 else "",
        switches=switches,
        earlier=_earlier(context[:asked]) if asked > 0 else (),
        instructions="\n".join([*([given] if given else []), *systems]),
        tools=frozenset(offered | {"image"}) if pictured else frozenset(offered),
        functions=functions,
        results=_results(context, asked),
        schema=_schema(body, texts),
        repairs=bool(texts) and _REPAIR.fullmatch(texts[-1]) is not None,
        rest=rest,
    )


def _is(item: JSON, *roles: str) -> bool:
    return item.get("type", "message") == "message" and item.get("role") in roles


def _clean(text: str) -> str:
    return _SCHEMA.sub("", without_switches(text)).strip()


def _asked(items: Sequence[JSON]) -> int:
    """The place of the newest user message; -1 without. One that is no more than a schema's
    paragraph belongs to the message before it."""
    last = max((n for n, item in enumerate(items) if _is(item, "user")), default=-1)
    if last <= 0 or not _SCHEMA.search(item_text(items[last])) or _clean(item_text(items[last])):
        return last
    return last - 1 if _is(items[last - 1], "user") else last


def _earlier(items: Sequence[JSON]) -> tuple[tuple[str, str], ...]:
    """The turns before. What asks to mend JSON is part of its turn."""
    turns: list[tuple[str, str]] = []
    for item in items:
        text = item_text(item)
        if _is(item, "user") and not _REPAIR.fullmatch(text):
            turns.append((_clean(text), ""))
        elif _is(item, "assistant") and turns:
            prompt, answer = turns[-1]
            turns[-1] = (prompt, f"{answer}\n\n{text}".strip())
        elif _is(item, "assistant"):
            turns.append(("", text))
    return tuple(turns)


def _schema(body: JSON, texts: Sequence[str]) -> JSON | None:
    """What the request, or the paragraph in the prompt, asks for."""
    form = body.get("text")
    inside = form.get("format") if isinstance(form, dict) else None
    schema = inside.get("schema") if isinstance(inside, dict) else None
    if isinstance(schema, dict):
        return schema
    for match in [match for text in texts for match in _SCHEMA.finditer(text)][::-1]:
        try:
            schema = json.loads(match[1])
        except (ValueError, RecursionError):
            continue
        if isinstance(schema, dict):
            return schema
    return None


def _parameters(tool: JSON) -> tuple[str, ...]:
    parameters = tool.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    return tuple(properties) if isinstance(properties, dict) else ()


def _results(context: Sequence[JSON], asked: int) -> tuple[CallResult, ...]:
    calls = {item.get("call_id"): item for item in context if item.get("type") == "function_call"}
    found = []
    for item in context[asked + 1 :]:
        if item.get("type") == "function_call_output":
            call = calls.get(item.get("call_id"), {})
            output = item.get("output")
            text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
            found.append(CallResult(call.get("name", "?"), call.get("arguments", ""), text))
    return tuple(found)


def _has_image(item: JSON) -> bool:
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    return any(isinstance(part, dict) and part.get("type") == "input_image" for part in parts)
