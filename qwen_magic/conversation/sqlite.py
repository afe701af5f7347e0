"""Conversations kept in SQLite: in a file, or in memory.

Records replay in the order of `seq`. A turn takes its place when it has *ended*, not when it was
begun: the chain that lived appended it then, and of two answers that ran at once the one that ended
last is the head. So `append` takes a draft out and puts the turn at the end. One exception: where
another process has continued a draft meanwhile, or made it a head, the turn ends where the draft
stands, since a parent must precede its children.

A *draft* is a turn that is being written: a row of `turns` whose text and items are empty, with
what they grew by in `growth`, a small row each time. Ending takes both away and puts the turn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from qwen_magic.conversation.chain import (
    HeadMove,
    HeldId,
    RecordedTurns,
    T,
    Turn,
    TurnSummary,
)
from qwen_magic.conversation.database import Database, is_busy, transaction
from qwen_magic.conversation.migrations import add_columns, migrate
from qwen_magic.conversation.reading import (
    select_cell,
    select_chats,
    select_conversation,
    select_fact,
    select_ids,
)
from qwen_magic.conversation.rows import (
    CHANGING,
    COLUMNS,
    MOVE_CELL,
    ChatSummary,
    Fact,
    Kept,
    Row,
    default_columns,
    json_value,
    key_value,
    text_diff,
    text_value,
    turn_row,
    value_text,
)

CHECKPOINT_PATIENCE: Final = 0.1  # seconds that a running turn waits for another writer

_RECORD: Final = (
    "INSERT INTO records (seq, chat, kind, key, at, moves_head, by_cell, by_call) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_TURN: Final = (
    f"INSERT INTO turns (seq, draft, {', '.join(COLUMNS)}) "
    f"VALUES (:seq, :draft, {', '.join(f':{name}' for name in COLUMNS)})"
)
_UPDATE: Final = (
    f"UPDATE turns SET {', '.join(f'{name} = :{name}' for name in CHANGING)} WHERE seq = :seq"
)
_COUNT: Final = (
    "UPDATE chats SET turns = turns + ?, tokens = tokens + ?, newest = max(newest, ?) WHERE id = ?"
)
# What was used longest ago goes, so that the rest of its namespace has at most so many bytes.
_TRIM: Final = (
    "DELETE FROM facts WHERE namespace = ? AND key IN (SELECT key FROM (SELECT key, "
    "SUM(LENGTH(CAST(value AS BLOB))) OVER (ORDER BY at DESC, rowid DESC) AS bytes "
    "FROM facts WHERE namespace = ?) WHERE bytes > ?)"
)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What the file holds of a running turn: its row, and its text and items as last written."""

    seq: int
    text: str = ""
    items: str = ""


class SqliteStore:
    """Keeps the records of the named conversations of one scope, and facts for all scopes. No turn
    is ever deleted or changed. Safe to use from several threads and, where it is a file, by several
    processes at once.

    `path`: the file that what is appended now goes into; None: it ends with the process. `failure`:
    why that is no file, though it was to be one: a line for the reader; else empty.
    """

    def __init__(self, path: Path | None = None, scope: str = "") -> None:
        """`path` None: in memory. `scope`: the notebook's path or the working folder that the
        conversations belong to.

        Raises `sqlite3.Error`, `NewerStoreError` and `OSError`, as every method may.
        """
        self.path = path
        self.failure = ""
        self.scope = scope
        self._database = Database(path, _prepare)
        self._drafts: dict[tuple[str, str], _Draft] = {}  # by chat and key: of this store

    def append(self, kept: Kept, *, running: bool = False) -> None:
        """Keep an ended turn or a move of the head under its conversation's name; or a fact, in
        place of the one of the same namespace and key.

        `running`: the turn is still being answered. It is kept as far as it has come, and its
        status says what to call it if nothing follows; only what is new is written, and where
        another process writes for longer than a moment, that is left to the next time. It is
        finished by appending it: all of it is there afterwards, or what was kept last. Raises
        `ValueError` where the conversation has the ended turn already.
        """
        if isinstance(kept, Fact):
            with self._database.writing() as connection:
                _put_fact(connection, kept)
            return
        if isinstance(kept, Turn) and running:
            self._checkpoint(kept)
            return
        with self._database.writing() as connection:
            chat = _chat_id(connection, self.scope, kept.chat)
            if isinstance(kept, Turn):
                _finish_turn(connection, chat, kept)
                self._drafts.pop((kept.chat, kept.key), None)
            else:
                _insert_move(connection, chat, kept)

    def _checkpoint(self, turn: Turn) -> None:
        place = (turn.chat, turn.key)
        is_new = place not in self._drafts
        try:
            with self._database.writing(CHECKPOINT_PATIENCE) as connection:
                draft = self._drafts.get(place)
                if draft is None:
                    chat = _chat_id(connection, self.scope, turn.chat)
                    draft = _begin_draft(connection, chat, turn)
                else:
                    draft = _go_on(connection, draft, turn)
                self._drafts[place] = draft  # before another thread can read it
        except sqlite3.OperationalError as error:
            if is_new:
                self._drafts.pop(place, None)
            if not is_busy(error):
                raise

    def load(self, chat: str, kind: type[T]) -> RecordedTurns[T]:
        """The records of one conversation in the order in which they were appended, and the turns
        that it shares; read whole (`Turn`) or as far as a line tells them (`TurnSummary`).

        A turn that this store is still writing is not there yet; one that another process left
        behind is, as far as it was kept.
        """
        with self._database.reading() as connection:  # no other thread writes meanwhile
            running = {key for name, key in self._drafts if name == chat}
            found = select_conversation(connection, self.scope, chat, kind, running=running)
            found.check()
            return found

    def chats(self) -> Sequence[ChatSummary]:
        """All conversations that have records, in order of their first one."""
        with self._database.reading() as connection:
            return select_chats(connection, self.scope)

    def of_cell(self, cell_id: str) -> Sequence[TurnSummary | HeadMove]:
        """The turns that a cell made, and the conversations that it started, in order.

        Each has the present name of its conversation.
        """
        with self._database.reading() as connection:
            return select_cell(connection, self.scope, cell_id)

    def held_ids(self) -> Collection[HeldId]:
        """The response ids that servers gave to turns of any notebook, without those from files."""
        with self._database.reading() as connection:
            return select_ids(connection)

    def rename(self, chat: str, name: str) -> None:
        """Give a conversation an unused name; its records stay unchanged."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE chats SET name = ? WHERE scope = ? AND name = ?",
                (text_value(name), text_value(self.scope), text_value(chat)),
            )

    def fact(self, namespace: str, key: str) -> Any:
        """The value of a fact stored by any notebook; None if there is none."""
        with self._database.reading() as connection:
            return select_fact(connection, namespace, key)

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._database.close()


def _prepare(connection: sqlite3.Connection) -> None:
    migrate(connection)
    with transaction(connection, "BEGIN"):  # which others wait for only where there is something
        add_columns(connection, "turns", default_columns())
        add_columns(connection, "records", MOVE_CELL)
        connection.execute("CREATE INDEX IF NOT EXISTS turns_by_cell ON turns (cell_id)")


def _chat_id(connection: sqlite3.Connection, scope: str, name: str) -> int:
    """The row id of a conversation, which is created if needed."""
    place = (text_value(scope), text_value(name))
    find = "SELECT id FROM chats WHERE scope = ? AND name = ?"
    row = connection.execute(find, place).fetchone()
    if row is None:
        connection.execute("INSERT INTO chats (scope, name) VALUES (?, ?)", place)
        row = connection.execute(find, place).fetchone()
    return int(row["id"])


def _put_fact(connection: sqlite3.Connection, fact: Fact) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO facts (namespace, key, value, at) VALUES (?, ?, ?, ?)",
        (text_value(fact.namespace), text_value(fact.key), json_value(fact.value), fact.at),
    )
    if fact.most:
        namespace = text_value(fact.namespace)
        connection.execute(_TRIM, (namespace, namespace, fact.most))


def _insert_move(connection: sqlite3.Connection, chat: int, move: HeadMove) -> None:
    cell = (text_value(move.cell.cell_id), move.cell.call) if move.cell else (None, None)
    record = (None, chat, move.kind, key_value(move.key), move.at, True, *cell)
    connection.execute(_RECORD, record)
    connection.execute(_COUNT, (0, 0, move.at, chat))


def _finish_turn(connection: sqlite3.Connection, chat: int, turn: Turn) -> None:
    """Store a turn that has ended, in place of its draft if there is one."""
    draft = _take_draft(connection, chat, turn)
    seq = draft if draft is not None and _is_followed(connection, draft, turn) else None
    _insert_turn(connection, chat, turn, turn_row(turn), seq)
    begun_now = 1 if draft is None else 0
    ended_at = turn.created_at + turn.seconds
    connection.execute(_COUNT, (begun_now, turn.tokens, ended_at, chat))


def _begin_draft(connection: sqlite3.Connection, chat: int, turn: Turn) -> _Draft:
    """Store a running turn for the first time."""
    begun_now = 1 if _take_draft(connection, chat, turn) is None else 0
    row = {**turn_row(replace(turn, text="", items=())), "items": ""}
    seq = _insert_turn(connection, chat, turn, row, None, draft=True)
    connection.execute(_COUNT, (begun_now, 0, turn.created_at, chat))
    return _grow(connection, _Draft(seq), turn)


def _go_on(connection: sqlite3.Connection, draft: _Draft, turn: Turn) -> _Draft:
    """Store what is new in a running turn."""
    connection.execute(_UPDATE, {**turn_row(replace(turn, text="", items=())), "seq": draft.seq})
    return _grow(connection, draft, turn)


def _grow(connection: sqlite3.Connection, draft: _Draft, turn: Turn) -> _Draft:
    items = value_text(json_value(turn.items))
    for field, old, new in (("text", draft.text, turn.text), ("items", draft.items, items)):
        step = text_diff(old, new)
        if step is not None:
            connection.execute(
                "INSERT INTO growth (turn, field, keep, tail) VALUES (?, ?, ?, ?)",
                (draft.seq, field, step.keep, text_value(step.tail)),
            )
    return _Draft(draft.seq, turn.text, items)


def _insert_turn(
    connection: sqlite3.Connection,
    chat: int,
    turn: Turn,
    row: Row,
    seq: int | None,
    *,
    draft: bool = False,
) -> int:
    """Insert a turn at `seq` (None: after all others); return its `seq`."""
    record = (seq, chat, "turn", text_value(turn.key), turn.created_at, turn.may_be_head)
    place = connection.execute(_RECORD, (*record, None, None)).lastrowid
    assert place is not None  # an INSERT has one
    connection.execute(_TURN, {**row, "seq": place, "draft": draft})
    return place


def _take_draft(connection: sqlite3.Connection, chat: int, turn: Turn) -> int | None:
    """Delete the draft of `turn`; return its `seq`. Raises `ValueError` if the turn has ended."""
    row = connection.execute(
        "SELECT seq, draft FROM records JOIN turns USING (seq) "
        "WHERE chat = ? AND kind = 'turn' AND key = ?",
        (chat, text_value(turn.key)),
    ).fetchone()
    if row is None:
        return None
    if not row["draft"]:
        raise ValueError(f"turn {turn.key} is in {turn.chat} already")
    for table, column in (("growth", "turn"), ("turns", "seq"), ("records", "seq")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (row["seq"],))
    return int(row["seq"])


def _is_followed(connection: sqlite3.Connection, seq: int, turn: Turn) -> bool:
    """Whether a later record depends on `turn`: a child, or a move that makes it the head."""
    key = text_value(turn.key)
    found = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM turns WHERE parent = :key AND seq > :seq) "
        "OR EXISTS (SELECT 1 FROM records WHERE key = :key AND seq > :seq)",
        {"key": key, "seq": seq},
    ).fetchone()
    return bool(found[0])
