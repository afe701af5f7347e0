"""Whole replies with a JSON body: objects, and errors in DashScope's shapes."""

from __future__ import annotations

from typing import Any, TypeAlias

from qwen_magic.demo.events import to_json
from qwen_magic.demo.http11 import Reply

JSON: TypeAlias = dict[str, Any]


def json_reply(value: JSON, status: int = 200) -> Reply:
    return Reply(status, to_json(value))


def error_reply(
    status: int, code: str, message: str, request_id: str, *, nested: bool = False
) -> Reply:
    """An error in DashScope's flat shape, or nested as its chat endpoint has it."""
    if nested:
        error = {"code": code, "message": message, "param": None, "type": "invalid_request_error"}
        return json_reply({"error": error, "request_id": request_id}, status)
    return json_reply({"request_id": request_id, "code": code, "message": message}, status)
