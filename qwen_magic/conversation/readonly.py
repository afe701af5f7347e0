"""The conversations of a file that can be read, though not written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from qwen_magic.conversation.chain import Record
from qwen_magic.conversation.migrations import MIGRATIONS, version_of
from qwen_magic.conversation.reading import select_chats, select_records


def readable_records(path: Path, scope: str) -> Sequence[Record]:
    """All records of `scope`, conversation by conversation, without changing anything.

    Empty where the file is missing, damaged, or of a later version than this package writes; an
    earlier one has its records in the same tables.
    """
    try:
        ways = _ways(path)
    except OSError:
        return ()
    for options in ways:
        try:
            return _read(f"{path.absolute().as_uri()}?{options}", scope)
        except (sqlite3.Error, ValueError):
            continue
    return ()


def _ways(path: Path) -> Sequence[str]:
    """How to open it. SQLite wants to write beside a file in write-ahead logging even to read it;
    where it cannot, and no log waits, the file is whole by itself."""
    if not path.is_file():
        return ()
    log = path.with_name(path.name + "-wal")
    waiting = log.exists() and log.stat().st_size > 0
    return ("mode=ro",) if waiting else ("mode=ro", "mode=ro&immutable=1")


def _read(uri: str, scope: str) -> Sequence[Record]:
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        if not 1 <= version_of(connection) <= len(MIGRATIONS):
            return ()
        return [
            record
            for chat in select_chats(connection, scope)
            for record in select_records(connection, scope, chat, running=())
        ]
