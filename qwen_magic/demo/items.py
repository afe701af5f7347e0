"""Output items as the service writes them: the same keys, in the same order.

Every id is `msg_<uuid>`, whatever the item's type. Message, reasoning and web search are in the key
order of Alibaba's stream samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]


def text_part(text: str) -> JSON:
    return {"annotations": [], "text": text, "type": "output_text", "logprobs": None}


def message(id: str, text: str | None, status: str) -> JSON:
    """The assistant's message; `text` None is the item before it has any part."""
    content = [] if text is None else [text_part(text)]
    return {
        "id": id,
        "content": content,
        "role": "assistant",
        "status": status,
        "type": "message",
    }


def reasoning(id: str, text: str | None) -> JSON:
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"summary": summary, "type": "reasoning", "id": id}


def search_begun(id: str) -> JSON:
    action = {"type": "search", "query": "Web search"}
    return {"action": action, "id": id, "type": "web_search_call", "status": "in_progress"}


def search_done(id: str, queries: Sequence[str], urls: Sequence[str]) -> JSON:
    action = {
        "type": "search",
        "query": queries[0],
        "queries": list(queries),
        "sources": [{"type": "url", "url": url} for url in urls],
    }
    return {"action": action, "id": id, "type": "web_search_call", "status": "completed"}


def extractor(id: str, urls: Sequence[str], goal: str, output: str | None) -> JSON:
    """A page read; `output` None is the item as it is added."""
    found = {} if output is None else {"output": output}
    status = "in_progress" if output is None else "completed"
    return {
        **found,
        "urls": list(urls),
        "goal": goal,
        "id": id,
        "type": "web_extractor_call",
        "status": status,
    }


def interpreter(id: str, code: str | None, logs: str = "") -> JSON:
    """A run of code; `code` None is the item as it is added (its exact shape is not documented)."""
    outputs = [] if code is None else [{"type": "logs", "logs": logs}]
    return {
        "id": id,
        "type": "code_interpreter_call",
        "status": "in_progress" if code is None else "completed",
        "code": code or "",
        "container_id": id,
        "outputs": outputs,
    }


def function_call(id: str, name: str, arguments: str, call_id: str, status: str) -> JSON:
    return {
        "id": id,
        "type": "function_call",
        "status": status,
        "name": name,
        "arguments": arguments,
        "call_id": call_id,
    }
