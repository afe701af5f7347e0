"""Where turns are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qwen_magic.conversation.chain import Turn


class ChainStore(Protocol):
    """Keeps the ended turns of named conversations. Nothing is ever deleted or changed."""

    def append(self, turn: Turn) -> None:
        """Keep `turn` under its conversation's name."""

    def turns(self, chat: str) -> Sequence[Turn]:
        """The turns of one conversation, in the order in which they were appended."""

    def chats(self) -> Sequence[str]:
        """The names of all conversations that have turns, in order of their first one."""


class MemoryStore:
    """Turns for as long as the process lives."""

    def __init__(self) -> None:
        self._turns: dict[str, list[Turn]] = {}

    def append(self, turn: Turn) -> None:
        self._turns.setdefault(turn.chat, []).append(turn)

    def turns(self, chat: str) -> Sequence[Turn]:
        return tuple(self._turns.get(chat, ()))

    def chats(self) -> Sequence[str]:
        return tuple(self._turns)
