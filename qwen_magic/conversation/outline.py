"""The outline of a conversation for a page: the path to its head, and the turns beside it.

    path   1 ── 2 ── 3          the turns that the next question continues after, numbered
           │    ╰ answers       further answers of turn 2's cell, with the turns after them
           ╰ beside             other turns after turn 1, with the turns after them

The number of lines is limited: the first and last turns of the path, and some of the turns beside
each, the newest first. All turns are counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, Literal, TypeAlias

from qwen_magic.conversation.chain import (
    PROMPT_BEGINNING,
    CellKey,
    T,
    Turn,
    TurnSummary,
    TurnTree,
)

MOST_ON_PATH: Final = 80  # turns of the path to the head: its first ones and its last
FIRST_ON_PATH: Final = 10
MOST_BESIDE: Final = 60  # turns beside the path in all
MOST_IN_FOLD: Final = 12

# Where a turn beside the path is told: below the turn of the path with that key (None: before the
# first), as an answer of its cell or as what went on from it.
_Place: TypeAlias = tuple[str | None, Literal["answers", "beside"]]


@dataclass(frozen=True, slots=True)
class OutlineLine:
    """A turn. `ref` names it: its number on the path, or the start of its response id; else empty.

    It is number `place` of the `made` answers of its cell; `is_current`: later cells continue after
    it. `depth` counts from 0 within its fold.
    """

    turn: TurnSummary
    ref: str
    place: int = 1
    made: int = 1
    depth: int = 0
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class OutlineFold:
    """`turns` beside the path, some of which have `lines`; the first `first` ones follow the path
    itself.
    """

    first: int
    turns: int
    lines: tuple[OutlineLine, ...]


@dataclass(frozen=True, slots=True)
class OutlineStep:
    """A turn of the path, with its cell's other answers, and other turns that follow it.

    `skipped`: how many turns of the path before it have no line.
    """

    line: OutlineLine
    answers: OutlineFold | None = None
    beside: OutlineFold | None = None
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Outline:
    """`turns` counts all turns of the conversation, `on_path` those on the path to its head, both
    with those that a fork shares; `tokens` counts this conversation only. `beside`: other first
    turns.
    """

    name: str
    turns: int
    on_path: int
    tokens: int
    steps: tuple[OutlineStep, ...] = ()
    beside: OutlineFold | None = None

    @property
    def told(self) -> int:
        """How many turns have a line."""
        folds = [each for step in self.steps for each in (step.answers, step.beside)]
        lines = (fold.lines for fold in (self.beside, *folds) if fold)
        return len(self.steps) + sum(map(len, lines))


def outline_of(tree: TurnTree[T]) -> Outline:
    """Choose the lines for `tree`, whose turns may be complete or summaries."""
    return _Choice(tree).outline()


class _Choice(Generic[T]):
    def __init__(self, tree: TurnTree[T]) -> None:
        self._tree = tree
        self._path = tree.path(tree.head)
        self._on_path = {turn.key for turn in self._path}
        self._cells: dict[CellKey, str | None] = {}  # of turns beside the path: its turn on it
        self._first: dict[_Place, list[T]] = {}  # what hangs at the path itself
        self._counts: Counter[_Place] = Counter()  # with all that followed
        self._left = MOST_BESIDE  # lines of folds
        self._sort()
        self._hanging = {turn.key for turns in self._first.values() for turn in turns}

    def _sort(self) -> None:
        """Find the place of every turn beside the path: its own at the path, else its parent's."""
        places: dict[str | None, _Place] = {}
        for key, turn in self._tree.turns.items():  # parents first
            if key in self._on_path:
                continue
            place = self._at_path(turn)
            if place is not None:
                self._first.setdefault(place, []).append(turn)
            places[key] = place = place or places[turn.parent]
            self._counts[place] += 1

    def _at_path(self, turn: T) -> _Place | None:
        """Where at the path itself a turn beside it hangs: below the turn of its cell, else below
        its parent; None where it hangs below a turn beside the path."""
        cell = turn.cell
        if cell is not None:
            if cell not in self._cells:
                made = (each.key for each in self._tree.siblings(cell))
                self._cells[cell] = next((key for key in made if key in self._on_path), None)
            if key := self._cells[cell]:
                return key, "answers"
        if turn.parent is None or turn.parent in self._on_path:
            return turn.parent, "beside"
        return None

    def outline(self) -> Outline:
        numbered = list(enumerate(self._path, 1))
        skipped = max(0, len(numbered) - MOST_ON_PATH)
        del numbered[FIRST_ON_PATH : FIRST_ON_PATH + skipped]
        steps = [self._step(number, turn) for number, turn in reversed(numbered)]  # newest first
        steps.reverse()
        if skipped:
            steps[FIRST_ON_PATH] = replace(steps[FIRST_ON_PATH], skipped=skipped)
        return Outline(
            self._tree.name,
            turns=len(self._tree.turns),
            on_path=len(self._path),
            tokens=self._tree.tokens,
            steps=tuple(steps),
            beside=self._fold((None, "beside")),
        )

    def _step(self, number: int, turn: T) -> OutlineStep:
        place, made = self._tree.place(turn)
        line = OutlineLine(summary_of(turn), str(number), place, made)
        beside = self._fold((turn.key, "beside"))
        return OutlineStep(line, self._fold((turn.key, "answers")), beside)

    def _fold(self, place: _Place) -> OutlineFold | None:
        """The newest of the turns there, in the order in which they ended."""
        first = self._first.get(place)
        if not first:
            return None
        lines = self._lines(first, min(self._left, MOST_IN_FOLD))
        self._left -= len(lines)
        return OutlineFold(len(first), self._counts[place], tuple(lines))

    def _lines(self, first: list[T], most: int) -> list[OutlineLine]:
        """At most so many: the newest of `first`, each with what followed it as far as there is
        room, where the newest turn goes straight on and others hang deeper."""
        lines: list[OutlineLine] = []
        stack = [(0, turn) for turn in reversed(first[-most:] if most else [])]
        room = most - len(stack)
        while stack:
            depth, turn = stack.pop()
            if depth:
                if not room:
                    continue
                room -= 1
            lines.append(self._line(depth, turn))
            if after := self._after(turn):
                *others, newest = after
                straight = max(1, depth)
                stack.append((straight, newest))
                stack += [(straight + 1, each) for each in reversed(others)]
        return lines

    def _after(self, turn: T) -> list[T]:
        """What followed a turn beside the path, and is told with it: as much as has room."""
        found = [each for each in self._tree.children(turn.key) if each.key not in self._hanging]
        return found[-MOST_IN_FOLD:]

    def _line(self, depth: int, turn: T) -> OutlineLine:
        place, made = self._tree.place(turn)
        return OutlineLine(
            summary_of(turn),
            self._tree.short_id(turn.response_id),
            place,
            made,
            depth,
            is_current=made > 1 and self._tree.is_current(turn),
        )


def summary_of(turn: Turn | TurnSummary) -> TurnSummary:
    said: dict[str, Any] = {each: getattr(turn, each) for each in TurnSummary._fields}
    return TurnSummary(**{**said, "prompt": turn.prompt[:PROMPT_BEGINNING]})
