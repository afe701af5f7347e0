"""The turn that is asked for: what the request and the conversation before it come to."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from qwen_magic.demo.switches import Switches, without_switches
from qwen_magic.demo.wire import JSON, read_json

# The words by which the product asks for JSON of a schema.
_SCHEMA = re.compile(
    r"(?:\n\n)?^Give the answer as JSON: [^\n]* this JSON Schema\.\n\n```json\n(.*?)\n```[ \t]*$",
    re.DOTALL | re.MULTILINE,
)

_HINT = "Give a hint, not the solution."  # what `--hint` says
_BRIEF = ("-flash", "-turbo")  # how the names of quick models end


@dataclass(frozen=True, slots=True)
class Kept:
    """One finished response. `parent` stays reachable when it was deleted itself."""

    body: JSON  # the response object
    input: tuple[JSON, ...]  # this turn's own input items
    parent: Kept | None
    rest: str  # what an incomplete answer had still to say

    def chain(self) -> list[Kept]:
        """The turns up to this one, oldest first."""
        return [*(self.parent.chain() if self.parent else ()), self]

    def items(self) -> list[JSON]:
        """Input and output of the whole chain, in order."""
        return [item for kept in self.chain() for item in (*kept.input, *kept.body["output"])]


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


class Turn:
    """One checked request, with all that its answer depends on."""

    def __init__(
        self, body: JSON, items: Sequence[JSON], previous: Kept | None, switches: Switches
    ) -> None:
        self.body, self.switches, self.previous = body, switches, previous
        self.streams = bool(body.get("stream"))
        # Two voices, so that models can be compared: one says all, the other what comes first.
        self.brief = str(body.get("model")).endswith(_BRIEF)
        effort = (body.get("reasoning") or {}).get("effort")
        self.thinks = effort != "none" if effort else bool(body.get("enable_thinking"))
        self.items = tuple(items)  # this turn's own input
        self.context = [*(previous.items() if previous else ()), *items]  # the whole conversation
        asked = _asked(self.context)
        before = self.context[: max(asked, 0)]
        texts = [item_text(item) for item in self.context[len(before) :] if _is(item, "user")]
        # The newest user text, without `demo:` lines and the paragraph of a schema.
        self.prompt = _clean(texts[0]) if texts else ""
        self.earlier = _earlier(before)  # (prompt, answer) of the turns before, oldest first
        self.results = _results(self.context, asked)  # what functions gave after that text
        self.schema = _schema(body, texts)  # what the answer is to be JSON of
        tools = [] if body.get("tool_choice") == "none" else body.get("tools") or []
        named = [tool for tool in tools if tool["type"] == "function"]
        parameters = {tool["name"]: tool.get("parameters") or {} for tool in named}
        self.functions = {name: tuple(p.get("properties", ())) for name, p in parameters.items()}
        # What is offered: built-in types, names of functions, "image"; "hint" where one is wanted.
        self.tools = {tool["type"] for tool in tools if tool not in named} | set(self.functions)
        if asked >= 0 and any(p.get("type") == "input_image" for p in _parts(self.context[asked])):
            self.tools.add("image")
        if _HINT in str(body.get("instructions")):
            self.tools.add("hint")


def newest_prompt(items: Sequence[JSON]) -> str:
    """The newest user text as it was sent; empty without one."""
    asked = _asked(items)
    return item_text(items[asked]) if asked >= 0 else ""


def item_text(item: JSON) -> str:
    content = item.get("content")
    texts = [content] if isinstance(content, str) else [part.get("text") for part in _parts(item)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _parts(item: JSON) -> list[JSON]:
    content = item.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _is(item: JSON, role: str) -> bool:
    return item.get("type", "message") == "message" and item.get("role") == role


def _clean(text: str) -> str:
    return _SCHEMA.sub("", without_switches(text)).strip()


def _asked(items: Sequence[JSON]) -> int:
    """The place of the newest user message; -1 without. One that is no more than a schema's
    paragraph belongs to the message before it."""
    places = [n for n, item in enumerate(items) if _is(item, "user")]
    if (
        len(places) > 1
        and places[-2] == places[-1] - 1
        and not _clean(item_text(items[places[-1]]))
    ):
        places.pop()
    return places[-1] if places else -1


def _earlier(items: Sequence[JSON]) -> tuple[tuple[str, str], ...]:
    turns: list[tuple[str, str]] = []
    for item in items:
        if _is(item, "user"):
            turns.append((_clean(item_text(item)), ""))
        elif _is(item, "assistant"):
            prompt, answer = turns.pop() if turns else ("", "")
            turns.append((prompt, f"{answer}\n\n{item_text(item)}".strip()))
    return tuple(turns)


def _schema(body: JSON, texts: Sequence[str]) -> JSON | None:
    """What the request (`text.format`), or the paragraph in the prompt, asks for."""
    form = (body.get("text") or {}).get("format") if isinstance(body.get("text"), dict) else None
    told = [form.get("schema")] if isinstance(form, dict) else []
    told += [read_json(match[1]) for text in texts for match in _SCHEMA.finditer(text)]
    return next((schema for schema in told if isinstance(schema, dict)), None)


def _results(context: Sequence[JSON], asked: int) -> tuple[CallResult, ...]:
    calls = {item.get("call_id"): item for item in context if item.get("type") == "function_call"}
    found = []
    for item in context[asked + 1 :]:
        if item.get("type") == "function_call_output":
            call, output = calls.get(item.get("call_id"), {}), item.get("output")
            text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
            found.append(CallResult(call.get("name", "?"), call.get("arguments", ""), text))
    return tuple(found)
