"""A conversation in a file, to be outlined by a few reads of its `shape`.

Each question costs as much in a conversation of ten thousand turns as in one of a hundred, and no
turn is read further than a line of it needs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from qwen_magic.conversation.chain import CellKey
from qwen_magic.conversation.outline import BEGINNING, TurnSummary
from qwen_magic.conversation.rows import Value, key_value, text_value, value_text

_SEEN: Final = f"""
    shape.key, shape.number, status, response_id, model, total_tokens, records.at,
    shape.cell_id, shape.cell_call,
    CASE typeof(prompt) WHEN 'text' THEN substr(prompt, 1, {BEGINNING}) ELSE prompt END
"""
_SHAPE: Final = "shape JOIN turns USING (seq) JOIN records USING (seq)"
# From the turn :key back to its ancestor number :until.
_BACK: Final = """
    WITH RECURSIVE back (key, parent, number) AS (
        SELECT key, parent, number FROM shape WHERE chat = :chat AND key = :key
        UNION ALL
        SELECT shape.key, shape.parent, shape.number
        FROM back JOIN shape ON shape.chat = :chat AND shape.key = back.parent
        WHERE back.number > :until
    )
"""
_WAY: Final = f"""
    {_BACK} SELECT {_SEEN} FROM back CROSS JOIN {_SHAPE}
    WHERE shape.chat = :chat AND shape.key = back.key AND back.number <= :most
    ORDER BY back.number
"""
_CHILDREN: Final = f"""
    SELECT {_SEEN} FROM {_SHAPE}
    WHERE shape.chat = ? AND shape.parent IS ? ORDER BY seq LIMIT ?
"""
# The landmark nearest to the first turn: hardly more than a hundred turns from it.
_LANDMARK: Final = """
    WITH RECURSIVE hop (key, landmark) AS (
        SELECT key, landmark FROM shape WHERE chat = :chat AND key = :key
        UNION ALL
        SELECT shape.key, shape.landmark
        FROM hop JOIN shape ON shape.chat = :chat AND shape.key = hop.landmark
    )
    SELECT key FROM hop WHERE landmark IS NULL
"""
_HEAD: Final = """
    SELECT key FROM records AS here WHERE chat = :chat AND moves_head AND (
        key IS NULL OR EXISTS (
            SELECT 1 FROM shape WHERE chat = :chat AND key = here.key AND seq <= here.seq
        )
    )
    ORDER BY seq DESC LIMIT 1
"""
_MADE: Final = """
    SELECT count(*) FROM shape
    WHERE chat = :chat AND cell_id = :cell_id AND cell_call = :cell_call
"""
_PLACE: Final = f"""
    {_MADE} AND seq <= (SELECT seq FROM shape WHERE chat = :chat AND key = :key)
"""
# What made a turn of a cell its current one last: that it ended, or a mark.
_ENDED: Final = """
    SELECT seq, shape.key FROM shape JOIN records USING (seq)
    WHERE shape.chat = :chat AND cell_id = :cell_id AND cell_call = :cell_call AND moves_head
    ORDER BY seq DESC LIMIT 1
"""
_MARKED: Final = """
    SELECT records.key FROM records CROSS JOIN shape
    WHERE records.chat = :chat AND records.kind = 'head' AND records.seq > :since
    AND shape.chat = :chat AND shape.key = records.key
    AND cell_id = :cell_id AND cell_call = :cell_call
    ORDER BY records.seq DESC LIMIT 1
"""


def stored_tree(connection: sqlite3.Connection, scope: str, name: str) -> StoredTree | None:
    """The conversation `name` in the file, for as long as the transaction lasts.

    None where a fork shares turns with another conversation: its way leads through both.
    """
    row = connection.execute(
        """
        SELECT id, turns, tokens, (
            SELECT kind FROM records WHERE chat = chats.id ORDER BY seq LIMIT 1
        ) AS first
        FROM chats WHERE scope = ? AND name = ?
        """,
        (text_value(scope), text_value(name)),
    ).fetchone()
    if row is None:
        return StoredTree(connection, name, 0)
    if row["first"] == "fork":
        return None
    return StoredTree(connection, name, row["id"], row["turns"], row["tokens"])


class StoredTree:
    """The `Tree` of a conversation that has all its turns to itself."""

    def __init__(
        self, connection: sqlite3.Connection, name: str, chat: int, turns: int = 0, tokens: int = 0
    ) -> None:
        self.name = name
        self.turns = turns
        self.tokens = tokens
        self._connection = connection
        self._chat = chat
        self._made: dict[CellKey, int] = {}
        self._current: dict[CellKey, str] = {}

    def way(self, first: int, last: int) -> Sequence[TurnSummary]:
        row = self._connection.execute(_HEAD, {"chat": self._chat}).fetchone()
        if row is None or row["key"] is None:
            return ()
        key = row["key"]
        (number,) = self._connection.execute(
            "SELECT number FROM shape WHERE chat = ? AND key = ?", (self._chat, key)
        ).fetchone()
        if number is None:  # as a chain would say it
            raise ValueError(f"a parent is not in {self.name}")
        if number <= first + last:
            return self._back(key)
        newest = self._back(key, until=number - last + 1)
        (landmark,) = self._connection.execute(
            _LANDMARK, {"chat": self._chat, "key": key_value(newest[0].key)}
        ).fetchone()
        return [*self._back(landmark, most=first), *newest]

    def children(self, key: str | None, most: int) -> Sequence[TurnSummary]:
        return self._turn_summaries(_CHILDREN, (self._chat, key_value(key), most))

    def place(self, glimpse: TurnSummary) -> tuple[int, int]:
        cell = glimpse.cell
        if cell is None:
            return 1, 1
        if cell not in self._made:
            self._made[cell] = self._count(_MADE, self._in_cell(cell))
        made = self._made[cell]
        if made == 1:
            return 1, 1
        return self._count(_PLACE, {**self._in_cell(cell), "key": key_value(glimpse.key)}), made

    def is_current(self, glimpse: TurnSummary) -> bool:
        cell = glimpse.cell
        if cell is None:
            return False
        if cell not in self._current:
            self._current[cell] = self._current_of(cell)
        return self._current[cell] == glimpse.key

    def beside_id(self, response_id: str) -> Sequence[str]:
        """Of the whole file: there may be more alike than here, never fewer."""
        found = self._connection.execute(
            """
            SELECT (SELECT max(response_id) FROM turns WHERE response_id < :id),
            (SELECT min(response_id) FROM turns WHERE response_id > :id)
            """,
            {"id": text_value(response_id)},
        ).fetchone()
        return [value_text(value) for value in found if value is not None]

    def _back(self, key: Value, *, until: int = 1, most: int = 2**62) -> list[TurnSummary]:
        """From the turn number `until` of the way to `key`, but none after number `most`."""
        return self._turn_summaries(
            _WAY, {"chat": self._chat, "key": key, "until": until, "most": most}
        )

    def _current_of(self, cell: CellKey) -> str:
        """The key of the current turn of a cell; empty where it has none."""
        place = self._in_cell(cell)
        ended = self._connection.execute(_ENDED, place).fetchone()
        since = ended["seq"] if ended else 0
        marked = self._connection.execute(_MARKED, {**place, "since": since}).fetchone()
        found = marked or ended
        return value_text(found["key"]) if found else ""

    def _count(self, query: str, values: dict[str, Value]) -> int:
        (number,) = self._connection.execute(query, values).fetchone()
        return int(number)

    def _in_cell(self, cell: CellKey) -> dict[str, Value]:
        return {"chat": self._chat, "cell_id": text_value(cell.cell_id), "cell_call": cell.call}

    def _turn_summaries(self, query: str, values: Any) -> list[TurnSummary]:
        return [_turn_summary(*row) for row in self._connection.execute(query, values)]


def _turn_summary(
    key: Any, number: Any, status: Any, id: Any, model: Any, tokens: Any, at: Any,
    cell_id: Any, call: Any, prompt: Any,
) -> TurnSummary:  # fmt: skip
    """Raises `sqlite3.DatabaseError` where what is in the file cannot have been written by us."""
    try:
        return TurnSummary(
            key=value_text(key),
            number=number,
            prompt=value_text(prompt)[:BEGINNING],
            status=status,
            response_id=value_text(id),
            model=value_text(model),
            tokens=tokens or 0,
            created_at=at,
            cell=CellKey(value_text(cell_id), call) if cell_id is not None else None,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"the turn {key!r} is damaged: {error}") from error
