"""What a store reads, inside a transaction that the caller opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Any, Final

from qwen_magic.conversation.chain import HeadMove, Record, Turn
from qwen_magic.conversation.rows import COLUMNS, read_turn, text_value, value_key, value_text
from qwen_magic.conversation.summary import PREVIEW, Recent, Summary
from qwen_magic.conversation.text_diff import Growth, grown

_COLUMNS: Final = (
    "chats.name",
    *("records.seq", "records.kind", "records.key", "records.at", "turns.draft"),
    *(f"turns.{name}" for name in COLUMNS),
)
# By name, since looking a name up in an `sqlite3.Row` of this width takes longer than all the rest.
_NAMES: Final = tuple(column.split(".")[1] for column in _COLUMNS)
_RECORDS: Final = (
    f"SELECT {', '.join(_COLUMNS)} FROM records "
    "JOIN chats ON chats.id = records.chat LEFT JOIN turns ON turns.seq = records.seq "
)


def select_chats(connection: sqlite3.Connection, scope: str) -> list[str]:
    rows = connection.execute(
        "SELECT name FROM chats WHERE scope = ? ORDER BY id", (text_value(scope),)
    )
    return [value_text(row["name"]) for row in rows]


def select_records(
    connection: sqlite3.Connection, scope: str, chat: str, *, running: Collection[str]
) -> list[Record]:
    """The records of one conversation, without the drafts of the turns in `running`."""
    rows = connection.execute(
        _RECORDS + "WHERE chats.scope = ? AND chats.name = ? ORDER BY records.seq",
        (text_value(scope), text_value(chat)),
    )
    return [
        _record(connection, row)
        for row in map(_named, rows)
        if not (row["draft"] and value_text(row["key"]) in running)
    ]


def select_turn(connection: sqlite3.Connection, scope: str, key: str) -> Turn | None:
    row = connection.execute(
        _RECORDS + "WHERE records.key = ? AND records.kind = 'turn' "
        "ORDER BY chats.scope = ? DESC, records.seq LIMIT 1",
        (text_value(key), text_value(scope)),
    ).fetchone()
    return _turn(connection, _named(row)) if row is not None else None


def select_path(connection: sqlite3.Connection, scope: str, key: str) -> list[Turn]:
    """Each step looks for the parent in the turn's own conversation first: an imported copy of a
    conversation has the same keys under another name."""
    rows = connection.execute(
        """
        WITH RECURSIVE way (seq) AS (
            SELECT min(records.seq) FROM records JOIN chats ON chats.id = records.chat
            WHERE records.key = :key AND records.kind = 'turn' AND chats.scope = :scope
            UNION ALL
            SELECT coalesce(
                (
                    SELECT seq FROM records AS before
                    WHERE before.chat = here.chat AND before.key = turns.parent
                    AND before.kind = 'turn' AND before.seq < way.seq
                ),
                (
                    SELECT min(before.seq) FROM records AS before
                    JOIN chats ON chats.id = before.chat
                    WHERE before.key = turns.parent AND before.kind = 'turn'
                    AND before.seq < way.seq AND chats.scope = :scope
                )
            )
            FROM way JOIN records AS here ON here.seq = way.seq JOIN turns ON turns.seq = way.seq
        )
        """
        + _RECORDS
        + "WHERE records.seq IN (SELECT seq FROM way) ORDER BY records.seq",
        {"scope": text_value(scope), "key": text_value(key)},
    )
    return [_turn(connection, _named(row)) for row in rows]


def select_summaries(connection: sqlite3.Connection, scope: str) -> list[Summary]:
    return _summaries(connection, "SELECT * FROM chats WHERE scope = :scope", {"scope": scope})


def select_recent(connection: sqlite3.Connection, scope: str, most: int, also: str) -> Recent:
    """The `most` conversations with the newest records, together with `also` wherever it stands."""
    chosen = """
        SELECT * FROM chats WHERE id IN (
            SELECT id FROM (
                SELECT id FROM chats WHERE scope = :scope ORDER BY newest DESC, id DESC LIMIT :most
            )
            UNION SELECT id FROM chats WHERE scope = :scope AND name = :also
        )
    """
    found = _summaries(connection, chosen, {"scope": scope, "most": most, "also": also})
    (all_of_them,) = connection.execute(
        "SELECT count(*) FROM chats WHERE scope = ?", (text_value(scope),)
    ).fetchone()
    return Recent(tuple(found), all_of_them - len(found))


def select_has(connection: sqlite3.Connection, scope: str, chat: str) -> bool:
    place = (text_value(scope), text_value(chat))
    query = "SELECT EXISTS (SELECT 1 FROM chats WHERE scope = ? AND name = ?)"
    return bool(connection.execute(query, place).fetchone()[0])


def _summaries(
    connection: sqlite3.Connection, chosen: str, values: dict[str, str | int]
) -> list[Summary]:
    """`chosen`: a query that gives rows of `chats`."""
    rows = connection.execute(
        f"""
        WITH chosen AS ({chosen}), heads AS (
            SELECT chosen.*, (
                SELECT key FROM records
                WHERE chat = chosen.id AND moves_head ORDER BY seq DESC LIMIT 1
            ) AS head
            FROM chosen
        )
        SELECT heads.*, (
            SELECT CASE typeof(prompt) WHEN 'text' THEN substr(prompt, 1, {PREVIEW}) ELSE prompt END
            FROM records JOIN turns USING (seq)
            JOIN chats ON chats.id = records.chat
            WHERE key = heads.head AND kind = 'turn' AND chats.scope = :scope LIMIT 1
        ) AS prompt
        FROM heads ORDER BY id
        """,
        {
            name: text_value(each) if isinstance(each, str) else each
            for name, each in values.items()
        },
    )
    return [_summary(row) for row in rows]


def _summary(row: sqlite3.Row) -> Summary:
    return Summary(
        chat=value_text(row["name"]),
        turns=row["turns"],
        tokens=row["tokens"],
        newest=row["newest"],
        head=value_key(row["head"]),
        prompt=value_text(row["prompt"] or "")[:PREVIEW],
    )


def _named(row: sqlite3.Row) -> dict[str, Any]:
    return dict(zip(_NAMES, row, strict=True))


def _record(connection: sqlite3.Connection, row: dict[str, Any]) -> Record:
    if row["kind"] == "turn":
        return _turn(connection, row)
    return HeadMove(value_text(row["name"]), row["kind"], value_key(row["key"]), row["at"])


def _turn(connection: sqlite3.Connection, row: dict[str, Any]) -> Turn:
    if not row["draft"]:
        return read_turn(row, text=value_text(row["text"]), items=value_text(row["items"]))
    grew: dict[str, list[Growth]] = {"text": [], "items": []}
    for each in connection.execute(
        "SELECT field, keep, tail FROM growth WHERE turn = ? ORDER BY id", (row["seq"],)
    ):
        grew[each["field"]].append(Growth(each["keep"], value_text(each["tail"])))
    return read_turn(row, text=grown("", grew["text"]), items=grown("", grew["items"]))
