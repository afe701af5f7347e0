"""The turn that is asked for: what the request and the conversation before it come to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qwen_magic.demo.store import Kept
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
        return read_json(self.output, self.output)


@dataclass(frozen=True, slots=True)
class Turn:
    """One checked request, with all that its answer depends on. `prompt` is the newest user text
    without `demo:` lines and the paragraph of a schema."""

    body: JSON
    switches: Switches
    previous: Kept | None
    items: tuple[JSON, ...]  # this turn's own input
    context: list[JSON]  # the whole conversation up to here
    prompt: str
    earlier: tuple[tuple[str, str], ...]  # (prompt, answer) of the turns before, oldest first
    instructed: bool  # there are instructions
    tools: frozenset[str]  # what is offered: built-in types, names of functions, "image"
    functions: Mapping[str, tuple[str, ...]]  # names of the parameters, by function
    results: tuple[CallResult, ...]  # outputs that came after the newest user text
    schema: JSON | None  # what the answer is to be JSON of
    repairs: bool  # the JSON before is to be mended

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream")) and not self.switches.plain_json

    @property
    def thinks(self) -> bool:
        effort = (self.body.get("reasoning") or {}).get("effort")
        return bool(self.body.get("enable_thinking")) if effort is None else effort != "none"


def read_turn(body: JSON, items: Sequence[JSON], previous: Kept | None, switches: Switches) -> Turn:
    """The turn that a checked body, with those input items, asks for."""
    context = [*(previous.items() if previous else ()), *items]
    asked = _asked(context)
    texts = [item_text(item) for item in context[max(asked, 0) :] if _is(item, "user")]
    tools = [] if body.get("tool_choice") == "none" else body.get("tools") or []
    functions = {tool["name"]: _parameters(tool) for tool in tools if tool["type"] == "function"}
    offered = {tool["type"] for tool in tools if tool["type"] != "function"} | set(functions)
    if asked >= 0 and any(part.get("type") == "input_image" for part in _parts(context[asked])):
        offered.add("image")
    return Turn(
        body=body,
        switches=switches,
        previous=previous,
        items=tuple(items),
        context=context,
        prompt=_clean(texts[0]) if texts else "",
        earlier=_earlier(context[: max(asked, 0)]),
        instructed=bool(body.get("instructions"))
        or any(_is(item, "system", "developer") for item in context),
        tools=frozenset(offered),
        functions=functions,
        results=_results(context, asked),
        schema=_schema(body, texts),
        repairs=bool(texts) and _REPAIR.fullmatch(texts[-1]) is not None,
    )


def newest_prompt(items: Sequence[JSON]) -> str:
    """The newest user text as it was sent; empty without one."""
    asked = _asked(items)
    return item_text(items[asked]) if asked >= 0 else ""


def read_json(text: str, otherwise: Any = None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise


def item_text(item: JSON) -> str:
    content = item.get("content")
    texts = [content] if isinstance(content, str) else [part.get("text") for part in _parts(item)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _parts(item: JSON) -> list[JSON]:
    content = item.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _is(item: JSON, *roles: str) -> bool:
    return item.get("type", "message") == "message" and item.get("role") in roles


def _clean(text: str) -> str:
    return _SCHEMA.sub("", without_switches(text)).strip()


def _asked(items: Sequence[JSON]) -> int:
    """The place of the newest user message; -1 without. One that is no more than a schema's
    paragraph belongs to the message before it."""
    last = max((n for n, item in enumerate(items) if _is(item, "user")), default=-1)
    alone = (
        last > 0 and _SCHEMA.search(item_text(items[last])) and not _clean(item_text(items[last]))
    )
    return last - 1 if alone and _is(items[last - 1], "user") else last


def _earlier(items: Sequence[JSON]) -> tuple[tuple[str, str], ...]:
    """The turns before. What asks to mend JSON is part of its turn."""
    turns: list[tuple[str, str]] = []
    for item in items:
        text = item_text(item)
        if _is(item, "user") and not _REPAIR.fullmatch(text):
            turns.append((_clean(text), ""))
        elif _is(item, "assistant"):
            prompt, answer = turns.pop() if turns else ("", "")
            turns.append((prompt, f"{answer}\n\n{text}".strip()))
    return tuple(turns)


def _schema(body: JSON, texts: Sequence[str]) -> JSON | None:
    """What the request (`text.format`), or the paragraph in the prompt, asks for."""
    form = (body.get("text") or {}).get("format") if isinstance(body.get("text"), dict) else None
    told = [form.get("schema")] if isinstance(form, dict) else []
    told += [read_json(match[1]) for text in texts for match in _SCHEMA.finditer(text)]
    return next((schema for schema in told if isinstance(schema, dict)), None)


def _parameters(tool: JSON) -> tuple[str, ...]:
    parameters = tool.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    return tuple(properties) if isinstance(properties, dict) else ()


def _results(context: Sequence[JSON], asked: int) -> tuple[CallResult, ...]:
    calls = {item.get("call_id"): item for item in context if item.get("type") == "function_call"}
    found = []
    for item in context[asked + 1 :]:
        if item.get("type") == "function_call_output":
            call, output = calls.get(item.get("call_id"), {}), item.get("output")
            text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
            found.append(CallResult(call.get("name", "?"), call.get("arguments", ""), text))
    return tuple(found)
