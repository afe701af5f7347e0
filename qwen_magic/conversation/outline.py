"""What is told of a conversation in a page: the way to its head, with what hangs beside it.

However long the conversation, only so many turns are chosen, the newest first: the first and the
last of the way, and below each of them some of the turns that leave from it. In a branch, too, the
newest turn goes straight on and others hang deeper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, TypeAlias

from qwen_magic.conversation.chain import SHORTEST_ID, CellKey, TurnStatus
from qwen_magic.conversation.text_diff import common_length

MOST_ON_WAY: Final = 80  # turns of the way to the head: its first ones and its last
FIRST_ON_WAY: Final = 10
MOST_BESIDE: Final = 60  # turns of branches in all
MOST_OF_TURN: Final = 12  # turns below one turn
BEGINNING: Final = 560  # characters of a prompt: enough for a line, however it is spaced

LineKind: TypeAlias = Literal["way", "branch", "follower", "gap"]


@dataclass(frozen=True, slots=True)
class TurnSummary:
    """A turn as far as a line tells it: `prompt` is its beginning, at most `BEGINNING` characters,
    `number` its place on its own way from the first turn, from 1."""

    key: str
    number: int
    prompt: str
    status: TurnStatus
    response_id: str
    model: str
    tokens: int
    created_at: float
    cell: CellKey | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `depth` is 0 on the way to the head; a `follower` goes on from the line above it, a
    `branch` leaves from the turn that it hangs below; a `gap` (without `turn`) stands for `hidden`
    turns, or for an unknown number where that is 0.

    `ref` names the turn: its number on the way, or the beginning of its response id; empty where
    neither does. It is the `place`th of `made` turns of its cell; `is_current`: and beside the way
    the one that later cells continue after.
    """

    kind: LineKind
    depth: int
    turn: TurnSummary | None = None
    hidden: int = 0
    ref: str = ""
    place: int = 1
    made: int = 1
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """`turns` counts all of the conversation, `on_way` those on the way to its head, both with the
    ones that a fork shares; `tokens` is what was used in this conversation alone."""

    name: str
    turns: int
    on_way: int
    tokens: int
    lines: tuple[Line, ...]


class Tree(Protocol):
    """A conversation that can be walked without being read whole."""

    @property
    def name(self) -> str: ...

    @property
    def turns(self) -> int: ...

    @property
    def tokens(self) -> int: ...

    def way(self, first: int, last: int) -> Sequence[TurnSummary]:
        """Of the way to the head its first turns and its last, each once and in their order."""

    def children(self, key: str | None, most: int) -> Sequence[TurnSummary]:
        """The oldest `most` turns that follow the turn `key` (None: that begin the conversation),
        in the order in which they ended."""

    def place(self, glimpse: TurnSummary) -> tuple[int, int]:
        """As which of how many turns its cell made it; (1, 1) without a cell."""

    def is_current(self, glimpse: TurnSummary) -> bool:
        """Whether it is the current turn of its cell."""

    def beside_id(self, response_id: str) -> Sequence[str]:
        """The other response ids that come right before and after this one, in their order."""


def outline_of(tree: Tree) -> Outline:
    """Choose what is told of `tree`."""
    choice = _Choice(tree)
    lines = tuple(_told(tree, line) for line in choice.lines())
    return Outline(tree.name, tree.turns, choice.on_way, tree.tokens, lines)


class _Choice:
    """Chooses the lines; what they say comes later."""

    def __init__(self, tree: Tree) -> None:
        last = MOST_ON_WAY - FIRST_ON_WAY
        # One more than is drawn: the turn after the last one drawn is no branch.
        way = tree.way(FIRST_ON_WAY + 1, last)
        self.on_way = way[-1].number if way else 0
        newest = self.on_way - last
        self._way = [turn for turn in way if turn.number <= FIRST_ON_WAY or turn.number > newest]
        self._way_keys = {turn.key for turn in way}
        self._tree = tree

    def lines(self) -> list[Line]:
        branches = self._branches()
        lines = branches.get(None, [])
        last = 0
        for turn in self._way:
            if turn.number > last + 1:
                lines.append(Line("gap", 0, hidden=turn.number - last - 1))
            lines.append(Line("way", 0, turn))
            lines += branches.get(turn.key, ())
            last = turn.number
        return lines

    def _branches(self) -> dict[str | None, list[Line]]:
        """What hangs below the turns of the way (None: before its first); where there is more than
        can be drawn, the newest ones are."""
        found: dict[str | None, list[Line]] = {}
        left = MOST_BESIDE
        for key in (*(turn.key for turn in reversed(self._way)), None):
            lines = self._below(key, min(left, MOST_OF_TURN)) if left else []
            if lines:
                found[key] = lines
                left = max(0, left - len(lines))
        return found

    def _below(self, key: str | None, most: int) -> list[Line]:
        lines: list[Line] = []
        stack = [Line("branch", 1, turn) for turn in reversed(self._beside(key))]
        while stack and len(lines) < most:
            line = stack.pop()
            lines.append(line)
            if line.turn is not None:
                # The newest goes straight on; it is pushed first, as the others come before it.
                *others, newest = self._beside(line.turn.key) or (None,)
                if newest is not None:
                    stack.append(Line("follower", line.depth, newest))
                stack += [Line("branch", line.depth + 1, turn) for turn in reversed(others) if turn]
        if stack and lines:
            lines.append(Line("gap", 1))
        return lines

    def _beside(self, key: str | None) -> list[TurnSummary]:
        """The turns after `key` that are not on the way, as many as could be drawn: one of those
        asked for may be on it, and one more than is drawn shows that there are more."""
        found = self._tree.children(key, MOST_OF_TURN + 2)
        return [turn for turn in found if turn.key not in self._way_keys]


def _told(tree: Tree, line: Line) -> Line:
    """The line with what there is to say of its turn."""
    turn = line.turn
    if turn is None:
        return line
    place, made = tree.place(turn)
    if line.kind == "way":
        return replace(line, ref=str(turn.number), place=place, made=made)
    return replace(
        line,
        ref=_short_id(tree, turn.response_id),
        place=place,
        made=made,
        is_current=made > 1 and tree.is_current(turn),
    )


def _short_id(tree: Tree, id: str) -> str:
    """How a turn beside the way can be named: six characters of its response id, or more where
    that names several, or reads as a number."""
    if not id:
        return ""
    ours = len(id) - len(id.removeprefix("resp_"))  # may be left out
    alike = max((common_length(id, other) for other in tree.beside_id(id)), default=0)
    end = max(ours + SHORTEST_ID, alike + 1)
    while id[ours:end].isdigit() and end < len(id):
        end += 1
    return id[ours:end]
