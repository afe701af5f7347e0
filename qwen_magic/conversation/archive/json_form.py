"""A conversation as a JSON file that round-trips exactly.

    {"format": "qwen_magic conversation", "version": 1, "name": "main",
     "base": [turn, …], "records": [turn or mark, …]}

A turn is `{"record": "turn"}` with the fields of `Turn`; a mark is `{"record": "mark"}` with those
of `HeadMove`. `records` are in the order in which they were made: replaying them gives the same
conversation with the same head. A parent always stands before its children. `base` is there for a
fork only: the turns that it shares with the conversation it leaves, first to last, so that the file
stands alone.

A field that is absent or null has its default (an empty text, 0, none); fields that are not named
here are ignored, so a version may gain some. What an older reader would misread needs a new
`version`; a file of a newer one is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, Final, TypeVar, get_args

from qwen_magic.conversation.archive import PlacedValue, load
from qwen_magic.conversation.chain import (
    CellKey,
    Conversation,
    HeadMove,
    MoveKind,
    Record,
    Turn,
    TurnStatus,
)
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.response import Usage

FORMAT: Final = "qwen_magic conversation"
VERSION: Final = 1
Read = TypeVar("Read", Turn, HeadMove, CellKey, Usage)

MOST_ITEMS: Final = 10_000  # of one turn
MOST_RECORDS: Final = 100_000
_HALF: Final = re.compile("[\ud800-\udfff]")


def export_json(conversation: Conversation) -> str:
    """The text of the file, one field a line; always encodable as UTF-8."""
    said: JSON = {
        "format": FORMAT,
        "version": VERSION,
        "name": conversation.name,
        "base": [turn_json(turn) for turn in conversation.base],
        "records": [
            turn_json(record) if isinstance(record, Turn) else {"record": "mark", **asdict(record)}
            for record in conversation.records
        ],
    }
    try:
        text = json.dumps(said, ensure_ascii=False, allow_nan=False, indent=1)
    except ValueError:  # a server's NaN, which is no JSON
        text = json.dumps(_finite(said), ensure_ascii=False, allow_nan=False, indent=1)
    return _HALF.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def import_json(text: str) -> Conversation:
    """Parse a file of `export_json`, which need not be trusted.

    Raises a `ConversationError` that names the place of a wrong type, a duplicate key, or a parent
    that is missing or comes later.
    """
    root = load(text)
    _check_kind(root)
    name = root.get("name").name()
    links = _Links(_parents(root))
    base = [_turn(node, links) for node in root.get("base").each(MOST_RECORDS)]
    records = []
    for node in root.get("records").each(MOST_RECORDS):
        record = _record(node, links)
        if record.chat != name:
            node.get("chat").refuse(f"is {record.chat!r}; the conversation is {name!r}")
        records.append(record)
    return Conversation(name, tuple(records), tuple(base))


def turn_json(turn: Turn) -> JSON:
    """All fields of a turn; `raw` only if there is one."""
    said: JSON = {field.name: getattr(turn, field.name) for field in fields(Turn)}
    said["cell"] = asdict(turn.cell) if turn.cell else None
    said["usage"] = asdict(turn.usage) if turn.usage else None
    if not turn.raw:
        del said["raw"]
    return {"record": "turn", **said}


def read_as(kind: type[Read], node: PlacedValue) -> Read:
    """Build a dataclass from JSON, each field checked by its annotation.

    Raises a `ConversationError` with the place of a fault.
    """
    found: dict[str, Any] = {}
    for field in fields(kind):
        said = node.get(field.name)
        is_required = field.default is MISSING and field.default_factory is MISSING
        if said.present or is_required:
            found[field.name] = _READ_AS[str(field.type)](said)
    return kind(**found)


def read_items(node: PlacedValue) -> tuple[JSON, ...]:
    return tuple(each.object() for each in node.each(MOST_ITEMS))


def _key(node: PlacedValue) -> str:
    return node.id() or node.refuse("is empty")


def _input(node: PlacedValue) -> str | tuple[JSON, ...]:
    return node.text() if isinstance(node.value, str) else read_items(node)


def _counts(node: PlacedValue) -> Mapping[str, int]:
    return {name: node.get(name).count() for name in node.object()}


# By the annotation of the field.
_READ_AS: Final[Mapping[str, Callable[[PlacedValue], object]]] = {
    "Key": _key,
    "Key | None": _key,
    "Name": PlacedValue.name,
    "Id": PlacedValue.id,
    "TurnStatus": lambda node: node.one_of(get_args(TurnStatus)),
    "MoveKind": lambda node: node.one_of(get_args(MoveKind)),
    "CellKey | None": lambda node: read_as(CellKey, node),
    "Usage | None": lambda node: read_as(Usage, node),
    "str": PlacedValue.text,
    "str | tuple[JSON, ...]": _input,
    "tuple[JSON, ...]": read_items,
    "Mapping[str, int]": _counts,
    "int": PlacedValue.count,
    "float": PlacedValue.number,
    "bool": PlacedValue.flag,
    "JSON": PlacedValue.object,
}


def _check_kind(root: PlacedValue) -> None:
    kind, version = root.get("format"), root.get("version")
    if kind.value != FORMAT:
        kind.refuse(f'is not "{FORMAT}": this is no exported conversation')
    if version.count() > VERSION:
        version.refuse(
            f"is {version.value}, and this qwen_magic reads up to {VERSION}: update it "
            "(pip install -U qwen-magic)"
        )
    if version.value != VERSION:
        version.wrong(str(VERSION))


def _record(node: PlacedValue, links: _Links) -> Record:
    kind = node.get("record")
    if kind.value == "turn":
        return _turn(node, links)
    if kind.value != "mark":
        kind.wrong('"turn" or "mark"')
    move = read_as(HeadMove, node)
    if move.key is not None and move.key not in links.seen:
        node.get("key").refuse(f"names {move.key!r}, and no turn before it has that key")
    return move


def _turn(node: PlacedValue, links: _Links) -> Turn:
    turn = read_as(Turn, node)
    links.add(turn, node)
    return turn


def _parents(root: PlacedValue) -> dict[str, str]:
    """The parent of each turn, by key."""
    nodes = [*root.get("base").each(MOST_RECORDS), *root.get("records").each(MOST_RECORDS)]
    pairs = ((node.get("key").value, node.get("parent").value) for node in nodes)
    return {key: up for key, up in pairs if isinstance(key, str) and isinstance(up, str)}


class _Links:
    """Checks that each turn fits to those before it."""

    def __init__(self, parents: dict[str, str]) -> None:
        self.seen: set[str] = set()
        self._parents = parents

    def add(self, turn: Turn, node: PlacedValue) -> None:
        if turn.key in self.seen:
            node.get("key").refuse(f"is {turn.key!r}, which another turn has already")
        if turn.parent is not None and turn.parent not in self.seen:
            node.get("parent").refuse(self._why(turn.key, turn.parent))
        self.seen.add(turn.key)

    def _why(self, key: str, parent: str) -> str:
        above, walked = parent, {key}
        while above in self._parents and above not in walked:
            walked.add(above)
            above = self._parents[above]
        if above in walked:
            return f"is {parent!r}, which leads round in a circle"
        return f"is {parent!r}, and no turn before it has that key"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
