"""The store's schema, as the steps that led to it.

A new field of `Turn` or `HeadMove` needs no step: `add_columns` gives it a column with its default.
An earlier version of the package goes on using such a file, since it names what it writes.

A step is never edited once it has been released: a file in someone's home has been through it.
Whatever changes is a new step at the end. A file's `PRAGMA user_version` is how many it has had.

    chats    one row for each conversation of a scope (a notebook's path, or a working folder)
    records  turns and moves of the head in the order in which they replay; `seq` only grows
    turns    what a turn said; `draft`: it was being written when this was kept
    growth   how a draft's text and items grew, second by second; gone when it has ended
    facts    what else is worth keeping, for all scopes: JSON by namespace and key

In version 2 there was a table `shape`, kept by triggers, from which a conversation was outlined
without reading it. Reading ten thousand turns without their texts takes less than a tenth of a
second, so it went.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, TypeAlias

from qwen_magic.conversation.database import transaction
from qwen_magic.conversation.rows import Row

Migration: TypeAlias = tuple[str, ...]

_1_CONVERSATIONS: Final[Migration] = (
    """
    CREATE TABLE chats (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        scope TEXT NOT NULL,
        name TEXT NOT NULL,
        turns INTEGER NOT NULL DEFAULT 0,
        tokens INTEGER NOT NULL DEFAULT 0,
        newest REAL NOT NULL DEFAULT 0,
        UNIQUE (scope, name)
    )
    """,
    """
    CREATE TABLE records (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        chat INTEGER NOT NULL REFERENCES chats (id),
        kind TEXT NOT NULL CHECK (kind IN ('turn', 'head', 'fork')),
        key TEXT,
        at REAL NOT NULL,
        moves_head INTEGER NOT NULL
    )
    """,
    "CREATE INDEX records_by_chat ON records (chat, seq)",
    "CREATE INDEX records_by_key ON records (key)",
    "CREATE INDEX heads_by_chat ON records (chat, seq) WHERE moves_head",
    "CREATE UNIQUE INDEX turns_once ON records (chat, key) WHERE kind = 'turn'",
    """
    CREATE TABLE turns (
        seq INTEGER PRIMARY KEY REFERENCES records (seq),
        draft INTEGER NOT NULL DEFAULT 0,
        status TEXT NOT NULL,
        parent TEXT,
        response_id TEXT NOT NULL,
        previous_response_id TEXT NOT NULL,
        cell_id TEXT,
        cell_call INTEGER,
        stored INTEGER NOT NULL DEFAULT 1,
        model TEXT NOT NULL,
        host TEXT NOT NULL,
        seconds REAL NOT NULL,
        input_tokens INTEGER,
        output_tokens INTEGER,
        total_tokens INTEGER,
        cached_tokens INTEGER,
        reasoning_tokens INTEGER,
        tools TEXT,
        prompt TEXT NOT NULL,
        input TEXT NOT NULL,
        text TEXT NOT NULL,
        items TEXT NOT NULL
    )
    """,
    "CREATE INDEX turns_by_parent ON turns (parent)",
    """
    CREATE TABLE growth (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        turn INTEGER NOT NULL REFERENCES turns (seq),
        field TEXT NOT NULL CHECK (field IN ('text', 'items')),
        keep INTEGER NOT NULL,
        tail TEXT NOT NULL
    )
    """,
    "CREATE INDEX growth_by_turn ON growth (turn, id)",
)

# What version 2 added, version 3 took away again: a file that never was of version 2 lacks nothing.
_2_NOTHING: Final[Migration] = ()

_3_FACTS: Final[Migration] = (
    "DROP TRIGGER IF EXISTS turn_put",
    "DROP TRIGGER IF EXISTS turn_taken",
    "DROP TABLE IF EXISTS shape",
    "DROP INDEX IF EXISTS turns_by_response",
    "DROP INDEX IF EXISTS marks_by_chat",
    "DROP INDEX IF EXISTS chats_by_age",
    """
    CREATE TABLE facts (
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (namespace, key)
    )
    """,
)

# From version 4 on a text may stand in its items alone (`rows.IN_ITEMS`), which an earlier version
# of the package would read as an empty one.
_4_NOTHING: Final[Migration] = ()

MIGRATIONS: Final[Sequence[Migration]] = (_1_CONVERSATIONS, _2_NOTHING, _3_FACTS, _4_NOTHING)


class NewerStoreError(Exception):
    """The file was written by a later version of this package. `version` is the file's."""

    def __init__(self, version: int, known: int) -> None:
        super().__init__(f"store version {version}, known up to {known}")
        self.version = version
        self.known = known


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations this file has had."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Take the file through the steps that it lacks, all of them or none. Raises `NewerStoreError`,
    before anything is written, where a later version of the package wrote the file.

    `connection` is in autocommit mode (`isolation_level=None`). Where no step is due the version
    is written all the same, then taken back: a file that cannot be written says so now (a lock
    alone it gives), and one that is whole, or damaged, stays as it is to the byte.
    """
    _check_version(connection, migrations)
    with transaction(connection):
        _check_version(connection, migrations)  # again: another process may have been faster
        due = migrations[version_of(connection) :]
        for migration in due:
            for statement in migration:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        if not due:
            connection.execute("ROLLBACK")


def add_columns(
    connection: sqlite3.Connection, table: str, defaults: Row, *, for_good: bool = True
) -> None:
    """Add to `table` those columns of `defaults` that it lacks, with these as what stands in them.
    Not `for_good`: only this connection sees them, and the file stays as it is."""
    there = {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}
    missing = {
        name: connection.execute("SELECT quote(?)", (value,)).fetchone()[0]
        for name, value in defaults.items()
        if name not in there
    }
    if not for_good and missing:
        added = ", ".join(f"{value} AS {name}" for name, value in missing.items())
        connection.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {added} FROM main.{table}")
    elif missing:
        for name, value in missing.items():
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} DEFAULT {value}")


def _check_version(connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
    version = version_of(connection)
    if version > len(migrations):
        raise NewerStoreError(version, len(migrations))
