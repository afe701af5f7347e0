"""What the metadata of a notebook's output says of a turn: a notebook alone can tell its
conversations.

`input` is not in it: as far as braces put values of the notebook into the prompt, those were asked
to be sent, not to be kept. Fields that have their default take no room, and neither do a text that
is the items' and an id to continue after that is the parent's.

Long texts of the answer stand in the output's Markdown already. As far as they stand there to the
letter, the metadata only says where, in characters from its beginning:

    "items": [{"type": "message", "content": [{"type": "output_text", "text": ""}]}]
    "text": {"in_markdown": {"/items/0/content/0/text": [120, 5620]}, "crc32": 3421780262}

The names are JSON pointers (RFC 6901). The checksum is the Markdown's, so that one which somebody
has edited is not taken for what the model said. `own` is a turn's text that neither has. (Older
readers refuse a `text` that is none, so the version need not grow.)
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any, Final
from zlib import crc32

from qwen_magic.conversation.archive.checked import LONGEST_TEXT, Node
from qwen_magic.conversation.archive.json_form import read_as, read_items, turn_json
from qwen_magic.conversation.chain import Turn
from qwen_magic.document.calls import LONGEST_BLOCK, cut
from qwen_magic.masking import with_texts
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import text_of

METADATA_KEY: Final = "qwen_magic"
METADATA_VERSION: Final = 1  # grows when an older reader would misread it
_LONG: Final = 80  # characters from which a text is worth a reference


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
        "items": list(map(_shortened, turn.items)),
        "text": turn.text if turn.text != text_of(turn.items) else None,
        "created_at": round(turn.created_at, 3),
        "seconds": round(turn.seconds, 3),
    }
    return {METADATA_KEY: {name: value for name, value in said.items() if value is not None}}


def _shortened(item: JSON) -> JSON:
    """What a tool gave back can be larger than a notebook: of that, what is shown of it."""
    if item.get("type") in (None, "message", "reasoning"):
        return item
    shortened: JSON = with_texts(item, lambda text: cut(text, LONGEST_BLOCK))
    return shortened


def refer_to(markdown: str, metadata: JSON) -> JSON:
    """`turn_metadata` as it stands beside this Markdown: without the long texts that are in it."""
    said: JSON = deepcopy(metadata.get(METADATA_KEY, {}))
    found: dict[str, list[int]] = {}
    for pointer, holder, name in _texts(said, ("items", "text")):
        text = holder[name]
        start = markdown.find(text) if len(text) >= _LONG else -1
        if start >= 0:
            found[pointer] = [start, start + len(text)]
            holder[name] = ""
    if not found or _sum(markdown) is None:
        return metadata
    own = {"own": said["text"]} if said.get("text") else {}
    said["text"] = {"in_markdown": found, "crc32": _sum(markdown), **own}
    return {METADATA_KEY: said}


def _texts(
    holder: Any, names: tuple[str, ...] = (), path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Every text within: its pointer, what holds it, and its name or place there."""
    if isinstance(holder, dict):
        inner = [(name, holder[name]) for name in names or holder if name in holder]
    else:
        inner = list(enumerate(holder)) if isinstance(holder, list) else []
    for name, value in inner:
        pointer = f"{path}/{_escaped(name)}"
        if isinstance(value, str):
            yield pointer, holder, name
        else:
            yield from _texts(value, (), pointer)


def _escaped(name: str | int) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


def _sum(markdown: str) -> int | None:
    """None where it cannot be written to a file as it is."""
    try:
        return crc32(markdown.encode())
    except UnicodeEncodeError:
        return None


def _with_texts(node: Node, markdown: str) -> Node:
    """What an output says, with the texts that its Markdown has for it."""
    text = node.get("text")
    if not isinstance(text.value, dict):
        return node
    places = text.get("in_markdown")
    if text.get("crc32").value != _sum(markdown):
        text.refuse("means the output's Markdown, which has been changed since, or is gone")
    room = LONGEST_TEXT
    said = {**deepcopy(node.object()), "text": text.get("own").value or ""}
    empty = {pointer: (holder, name) for pointer, holder, name in _texts(said, ("items", "text"))}
    for pointer in places.object():
        place = places.get(pointer)
        ends = [each.count() for each in place.each(2)]
        if pointer not in empty or len(ends) != 2:
            place.refuse("leads nowhere")
        holder, name = empty[pointer]
        holder[name] = markdown[slice(*ends)]
        room -= len(holder[name])
        if room < 0:
            places.refuse(f"means more than {LONGEST_TEXT:,} characters")
    said["text"] = said["text"] or None
    return Node(said, node.place, node.source)


def read_metadata(node: Node, cell: int, markdown: str = "") -> SavedTurn:
    """What an output tells, of the cell with this number; `markdown` is the output's own. Raises
    `ConversationError`, also where a newer qwen_magic has written it."""
    version = node.get("version")
    if version.count() > METADATA_VERSION:
        version.refuse(f"is {version.value}: a newer qwen_magic has written this turn")
    node = _with_texts(node, markdown)
    parent = node.get("parent_response_id")
    parent_id = parent.id() if parent.present else ""
    said: JSON = {"previous_response_id": parent_id, **node.object(), "raw": None}
    said["input"] = said.get("prompt")
    if not node.get("text").present:
        said["text"] = text_of(read_items(node.get("items")))
    return SavedTurn(read_as(Turn, Node(said, node.place, node.source)), parent_id, cell)
