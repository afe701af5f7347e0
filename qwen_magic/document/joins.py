"""Many finished steps told in one line: which of a group's steps join, and what the line says.

A timeline of forty lines is no longer read. Where more than `MANY` steps of one group are done,
neighbours join in a panel, in their order; its line counts them by kind ("6 searches, 92 sources ·
5 thoughts"). The newest `RECENT` stand apart while the group may still grow, so that the reader
sees what has just happened, and the height of the timeline stays the same. What was drawn to be
seen, and what still runs, never joins; nothing joins across it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qwen_magic.document.blocks import SourceGroups, Step
from qwen_magic.document.words import NO_BREAK, counted, duration

MANY: Final = 8  # finished steps that are shown one by one
RECENT: Final = 3
FEWEST: Final = 2  # that are worth a panel


def runs_to_join(steps: Sequence[Step], *, is_closed: bool) -> list[range]:
    """The places of the steps that join, a range for each panel. `is_closed`: no step will be
    added."""
    live = next((at for at, step in enumerate(steps) if step.state == "live"), len(steps))
    if live <= MANY:
        return []
    end = live if is_closed else live - RECENT
    runs: list[range] = []
    start = 0
    for at in range(end + 1):
        if at == end or steps[at].figures:
            if at - start >= FEWEST:
                runs.append(range(start, at))
            start = at + 1
    return runs


def joined_step(steps: Sequence[Step]) -> Step:
    """The line of a panel of these steps: their counts by kind, in the order of first sight,
    thoughts last."""
    counts: dict[str, tuple[int, str]] = {}
    for step in steps:
        tally = step.tally
        counts[tally.one] = (counts.get(tally.one, (0, ""))[0] + tally.count, tally.many)
    thoughts = counts.pop("thought", None)
    if thoughts is not None:
        counts["thought"] = thoughts
    sources = sum(map(_sources, steps))
    parts = [counted(count, one, many) for one, (count, many) in counts.items()]
    if sources:
        place = next((at for at, one in enumerate(counts) if one == "search"), 0)
        parts[place] += f", {counted(sources, 'source')}"
    failed = sum(step.state == "bad" for step in steps)
    if failed:
        parts.append(f"{failed}{NO_BREAK}failed")
    took = duration(sum(step.seconds for step in steps))
    return Step(parts[0], " · ".join(parts[1:]), facts=(took,) if took else ())


def _sources(step: Step) -> int:
    return sum(len(block.sources) for block in step.blocks if isinstance(block, SourceGroups))
