"""Which turn follows which among those that a notebook still has.

Parents may be gone (an output was cleared, its cell deleted or run again), or lead in a circle in
a file that somebody made. What comes out is in order: by time, parents before their children.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qwen_magic.conversation.archive.conversation import Conversation
from qwen_magic.conversation.archive.metadata import SavedTurn
from qwen_magic.conversation.chain import HeadMove, Turn


@dataclass(frozen=True, slots=True)
class Found:
    """A turn with the number of the cell, from 1, whose output tells it."""

    saved: SavedTurn
    cell: int

    @property
    def turn(self) -> Turn:
        return self.saved.turn


def linked(found: Sequence[Found], notes: list[str]) -> list[Found]:
    """The turns in order, each with a parent that is among them and before it, or none."""
    keys = {each.turn.key for each in found}
    ids = {each.turn.response_id: each.turn.key for each in found if each.turn.response_id}
    return _ordered([_joined(each, keys, ids, notes) for each in found], notes)


def _joined(found: Found, keys: set[str], ids: Mapping[str, str], notes: list[str]) -> Found:
    """With its parent found by key or by response id; with none where it is not here."""
    turn, parent_id = found.turn, found.saved.parent_response_id
    if turn.parent in keys and turn.parent != turn.key:
        return found
    by_id = ids.get(parent_id)
    if by_id is not None and by_id != turn.key:
        return _with_parent(found, by_id)
    if turn.parent is not None or parent_id:
        notes.append(_orphan_note(found))
    return _with_parent(found, None)


def _orphan_note(found: Found) -> str:
    turn, parent_id = found.turn, found.saved.parent_response_id
    where = f"Cell {found.cell}: a turn of {turn.chat} follows one that is not in this notebook"
    if parent_id:
        return f"{where} ({parent_id}); it continues after that id as long as the server knows it."
    return f"{where}; the conversation begins with it here."


def _with_parent(found: Found, parent: str | None) -> Found:
    return replace(found, saved=replace(found.saved, turn=replace(found.turn, parent=parent)))


def _ordered(found: Sequence[Found], notes: list[str]) -> list[Found]:
    by_key = {each.turn.key: each for each in found}
    done: dict[str, Found] = {}
    for each in sorted(found, key=lambda one: one.turn.created_at):
        walk: dict[str, Found] = {}  # from this turn up to one that is done, or that begins
        at: Found | None = each
        while at is not None and at.turn.key not in done and at.turn.key not in walk:
            walk[at.turn.key] = at
            at = by_key[at.turn.parent] if at.turn.parent is not None else None
        if at is not None and at.turn.key in walk:
            last = list(walk)[-1]
            notes.append(f"Cell {walk[last].cell}: the parents of a turn lead round in a circle.")
            walk[last] = _with_parent(walk[last], None)
        done.update(reversed(walk.items()))
    return list(done.values())


def conversations(ordered: Sequence[Found], notes: list[str]) -> tuple[Conversation, ...]:
    """The turns by conversation, those first that others leave from.

    A turn whose parent stands in another conversation tells a fork.
    """
    by_key = {each.turn.key: each.turn for each in ordered}
    chats: dict[str, list[Found]] = {}
    for each in ordered:
        chats.setdefault(each.turn.chat, []).append(each)
    made: dict[str, Conversation] = {}
    for chat, members in chats.items():
        made[chat] = _conversation(chat, members, by_key, set(made), notes)
        by_key.update((turn.key, turn) for turn in made[chat].turns)
    return tuple(made.values())


def _conversation(
    chat: str,
    members: Sequence[Found],
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
