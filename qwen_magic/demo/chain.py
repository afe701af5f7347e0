"""What a request's `previous_response_id` stands for, in each of the server's chain modes."""

from __future__ import annotations

from typing import Any, TypeAlias

from qwen_magic.demo.store import Kept, ResponseStore
from qwen_magic.demo.switches import Switches
from qwen_magic.demo.validation import RefusedError

JSON: TypeAlias = dict[str, Any]


def find_previous(body: JSON, store: ResponseStore, switches: Switches) -> Kept | None:
    """The response that is continued; None for a new conversation. Raises `RefusedError`.

    `keeps`: as DashScope. `forgets`: the same, but an id whose chain has `forget_after` turns is
    unknown. `refuses`: 400, as llama.cpp. `ignores`: taken, and nothing made of it, as Ollama.
    """
    id = body.get("previous_response_id")
    if not id or switches.chain == "ignores":
        return None
    if switches.chain == "refuses":
        message = "llama.cpp does not support 'previous_response_id'."
        raise RefusedError(message, "invalid_request_error", nested=True)
    kept = store.get(id)
    if kept is None or (switches.chain == "forgets" and kept.turns >= switches.forget_after):
        raise RefusedError(f"Not found previous_response_id: {id}")
    return kept
