"""The events of a stream as bytes: framing, numbers and key order of Alibaba's samples.

    id:3
    event:response.output_item.added
    :HTTP_STATUS/200
    data:{"sequence_number":2,…}

No space after the colons, a comment line for the status, an empty line at the end; `id` is the
sequence number plus one; no `[DONE]`.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from qwen_magic.demo.items import text_part
from qwen_magic.demo.response import Response, agent_response, plain_response
from qwen_magic.demo.switches import ReasoningSpelling

JSON: TypeAlias = dict[str, Any]


def to_json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")  # a lone surrogate in a prompt is not encodable


def frame(number: int, event: str, payload: JSON) -> bytes:
    head = f"id:{number}\nevent:{event}\n:HTTP_STATUS/200\ndata:"
    return head.encode() + to_json(payload) + b"\n\n"


class EventWriter:
    """Writes the events of one response, numbered in the order of the calls.

    `agent` chooses the form of the samples with thinking and tools; message events have one form.
    """

    def __init__(self, *, agent: bool, reasoning: ReasoningSpelling = "new") -> None:
        self._agent = agent
        self._reasoning = reasoning
        self.count = 0

    def lifecycle(self, kind: str, response: Response) -> bytes:
        """`response.created`, `.in_progress` and the terminal events."""
        number = self.count
        if self._agent:
            body = agent_response(response)
            return self._frame(kind, {"sequence_number": number, "type": kind, "response": body})
        body = plain_response(response, float_time=True)
        return self._frame(kind, {"response": body, "sequence_number": number, "type": kind})

    def item_added(self, index: int, item: JSON) -> bytes:
        return self._item("response.output_item.added", index, item)

    def item_done(self, index: int, item: JSON) -> bytes:
        # Alibaba's sample gives the done event of a reasoning item the index of the next item.
        shown = index + 1 if item["type"] == "reasoning" else index
        return self._item("response.output_item.done", shown, item)

    def _item(self, kind: str, index: int, item: JSON) -> bytes:
        number = self.count
        if self._agent:
            payload = {
                "sequence_number": number,
                "item": item,
                "output_index": index,
                "type": kind,
            }
        else:
            payload = {
                "item": item,
                "output_index": index,
                "sequence_number": number,
                "type": kind,
            }
        return self._frame(kind, payload)

    def part_added(self, index: int, item_id: str) -> bytes:
        return self._part("response.content_part.added", index, item_id, "")

    def part_done(self, index: int, item_id: str, text: str) -> bytes:
        return self._part("response.content_part.done", index, item_id, text)

    def _part(self, kind: str, index: int, item_id: str, text: str) -> bytes:
        payload = {
            "content_index": 0,
            "item_id": item_id,
            "output_index": index,
            "part": text_part(text),
            "sequence_number": self.count,
            "type": kind,
        }
        return self._frame(kind, payload)

    def text_delta(self, index: int, item_id: str, delta: str) -> bytes:
        kind = "response.output_text.delta"
        payload = {
            "content_index": 0,
            "delta": delta,
            "item_id": item_id,
            "logprobs": [],
            "output_index": index,
            "sequence_number": self.count,
            "type": kind,
        }
        return self._frame(kind, payload)

    def text_done(self, index: int, item_id: str, text: str) -> bytes:
        kind = "response.output_text.done"
        payload = {
            "content_index": 0,
            "item_id": item_id,
            "logprobs": [],
            "output_index": index,
            "sequence_number": self.count,
            "text": text,
            "type": kind,
        }
        return self._frame(kind, payload)

    def reasoning_delta(self, index: int, item_id: str, delta: str) -> bytes:
        start = {"delta": delta, "sequence_number": self.count}
        return self._reasoning_event("delta", start, index, item_id)

    def reasoning_done(self, index: int, item_id: str, text: str) -> bytes:
        start = {"sequence_number": self.count, "text": text}
        return self._reasoning_event("done", start, index, item_id)

    def _reasoning_event(self, end: str, start: JSON, index: int, item_id: str) -> bytes:
        old = self._reasoning == "old"
        kind = f"response.{'reasoning_summary_text' if old else 'reasoning_text'}.{end}"
        payload = {**start, "output_index": index, "type": kind, "item_id": item_id}
        return self._frame(kind, {**payload, "summary_index": 0} if old else payload)

    def tool_phase(self, tool: str, phase: str, index: int, item_id: str) -> bytes:
        """`response.web_search_call.searching` and its like."""
        kind = f"response.{tool}.{phase}"
        payload = {
            "sequence_number": self.count,
            "output_index": index,
            "type": kind,
            "item_id": item_id,
        }
        return self._frame(kind, payload)

    def _frame(self, event: str, payload: JSON) -> bytes:
        self.count += 1
        return frame(self.count, event, payload)
