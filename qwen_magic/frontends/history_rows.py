"""A conversation as rows: the way to its head, and what hangs beside it.

The way is flat and numbered, as `Chain.find` counts. A branch hangs below the turn that it leaves
from, named by the beginning of its response id; in it, too, the newest turn goes straight on and
others hang deeper. However long the conversation, only so many rows are made, the newest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from qwen_magic.conversation.chain import SHORTEST_ID, CellKey, Chain, Turn
from qwen_magic.document.words import NO_BREAK, counted, shorten

MOST_ON_WAY: Final = 80  # rows of the way to the head: its first ones and its last
FIRST_ON_WAY: Final = 10
MOST_BESIDE: Final = 60  # rows of branches in all
MOST_OF_TURN: Final = 12  # rows below one turn
DEEPEST: Final = 6  # levels that are drawn
PREVIEW: Final = 140  # characters of a prompt; how many of them are seen is the view's affair

NO_REF: Final = "–"

RowKind: TypeAlias = Literal["way", "branch", "follower", "fork", "gap"]
_STATUS: Final = {"stopped": "stopped", "failed": "failed", "incomplete": "cut off"}


@dataclass(frozen=True, slots=True)
class Fork:
    """Another conversation that leaves from a turn: `turns` of its own, begun at `created_at`."""

    name: str
    turns: int
    prompt: str = ""
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `depth` is 0 on the way to the head; a `follower` goes on from the row above it,
    a `branch` leaves from the turn that it hangs below; a `gap` stands for rows left out."""

    kind: RowKind
    depth: int
    ref: str
    prompt: str
    facts: tuple[str, ...] = ()
    is_head: bool = False
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class History:
    name: str
    summary: str
    rows: tuple[Row, ...]
    more: str = ""  # what was left out, in words


def history_of(
    chain: Chain,
    *,
    now: float,
    forks: Mapping[str, Sequence[Fork]] | None = None,
    current: Collection[str] = (),
) -> History:
    """`now` is in seconds since 1970. `forks`: by the key of the turn they leave from. `current`:
    keys of the turns that are their cell's current one, marked where they lie off the way."""
    choice = _Choice(chain, forks or {})
    picks = choice.picks()
    words = _Words(chain, picks, now, current)
    rows = [words.row(pick, pick.number == len(choice.way) > 0) for pick in picks]
    hidden = len(chain.turns) - sum(isinstance(pick.what, Turn) for pick in picks)
    more = f"{counted(hidden, 'turn')} not shown." if hidden else ""
    return History(chain.name, _summary(chain, len(choice.way)), tuple(rows), more)


def _summary(chain: Chain, on_way: int) -> str:
    beside = len(chain.turns) - on_way
    turns = counted(on_way, "turn")
    facts = [f"{turns}, {beside:,} on other branches" if beside else turns]
    usages = [turn.usage for turn in chain.turns.values() if turn.usage is not None]
    if tokens := sum(usage.total_tokens for usage in usages):
        facts.append(counted(tokens, "token"))
    return " · ".join(facts)


def age_words(seconds: float) -> str:
    """ "just now", "5 min ago", "2 h ago", "3 d ago"."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size):,}{NO_BREAK}{unit}{NO_BREAK}ago"
    return f"just{NO_BREAK}now"


@dataclass(frozen=True, slots=True)
class _Pick:
    """A turn, a fork or a gap that gets a row; `number` on the way to the head."""

    kind: RowKind
    depth: int
    what: Turn | Fork | str
    number: int = 0


class _Choice:
    """Chooses what is drawn."""

    def __init__(self, chain: Chain, forks: Mapping[str, Sequence[Fork]]) -> None:
        self.way = chain.path(chain.head)
        self._forks = forks
        on_way = {turn.key for turn in self.way}
        self._beside: dict[str | None, list[Turn]] = {}
        if len(on_way) < len(chain.turns):
            for turn in chain.turns.values():
                if turn.key not in on_way:
                    self._beside.setdefault(turn.parent, []).append(turn)

    def picks(self) -> list[_Pick]:
        shown = _shown_numbers(len(self.way))
        branches = self._branches(shown)
        picks = branches.get(0, [])
        last = 0
        for number in shown:
            if number > last + 1:
                picks.append(_Pick("gap", 0, f"{number - last - 1:,} turns between"))
            picks.append(_Pick("way", 0, self.way[number - 1], number))
            picks += branches.get(number, ())
            last = number
        return picks

    def _branches(self, shown: Sequence[int]) -> dict[int, list[_Pick]]:
        """What hangs below each number of the way (0: before its first turn); where there is more
        than can be drawn, the newest ones are."""
        found: dict[int, list[_Pick]] = {}
        left = MOST_BESIDE
        for number in (*reversed(shown), 0):
            key = self.way[number - 1].key if number else None
            picks = self._below(key, min(left, MOST_OF_TURN))
            if picks:
                found[number] = picks
                left = max(0, left - len(picks))
        return found

    def _below(self, key: str | None, most: int) -> list[_Pick]:
        picks: list[_Pick] = []
        stack = [_Pick("branch", 1, turn) for turn in reversed(self._beside.get(key, ()))]
        while stack and len(picks) < most:
            pick = stack.pop()
            picks.append(pick)
            if isinstance(pick.what, Turn):
                # The newest goes straight on; it is pushed first, as the others come before it.
                next_turns = self._beside.get(pick.what.key, [])
                stack += [_Pick("follower", pick.depth, turn) for turn in next_turns[-1:]]
                stack += [
                    _Pick("branch", pick.depth + 1, turn) for turn in reversed(next_turns[:-1])
                ]
                picks += self._fork_picks(pick.what.key, pick.depth + 1)
        if stack and picks:
            picks.append(_Pick("gap", 1, "more on this branch"))
        return picks + (self._fork_picks(key, 1) if key is not None else [])

    def _fork_picks(self, key: str, depth: int) -> list[_Pick]:
        return [_Pick("fork", depth, fork) for fork in self._forks.get(key, ())]


class _Words:
    """Says of what is drawn what there is to say."""

    def __init__(
        self, chain: Chain, picks: Sequence[_Pick], now: float, current: Collection[str]
    ) -> None:
        self._now = now
        self._current = current
        drawn = [pick.what for pick in picks if isinstance(pick.what, Turn)]
        cells = {turn.cell.cell_id for turn in drawn if turn.cell is not None}
        self._places: dict[CellKey, dict[str, int]] = {}  # in each cell, from 1, by key
        for turn in chain.turns.values():
            if turn.cell is not None and turn.cell.cell_id in cells:
                made = self._places.setdefault(turn.cell, {})
                made[turn.key] = len(made) + 1
        self._refs = _Refs(chain) if any(pick.depth for pick in picks) else None

    def row(self, pick: _Pick, is_head: bool) -> Row:
        depth = min(pick.depth, DEEPEST)
        if isinstance(pick.what, str):
            return Row(pick.kind, depth, "", pick.what)
        if isinstance(pick.what, Fork):
            fork = pick.what
            facts = ("fork", counted(fork.turns, "turn"), *self._age(fork.created_at))
            return Row("fork", depth, shorten(fork.name, 24), _preview(fork.prompt), facts)
        turn = pick.what
        ref = str(pick.number) if pick.number else self._refs.ref(turn) if self._refs else ""
        facts = self._facts(turn)
        if is_head:
            facts = ("head", *facts)
        elif not pick.number and turn.key in self._current and self._sibling(turn):
            facts = ("current", *facts)
        is_bad = turn.status == "failed"
        return Row(pick.kind, depth, ref, _preview(turn.prompt), facts, is_head, is_bad)

    def _facts(self, turn: Turn) -> tuple[str, ...]:
        facts = [self._sibling(turn), _STATUS.get(turn.status, ""), turn.model]
        if turn.usage is not None and turn.usage.total_tokens:
            facts.append(counted(turn.usage.total_tokens, "token"))
        return (*(fact for fact in facts if fact), *self._age(turn.created_at))

    def _sibling(self, turn: Turn) -> str:
        """ "2/3" where its cell has made several."""
        made = self._places[turn.cell] if turn.cell is not None else {}
        return f"{made[turn.key]}/{len(made)}" if len(made) > 1 else ""

    def _age(self, created_at: float) -> tuple[str, ...]:
        return (age_words(self._now - created_at),) if created_at else ()


class _Refs:
    """How turns beside the way can be named: six characters of their response id, or more where
    that names several, or reads as a number."""

    def __init__(self, chain: Chain) -> None:
        self._ids = [turn.response_id for turn in chain.turns.values()]
        self._begin: dict[int, Counter[str]] = {}  # by length

    def ref(self, turn: Turn) -> str:
        """A dash where the server gave no id: such a turn cannot be named."""
        id = turn.response_id
        if not id:
            return NO_REF
        ours = len(id) - len(id.removeprefix("resp_"))  # may be left out
        alike = self._number_of(id[: ours + SHORTEST_ID]) > 1
        for end in range(ours + SHORTEST_ID, len(id)):
            names_one = not alike or sum(other.startswith(id[:end]) for other in self._ids) == 1
            if names_one and not id[ours:end].isdigit():
                return id[ours:end]
        return id[ours:]

    def _number_of(self, short: str) -> int:
        length = len(short)
        if length not in self._begin:
            self._begin[length] = Counter([id[:length] for id in self._ids])
        return self._begin[length][short]


def _shown_numbers(turns: int) -> list[int]:
    if turns <= MOST_ON_WAY:
        return list(range(1, turns + 1))
    newest = turns - (MOST_ON_WAY - FIRST_ON_WAY)
    return [*range(1, FIRST_ON_WAY + 1), *range(newest + 1, turns + 1)]


def _preview(prompt: str) -> str:
    return shorten(prompt, PREVIEW) or "(no text)"
