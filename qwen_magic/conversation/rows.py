"""What stands in the store's tables: a conversation in a line, a fact, a turn as a row and back;
and what a turn that is being written grew by, so that only that need be written (`TextDiff`).

The columns of a turn derive from the fields of `Turn`. A field has a column of its name in `turns`,
and its annotation says what stands in it. Three kinds are spread otherwise: `key` and `created_at`
stand in `records` and `chat` in `chats`; a cell and a usage have a column for each of their own
fields; `raw` is not kept.

A text that the items hold to the letter, as nearly every answer's, stands once, in the items: the
column then has an empty BLOB (`IN_ITEMS`).

Text with half of a surrogate pair, which UTF-8 has no way to write, or with NUL, where SQLite's
functions stop, is kept as a BLOB.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, TypeAlias, get_args

from qwen_magic.conversation.chain import (
    PROMPT_BEGINNING,
    CellKey,
    HeadMove,
    Turn,
    TurnStatus,
    TurnSummary,
)
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import text_of
from qwen_magic.protocol.response import Usage
from qwen_magic.protocol.text import has_surrogates

PREVIEW: Final = 200  # characters of a prompt


@dataclass(frozen=True, slots=True)
class ChatSummary:
    """A conversation in a line, told without loading it. `turns` counts all that were begun here
    (not those that a fork shares), `tokens` their total.

    `newest`: when the last record was made, in seconds since 1970. `head`: the key of the turn
    that it continues after, None before its first; `prompt`: how that turn's question begins, at
    most `PREVIEW` characters.
    """

    chat: str
    turns: int
    tokens: int
    newest: float
    head: str | None
    prompt: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something else that was found out and is worth keeping, for all notebooks: whether a host
    keeps response ids, a cached answer, a score. `value` is any JSON; `at` is in seconds since
    1970. `most`: so many bytes its namespace may take, whose oldest go; 0: any number."""

    namespace: str
    key: str
    value: Any
    at: float = 0.0
    most: int = 0


Kept: TypeAlias = Turn | HeadMove | Fact

Value: TypeAlias = str | bytes | int | float | None
Row: TypeAlias = dict[str, Value]

IN_ITEMS: Final = b""
LARGEST: Final = 2**63 - 1  # of SQLite's integers
_STATUSES: Final = frozenset(get_args(TurnStatus))
_COUNTS: Final = tuple(each.name for each in fields(Usage) if each.name != "tools")
_CELL: Final = ("cell_id", "cell_call")
_SPREAD: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("key", "chat", "created_at", "raw"), ()),
    "cell": _CELL,
    "usage": (*_COUNTS, "tools"),
}
COLUMNS: Final = tuple(
    column for each in fields(Turn) for column in _SPREAD.get(each.name, (each.name,))
)
MOVE_CELL: Final[Row] = {"by_cell": None, "by_call": None}  # of `records`, with their defaults
# What may still change while a turn is being answered, but for its text and items.
CHANGING: Final = tuple(
    each for each in COLUMNS if each not in ("parent", "prompt", "input", "text", "items", *_CELL)
)
SUMMARY_COLUMNS: Final = (
    *("status", "parent", "response_id", *_CELL),
    # A BLOB may hold NUL, where `substr` of a text would end.
    f"CASE typeof(prompt) WHEN 'text' THEN substr(prompt, 1, {PROMPT_BEGINNING}) ELSE prompt END",
    *("model", "total_tokens * NOT imported", "moves_head", "host", "imported"),
)


def text_value(text: str) -> str | bytes:
    """`text` as a value for SQLite: bytes if it has NUL or halves of surrogate pairs."""
    if "\0" in text or (not text.isascii() and has_surrogates(text)):
        return text.encode("utf-8", "surrogatepass")
    return text


def value_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogatepass")


def key_value(key: str | None) -> str | bytes | None:
    return None if key is None else text_value(key)


def value_key(value: str | bytes | None) -> str | None:
    return None if value is None else value_text(value)


def json_value(value: Any) -> str | bytes:
    return text_value(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def value_json(value: str | bytes) -> Any:
    return json.loads(value_text(value))


def _value_items(value: str | bytes) -> tuple[JSON, ...]:
    items = value_json(value)
    if not isinstance(items, list) or not all(isinstance(each, dict) for each in items):
        raise ValueError("items that are no objects")
    return tuple(items)


def _value_input(value: str | bytes) -> str | tuple[JSON, ...]:
    sent = value_json(value)
    return sent if isinstance(sent, str) else _value_items(value)


def _value_status(value: str) -> TurnStatus:
    if value not in _STATUSES:
        raise ValueError(f"the status {value!r}")
    return value  # type: ignore[return-value]  # one of its words


# By annotation: into the column and out of it.
_KEPT_AS: Final[Mapping[str, tuple[Callable[[Any], Value], Callable[[Any], object]]]] = {
    "str": (text_value, value_text),
    "Id": (text_value, value_text),
    "TurnStatus": (str, _value_status),
    "Key | None": (key_value, value_key),
    "float": (float, float),
    "bool": (int, bool),
    "tuple[JSON, ...]": (json_value, _value_items),
    "str | tuple[JSON, ...]": (json_value, _value_input),
}
_PLAIN: Final = {
    each.name: _KEPT_AS[str(each.type)] for each in fields(Turn) if each.name not in _SPREAD
}


def default_columns() -> Row:
    """The defaults for columns that older files lack."""
    return dict.fromkeys(_COUNTS, 0) | {
        each.name: _PLAIN[each.name][0](each.default)
        for each in fields(Turn)
        if each.name in _PLAIN and each.default is not MISSING
    }


def turn_row(turn: Turn) -> Row:
    """The values of `COLUMNS`."""
    row: Row = {name: write(getattr(turn, name)) for name, (write, _) in _PLAIN.items()}
    cell, usage = turn.cell, turn.usage
    row["cell_id"] = text_value(cell.cell_id) if cell else None
    row["cell_call"] = cell.call if cell else None
    row["tools"] = json_value(dict(usage.tools)) if usage else None
    if turn.text and turn.text == text_of(turn.items):
        row["text"] = IN_ITEMS
    return row | {name: min(getattr(usage, name), LARGEST) if usage else None for name in _COUNTS}


def read_turn(key: str, chat: str, at: float, values: Sequence[Any], grown: JSON) -> Turn:
    """The turn of a row of `COLUMNS`; `grown`: what a draft has in place of some of them. Raises
    `ValueError`, `TypeError`, `AttributeError` where we cannot have written that."""
    # A dict: looking a name up in an `sqlite3.Row` of this width takes longer than all else.
    row = {**dict(zip(COLUMNS, values, strict=True)), **grown}
    plain: dict[str, Any] = {name: read(row[name]) for name, (_, read) in _PLAIN.items()}
    if row["text"] == IN_ITEMS:
        plain["text"] = text_of(plain["items"])
    return Turn(
        key=key,
        chat=chat,
        cell=read_cell(row["cell_id"], row["cell_call"]),
        usage=_usage(row),
        created_at=at,
        **plain,
    )


def read_summary(
    key: str, chat: str, at: float, values: Sequence[Any], _grown: JSON
) -> TurnSummary:
    """The summary in a row of `SUMMARY_COLUMNS`, read by position, as there may be ten thousand."""
    status, parent, id, cell_id, call, prompt, model, tokens, moves_head, host, imported = values
    return TurnSummary(
        key,
        chat,
        _value_status(status),
        value_key(parent),
        value_text(id),
        read_cell(cell_id, call),
        value_text(prompt)[:PROMPT_BEGINNING],
        value_text(model),
        max(0, int(tokens or 0)),
        at,
        bool(moves_head),
        value_text(host),
        bool(imported),
    )


def read_cell(cell_id: Any, call: Any) -> CellKey | None:
    return None if cell_id is None else CellKey(value_text(cell_id), int(call))


def _usage(row: Mapping[str, Any]) -> Usage | None:
    if row["tools"] is None:
        return None
    counts = {name: max(0, int(row[name])) for name in _COUNTS}
    tools = value_json(row["tools"])
    return Usage(**counts, tools={name: int(count) for name, count in tools.items()})


@dataclass(frozen=True, slots=True)
class TextDiff:
    """A change of a text: its first `keep` characters stay, `tail` follows them."""

    keep: int
    tail: str


def text_diff(old: str, new: str) -> TextDiff | None:
    """The change from `old` to `new`; None if they are equal."""
    if old == new:
        return None
    keep = common_length(old, new)
    return TextDiff(keep, new[keep:])


def patched(text: str, diffs: Iterable[TextDiff]) -> str:
    """`text` after these changes."""
    for each in diffs:
        text = text[: each.keep] + each.tail
    return text


def common_length(one: str, other: str) -> int:
    """The length of the common prefix.

    By bisection: comparing slices takes a fraction of a millisecond for a million characters, a
    loop in Python a hundred times that.
    """
    if other.startswith(one):
        return len(one)
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
