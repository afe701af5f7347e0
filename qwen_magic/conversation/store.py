"""Where turns are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from qwen_magic.conversation.chain import Record


class ChainStore(Protocol):
    """Keeps the records of named conversations. Nothing is ever deleted or changed."""

    def append(self, record: Record) -> None:
        """Keep an ended turn, or a mark, under its conversation's name."""

    def records(self, chat: str) -> Sequence[Record]:
        """The records of one conversation, in the order in which they were appended."""

    def chats(self) -> Sequence[str]:
        """The names of all conversations that have records, in order of their first one."""


class MemoryStore:
    """Records for as long as the process lives."""

    def __init__(self) -> None:
        self._records: dict[str, list[Record]] = {}

    def append(self, record: Record) -> None:
        self._records.setdefault(record.chat, []).append(record)

    def records(self, chat: str) -> Sequence[Record]:
        return tuple(self._records.get(chat, ()))

    def chats(self) -> Sequence[str]:
        return tuple(self._records)
