"""What a store writes, inside a transaction that the caller opened.

A *draft* is a turn that is being written: a row of `turns` whose text and items are empty, with
what they grew by in `growth`, a small row each time. Ending takes both away and puts the turn.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from typing import Final

from qwen_magic.conversation.chain import HeadMove, Turn
from qwen_magic.conversation.rows import (
    CHANGING,
    COLUMNS,
    Row,
    changing_row,
    items_text,
    key_value,
    text_value,
    turn_row,
)
from qwen_magic.conversation.text_diff import growth

_RECORD: Final = (
    "INSERT INTO records (seq, chat, kind, key, at, moves_head) VALUES (?, ?, ?, ?, ?, ?)"
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


@dataclass(frozen=True, slots=True)
class Draft:
    """What the file holds of a running turn: its row, and its text and items as last written."""

    seq: int
    text: str = ""
    items: str = ""


def chat_id(connection: sqlite3.Connection, scope: str, name: str) -> int:
    """The row of a conversation, made where it is new."""
    place = (text_value(scope), text_value(name))
    find = "SELECT id FROM chats WHERE scope = ? AND name = ?"
    row = connection.execute(find, place).fetchone()
    if row is None:
        connection.execute("INSERT INTO chats (scope, name) VALUES (?, ?)", place)
        row = connection.execute(find, place).fetchone()
    return int(row["id"])


def insert_mark(connection: sqlite3.Connection, chat: int, mark: HeadMove) -> None:
    record = (None, chat, mark.kind, key_value(mark.key), mark.at, True)
    connection.execute(_RECORD, record)
    connection.execute(_COUNT, (0, 0, mark.at, chat))


def finish_turn(connection: sqlite3.Connection, chat: int, turn: Turn) -> None:
    """Put an ended turn, in place of its draft if there is one."""
    draft = _take_draft(connection, chat, turn)
    seq = draft if draft is not None and _is_followed(connection, draft, turn) else None
    _insert_turn(connection, chat, turn, turn_row(turn), seq)
    begun_now = 1 if draft is None else 0
    tokens = turn.usage.total_tokens if turn.usage else 0
    ended_at = turn.created_at + turn.seconds
    connection.execute(_COUNT, (begun_now, tokens, ended_at, chat))


def begin_draft(connection: sqlite3.Connection, chat: int, turn: Turn) -> Draft:
    """Keep a running turn for the first time."""
    begun_now = 1 if _take_draft(connection, chat, turn) is None else 0
    row = {**turn_row(replace(turn, text="", items=())), "items": ""}
    seq = _insert_turn(connection, chat, turn, row, None, draft=True)
    connection.execute(_COUNT, (begun_now, 0, turn.created_at, chat))
    return _grow(connection, Draft(seq), turn)


def go_on(connection: sqlite3.Connection, draft: Draft, turn: Turn) -> Draft:
    """Keep what is new of a running turn."""
    connection.execute(_UPDATE, {**changing_row(turn), "seq": draft.seq})
    return _grow(connection, draft, turn)


def _grow(connection: sqlite3.Connection, draft: Draft, turn: Turn) -> Draft:
    items = items_text(turn.items)
    for field, old, new in (("text", draft.text, turn.text), ("items", draft.items, items)):
        step = growth(old, new)
        if step is not None:
            connection.execute(
                "INSERT INTO growth (turn, field, keep, tail) VALUES (?, ?, ?, ?)",
                (draft.seq, field, step.keep, text_value(step.tail)),
            )
    return Draft(draft.seq, turn.text, items)


def _insert_turn(
    connection: sqlite3.Connection,
    chat: int,
    turn: Turn,
    row: Row,
    seq: int | None,
    *,
    draft: bool = False,
) -> int:
    """Put a turn at `seq`; None: after all others. Gives where it is."""
    record = (seq, chat, "turn", text_value(turn.key), turn.created_at, turn.may_be_head)
    place = connection.execute(_RECORD, record).lastrowid
    assert place is not None  # an INSERT has one
    connection.execute(_TURN, {**row, "seq": place, "draft": draft})
    return place


def _take_draft(connection: sqlite3.Connection, chat: int, turn: Turn) -> int | None:
    """Remove the draft of `turn`; gives where it stood. Raises `ValueError` where it has ended."""
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
    """Whether a later record counts on `turn`: its child, or a mark that makes it the head."""
    key = text_value(turn.key)
    found = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM turns WHERE parent = :key AND seq > :seq) "
        "OR EXISTS (SELECT 1 FROM records WHERE key = :key AND seq > :seq)",
        {"key": key, "seq": seq},
    ).fetchone()
    return bool(found[0])
