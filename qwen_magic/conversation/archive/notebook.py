"""Conversations out of a notebook's own outputs, on any machine, without its store.

Each answer's output carries its turn in `metadata.qwen_magic`. What a notebook cannot tell: which
turns were undone, earlier answers of cells that ran again, and values that braces put in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from qwen_magic.conversation.archive.ancestry import Found, conversations, linked
from qwen_magic.conversation.archive.checked import Node, load
from qwen_magic.conversation.archive.conversation import Conversation
from qwen_magic.conversation.archive.metadata import METADATA_KEY, SavedTurn, read_metadata
from qwen_magic.conversation.chain import CellKey
from qwen_magic.errors import ConversationError

MOST_CELLS: Final = 100_000
MOST_OUTPUTS: Final = 10_000  # of one cell
MOST_NOTES: Final = 20


@dataclass(frozen=True, slots=True)
class Restored:
    """`conversations`: those first that others are forks of. `notes`: what could not be told or
    was left out, a sentence each with its place."""

    conversations: tuple[Conversation, ...]
    notes: tuple[str, ...] = ()


def read_notebook(text: str) -> Restored:
    """The conversations that a notebook's outputs tell. A turn that cannot be read is left out
    with a note. Raises `ConversationError` where it is no notebook, or has no turn to read."""
    notes: list[str] = []
    cells = _cells(load(text, "The notebook"))
    ids = {id for cell in cells if isinstance(id := cell.object().get("id"), str)}
    copies: dict[str, list[Found]] = {}
    for number, cell in enumerate(cells, 1):
        for saved in _turns(cell, number, notes):
            placed = _placed(saved, number, cell.object().get("id"), ids)
            copies.setdefault(placed.turn.key, []).append(placed)
    if not copies:
        _refuse_empty(notes)
    found = [_best(each, notes) for each in copies.values()]
    told = conversations(linked(found, notes), notes)
    return Restored(told, _few(notes))


def _cells(root: Node) -> list[Node]:
    if root.get("worksheets").present:
        root.refuse("has the form of notebooks before 2015: open and save it in Jupyter first")
    cells = root.get("cells")
    if not cells.present:
        root.refuse("has no cells: it is no notebook")
    found = list(cells.each(MOST_CELLS))
    for number, cell in enumerate(found, 1):
        Node(cell.value, f"cell {number}", cell.source).object()
    return found


def _turns(cell: Node, number: int, notes: list[str]) -> Iterator[SavedTurn]:
    """The turns that the outputs of a cell tell, but for those outside any conversation."""
    if cell.object().get("cell_type") != "code":
        return
    place = f"cell {number}"
    for output in Node(cell.object().get("outputs"), f"{place}, outputs", cell.source).each(
        MOST_OUTPUTS
    ):
        metadata = output.object().get("metadata")
        said = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
        if said is None or (isinstance(said, dict) and said.get("chat") == ""):
            continue
        try:
            yield read_metadata(Node(said, f"{place}, {METADATA_KEY}", cell.source))
        except ConversationError as error:
            notes.append(f"Left out: {error.message}")


def _placed(saved: SavedTurn, number: int, own: object, ids: set[str]) -> Found:
    """With the id of the cell that it now stands in, where the recorded one is not here any more
    (a notebook that was copied cell by cell, or whose ids were made anew)."""
    cell = saved.turn.cell
    if cell is not None and cell.cell_id not in ids and isinstance(own, str) and own:
        turn = replace(saved.turn, cell=CellKey(own, cell.call))
        saved = replace(saved, turn=turn)
    return Found(saved, number)


def _best(copies: list[Found], notes: list[str]) -> Found:
    """One of the outputs that tell the same turn: a copied cell has its outputs copied too."""
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
