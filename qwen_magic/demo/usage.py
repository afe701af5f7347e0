"""Token counts: a plain estimate of four characters a token, with sums that add up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]

CHARACTERS_PER_TOKEN = 4


def tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def usage(
    context: Sequence[JSON],
    instructions: str,
    output: Sequence[JSON],
    tools: Mapping[str, int],
) -> JSON:
    """The usage object; `x_tools` only when a tool was used."""
    input_tokens = sum(_item_tokens(item) for item in context) + tokens(instructions)
    reasoning = sum(_item_tokens(item) for item in output if item["type"] == "reasoning")
    output_tokens = sum(_item_tokens(item) for item in output)
    counts: JSON = {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": input_tokens + output_tokens,
    }
    if tools:
        counts["x_tools"] = {name: {"count": count} for name, count in tools.items()}
    return counts


def zero_usage() -> JSON:
    return usage([], "", [], {})


def _item_tokens(item: JSON) -> int:
    """Of what the model read or wrote in it: texts, code, logs, arguments; not ids and keys."""
    return sum(tokens(text) for text in _texts(item))


def _texts(item: JSON) -> list[str]:
    parts = item.get("content") or item.get("summary") or item.get("outputs") or []
    found = [parts] if isinstance(parts, str) else []
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict):
            found += [v for k in ("text", "logs") if isinstance(v := part.get(k), str)]
    found += [
        v for k in ("code", "arguments", "output", "goal") if isinstance(v := item.get(k), str)
    ]
    if "action" in item:
        found.append(json.dumps(item["action"], ensure_ascii=False))
    return found
