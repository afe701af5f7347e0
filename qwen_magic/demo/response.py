"""The response object, in the key orders of Alibaba's samples.

`plain_response` is the form of a text stream (and of `GET`, and of a body that is no stream);
`agent_response` the form of a stream with thinking or tools.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]

MODEL = "demo"


@dataclass(slots=True)
class Response:
    """One response as it grows."""

    id: str
    created_at: int  # Unix seconds
    request: JSON  # the body that asked for it
    status: str = "queued"
    output: list[JSON] = field(default_factory=list)
    usage: JSON | None = None
    error: JSON | None = None
    incomplete_reason: str = ""
    previous_response_id: str | None = None

    @property
    def terminal(self) -> bool:
        return self.status in ("completed", "incomplete", "failed")

    @property
    def model(self) -> str:
        """Empty in the first events, as on the wire, and in an answer that failed."""
        return MODEL if self.status in ("completed", "incomplete") else ""

    @property
    def incomplete_details(self) -> JSON | None:
        return {"reason": self.incomplete_reason} if self.incomplete_reason else None

    def echo(self, name: str, default: Any = None) -> Any:
        """A parameter as it was sent: only the terminal object gives it back."""
        return self.request.get(name, default) if self.terminal else default


def plain_response(response: Response, *, float_time: bool = False) -> JSON:
    """`float_time`: the text stream's samples have `created_at` as a float."""
    echo = response.echo
    created_at = response.created_at
    return {
        "id": response.id,
        "created_at": float(created_at) if float_time else created_at,
        "error": response.error,
        "incomplete_details": response.incomplete_details,
        "instructions": echo("instructions"),
        "metadata": echo("metadata"),
        "model": response.model,
        "object": "response",
        "output": response.output if response.terminal else [],
        "parallel_tool_calls": False,
        "temperature": echo("temperature"),
        "tool_choice": echo("tool_choice", "auto"),
        "tools": echo("tools", []),
        "top_p": echo("top_p"),
        "background": None,
        "completed_at": None,
        "conversation": None,
        "max_output_tokens": echo("max_output_tokens"),
        "max_tool_calls": None,
        "previous_response_id": response.previous_response_id if response.terminal else None,
        "prompt": None,
        "prompt_cache_key": None,
        "prompt_cache_retention": None,
        "reasoning": echo("reasoning"),
        "safety_identifier": None,
        "service_tier": None,
        "status": response.status,
        "text": None,
        "top_logprobs": None,
        "truncation": None,
        "usage": response.usage,
        "user": None,
    }


def agent_response(response: Response) -> JSON:
    snapshot: JSON = {
        "output": response.output if response.terminal else [],
        "parallel_tool_calls": False,
        "created_at": response.created_at,
        "tool_choice": response.echo("tool_choice", "auto"),
        "model": response.model,
        "id": response.id,
        "tools": response.echo("tools", []),
        "object": "response",
        "status": response.status,
    }
    if response.terminal:
        snapshot |= {
            "error": response.error,
            "incomplete_details": response.incomplete_details,
            "previous_response_id": response.previous_response_id,
            "usage": response.usage,
        }
    return snapshot
