"""How sections stand together: neighbours of a kind share one wrapper, many steps one line.

What was thought between two steps, if it was short or both ran code, is no line of its own: it goes
into the panel of the second.

A timeline of forty lines is no longer read. Where more than `MANY` steps of one group are done,
neighbours join in a panel, in their order; its line counts them by kind ("6 searches, 92 sources ·
5 thoughts"). The newest `RECENT` stand apart while the group may still grow, so that the reader
sees what has just happened, and the height of the timeline stays the same. What was drawn to be
seen, and what still runs, never joins; nothing joins across it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from qwen_magic.document.blocks import Box, Panel, SourceGroups, Step
from qwen_magic.document.patches import ViewPatch
from qwen_magic.document.sections import (
    ProseSection,
    Section,
    StepSection,
    ThoughtSection,
    ToolSection,
)
from qwen_magic.document.tree import ROOT, Tree
from qwen_magic.document.words import NO_BREAK, counted, duration

MANY: Final = 8  # finished steps that are shown one by one
RECENT: Final = 3
SHORT: Final = 2.0  # seconds of thought that are not worth a line
FEWEST: Final = 2  # that are worth a panel


class Groups:
    """All sections in order. Those with one `parent` are a group; prose needs no wrapper."""

    def __init__(self, tree: Tree) -> None:
        self.sections: list[Section] = []
        self._tree = tree
        self._made = 0

    def place(self, section: Section) -> list[ViewPatch]:
        """Put the section behind all others: give it its parent, made if need be."""
        last = self.sections[-1] if self.sections else None
        self.sections.append(section)
        if isinstance(section, ProseSection):
            return []
        if last is None or isinstance(last, ProseSection):
            section.parent = self._new_id("g")
        else:
            section.parent = last.parent
        return self._tree.put(section.parent, ROOT, Box("steps"))

    def take_out(self, section: Section) -> list[ViewPatch]:
        """Remove a section, with what holds nothing else."""
        self.sections.remove(section)
        patches = self._tree.drop(section.id)
        if isinstance(section, ProseSection):
            return patches
        if section.panel and all(each.panel != section.panel for each in self._steps()):
            patches += self._tree.drop(section.panel)
        if all(each.parent != section.parent for each in self.sections):
            patches += self._tree.drop(section.parent)
        return patches

    def join(self, *, is_over: bool) -> list[ViewPatch]:
        """Join what has become many since the last call. `is_over`: nothing will be added."""
        patches: list[ViewPatch] = []
        for parent, group in groupby(self._steps(), key=lambda section: section.parent):
            steps = list(group)
            patches += _thoughts_inside(steps)
            steps = [each for each in steps if not each.is_inside]
            is_closed = is_over or parent != self.sections[-1].parent
            for run in runs_to_join([each.step for each in steps], is_closed=is_closed):
                patches += self._join([steps[at] for at in run])
        return patches

    def _join(self, run: Sequence[StepSection]) -> list[ViewPatch]:
        """Bring a run behind its line; what is there already only follows its steps."""
        patches: list[ViewPatch] = []
        panel = run[0].panel
        if not panel:
            panel = self._new_id("j")
            patches += self._tree.put_before(panel, run[0].id, Panel(is_joined=True))
        patches += self._tree.put(f"{panel}.h", panel, joined_step([each.step for each in run]))
        patches += self._tree.put(f"{panel}.b", panel, Box("body"))
        for section in run:
            if not section.panel:
                section.panel = panel
                patches += self._tree.move(section.id, f"{panel}.b")
                patches += self._tree.drop(f"{section.id}.f")  # where no figure came
        return patches

    def _steps(self) -> list[StepSection]:
        """Those with a line of their own."""
        steps = (each for each in self.sections if not isinstance(each, ProseSection))
        return [step for step in steps if not step.is_inside]

    def _new_id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}{self._made}"


def _thoughts_inside(steps: Sequence[StepSection]) -> list[ViewPatch]:
    patches: list[ViewPatch] = []
    for before, thought, after in zip(steps, steps[1:], steps[2:], strict=False):
        if (
            isinstance(before, ToolSection)
            and isinstance(thought, ThoughtSection)
            and isinstance(after, ToolSection)
            and not (thought.panel or after.panel)
            and "live" not in (thought.step.state, after.step.state)
            and (thought.step.seconds < SHORT or (before.is_run and after.is_run))
        ):
            patches += thought.go_into(after)
    return patches


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
