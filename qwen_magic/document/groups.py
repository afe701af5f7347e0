"""How sections stand together: neighbours of a kind share one wrapper."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from qwen_magic.document import html
from qwen_magic.document.sections import GroupKind, Section
from qwen_magic.document.tree import Tree
from qwen_magic.document.wire import ViewPatch

ROOT: Final = "turn"  # the element that the view makes for itself


@dataclass(slots=True)
class Group:
    id: str
    kind: GroupKind
    sections: list[Section] = field(default_factory=list)


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
        """Remove a section, with its wrapper where it was the last in it."""
        patches = self._tree.drop(section.id)
        for group in self.all:
            if section in group.sections:
                group.sections.remove(section)
                if not group.sections:
                    self.all.remove(group)
                    patches += self._tree.drop(group.id)
                break
        return patches

    def _group(self, kind: GroupKind) -> Group:
        if self.all and self.all[-1].kind == kind:
            return self.all[-1]
        self._made += 1
        self.all.append(Group(f"g{self._made}", kind))
        return self.all[-1]
