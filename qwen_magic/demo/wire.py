"""What the server writes, key by key in the order of Alibaba's samples, which `wire.json` holds.

There are two orders: that of a plain text stream, and that of a stream with thinking or tools
("agent"). `GET`, and an answer in one piece, have the plain form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

JSON: TypeAlias = dict[str, Any]

MODEL = "demo"
CHARACTERS_PER_TOKEN = 4  # a plain estimate

_SAMPLES: JSON = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
_ECHOED = (
    *("instructions", "metadata", "temperature", "top_p", "reasoning", "max_output_tokens"),
    *("tool_choice", "tools"),
)


def to_json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")  # a lone surrogate in a prompt is not encodable


def like(group: str, sample: str, fields: Mapping[str, Any]) -> JSON:
    """That sample's keys in their order, with its own values where `fields` gives none."""
    shape = _SAMPLES[group][sample]
    return {key: fields[key] if key in fields else deepcopy(shape[key]) for key in shape}


def new_item_id() -> str:
    """Every item's id is `msg_<uuid>`, whatever its type."""
    return f"msg_{uuid4()}"


def item(kind: str, **fields: Any) -> JSON:
    return like("items", kind, fields)


@dataclass(slots=True)
class Response:
    """One response as it grows. What was sent is echoed by its terminal object only."""

    id: str
    created_at: float  # Unix seconds: an int, but for the samples of a text stream
    request: JSON  # the body that asked for it
    status: str = "queued"
    output: list[JSON] = field(default_factory=list)
    usage: JSON | None = None
    error: JSON | None = None
    incomplete_reason: str = ""
    previous_response_id: str | None = None

    def as_json(self, form: str = "plain") -> JSON:
        """`form`: `plain` or `agent`."""
        own: JSON = {"id": self.id, "created_at": self.created_at, "status": self.status}
        if self.status in ("completed", "incomplete", "failed"):
            own |= {name: self.request[name] for name in _ECHOED if name in self.request}
            own |= {"output": self.output, "previous_response_id": self.previous_response_id}
            own |= {"error": self.error, "usage": self.usage}
            own["model"] = "" if self.status == "failed" else MODEL
            if self.incomplete_reason:
                own["incomplete_details"] = {"reason": self.incomplete_reason}
            form = "agent_end" if form == "agent" else form
        return like("responses", form, own)


class EventWriter:
    """The events of one response as bytes, numbered in the order of the calls.

        id:3
        event:response.output_item.added
        :HTTP_STATUS/200
        data:{"sequence_number":2,…}

    No space after the colons, a comment line for the status, an empty line at the end; `id` is the
    sequence number plus one; no `[DONE]`.
    """

    def __init__(self, *, agent: bool, old_reasoning: bool = False) -> None:
        self._agent = agent
        self._old_reasoning = old_reasoning
        self.count = 0

    def lifecycle(self, kind: str, response: Response) -> bytes:
        """`response.created`, `.in_progress` and the terminal events."""
        body = response.as_json("agent" if self._agent else "plain")
        if not self._agent:
            body["created_at"] = float(response.created_at)
        return self._event("lifecycle_agent" if self._agent else "lifecycle", kind, response=body)

    def item(self, end: str, index: int, item: JSON) -> bytes:
        """`response.output_item.added` and `.done`."""
        if end == "done" and item["type"] == "reasoning":
            index += 1  # as in Alibaba's sample: the index of the next item
        shape = "item_agent" if self._agent else "item"
        return self._event(shape, f"response.output_item.{end}", index, item=item)

    def part(self, end: str, index: int, item_id: str, text: str) -> bytes:
        """`response.content_part.added` and `.done`."""
        kind = f"response.content_part.{end}"
        return self._event("part", kind, index, item_id, part=item("text", text=text))

    def text(self, end: str, index: int, item_id: str, text: str) -> bytes:
        """`response.output_text.delta` and `.done`."""
        kind = f"response.output_text.{end}"
        return self._event(f"text_{end}", kind, index, item_id, text=text, delta=text)

    def reasoning(self, end: str, index: int, item_id: str, text: str) -> bytes:
        """`response.reasoning_text.delta` and `.done`, or their spelling until July 2026."""
        old = self._old_reasoning
        kind = f"response.{'reasoning_summary_text' if old else 'reasoning_text'}.{end}"
        shape = f"reasoning_{end}{'_old' if old else ''}"
        return self._event(shape, kind, index, item_id, text=text, delta=text)

    def phase(self, tool: str, phase: str, index: int, item_id: str) -> bytes:
        """`response.web_search_call.searching` and its like."""
        return self._event("phase", f"response.{tool}.{phase}", index, item_id)

    def _event(
        self, shape: str, kind: str, index: int = 0, item_id: str = "", **fields: Any
    ) -> bytes:
        numbered = {**fields, "output_index": index, "item_id": item_id, "type": kind}
        numbered["sequence_number"] = self.count
        self.count += 1
        head = f"id:{self.count}\nevent:{kind}\n:HTTP_STATUS/200\ndata:"
        return head.encode() + to_json(like("events", shape, numbered)) + b"\n\n"


def count_tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def usage(
    context: Sequence[JSON] = (),
    instructions: str = "",
    output: Sequence[JSON] = (),
    tools: Mapping[str, int] | None = None,
) -> JSON:
    """The usage object, with sums that add up; `x_tools` only when a tool was used."""
    read = sum(map(_item_tokens, context)) + count_tokens(instructions)
    thought = sum(_item_tokens(item) for item in output if item["type"] == "reasoning")
    written = sum(map(_item_tokens, output))
    counts: JSON = {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": read + written,
    }
    if tools:
        counts["x_tools"] = {name: {"count": count} for name, count in tools.items()}
    return counts


def _item_tokens(item: JSON) -> int:
    """Of what the model read or wrote in it: texts, code, logs, arguments; not ids and keys."""
    parts = item.get("content") or item.get("summary") or item.get("outputs") or []
    texts: list[Any] = [parts] if isinstance(parts, str) else []
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict):
            texts += [part.get("text"), part.get("logs")]
    texts += [item.get(name) for name in ("code", "arguments", "output", "goal")]
    if "action" in item:
        texts.append(json.dumps(item["action"], ensure_ascii=False))
    return sum(count_tokens(text) for text in texts if isinstance(text, str))
