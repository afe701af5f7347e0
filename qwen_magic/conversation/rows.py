"""A turn as a row of the store, and back."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields
from typing import Any, Final, TypeAlias

from qwen_magic.conversation.chain import CellKey, Turn
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.response import Usage
from qwen_magic.protocol.text import has_surrogates

Value: TypeAlias = str | bytes | int | float | None
Row: TypeAlias = dict[str, Value]

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_LARGEST: Final = 2**63 - 1  # of SQLite's integers
_COUNTS: Final = tuple(each.name for each in fields(Usage) if each.name != "tools")
_FLAGS: Final = tuple(each.name for each in fields(Turn) if each.type == "bool")
CHANGING: Final = ("status", "response_id", "model", "seconds", "tools", *_COUNTS)
COLUMNS: Final = (
    *("parent", "previous_response_id", "cell_id", "cell_call", "host"),
    *("prompt", "input", "text", "items", *_FLAGS, *CHANGING),
)


def text_value(text: str) -> str | bytes:
    """`text` as SQLite can keep it: bytes where it has NUL or halves of surrogate pairs."""
    if "\0" in text or has_surrogates(text):
        return text.encode("utf-8", "surrogatepass")
    return text


def value_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def key_value(key: str | None) -> str | bytes | None:
    return None if key is None else text_value(key)


def value_key(value: str | bytes | None) -> str | None:
    return None if value is None else value_text(value)


def items_text(items: tuple[JSON, ...]) -> str:
    return _encode(list(items))


def turn_row(turn: Turn) -> Row:
    """The columns of `turns` but `seq` and `draft`; key, chat and time are in other tables."""
    row: Row = {
        "parent": key_value(turn.parent),
        "previous_response_id": text_value(turn.previous_response_id),
        "cell_id": text_value(turn.cell.cell_id) if turn.cell else None,
        "cell_call": turn.cell.call if turn.cell else None,
        "host": text_value(turn.host),
        "prompt": text_value(turn.prompt),
        "input": text_value(_encode(turn.input)),
        "text": text_value(turn.text),
        "items": text_value(items_text(turn.items)),
    }
    row |= {name: int(getattr(turn, name)) for name in _FLAGS}
    return row | changing_row(turn)


def changing_row(turn: Turn) -> Row:
    """The small columns that change while a turn is being written."""
    usage = turn.usage
    row: Row = {
        "status": turn.status,
        "response_id": text_value(turn.response_id),
        "model": text_value(turn.model),
        "seconds": turn.seconds,
        "tools": text_value(_encode(dict(usage.tools))) if usage else None,
    }
    return row | {name: min(getattr(usage, name), _LARGEST) if usage else None for name in _COUNTS}


def read_turn(row: dict[str, Any], *, text: str, items: str) -> Turn:
    """The turn of a row that joins `chats`, `records` and `turns`; `items` is from `items_text`.

    Raises `sqlite3.DatabaseError` where what is in the file cannot have been written by us.
    """
    flags: dict[str, Any] = {name: bool(row[name]) for name in _FLAGS}
    try:
        return Turn(
            key=value_text(row["key"]),
            chat=value_text(row["name"]),
            status=row["status"],
            parent=value_key(row["parent"]),
            response_id=value_text(row["response_id"]),
            previous_response_id=value_text(row["previous_response_id"]),
            cell=_cell(row),
            prompt=value_text(row["prompt"]),
            input=_input(row),
            text=text,
            items=tuple(json.loads(items)),
            model=value_text(row["model"]),
            host=value_text(row["host"]),
            usage=_usage(row),
            created_at=row["at"],
            seconds=row["seconds"],
            **flags,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise sqlite3.DatabaseError(f"the turn {row['key']!r} is damaged: {error}") from error


def _cell(row: dict[str, Any]) -> CellKey | None:
    if row["cell_id"] is None:
        return None
    return CellKey(value_text(row["cell_id"]), row["cell_call"])


def _input(row: dict[str, Any]) -> str | tuple[JSON, ...]:
    sent = json.loads(value_text(row["input"]))
    return sent if isinstance(sent, str) else tuple(sent)


def _usage(row: dict[str, Any]) -> Usage | None:
    if row["tools"] is None:
        return None
    tools = json.loads(value_text(row["tools"]))
    return Usage(**{name: row[name] for name in _COUNTS}, tools=tools)
