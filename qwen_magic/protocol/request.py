"""A request to the service as a value; its input in the form that the strictest server accepts.

All input items are sent in one form: transcripts (after lost turns, for another host, for a server
that keeps nothing), message lists, images, and results of calls. What servers require (November
2026):

- llama.cpp: `"type": "message"` and a list of parts, on items of the assistant;
- vLLM, which parses with the official client's types: `id`, `status` and `annotations` on them, and
  `detail` on images; a bridge that treats user items without `type` as empty;
- OpenAI: no item id that it did not assign itself. Therefore calls have a `call_id` only, and the
  id of an assistant's item is derived from its place and words, so that it is always the same;
- llama.cpp, Ollama, vLLM: `arguments` of calls that are valid JSON. Invalid ones are left out: the
  error that was sent back for them says what was wrong.

    {"role": "assistant", "content": "Hi"}  ->
        {"type": "message", "id": "msg_…", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from qwen_magic.protocol.fields import JSON, json_object, json_text, mappings, text

_TEXT_PARTS: Final = ("text", "input_text", "output_text")


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """One `POST /responses`. Empty and None mean "not asked": the service's own default holds.

    `input`: the prompt, or input items (sent in the form of `input_items`); `effort`:
    `reasoning.effort`, or digits: the tokens of `thinking_budget`; `extra`: further parameters of
    the body, which win over those named here (an object is merged with its namesake); `left_out`:
    parameters that this server rejects.
    `session_cache`: whether the server is to keep what it has read of a conversation.
    """

    model: str
    input: str | tuple[JSON, ...]
    instructions: str = ""
    previous_response_id: str = ""
    tools: tuple[JSON, ...] = field(default=(), repr=False)  # may hold keys of their servers
    enable_thinking: bool | None = None
    effort: str = ""
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    store: bool | None = None
    stream: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    session_cache: bool = False

    @property
    def thinking_budget(self) -> int | None:
        """Tokens, where the effort is given as a number. Undocumented; it took effect on DashScope
        in November 2026."""
        return int(self.effort) if self.effort.isdecimal() else None

    def headers(self) -> dict[str, str]:
        """What goes into the HTTP headers. DashScope's session cache lives for five minutes from
        its last use; reading it costs a tenth, writing it a quarter more (Alibaba Cloud's
        documentation, November 2026), so that it is worth while where a conversation goes on."""
        cached = self.session_cache and self.previous_response_id
        return {"x-dashscope-session-cache": "enable"} if cached else {}

    def body(self) -> JSON:
        """The JSON to send: only what was set, in a fixed order."""
        budget = self.thinking_budget
        asked: JSON = {
            "instructions": self.instructions or None,
            "previous_response_id": self.previous_response_id or None,
            "tools": [_tool(tool) for tool in self.tools] or None,
            "enable_thinking": self.enable_thinking,
            "thinking_budget": budget,
            "reasoning": {"effort": self.effort} if self.effort and budget is None else None,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_output_tokens": self.max_output_tokens,
            "store": self.store,
        }
        body: JSON = {
            "model": self.model,
            "input": self.input if isinstance(self.input, str) else input_items(self.input),
            **{name: value for name, value in asked.items() if value is not None},
            "stream": self.stream,
        }
        for name, value in self.extra.items():
            known = body.get(name)
            both = isinstance(known, dict) and isinstance(value, Mapping)
            body[name] = {**known, **value} if both and known is not None else value
        return {name: value for name, value in body.items() if name not in self.left_out}


@dataclass(frozen=True, slots=True)
class RequestPart:
    """A piece of what the model is to read, as whoever asks knows it: for `--dry-run`.

    `kind`: "prompt", "data", "image", …, or "value" for what a brace of the prompt became, which is
    a part of that one; `name`: which of its kind; `about`: what to know of it, in a few words.
    `text`: as it is sent, empty where the server has it already; `image`: its data URI. `tokens`:
    about how many, None where that is not known. `summary`: the line about it in the footer.
    """

    kind: str
    name: str = ""
    text: str = ""
    about: str = ""
    tokens: int | None = None
    image: str = ""
    summary: str = ""


def _tool(tool: JSON) -> JSON:
    """A function says that it is not strict, where nothing else is said: the official types want it
    said, and OpenAI would otherwise make every parameter a required one."""
    if tool.get("type") != "function":
        return tool
    return {"parameters": {"type": "object", "properties": {}}, "strict": False, **tool}


# Input items -------------------------------------------------------------------------------------


def input_items(items: Iterable[JSON]) -> list[JSON]:
    """`items` in that form. An item of a type that is not read here stays as it is."""
    return [_item(place, item) for place, item in enumerate(items)]


def _item(place: int, item: JSON) -> JSON:
    kind = text(item.get("type")) or ("message" if "role" in item else "")
    match kind:
        case "message":
            return _message(place, item)
        case "function_call" | "custom_tool_call":
            call = {"type": kind, "call_id": _call_id(item), "name": text(item.get("name"))}
            if kind == "function_call":
                return {**call, "arguments": _arguments(item.get("arguments"))}
            return {**call, "input": json_text(item.get("input"))}
        case "function_call_output" | "custom_tool_call_output":
            given = item.get("output")
            output = given if isinstance(given, list) else json_text(given)
            return {"type": kind, "call_id": _call_id(item), "output": output}
        case "web_search_call":
            action = item.get("action") or {"type": "search", "query": ""}
            return {
                "type": kind,
                "id": _made_id("ws", place, json.dumps(action, sort_keys=True)),
                "status": text(item.get("status")) or "completed",
                "action": action,
            }
    return item


def _message(place: int, item: JSON) -> JSON:
    role, content = text(item.get("role")) or "user", item.get("content")
    given = [{"type": "text", "text": content}] if isinstance(content, str) else content
    parts = [_part(role, part) for part in mappings(given)]
    if role != "assistant":
        return {"type": "message", "role": role, "content": parts}
    return {
        "type": "message",
        "id": _made_id("msg", place, json.dumps(parts, sort_keys=True)),
        "role": role,
        "status": "completed",
        "content": parts,
    }


def _part(role: str, part: JSON) -> JSON:
    kind = text(part.get("type"))
    if kind in _TEXT_PARTS:
        words = text(part.get("text"))
        if role != "assistant":
            return {**part, "type": "input_text", "text": words}
        cited = mappings(part.get("annotations"))
        return {"type": "output_text", "text": words, "annotations": cited}
    if kind == "input_image":
        return {**part, "detail": text(part.get("detail")) or "auto"}
    return part


def _call_id(item: JSON) -> str:
    return text(item.get("call_id")) or text(item.get("id"))


def _arguments(given: object) -> str:
    words = json_text(given)
    return "{}" if json_object(words) is None else words


def _made_id(kind: str, place: int, words: str) -> str:
    return f"{kind}_{hashlib.sha256(f'{place} {words}'.encode()).hexdigest()[:32]}"
