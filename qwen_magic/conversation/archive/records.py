"""Turns and marks to JSON, and back with every field checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from qwen_magic.conversation.archive.checked import Node
from qwen_magic.conversation.archive.schema import MARKS, STATUSES
from qwen_magic.conversation.chain import CellKey, HeadMove, Turn
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.response import Usage

MOST_ITEMS: Final = 10_000  # of one turn
_REQUIRED: Final = ("key", "chat", "status")


def turn_json(turn: Turn) -> JSON:
    """Every field of a turn; `raw` only where there is one."""
    said: JSON = {field.name: getattr(turn, field.name) for field in fields(Turn)}
    said["cell"] = asdict(turn.cell) if turn.cell else None
    said["usage"] = usage_json(turn.usage) if turn.usage else None
    if not turn.raw:
        del said["raw"]
    return {"record": "turn", **said}


def usage_json(usage: Usage) -> JSON:
    said = {field.name: getattr(usage, field.name) for field in fields(Usage)}
    return {**said, "tools": dict(usage.tools)}


def mark_json(mark: HeadMove) -> JSON:
    return {"record": "mark", **asdict(mark)}


def read_turn(node: Node) -> Turn:
    """Raises `ConversationError` with the place of what is wrong."""
    found: dict[str, Any] = {}
    for name, read in TURN_FIELDS.items():
        field = node.get(name)
        if field.present or name in _REQUIRED:
            found[name] = read(field)
    return Turn(**found)


def read_mark(node: Node) -> HeadMove:
    """Raises `ConversationError` with the place of what is wrong."""
    kind, key, at = node.get("kind"), node.get("key"), node.get("at")
    if kind.value not in MARKS:
        kind.wrong(" or ".join(MARKS))
    return HeadMove(
        chat=node.get("chat").name(),
        kind="fork" if kind.value == "fork" else "head",
        key=_key(key) if key.present else None,
        at=at.number() if at.present else 0.0,
    )


def read_cell(node: Node) -> CellKey:
    call = node.get("call")
    return CellKey(node.get("cell_id").id(), call.count() if call.present else 0)


def read_usage(node: Node) -> Usage:
    counts = {
        field.name: node.get(field.name).count()
        for field in fields(Usage)
        if field.name != "tools" and node.get(field.name).present
    }
    tools = node.get("tools")
    names = tools.object() if tools.present else {}
    return Usage(**counts, tools={name: tools.get(name).count() for name in names})


def read_items(node: Node) -> tuple[JSON, ...]:
    return tuple(each.object() for each in node.each(MOST_ITEMS))


def _key(node: Node) -> str:
    return node.id() or node.refuse("is empty")


def _status(node: Node) -> str:
    if node.value not in STATUSES:
        node.wrong(" or ".join(STATUSES))
    return node.text()


def _input(node: Node) -> str | tuple[JSON, ...]:
    return node.text() if isinstance(node.value, str) else read_items(node)


TURN_FIELDS: Final[Mapping[str, Callable[[Node], object]]] = {
    "key": _key,
    "chat": Node.name,
    "status": _status,
    "parent": _key,
    "response_id": Node.id,
    "previous_response_id": Node.id,
    "cell": read_cell,
    "prompt": Node.text,
    "input": _input,
    "text": Node.text,
    "items": read_items,
    "model": Node.id,
    "host": Node.id,
    "stored": Node.flag,
    "usage": read_usage,
    "created_at": Node.number,
    "seconds": Node.number,
    "raw": Node.object,
}
