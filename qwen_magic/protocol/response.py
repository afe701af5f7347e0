"""What a response object says of itself: its status, its error, its usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from qwen_magic.masking import redact
from qwen_magic.protocol.error_reason import read_reason
from qwen_magic.protocol.fields import JSON, count, mapping, mappings

Status: TypeAlias = Literal[
    "queued", "in_progress", "completed", "incomplete", "failed", "cancelled"
]
EndStatus: TypeAlias = Literal["completed", "incomplete", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class ResponseError:
    """Why a response failed, in the service's words; each field may be empty."""

    code: str = ""
    message: str = ""
    request_id: str = ""


def response_error(raw: object) -> ResponseError | None:
    """A response's `error` field, or a whole error body; None where it is null or says nothing."""
    reason = read_reason(raw)
    if not reason.code and not reason.message:
        return None
    return ResponseError(redact(reason.code), redact(reason.message), redact(reason.request_id))


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and tool calls of a response. All-zero usage is seen on the wire: `known` is then
    False and nothing should be shown.

    Of the input, `cached_tokens` were read from a cache, `session_cached_tokens` of these from the
    one that the request's session-cache header asks for, and `cache_creation_tokens` were written
    to that: each has a price of its own.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    tools: Mapping[str, int] = field(default_factory=dict)  # calls by tool (`x_tools`)
    session_cached_tokens: int = 0
    cache_creation_tokens: int = 0

    @property
    def known(self) -> bool:
        return bool(self.input_tokens or self.output_tokens or self.total_tokens)

    def __add__(self, other: Usage) -> Usage:
        """Both together: the usage of several responses."""
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.total_tokens + other.total_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            {
                name: self.tools.get(name, 0) + other.tools.get(name, 0)
                for name in (*self.tools, *other.tools)
            },
            self.session_cached_tokens + other.session_cached_tokens,
            self.cache_creation_tokens + other.cache_creation_tokens,
        )


def parse_usage(raw: JSON | None) -> Usage:
    """Tokens, calls by tool out of `x_tools`, and out of `x_details` what the session cache did (it
    alone names a `cache_type`). None or nonsense gives an all-zero usage.

    Bridges to Chat Completions leave its names: `prompt_tokens`, `completion_tokens`.
    """
    raw = mapping(raw)
    caches = [mapping(each.get("prompt_tokens_details")) for each in mappings(raw.get("x_details"))]
    spent = count(raw.get("input_tokens")) or count(raw.get("prompt_tokens"))
    got = count(raw.get("output_tokens")) or count(raw.get("completion_tokens"))
    read = mapping(raw.get("input_tokens_details")) or mapping(raw.get("prompt_tokens_details"))
    written = mapping(raw.get("output_tokens_details")) or mapping(
        raw.get("completion_tokens_details")
    )
    return Usage(
        input_tokens=spent,
        output_tokens=got,
        total_tokens=count(raw.get("total_tokens")) or spent + got,
        cached_tokens=count(read.get("cached_tokens")),
        reasoning_tokens=count(written.get("reasoning_tokens")),
        tools={
            name: count(mapping(tool).get("count"))
            for name, tool in mapping(raw.get("x_tools")).items()
        },
        session_cached_tokens=sum(
            count(cache.get("cached_tokens")) for cache in caches if cache.get("cache_type")
        ),
        cache_creation_tokens=sum(
            count(cache.get("cache_creation_input_tokens")) for cache in caches
        ),
    )
