"""The lines of a conversation's outline in words.

The way to the head is flat and numbered, as `Chain.find` counts. A branch hangs below the turn that
it leaves from, named by the beginning of its response id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from qwen_magic.conversation.outline import Line, Outline, TurnSummary
from qwen_magic.document.words import NO_BREAK, counted, shorten

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
    outline: Outline, *, now: float, forks: Mapping[str, Sequence[Fork]] | None = None
) -> History:
    """`now` is in seconds since 1970. `forks`: by the key of the turn they leave from."""
    rows = tuple(_rows(outline, forks or {}, now))
    hidden = outline.turns - sum(line.turn is not None for line in outline.lines)
    more = f"{counted(hidden, 'turn')} not shown." if hidden else ""
    return History(outline.name, _summary(outline), rows, more)


def age_words(seconds: float) -> str:
    """ "just now", "5 min ago", "2 h ago", "3 d ago"."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size):,}{NO_BREAK}{unit}{NO_BREAK}ago"
    return f"just{NO_BREAK}now"


def _summary(outline: Outline) -> str:
    beside = outline.turns - outline.on_way
    turns = counted(outline.on_way, "turn")
    facts = [f"{turns}, {beside:,} on other branches" if beside else turns]
    if outline.tokens:
        facts.append(counted(outline.tokens, "token"))
    return " · ".join(facts)


def _rows(outline: Outline, forks: Mapping[str, Sequence[Fork]], now: float) -> Iterator[Row]:
    """Forks hang below what leaves from the same turn, or right below it in a branch."""
    waiting: Sequence[Fork] = ()
    for line in outline.lines:
        if line.depth == 0:
            yield from (_fork_row(fork, 1, now) for fork in waiting)
            waiting = ()
        yield _row(line, line.kind == "way" and line.ref == str(outline.on_way), now)
        leaving = forks.get(line.turn.key, ()) if line.turn is not None else ()
        if line.kind == "way":
            waiting = leaving
        else:
            yield from (_fork_row(fork, line.depth + 1, now) for fork in leaving)
    yield from (_fork_row(fork, 1, now) for fork in waiting)


def _row(line: Line, is_head: bool, now: float) -> Row:
    depth = min(line.depth, DEEPEST)
    turn = line.turn
    if turn is None:
        words = f"{line.hidden:,} turns between" if line.hidden else "more on this branch"
        return Row("gap", depth, "", words)
    facts = _facts(line, turn, now)
    if is_head:
        facts = ("head", *facts)
    elif line.is_current:
        facts = ("current", *facts)
    is_bad = turn.status == "failed"
    return Row(line.kind, depth, line.ref or NO_REF, _preview(turn.prompt), facts, is_head, is_bad)


def _fork_row(fork: Fork, depth: int, now: float) -> Row:
    facts = ("fork", counted(fork.turns, "turn"), *_age(now, fork.created_at))
    depth = min(depth, DEEPEST)
    return Row("fork", depth, shorten(fork.name, 24), _preview(fork.prompt), facts)


def _facts(line: Line, turn: TurnSummary, now: float) -> tuple[str, ...]:
    sibling = f"{line.place}/{line.made}" if line.made > 1 else ""
    facts = [sibling, _STATUS.get(turn.status, ""), turn.model]
    if turn.tokens:
        facts.append(counted(turn.tokens, "token"))
    return (*(fact for fact in facts if fact), *_age(now, turn.created_at))


def _age(now: float, created_at: float) -> tuple[str, ...]:
    return (age_words(now - created_at),) if created_at else ()


def _preview(prompt: str) -> str:
    return shorten(prompt, PREVIEW) or "(no text)"
