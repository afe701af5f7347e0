"""A conversation as a JSON file that round-trips exactly (see schema)."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from qwen_magic.conversation.archive.checked import Node, load
from qwen_magic.conversation.archive.conversation import Conversation
from qwen_magic.conversation.archive.records import mark_json, read_mark, read_turn, turn_json
from qwen_magic.conversation.archive.schema import FORMAT, VERSION
from qwen_magic.conversation.chain import HeadMove, Record, Turn
from qwen_magic.protocol.fields import JSON

MOST_RECORDS: Final = 100_000
_HALF: Final = re.compile("[\ud800-\udfff]")


def export_json(conversation: Conversation) -> str:
    """The file's text, one field a line. It can be encoded whatever a server has sent."""
    said: JSON = {
        "format": FORMAT,
        "version": VERSION,
        "name": conversation.name,
        "base": [turn_json(turn) for turn in conversation.base],
        "records": [
            turn_json(record) if isinstance(record, Turn) else mark_json(record)
            for record in conversation.records
        ],
    }
    try:
        text = json.dumps(said, ensure_ascii=False, allow_nan=False, indent=1)
    except ValueError:  # a server's NaN, which is no JSON
        text = json.dumps(_finite(said), ensure_ascii=False, allow_nan=False, indent=1)
    return _HALF.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def import_json(text: str) -> Conversation:
    """Read what `export_json` wrote, or anybody else. Raises `ConversationError` that names the
    place: a wrong type, a key that comes twice, a parent that is missing, later or a descendant."""
    root = load(text)
    _check_kind(root)
    name = root.get("name").name()
    links = _Links(_parents(root))
    base = [_turn(node, links) for node in root.get("base").each(MOST_RECORDS)]
    records = []
    for number, node in enumerate(root.get("records").each(MOST_RECORDS)):
        record = _record(node, links)
        if record.chat != name:
            node.get("chat").refuse(f"is {record.chat!r}; the conversation is {name!r}")
        if isinstance(record, HeadMove) and record.kind == "fork" and number > 0:
            node.refuse("is a fork, which only the first record may be")
        records.append(record)
    return Conversation(name, tuple(records), tuple(base))


def _check_kind(root: Node) -> None:
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


def _record(node: Node, links: _Links) -> Record:
    kind = node.get("record")
    if kind.value == "turn":
        return _turn(node, links)
    if kind.value != "mark":
        kind.wrong('"turn" or "mark"')
    mark = read_mark(node)
    if mark.key is not None and mark.key not in links.seen:
        node.get("key").refuse(f"names {mark.key!r}, and no turn before it has that key")
    return mark


def _turn(node: Node, links: _Links) -> Turn:
    turn = read_turn(node)
    links.add(turn, node)
    return turn


def _parents(root: Node) -> dict[str, str]:
    """The parent of every turn, by key, as far as they are texts."""
    nodes = [*root.get("base").each(MOST_RECORDS), *root.get("records").each(MOST_RECORDS)]
    pairs = ((node.get("key").value, node.get("parent").value) for node in nodes)
    return {key: up for key, up in pairs if isinstance(key, str) and isinstance(up, str)}


class _Links:
    """The turns so far, and whether the next one fits to them."""

    def __init__(self, parents: dict[str, str]) -> None:
        self.seen: set[str] = set()
        self._parents = parents

    def add(self, turn: Turn, node: Node) -> None:
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
