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

JSON: TypeAlias = dict[str, Any]

MODEL = "demo"
CHARACTERS_PER_TOKEN = 4  # a plain estimate

_SAMPLES: JSON = json.loads(Path(__file__).with_suffix(".json").read_text("utf-8"))
# Of an item, what the model read or wrote: not ids and keys.
_READ = {"content", "text", "logs", "code", "arguments", "output", "goal", "query"}


def to_json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")  # a lone surrogate in a prompt is not encodable


def read_json(text: str, otherwise: Any = None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return otherwise


def like(group: str, sample: str, fields: Mapping[str, Any]) -> JSON:
    """That sample's keys in their order, with its own values where `fields` gives none."""
    shape = _SAMPLES[group][sample]
    return {key: fields[key] if key in fields else deepcopy(shape[key]) for key in shape}


@dataclass(slots=True)
class Response:
    """One response as it grows. What was sent is echoed by its terminal object only."""

    id: str
    created_at: int  # Unix seconds
    request: JSON  # the body that asked for it
    status: str = "queued"
    output: list[JSON] = field(default_factory=list)
    usage: JSON | None = None
    error: JSON | None = None
    previous_response_id: str | None = None

    def as_json(self, form: str = "plain") -> JSON:
        """`form`: `plain` or `agent`."""
        own: JSON = {"id": self.id, "created_at": self.created_at, "status": self.status}
        if self.status in ("completed", "incomplete", "failed"):
            own |= {name: self.request[name] for name in _SAMPLES["echoed"] if name in self.request}
            own |= {"output": self.output, "previous_response_id": self.previous_response_id}
            own |= {"error": self.error, "usage": self.usage}
            own["model"] = "" if self.status == "failed" else MODEL
            if self.status == "incomplete":
                own["incomplete_details"] = {"reason": "max_output_tokens"}
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

    def __init__(self, *, agent: bool) -> None:
        self._agent = agent
        self._count = 0

    def event(self, kind: str, **fields: Any) -> bytes:
        """`kind` is its type without `response.` before it."""
        family, _, end = kind.partition(".")
        shapes = _SAMPLES["events"]
        names = (kind, family, "phase" if end else "lifecycle")  # of a tool; of the response
        shape = next(name for name in names if name in shapes)
        shape += " agent" if self._agent and f"{shape} agent" in shapes else ""
        numbered = {**fields, "type": f"response.{kind}", "sequence_number": self._count}
        self._count += 1
        head = f"id:{self._count}\nevent:response.{kind}\n:HTTP_STATUS/200\ndata:"
        return head.encode() + to_json(like("events", shape, numbered)) + b"\n\n"


def usage(context: Sequence[JSON], output: Sequence[JSON], tools: Mapping[str, int]) -> JSON:
    """The usage object, with sums that add up; `x_tools` only when a tool was used."""
    read, written = count_tokens(context), count_tokens(output)
    thought = count_tokens([item for item in output if item["type"] == "reasoning"])
    sums = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    counts = like("usage", "all", sums)
    counts["output_tokens_details"] = {"reasoning_tokens": thought}
    if tools:
        counts["x_tools"] = {name: {"count": count} for name, count in tools.items()}
    return counts


def count_tokens(value: Any, key: str = "") -> int:
    """About how many tokens the texts in an item, or several, come to."""
    if isinstance(value, str):
        return -(-len(value) // CHARACTERS_PER_TOKEN) if key in _READ else 0
    if isinstance(value, dict):
        return sum(count_tokens(each, name) for name, each in value.items())
    return sum(count_tokens(each, key) for each in value) if isinstance(value, list | tuple) else 0
