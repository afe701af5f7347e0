"""Input items as the strictest server takes them: the one form in which anything is sent.

What is told in place of an id (a heal, another host, a server that keeps nothing), message arrays,
images and outputs of calls all pass here. What each server insists on (November 2026):

- llama.cpp: `"type": "message"` and a list of parts, on items of the assistant;
- vLLM, which reads with the official client's types: `id`, `status` and `annotations` on them, and
  `detail` on images; a bridge that reads user items without `type` as empty;
- OpenAI: no item id that it did not give itself. So calls go by `call_id` alone, and the id of an
  assistant's item is made here out of its place and words: the same told twice is the same;
- llama.cpp, Ollama, vLLM: `arguments` of calls that are JSON. The model's own words, where they are
  none, are left out: the error beside them says so.

    {"role": "assistant", "content": "Hi"}  ->
        {"type": "message", "id": "msg_…", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Final

from qwen_magic.protocol.fields import JSON, json_object, json_text, mappings, text

_TEXT_PARTS: Final = ("text", "input_text", "output_text")


def input_items(items: Iterable[JSON]) -> list[JSON]:
    """`items` in that form. An item of a type that is not read here stays as it is."""
    return [_item(place, item) for place, item in enumerate(items)]


def _item(place: int, item: JSON) -> JSON:
    kind = text(item.get("type")) or ("message" if "role" in item else "")
    match kind:
        case "message":
            return _message(place, item)
        case "function_call":
            return {
                "type": kind,
                "call_id": _call_id(item),
                "name": text(item.get("name")),
                "arguments": _arguments(item.get("arguments")),
            }
        case "custom_tool_call":
            return {
                "type": kind,
                "call_id": _call_id(item),
                "name": text(item.get("name")),
                "input": json_text(item.get("input")),
            }
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
