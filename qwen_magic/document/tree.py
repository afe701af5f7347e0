"""What the browser has, kept beside it, so that a fresh view can be built at any time."""

from __future__ import annotations

from collections.abc import Sequence

from qwen_magic.document.markdown import MarkdownStream
from qwen_magic.document.patches import Add, Extend, Remove, Replace
from qwen_magic.document.wire import Fold, Insert, Move, Unfold, ViewPatch


class Tree:
    """The elements of the view by id, in the order of their making.

    Every change is made here and returned as the patches that repeat it in a browser. A Markdown
    text is mounted on its parent: its blocks are its own, and patch themselves.
    """

    def __init__(self) -> None:
        self._elements: dict[str, tuple[str, str]] = {}  # id -> (parent, html)
        self._texts: dict[str, MarkdownStream] = {}  # parent -> the text it holds

    def __contains__(self, id: str) -> bool:
        return id in self._elements

    def put(self, id: str, parent: str, html: str) -> list[ViewPatch]:
        """Make the element, or replace it where its HTML differs. Only leaves may be replaced."""
        known = self._elements.get(id)
        self._elements[id] = (parent, html)
        if known is None:
            return [Add(id, parent, html)]
        return [] if known[1] == html else [Replace(id, html)]

    def put_before(self, id: str, before: str, html: str) -> list[ViewPatch]:
        """Make a new element in front of its sibling `before`."""
        parent, _ = self._elements[before]
        order = list(self._elements.items())
        place = next(number for number, (known, _) in enumerate(order) if known == before)
        self._elements = dict([*order[:place], (id, (parent, html)), *order[place:]])
        return [Insert(id, before, html)]

    def move(self, id: str, parent: str) -> list[ViewPatch]:
        """Make an element, with all that hangs from it, the last in `parent`."""
        _, html = self._elements[id]
        for each in self._family(id):
            self._elements[each] = self._elements.pop(each)
        self._elements[id] = (parent, html)
        return [Move(id, parent)]

    def _family(self, id: str) -> list[str]:
        """The element and all that hangs from it, in order."""
        family = [id]
        for child, (parent, _) in self._elements.items():
            if parent in family:
                family.append(child)
        return family

    def put_list(self, parent: str, htmls: Sequence[str]) -> list[ViewPatch]:
        """Make `parent` hold these elements and no others, touching only those that differ."""
        patches: list[ViewPatch] = []
        for number, html in enumerate(htmls):
            patches += self.put(f"{parent}.{number}", parent, html)
        number = len(htmls)
        while f"{parent}.{number}" in self._elements:
            patches += self.drop(f"{parent}.{number}")
            number += 1
        return patches

    def fold(self, id: str) -> list[ViewPatch]:
        """Close a `<details>`; nothing where it is closed."""
        parent, html = self._elements[id]
        closed = html.replace(" open>", ">", 1)
        self._elements[id] = (parent, closed)
        return [] if closed == html else [Fold(id)]

    def unfold(self, id: str) -> list[ViewPatch]:
        """Open a `<details>`; nothing where it is open."""
        parent, html = self._elements[id]
        if " open>" in html:
            return []
        self._elements[id] = (parent, html.replace(">", " open>", 1))
        return [Unfold(id)]

    def drop(self, id: str) -> list[ViewPatch]:
        """Remove the element with all that hangs from it; nothing where there is none."""
        if id not in self._elements:
            return []
        self._forget(id)
        return [Remove(id)]

    def _forget(self, id: str) -> None:
        del self._elements[id]
        self._texts.pop(id, None)
        children = [child for child, (parent, _) in self._elements.items() if parent == id]
        for child in children:
            self._forget(child)

    def mount(self, parent: str, text: MarkdownStream) -> None:
        self._texts[parent] = text

    def unmount(self, parent: str) -> list[ViewPatch]:
        """Take the text off its parent, with its blocks."""
        text = self._texts.pop(parent, None)
        return [Remove(block.id) for block in text.blocks] if text is not None else []

    def snapshot(self) -> list[ViewPatch]:
        patches: list[ViewPatch] = []
        for id, (parent, html) in self._elements.items():
            patches.append(Add(id, parent, html))
            if id in self._texts:
                patches += _blocks(id, self._texts[id])
        return patches


def _blocks(parent: str, text: MarkdownStream) -> list[ViewPatch]:
    patches: list[ViewPatch] = []
    for block in text.blocks:
        patches.append(Add(block.id, parent, block.settled_html))
        if block.tail:
            patches.append(Extend(block.id, block.at, "", block.tail))
    return patches
