"""The store that a session uses: the file for as long as it works, from then on memory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from qwen_magic.conversation.chain import Record, Turn
from qwen_magic.conversation.migrations import NewerStoreError
from qwen_magic.conversation.outline import Outline
from qwen_magic.conversation.readonly import readable_records
from qwen_magic.conversation.recall import MemoryRecall, RecallStore
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.conversation.store_errors import explain
from qwen_magic.conversation.summary import Recent, Summary

T = TypeVar("T")

_TROUBLE: Final = (sqlite3.Error, OSError, NewerStoreError)


def open_store(
    path: Path, scope: str, on_trouble: Callable[[str], None] | None = None
) -> tuple[FallbackStore, str]:
    """The conversations of `scope` in the file at `path`, and one line about it: empty when all
    is well, else why they are in memory only.

    Never raises for what is wrong with the file: the store works either way. Its folder is made
    where it is missing, for the user alone. `on_trouble` is told, once, of what goes wrong later.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FallbackStore(SqliteStore(path, scope), path, on_trouble), ""
    except _TROUBLE as error:
        memory = MemoryRecall()
        for record in readable_records(path, scope):
            memory.append(record)
        return FallbackStore(memory, path, on_trouble), explain(error, path)


class FallbackStore:
    """A store that goes on in memory, with all that was known, once its file fails.

    It does not try the file again: what was kept there stays there, and two places that each hold
    a part would be worse than one line that says so. Safe to use from several threads.
    """

    def __init__(
        self, store: RecallStore, path: Path, on_trouble: Callable[[str], None] | None = None
    ) -> None:
        """`on_trouble` is called once, with one line, in the thread that met the failure."""
        self._store = store
        self._path = path
        self._on_trouble = on_trouble
        self._known: dict[str, list[Record]] = {}  # the conversations that were used here
        self._lock = threading.RLock()
        self.trouble = ""  # the line, once there is one

    @property
    def durable(self) -> bool:
        """Whether what is appended now outlives the process."""
        return not isinstance(self._store, MemoryRecall)

    def append(self, record: Record) -> None:
        with self._lock:
            if record.chat not in self._known:
                self.records(record.chat)
            self._do(lambda store: store.append(record))
            self._known[record.chat].append(record)

    def checkpoint(self, turn: Turn) -> None:
        self._do(lambda store: store.checkpoint(turn))

    def records(self, chat: str) -> Sequence[Record]:
        with self._lock:
            records = self._do(lambda store: store.records(chat))
            self._known[chat] = list(records)
            return records

    def chats(self) -> Sequence[str]:
        return self._do(lambda store: store.chats())

    def turn(self, key: str) -> Turn | None:
        return self._do(lambda store: store.turn(key))

    def path_to(self, key: str) -> list[Turn]:
        return self._do(lambda store: store.path_to(key))

    def summaries(self) -> Sequence[Summary]:
        return self._do(lambda store: store.summaries())

    def recent(self, most: int, also: str) -> Recent:
        return self._do(lambda store: store.recent(most, also))

    def has(self, chat: str) -> bool:
        return self._do(lambda store: store.has(chat))

    def outline(self, chat: str) -> Outline:
        return self._do(lambda store: store.outline(chat))

    def close(self) -> None:
        self._do(lambda store: store.close())

    def _do(self, action: Callable[[RecallStore], T]) -> T:
        """Do it with the store; where that fails, with memory instead."""
        with self._lock:
            try:
                return action(self._store)
            except _TROUBLE as error:
                if not self.durable:
                    raise
                self._go_on_in_memory()
                self.trouble = explain(error, self._path)
                done = action(self._store)
        if self._on_trouble is not None:
            self._on_trouble(self.trouble)
        return done

    def _go_on_in_memory(self) -> None:
        """Take along what was used here, and what can still be read of the rest."""
        memory = MemoryRecall()
        for chat in dict.fromkeys([*_or_nothing(self._store.chats), *self._known]):
            for record in self._known.get(chat) or _or_nothing(self._store.records, chat):
                memory.append(record)
        _or_nothing(self._store.close)
        self._store = memory


def _or_nothing(read: Callable[..., Sequence[T] | None], *arguments: str) -> Sequence[T]:
    try:
        return read(*arguments) or ()
    except _TROUBLE:
        return ()
