"""What is told of a conversation in a page: the path to its head, with what hangs beside it.

However long the conversation, only so many turns are chosen, the newest first: the first and the
last of the path, and below each of them some of the turns that leave from it. In a branch, too, the
newest turn goes straight on and others hang deeper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Literal, TypeAlias

from qwen_magic.conversation.chain import (
    PROMPT_BEGINNING,
    SHORTEST_ID,
    T,
    Turn,
    TurnSummary,
    TurnTree,
)
from qwen_magic.conversation.text_diff import common_length

MOST_ON_PATH: Final = 80  # turns of the path to the head: its first ones and its last
FIRST_ON_PATH: Final = 10
MOST_BESIDE: Final = 60  # turns of branches in all
MOST_OF_TURN: Final = 12  # turns below one turn

LineKind: TypeAlias = Literal["path", "branch", "follower", "gap"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `depth` is 0 on the path to the head; a `follower` goes on from the line above it,
    a `branch` leaves from the turn that it hangs below; a `gap` (without `turn`) stands for
    `hidden` turns, or for an unknown number where that is 0.

    `ref` names the turn: its number on the path, or the beginning of its response id; empty where
    neither does. It is the `place`th of `made` turns of its cell; `is_current`: and beside the path
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
    """`turns` counts all of the conversation, `on_path` those on the path to its head, both with
    the ones that a fork shares; `tokens` is what was used in this conversation alone."""

    name: str
    turns: int
    on_path: int
    tokens: int
    lines: tuple[Line, ...]


def outline_of(tree: TurnTree[T]) -> Outline:
    """Choose what is told of `tree`, whether its turns were read whole or as summaries."""
    choice = _Choice(tree)
    lines = tuple(choice.lines())
    return Outline(tree.name, len(tree.turns), len(choice.path), tree.tokens, lines)


class _Choice(Generic[T]):
    def __init__(self, tree: TurnTree[T]) -> None:
        self._tree = tree
        self.path = tree.path(tree.head)
        self._path_keys = {turn.key for turn in self.path}
        self._hidden = max(0, len(self.path) - MOST_ON_PATH)  # behind the first ones

    def lines(self) -> list[Line]:
        numbered = list(enumerate(self.path, 1))
        if self._hidden:
            del numbered[FIRST_ON_PATH : FIRST_ON_PATH + self._hidden]
        branches = self._branches([turn.key for _number, turn in numbered])
        lines = branches.get(None, [])
        for number, turn in numbered:
            if self._hidden and number == FIRST_ON_PATH + self._hidden + 1:
                lines.append(Line("gap", 0, hidden=self._hidden))
            lines.append(replace(self._line("path", 0, turn), ref=str(number), is_current=False))
            lines += branches.get(turn.key, ())
        return lines

    def _branches(self, path: list[str]) -> dict[str | None, list[Line]]:
        """What hangs below the turns of the path (None: before its first); where there is more than
        can be drawn, the newest ones are."""
        found: dict[str | None, list[Line]] = {}
        left = MOST_BESIDE
        for key in (*reversed(path), None):
            lines = self._below(key, min(left, MOST_OF_TURN)) if left else []
            if lines:
                found[key] = lines
                left = max(0, left - len(lines))
        return found

    def _below(self, key: str | None, most: int) -> list[Line]:
        lines: list[Line] = []
        stack: list[tuple[LineKind, int, T]] = [
            ("branch", 1, turn) for turn in reversed(self._beside(key))
        ]
        while stack and len(lines) < most:
            kind, depth, turn = stack.pop()
            lines.append(self._line(kind, depth, turn))
            # The newest goes straight on; it is pushed first, as the others come before it.
            if after := self._beside(turn.key):
                *others, newest = after
                stack.append(("follower", depth, newest))
                stack += [("branch", depth + 1, each) for each in reversed(others)]
        if stack and lines:
            lines.append(Line("gap", 1))
        return lines

    def _beside(self, key: str | None) -> list[T]:
        """The turns after `key` that are not on the path, as many as could be drawn, and one more,
        which shows that there are more."""
        found = [turn for turn in self._tree.children(key) if turn.key not in self._path_keys]
        return found[: MOST_OF_TURN + 1]

    def _line(self, kind: LineKind, depth: int, turn: T) -> Line:
        place, made = self._tree.place(turn)
        return Line(
            kind,
            depth,
            summary_of(turn),
            ref=self._short_id(turn.response_id),
            place=place,
            made=made,
            is_current=made > 1 and self._tree.is_current(turn),
        )

    def _short_id(self, id: str) -> str:
        """How a turn beside the path can be named: six characters of its response id, or more where
        that names several, or reads as a number."""
        if not id:
            return ""
        ours = len(id) - len(id.removeprefix("resp_"))  # may be left out
        beside = self._tree.beside_id(id)
        alike = max((common_length(id, other) for other in beside), default=0)
        end = max(ours + SHORTEST_ID, alike + 1)
        while id[ours:end].isdigit() and end < len(id):
            end += 1
        return id[ours:end]


def summary_of(turn: Turn | TurnSummary) -> TurnSummary:
    said: dict[str, Any] = {each: getattr(turn, each) for each in TurnSummary._fields}
    return TurnSummary(**{**said, "prompt": turn.prompt[:PROMPT_BEGINNING]})
