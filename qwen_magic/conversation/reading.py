"""What a store reads, inside a transaction that the caller opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from qwen_magic.conversation.chain import (
    HeadMove,
    HeldId,
    RecordedTurns,
    T,
    Turn,
    TurnSummary,
)
from qwen_magic.conversation.database import FOREIGN
from qwen_magic.conversation.rows import (
    COLUMNS,
    LARGEST,
    PREVIEW,
    SUMMARY_COLUMNS,
    ChatSummary,
    TextDiff,
    key_value,
    patched,
    read_cell,
    read_summary,
    read_turn,
    text_value,
    value_json,
    value_key,
    value_text,
)

_OF_RECORD: Final = ("key", "kind", "at", "by_cell", "by_call", "CASE WHEN draft THEN seq END")
_RECORDS: Final = """
    SELECT {columns} FROM records LEFT JOIN turns USING (seq)
    WHERE chat = (SELECT id FROM chats WHERE scope = ? AND name = ?) AND seq < ? ORDER BY seq
"""
# How each kind is read: its query, and what makes it of the columns that follow `_OF_RECORD`.
_KINDS: Final[Mapping[type, tuple[str, Callable[..., Any]]]] = {
    kind: (_RECORDS.format(columns=", ".join((*_OF_RECORD, *columns))), read)
    for kind, columns, read in (
        (Turn, COLUMNS, read_turn),
        (TurnSummary, SUMMARY_COLUMNS, read_summary),
    )
}
# Where a fork leaves from: the first turn of that key that was there before the fork was, in
# another conversation.
_LEFT: Final = """
    SELECT chats.name, fork.seq FROM records AS fork
    JOIN records AS left ON left.key = fork.key AND left.kind = 'turn' AND left.seq < fork.seq
    JOIN chats ON chats.id = left.chat AND chats.scope = :scope AND chats.id <> fork.chat
    WHERE fork.kind = 'fork' AND fork.key = :key
    AND fork.chat = (SELECT id FROM chats WHERE scope = :scope AND name = :name)
    ORDER BY left.seq LIMIT 1
"""
_OF_CELL: Final = f"""
    SELECT key, name, kind, at, by_cell, by_call, {", ".join(SUMMARY_COLUMNS)}
    FROM records LEFT JOIN turns USING (seq) JOIN chats ON chats.id = records.chat
    WHERE scope = :scope AND NOT coalesce(draft, 0) AND seq IN (
        SELECT seq FROM turns WHERE cell_id = :cell
        UNION SELECT seq FROM records WHERE kind = 'fork' AND by_cell = :cell
    ) ORDER BY seq
"""
_CHATS: Final = f"""
    WITH heads AS (
        SELECT chats.*, (
            SELECT key FROM records
            WHERE chat = chats.id AND moves_head ORDER BY seq DESC LIMIT 1
        ) AS head
        FROM chats WHERE scope = :scope
    )
    SELECT name, turns, tokens, newest, head, (
        SELECT CASE typeof(prompt) WHEN 'text' THEN substr(prompt, 1, {PREVIEW}) ELSE prompt END
        FROM records JOIN turns USING (seq) JOIN chats ON chats.id = records.chat
        WHERE key = heads.head AND kind = 'turn' AND chats.scope = :scope LIMIT 1
    )
    FROM heads ORDER BY id
"""


def select_chats(connection: sqlite3.Connection, scope: str) -> list[ChatSummary]:
    return [
        ChatSummary(
            chat=value_text(name),
            turns=int(turns),
            tokens=max(0, int(tokens)),
            newest=float(newest),
            head=value_key(head),
            prompt=value_text(prompt or "")[:PREVIEW],
        )
        for name, turns, tokens, newest, head, prompt in connection.execute(
            _CHATS, {"scope": text_value(scope)}
        )
    ]


def select_conversation(
    connection: sqlite3.Connection,
    scope: str,
    chat: str,
    kind: type[T],
    *,
    running: Collection[str] = (),
    before: int = LARGEST,
) -> RecordedTurns[T]:
    """The records of one conversation `before` a `seq`, without the drafts of the turns in
    `running`; with the turns that a fork shares: the path to where it left another conversation,
    which may be a fork itself, and the paths to where it was begun again since."""
    records = tuple(_records(connection, scope, chat, kind, running, before))
    moves = [each for each in records if isinstance(each, HeadMove) and each.kind == "fork"]
    base: dict[str, T] = {}
    for key in dict.fromkeys(each.key for each in moves):
        place = {"scope": text_value(scope), "name": text_value(chat), "key": key_value(key)}
        left = connection.execute(_LEFT, place).fetchone()
        if key is None or left is None:
            continue
        name, seq = value_text(left["name"]), left["seq"]  # what comes before `seq`: it ends
        source = select_conversation(connection, scope, name, kind, before=seq).chain()
        base |= {turn.key: turn for turn in source.path(source.turns[key])}
    return RecordedTurns(chat, records, tuple(base.values()))


def select_cell(
    connection: sqlite3.Connection, scope: str, cell_id: str
) -> list[TurnSummary | HeadMove]:
    """The records that a cell made, in any conversation."""
    found = connection.execute(
        _OF_CELL, {"scope": text_value(scope), "cell": text_value(cell_id)}
    ).fetchall()
    return [
        read_summary(value_text(key), value_text(name), at, values, {})
        if kind == "turn"
        else HeadMove(value_text(name), kind, value_key(key), at, read_cell(by_cell, by_call))
        for key, name, kind, at, by_cell, by_call, *values in found
    ]


def select_fact(connection: sqlite3.Connection, namespace: str, key: str) -> Any:
    query = "SELECT value FROM facts WHERE namespace = ? AND key = ?"
    row = connection.execute(query, (text_value(namespace), text_value(key))).fetchone()
    return value_json(row["value"]) if row is not None else None


def select_ids(connection: sqlite3.Connection) -> set[HeldId]:
    query = "SELECT response_id, host FROM turns WHERE NOT imported AND response_id <> ''"
    return {(value_text(id), value_text(host)) for id, host in connection.execute(query)}


def _records(
    connection: sqlite3.Connection,
    scope: str,
    chat: str,
    kind: type[T],
    running: Collection[str],
    before: int,
) -> Iterator[T | HeadMove]:
    query, read = _KINDS[kind]
    cursor = connection.cursor()
    cursor.row_factory = None  # plain tuples: there may be ten thousand
    found = cursor.execute(query, (text_value(scope), text_value(chat), before))
    try:
        for stored_key, record, at, by_cell, by_call, draft, *values in found:
            key = value_key(stored_key)
            if record != "turn":
                yield HeadMove(chat, record, key, float(at), read_cell(by_cell, by_call))
            elif draft is None:
                yield read(key, chat, float(at), values, {})
            elif key not in running:
                yield read(key, chat, float(at), values, _draft_texts(connection, draft))
    except FOREIGN as error:
        raise sqlite3.DatabaseError(f"the turn {key!r} is damaged: {error}") from error


def _draft_texts(connection: sqlite3.Connection, seq: int) -> dict[str, str]:
    """The text and the items of a draft."""
    diffs: dict[str, list[TextDiff]] = {"text": [], "items": []}
    query = "SELECT field, keep, tail FROM growth WHERE turn = ? ORDER BY id"
    for field, keep, tail in connection.execute(query, (seq,)):
        diffs[field].append(TextDiff(int(keep), value_text(tail)))
    return {field: patched("", each) for field, each in diffs.items()}
