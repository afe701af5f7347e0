"""How sections stand together: neighbours of a kind share one wrapper, many steps one line.

A timeline of forty lines is no longer read. Where more than `MANY` steps of one group are done,
neighbours join in a panel, in their order; its line counts them by kind ("6 searches, 92 sources ·
5 thoughts"). The newest `RECENT` stand apart while the group may still grow, so that the reader
sees what has just happened, and the height of the timeline stays the same. What was drawn to be
seen, and what still runs, never joins; nothing joins across it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from qwen_magic.document.blocks import Box, Panel, SourceGroups, Step
from qwen_magic.document.patches import ViewPatch
from qwen_magic.document.sections import GroupKind, ProseSection, Section, StepSection
from qwen_magic.document.tree import ROOT, Tree
from qwen_magic.document.words import NO_BREAK, counted, duration

MANY: Final = 8  # finished steps that are shown one by one
RECENT: Final = 3
FEWEST: Final = 2  # that are worth a panel


@dataclass(slots=True)
class Joined:
    """Finished steps behind one line."""

    id: str
    sections: list[StepSection] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """Neighbours of a kind, in order. `joined`: the panels that hold some of them."""

    id: str
    kind: GroupKind
    sections: list[Section] = field(default_factory=list)
    joined: list[Joined] = field(default_factory=list)


class Groups:
    """The wrappers in order. Prose needs none: each message is a wrapper of its own."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._made = 0
        self._all: list[Group] = []

    @property
    def sections(self) -> list[Section]:
        """All sections in order."""
        return [section for group in self._all for section in group.sections]

    def place(self, section: Section) -> list[ViewPatch]:
        """Give the section its parent, made if need be."""
        group = self._group(section.kind)
        group.sections.append(section)
        if section.kind == "answer":
            return []
        section.parent = group.id
        return self._tree.put(group.id, ROOT, Box("steps"))

    def take_out(self, section: Section) -> list[ViewPatch]:
        """Remove a section, with what holds nothing else."""
        patches = self._tree.drop(section.id)
        for group in self._all:
            if section in group.sections:
                group.sections.remove(section)
                patches += self._leave(group, section)
                if not group.sections:
                    self._all.remove(group)
                    patches += self._tree.drop(group.id)
                break
        return patches

    def join(self, *, is_over: bool) -> list[ViewPatch]:
        """Join what has become many since the last call. `is_over`: nothing will be added."""
        patches: list[ViewPatch] = []
        for group in self._all:
            steps = [each for each in group.sections if not isinstance(each, ProseSection)]
            is_closed = is_over or group is not self._all[-1]
            for run in runs_to_join([each.step for each in steps], is_closed=is_closed):
                patches += self._join(group, [steps[at] for at in run])
        return patches

    def _join(self, group: Group, run: list[StepSection]) -> list[ViewPatch]:
        """Bring a run behind its line; what is there already only follows its steps."""
        patches: list[ViewPatch] = []
        joined = next((each for each in group.joined if each.sections[0] is run[0]), None)
        if joined is None:
            self._made += 1
            joined = Joined(f"j{self._made}")
            group.joined.append(joined)
            patches += self._tree.put_before(joined.id, run[0].id, Panel(is_joined=True))
        new = run[len(joined.sections) :]
        joined.sections += new
        step = joined_step([section.step for section in joined.sections])
        patches += self._tree.put(f"{joined.id}.h", joined.id, step)
        patches += self._tree.put(f"{joined.id}.b", joined.id, Box("body"))
        for section in new:
            patches += self._tree.move(section.id, f"{joined.id}.b")
            patches += self._tree.drop(f"{section.id}.f")  # where no figure came
        return patches

    def _leave(self, group: Group, section: Section) -> list[ViewPatch]:
        for joined in group.joined:
            if section in joined.sections:
                joined.sections.remove(section)
                if not joined.sections:
                    group.joined.remove(joined)
                    return self._tree.drop(joined.id)
        return []

    def _group(self, kind: GroupKind) -> Group:
        if self._all and self._all[-1].kind == kind:
            return self._all[-1]
        self._made += 1
        self._all.append(Group(f"g{self._made}", kind))
        return self._all[-1]


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
