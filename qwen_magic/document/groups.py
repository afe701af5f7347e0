"""How sections stand together: neighbours of a kind share one wrapper, many steps one line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from qwen_magic.document import html
from qwen_magic.document.blocks import Step
from qwen_magic.document.joins import joined_step, runs_to_join
from qwen_magic.document.sections import GroupKind, ProseSection, Section, StepSection
from qwen_magic.document.tree import Tree
from qwen_magic.document.wire import ViewPatch

ROOT: Final = "turn"  # the element that the view makes for itself


@dataclass(slots=True)
class Joined:
    """Finished steps behind one line."""

    id: str
    sections: list[StepSection] = field(default_factory=list)

    @property
    def step(self) -> Step:
        return joined_step([section.step for section in self.sections])


Row: TypeAlias = Section | Joined


@dataclass(slots=True)
class Group:
    id: str
    kind: GroupKind
    sections: list[Section] = field(default_factory=list)
    joined: list[Joined] = field(default_factory=list)

    @property
    def steps(self) -> list[StepSection]:
        return [section for section in self.sections if not isinstance(section, ProseSection)]

    @property
    def rows(self) -> Iterator[Row]:
        """What stands in it, in order: sections, and panels of joined ones."""
        heads = {id(joined.sections[0]): joined for joined in self.joined}
        hidden = {id(section) for joined in self.joined for section in joined.sections}
        for section in self.sections:
            if id(section) in heads:
                yield heads[id(section)]
            elif id(section) not in hidden:
                yield section


class Groups:
    """The wrappers in order. Prose needs none: each message is a wrapper of its own."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._made = 0
        self.all: list[Group] = []

    def place(self, section: Section) -> tuple[str, list[ViewPatch]]:
        """Where the section goes: the id of its parent, made if need be."""
        group = self._group(section.kind)
        group.sections.append(section)
        if section.kind == "answer":
            return ROOT, []
        return group.id, self._tree.put(group.id, ROOT, html.STEPS)

    def take_out(self, section: Section) -> list[ViewPatch]:
        """Remove a section, with what holds nothing else."""
        patches = self._tree.drop(section.id)
        for group in self.all:
            if section in group.sections:
                group.sections.remove(section)
                patches += self._leave(group, section)
                if not group.sections:
                    self.all.remove(group)
                    patches += self._tree.drop(group.id)
                break
        return patches

    def join(self, *, is_over: bool) -> list[ViewPatch]:
        """Join what has become many since the last call. `is_over`: nothing will be added."""
        patches: list[ViewPatch] = []
        for group in self.all:
            if group.kind == "steps":
                steps = group.steps
                is_closed = is_over or group is not self.all[-1]
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
            patches += self._tree.put_before(joined.id, run[0].id, html.details())
        new = run[len(joined.sections) :]
        joined.sections += new
        patches += self._tree.put(f"{joined.id}.h", joined.id, html.head(joined.step))
        patches += self._tree.put(f"{joined.id}.b", joined.id, html.BODY)
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
        if self.all and self.all[-1].kind == kind:
            return self.all[-1]
        self._made += 1
        self.all.append(Group(f"g{self._made}", kind))
        return self.all[-1]
