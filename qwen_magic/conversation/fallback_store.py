"""The store that a session uses: the file while it works, from then on memory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from qwen_magic.conversation.chain import (
    HeadMove,
    HeldId,
    Record,
    RecordedTurns,
    T,
    Turn,
    TurnSummary,
)
from qwen_magic.conversation.database import (
    FileLostError,
    as_damage,
    check_plain,
    is_busy,
    primary_code,
)
from qwen_magic.conversation.migrations import MIGRATIONS, NewerStoreError, add_columns, version_of
from qwen_magic.conversation.reading import select_chats, select_conversation
from qwen_magic.conversation.rows import MOVE_CELL, ChatSummary, Fact, Kept, default_columns
from qwen_magic.conversation.scope import HOME_VARIABLE
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.errors import reason_of
from qwen_magic.masking import redact

Done = TypeVar("Done")

_CONSEQUENCE: Final = "Conversations are kept in memory only from here on, and end with this kernel"
_ELSEWHERE: Final = f"set {HOME_VARIABLE} to a folder that can be written"
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REFUSED: Final = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN)
_FAILURES: Final = (sqlite3.Error, OSError, NewerStoreError)


def open_store(
    path: Path, scope: str, on_failure: Callable[[str], None] | None = None
) -> tuple[FallbackStore, str]:
    """Open the conversations of `scope` in the file at `path`; return the store, and a line if it
    failed.

    Never raises for problems of the file: conversations are then in memory only, and the line says
    why. A missing folder is created for the user alone. `on_failure` is called once with a later
    problem.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FallbackStore(SqliteStore(path, scope), path, on_failure), ""
    except _FAILURES as error:
        memory = FallbackStore(_in_memory(scope, readable_records(path, scope)), path, on_failure)
        memory.failure = explain(error, path)
        return memory, memory.failure


class FallbackStore:
    """A `SqliteStore` that continues in memory, with all known records, once its file fails.
    Thread-safe.

    The file is not tried again: records in two places, each incomplete, would be worse than one
    message.
    """

    def __init__(
        self, store: SqliteStore, path: Path, on_failure: Callable[[str], None] | None = None
    ) -> None:
        """`on_failure` is called once, with one line, in the thread where the failure occurred."""
        self._store = store
        self._path = path
        self._on_failure = on_failure
        self._known: dict[str, list[Record]] = {}  # of the conversations that were used here
        self._bases: dict[str, Sequence[Turn]] = {}  # that the forks among them share
        self._facts: dict[tuple[str, str], Fact] = {}  # that were kept here
        self._lock = threading.RLock()
        self.failure = ""  # the line, once there is one

    @property
    def path(self) -> Path | None:
        """The file, while it works."""
        return self._store.path

    @property
    def durable(self) -> bool:
        """Whether what is appended now outlives the process."""
        return self.path is not None

    def append(self, kept: Kept, *, running: bool = False) -> None:
        with self._lock:
            if isinstance(kept, Fact) and not kept.most:
                self._facts[kept.namespace, kept.key] = kept
            elif not isinstance(kept, Fact) and not running and kept.chat not in self._known:
                self.load(kept.chat, Turn)
            self._with_store(lambda store: store.append(kept, running=running))
            if not isinstance(kept, Fact) and not running:
                self._known[kept.chat].append(kept)

    def load(self, chat: str, kind: type[T]) -> RecordedTurns[T]:
        with self._lock:
            loaded = self._with_store(lambda store: store.load(chat, kind))
            if kind is Turn:
                whole: Any = loaded  # of turns
                self._known[chat], self._bases[chat] = list(whole.records), whole.base
            return loaded

    def chats(self) -> Sequence[ChatSummary]:
        return self._with_store(lambda store: store.chats())

    def of_cell(self, cell_id: str) -> Sequence[TurnSummary | HeadMove]:
        return self._with_store(lambda store: store.of_cell(cell_id))

    def held_ids(self) -> Collection[HeldId]:
        return self._with_store(lambda store: store.held_ids())

    def rename(self, chat: str, name: str) -> None:
        with self._lock:
            self._with_store(lambda store: store.rename(chat, name))
            for known in (self._known, self._bases):
                known.pop(chat, None)

    def fact(self, namespace: str, key: str) -> Any:
        return self._with_store(lambda store: store.fact(namespace, key))

    def close(self) -> None:
        self._with_store(lambda store: store.close())

    def _with_store(self, action: Callable[[SqliteStore], Done]) -> Done:
        """Run `action` with the store; if that fails, with memory instead."""
        with self._lock:
            try:
                return action(self._store)
            except _FAILURES as error:
                if not self.durable:
                    raise
                self._go_on_in_memory()
                self.failure = explain(error, self._path)
                done = action(self._store)
        if self._on_failure is not None:
            self._on_failure(self.failure)
        return done

    def _go_on_in_memory(self) -> None:
        """Copy what was used here, and what can still be read, into memory."""
        failed = self._store
        chats: list[str] = []
        with suppress(*_FAILURES):
            chats = [each.chat for each in failed.chats()]
        for chat in chats:
            if not self._known.get(chat):
                with suppress(*_FAILURES):
                    self._known[chat] = list(failed.load(chat, Turn).records)
        known: list[Kept] = list(self._facts.values())
        for chat in dict.fromkeys([*chats, *self._known]):
            known += [*self._bases.get(chat, ()), *self._known.get(chat, ())]
        self._store = _in_memory(failed.scope, known)
        with suppress(*_FAILURES):
            failed.close()


def _in_memory(scope: str, known: Iterable[Kept]) -> SqliteStore:
    memory = SqliteStore(scope=scope)
    for each in known:
        with suppress(ValueError):  # a turn that a fork shares is there already
            memory.append(each)
    return memory


def readable_records(path: Path, scope: str) -> Sequence[Record]:
    """All records of `scope` in a file that cannot be written, by conversation.

    Empty if the file is missing, damaged, or of a later version; earlier versions have the same
    tables.
    """
    with suppress(OSError):
        for options in _ways_to_read(path):
            with suppress(sqlite3.Error), as_damage():
                return tuple(_read(f"{path.absolute().as_uri()}?{options}", scope))
    return ()


def _ways_to_read(path: Path) -> Sequence[str]:
    """SQLite wants to write beside a file in write-ahead logging even to read it; where it cannot,
    and no log waits, the file is whole by itself."""
    if not path.is_file():
        return ()
    log = path.with_name(path.name + "-wal")
    waiting = log.exists() and log.stat().st_size > 0
    return ("mode=ro",) if waiting else ("mode=ro", "mode=ro&immutable=1")


def _read(uri: str, scope: str) -> Iterator[Record]:
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        check_plain(connection)
        connection.execute("BEGIN")
        if 1 <= version_of(connection) <= len(MIGRATIONS):
            add_columns(connection, "turns", default_columns(), for_good=False)
            add_columns(connection, "records", MOVE_CELL, for_good=False)
            for each in select_chats(connection, scope):
                yield from select_conversation(connection, scope, each.chat, Turn).records


def explain(error: Exception, path: Path) -> str:
    """One line for the user: the consequence, what happened, where, what to do."""
    what, advice = _cause(error, path)
    return redact(f"{_CONSEQUENCE}: {what}. {advice}")


def _cause(error: Exception, path: Path) -> tuple[str, str]:
    if isinstance(error, NewerStoreError):
        return (
            f"{path} was written by a newer qwen_magic (store version {error.version}; this one "
            f"knows {error.known})",
            f"Upgrade qwen_magic, or set {HOME_VARIABLE} to another folder.",
        )
    if isinstance(error, FileLostError):
        return (
            f"{path} {error.strerror}",
            "%qwen_export keeps a conversation; a new kernel opens the file anew.",
        )
    if isinstance(error, OSError):
        return f"{path} could not be made ({reason_of(error)})", f"To keep them, {_ELSEWHERE}."
    return _sqlite_cause(error, path)


def _sqlite_cause(error: Exception, path: Path) -> tuple[str, str]:
    code = primary_code(error)
    if code in _DAMAGED or (code == 0 and isinstance(error, sqlite3.DatabaseError)):
        return (
            f"{path} is damaged or no store of conversations ({error})",
            "It was left as it is: move it away, and the next kernel begins a new one.",
        )
    if code in _REFUSED:
        return (
            f"{path} or its folder cannot be written ({error})",
            f"Make both writable, or {_ELSEWHERE}; then restart the kernel.",
        )
    if code == sqlite3.SQLITE_FULL:
        return f"the disk of {path} is full", "Make room, then restart the kernel."
    if code == sqlite3.SQLITE_IOERR:
        return (
            f"{path} could not be read or written ({error})",
            "The disk may be full, over quota or away: look after it, then restart the kernel.",
        )
    if is_busy(error):
        return (
            f"another program keeps {path} locked",
            "End it (often a suspended kernel), then restart this kernel.",
        )
    return f"{path} failed ({error})", f"Restart the kernel, or {_ELSEWHERE}."
