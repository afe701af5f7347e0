"""What the metadata of a notebook's output says of a turn: a notebook alone can tell its
conversations.

`input` is not in it: as far as braces put values of the notebook into the prompt, those were asked
to be sent, not to be kept. Fields that have their default take no room, and neither do a text that
is the items' and an id to continue after that is the parent's.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from qwen_magic.conversation.archive.checked import Node
from qwen_magic.conversation.archive.json_form import read_as, read_items, turn_json
from qwen_magic.conversation.chain import Turn
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import Message, parse_item

METADATA_KEY: Final = "qwen_magic"
METADATA_VERSION: Final = 1  # grows when an older reader would misread it


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """A turn as an output tells it. `parent_response_id`: the server's id of its parent; `cell`:
    the number of the output's cell, from 1."""

    turn: Turn
    parent_response_id: str
    cell: int


def turn_metadata(turn: Turn, *, parent: Turn | None, number: int) -> JSON:
    """`{"qwen_magic": {…}}`: the turn as typed and answered, its ids and place. Never a key.

    `parent` is the turn that it follows, `number` its place on its path, from 1.
    """
    parent_id = parent.response_id if parent else ""
    previous_id = turn.previous_response_id
    usual = {field.name for field in fields(Turn) if getattr(turn, field.name) == field.default}
    said: JSON = {
        **{name: value for name, value in turn_json(turn).items() if name not in usual},
        **dict.fromkeys(("record", "raw", "input")),
        "version": METADATA_VERSION,
        "number": number,
        "parent_response_id": parent_id if parent else None,
        "previous_response_id": previous_id if previous_id != parent_id else None,
        "items": list(turn.items),
        "text": turn.text if turn.text != text_of(turn.items) else None,
        "created_at": round(turn.created_at, 3),
        "seconds": round(turn.seconds, 3),
    }
    return {METADATA_KEY: {name: value for name, value in said.items() if value is not None}}


def text_of(items: tuple[JSON, ...]) -> str:
    """The answer as its items tell it: all messages, an empty line between them."""
    messages = [item for item in map(parse_item, items) if isinstance(item, Message)]
    return "\n\n".join(text for item in messages if (text := item.text or item.refusal))


def read_metadata(node: Node, cell: int) -> SavedTurn:
    """What an output tells, of the cell with this number. Raises `ConversationError`, also where a
    newer qwen_magic has written it."""
    version = node.get("version")
    if version.count() > METADATA_VERSION:
        version.refuse(f"is {version.value}: a newer qwen_magic has written this turn")
    parent = node.get("parent_response_id")
    parent_id = parent.id() if parent.present else ""
    said: JSON = {"previous_response_id": parent_id, **node.object(), "raw": None}
    said["input"] = said.get("prompt")
    if not node.get("text").present:
        said["text"] = text_of(read_items(node.get("items")))
    return SavedTurn(read_as(Turn, Node(said, node.place, node.source)), parent_id, cell)
