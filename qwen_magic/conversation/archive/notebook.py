"""Conversations in a notebook's own outputs, which tell them on any machine, without its store.

The metadata of an answer's output has its turn (`qwen_magic`). `input` is not in it: as far as
braces put values of the notebook into the prompt, those were asked to be sent, not to be kept.
Fields that have their default take no room, and neither do a text that is the items' and an id to
continue after that is the parent's.

Long texts of the answer stand in the output's Markdown already. As far as they stand there to the
letter, the metadata only says where, in characters from its beginning:

    "items": [{"type": "message", "content": [{"type": "output_text", "text": ""}]}]
    "text": {"in_markdown": {"/items/0/content/0/text": [120, 5620]}, "crc32": 3421780262}

The names are JSON pointers (RFC 6901). The checksum is the Markdown's, so that one which somebody
has edited is not taken for what the model said. `own` is a turn's text that neither has. (Older
readers refuse a `text` that is none, so the version need not grow.)

What a notebook cannot tell: which turns were undone, earlier answers of cells that ran again, and
values that braces put in. Parents may be gone (an output was cleared, its cell deleted or run
again), or lead in a circle in a file that somebody made. What `read_notebook` gives is in order: by
time, parents before their children.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any, Final
from zlib import crc32

from qwen_magic.conversation.archive import LONGEST_TEXT, PlacedValue, load
from qwen_magic.conversation.archive.json_form import read_as, read_items, turn_json
from qwen_magic.conversation.chain import CellKey, Conversation, HeadMove, Turn
from qwen_magic.document.calls import LONGEST_BLOCK, cut
from qwen_magic.errors import ConversationError
from qwen_magic.masking import with_texts
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import text_of

METADATA_KEY: Final = "qwen_magic"
METADATA_VERSION: Final = 1  # grows when an older reader would misread it
_LONG: Final = 80  # characters from which a text is worth a reference
MOST_CELLS: Final = 100_000
MOST_OUTPUTS: Final = 10_000  # of one cell
MOST_NOTES: Final = 20
MOST_SHARED: Final = 100_000  # turns of all forks, each counted once for every fork that has it


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """A turn as read from an output.

    `parent_response_id`: its parent's response id; `cell`: the index of the output's cell, from 1.
    """

    turn: Turn
    parent_response_id: str
    cell: int


def turn_metadata(turn: Turn, *, parent: Turn | None, number: int) -> JSON:
    """The metadata of a turn's output: `{"qwen_magic": {…}}`, with prompt, answer, ids and place.

    It never holds a key. `parent`: the turn before; `number`: its place on the path, from 1.
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
    """An item with its tool output cut to what is shown, as it can be larger than a notebook."""
    if item.get("type") in (None, "message", "reasoning"):
        return item
    shortened: JSON = with_texts(item, lambda text: cut(text, LONGEST_BLOCK))
    return shortened


def refer_to(markdown: str, metadata: JSON) -> JSON:
    """The metadata of an output with this Markdown: long texts that the Markdown has are replaced
    by references.
    """
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
    """All texts inside: JSON pointer, container, and key or index in it."""
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
    """The checksum of a text; None if it cannot be encoded."""
    try:
        return crc32(markdown.encode())
    except UnicodeEncodeError:
        return None


def _with_texts(node: PlacedValue, markdown: str) -> PlacedValue:
    """The metadata of an output with its references replaced by texts of the Markdown."""
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
    return PlacedValue(said, node.place, node.source)


def read_metadata(node: PlacedValue, cell: int, markdown: str = "") -> SavedTurn:
    """Read the turn in an output of the cell with this index.

    Raises `ConversationError`, also for the format of a newer qwen_magic.
    """
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
    return SavedTurn(read_as(Turn, PlacedValue(said, node.place, node.source)), parent_id, cell)


# The notebook -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restored:
    """`conversations`: forks come after those they leave. `notes`: a sentence for each turn that
    could not be read or was left out.
    """

    conversations: tuple[Conversation, ...]
    notes: tuple[str, ...] = ()


def read_notebook(text: str) -> Restored:
    """Read the conversations from a notebook's outputs.

    A turn that cannot be read is left out with a note. Raises `ConversationError` if the text is
    not a notebook, or holds no readable turn.
    """
    notes: list[str] = []
    cells = _cells(load(text, "The notebook"))
    ids = {id for cell in cells if isinstance(id := cell.object().get("id"), str)}
    copies: dict[str, list[SavedTurn]] = {}
    for number, cell in enumerate(cells, 1):
        for saved in _turns(cell, number, notes):
            placed = _with_present_cell(saved, cell.object().get("id"), ids)
            copies.setdefault(placed.turn.key, []).append(placed)
    if not copies:
        _refuse_empty(notes)
    found = [_best(each, notes) for each in copies.values()]
    told = _conversations(_linked(found, notes), notes)
    return Restored(told, _few(notes))


def _cells(root: PlacedValue) -> list[PlacedValue]:
    if root.get("worksheets").present:
        root.refuse("has the form of notebooks before 2015: open and save it in Jupyter first")
    cells = root.get("cells")
    if not cells.present:
        root.refuse("has no cells: it is no notebook")
    found = list(cells.each(MOST_CELLS))
    for number, cell in enumerate(found, 1):
        PlacedValue(cell.value, f"cell {number}", cell.source).object()
    return found


def _turns(cell: PlacedValue, number: int, notes: list[str]) -> Iterator[SavedTurn]:
    """The turns in a cell's outputs, except those outside any conversation."""
    if cell.object().get("cell_type") != "code":
        return
    place = f"cell {number}"
    for output in PlacedValue(cell.object().get("outputs"), f"{place}, outputs", cell.source).each(
        MOST_OUTPUTS
    ):
        metadata = output.object().get("metadata")
        said = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
        if said is None or (isinstance(said, dict) and said.get("chat") == ""):
            continue
        try:
            node = PlacedValue(said, f"{place}, {METADATA_KEY}", cell.source)
            yield read_metadata(node, number, _markdown(output.object().get("data")))
        except ConversationError as error:
            notes.append(f"Left out: {error.message}")


def _markdown(data: object) -> str:
    """The Markdown of an output: a text, or a list of lines."""
    said = data.get("text/markdown") if isinstance(data, dict) else None
    lines = said if isinstance(said, list) else [said]
    return "".join(line for line in lines if isinstance(line, str))


def _with_present_cell(saved: SavedTurn, own: object, ids: set[str]) -> SavedTurn:
    """The turn with its present cell's id if the recorded cell is gone (a copied notebook, new
    ids).
    """
    cell = saved.turn.cell
    if cell is not None and cell.cell_id not in ids and isinstance(own, str) and own:
        return replace(saved, turn=replace(saved.turn, cell=CellKey(own, cell.call)))
    return saved


def _best(copies: list[SavedTurn], notes: list[str]) -> SavedTurn:
    """One of several outputs with the same turn: copying a cell copies its outputs."""
    best = max(copies, key=lambda one: (one.turn.created_at + one.turn.seconds, -one.cell))
    for other in copies:
        same = replace(other.turn, cell=best.turn.cell) == best.turn
        if not same:
            notes.append(
                f"Cells {other.cell} and {best.cell} tell the same turn of {best.turn.chat} "
                f"differently; the one of cell {best.cell} was taken."
            )
    return best


def _refuse_empty(notes: list[str]) -> None:
    raise ConversationError(
        "The notebook has no turn of qwen_magic in its outputs.",
        why=" ".join(_few(notes)),
        hint="Only outputs that were saved can be restored: cleared ones, and those of other "
        "extensions, tell nothing.",
    )


def _few(notes: list[str]) -> tuple[str, ...]:
    if len(notes) <= MOST_NOTES:
        return tuple(notes)
    return (*notes[:MOST_NOTES], f"… and {len(notes) - MOST_NOTES:,} more of this kind.")


def _linked(found: Sequence[SavedTurn], notes: list[str]) -> list[SavedTurn]:
    """The turns in order, each with an earlier one of them as parent, or none."""
    keys = {each.turn.key for each in found}
    ids = {each.turn.response_id: each.turn.key for each in found if each.turn.response_id}
    return _ordered([_with_found_parent(each, keys, ids, notes) for each in found], notes)


def _with_found_parent(
    found: SavedTurn, keys: set[str], ids: Mapping[str, str], notes: list[str]
) -> SavedTurn:
    """The turn with its parent found by key or response id; without one if it is not there."""
    turn, parent_id = found.turn, found.parent_response_id
    if turn.parent in keys and turn.parent != turn.key:
        return found
    by_id = ids.get(parent_id)
    if by_id is not None and by_id != turn.key:
        return _with_parent(found, by_id)
    if turn.parent is not None or parent_id:
        notes.append(_orphan_note(found))
    return _with_parent(found, None)


def _orphan_note(found: SavedTurn) -> str:
    turn, parent_id = found.turn, found.parent_response_id
    where = f"Cell {found.cell}: a turn of {turn.chat} follows one that is not in this notebook"
    if parent_id:
        return f"{where} ({parent_id}); it goes on there only where this machine had that answer."
    return f"{where}; the conversation begins with it here."


def _with_parent(found: SavedTurn, parent: str | None) -> SavedTurn:
    return replace(found, turn=replace(found.turn, parent=parent))


def _ordered(found: Sequence[SavedTurn], notes: list[str]) -> list[SavedTurn]:
    by_key = {each.turn.key: each for each in found}
    done: dict[str, SavedTurn] = {}
    for each in sorted(found, key=lambda one: one.turn.created_at):
        walk: dict[str, SavedTurn] = {}  # from this turn up to one that is done, or that begins
        at: SavedTurn | None = each
        while at is not None and at.turn.key not in done and at.turn.key not in walk:
            walk[at.turn.key] = at
            at = by_key[at.turn.parent] if at.turn.parent is not None else None
        if at is not None and at.turn.key in walk:
            last = list(walk)[-1]
            notes.append(f"Cell {walk[last].cell}: the parents of a turn lead round in a circle.")
            walk[last] = _with_parent(walk[last], None)
        done.update(reversed(walk.items()))
    return list(done.values())


def _conversations(ordered: Sequence[SavedTurn], notes: list[str]) -> tuple[Conversation, ...]:
    """The turns grouped by conversation; forks after those they leave.

    A turn whose parent is in another conversation starts a fork.
    """
    by_key = {each.turn.key: each.turn for each in ordered}
    chats: dict[str, list[SavedTurn]] = {}
    for each in ordered:
        chats.setdefault(each.turn.chat, []).append(each)
    made: dict[str, Conversation] = {}
    shared = 0
    for chat, members in chats.items():
        earlier = set(made) if shared < MOST_SHARED else set()
        made[chat] = _conversation(chat, members, by_key, earlier, notes)
        shared += len(made[chat].base)
        by_key.update((turn.key, turn) for turn in made[chat].turns)
    return tuple(made.values())


def _conversation(
    chat: str,
    members: Sequence[SavedTurn],
    by_key: Mapping[str, Turn],
    earlier: set[str],
    notes: list[str],
) -> Conversation:
    parents = (by_key[each.turn.parent] for each in members if each.turn.parent is not None)
    left = {turn.key: turn for turn in parents if turn.chat in earlier}
    base = max((_path(turn, by_key) for turn in left.values()), key=len, default=[])
    within = {turn.key for turn in base} | {each.turn.key for each in members}
    turns: list[Turn] = []
    for each in members:
        if each.turn.parent is None or each.turn.parent in within:
            turns.append(each.turn)
        else:
            notes.append(f"Cell {each.cell}: a turn of {chat} follows one of another conversation.")
            turns.append(replace(each.turn, parent=None))
    if not base:
        return Conversation(chat, tuple(turns))
    fork = HeadMove(chat, "fork", base[-1].key, turns[0].created_at)
    return Conversation(chat, (fork, *turns), tuple(base))


def _path(turn: Turn | None, by_key: Mapping[str, Turn]) -> list[Turn]:
    path: list[Turn] = []
    while turn is not None:
        path.append(turn)
        turn = by_key[turn.parent] if turn.parent is not None else None
    return path[::-1]
