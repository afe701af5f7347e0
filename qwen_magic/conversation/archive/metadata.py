"""What the metadata of a notebook's output says of a turn, read with every field checked.

`session.metadata` writes it. `input` is not in it: as far as braces put values of the notebook
into the prompt, those were asked to be sent, not to be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qwen_magic.conversation.archive.checked import Node
from qwen_magic.conversation.archive.records import read_items, read_turn
from qwen_magic.conversation.chain import Turn
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import Message, parse_item

METADATA_KEY: Final = "qwen_magic"
METADATA_VERSION: Final = 1  # grows when an older reader would misread it


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """A turn as an output tells it; `parent_response_id`: the server's id of its parent."""

    turn: Turn
    parent_response_id: str = ""


def text_of(items: tuple[JSON, ...]) -> str:
    """The answer as its items tell it: all messages, an empty line between them."""
    messages = [item for item in map(parse_item, items) if isinstance(item, Message)]
    return "\n\n".join(text for item in messages if (text := item.text or item.refusal))


def read_metadata(node: Node) -> SavedTurn:
    """Raises `ConversationError`, also where a newer qwen_magic has written it."""
    version = node.get("version")
    if version.count() > METADATA_VERSION:
        version.refuse(f"is {version.value}: a newer qwen_magic has written this turn")
    parent = node.get("parent_response_id")
    parent_id = parent.id() if parent.present else ""
    said: JSON = {"previous_response_id": parent_id, **node.object(), "raw": None}
    said["input"] = said.get("prompt")
    if not node.get("text").present:
        said["text"] = text_of(read_items(node.get("items")))
    return SavedTurn(read_turn(Node(said, node.place, node.source)), parent_id)
