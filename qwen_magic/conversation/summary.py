"""Conversations in a line each, told without loading them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PREVIEW: Final = 200  # characters of a prompt


@dataclass(frozen=True, slots=True)
class Summary:
    """`turns` counts all that were begun here (not those that a fork shares), `tokens` their total.

    `newest`: when the last record was made, in seconds since 1970. `head`: the key of the turn
    that it continues after, None before its first; `prompt`: how that turn's question begins, at
    most `PREVIEW` characters.
    """

    chat: str
    turns: int
    tokens: int
    newest: float
    head: str | None
    prompt: str


@dataclass(frozen=True, slots=True)
class Recent:
    """The conversations used last, in order of their first record; `older` others are left out."""

    summaries: tuple[Summary, ...]
    older: int = 0
