"""The answer as one tree, from which every form of it is made.

    turn                        the root, an element that every view makes for itself
      g1  Box steps             steps that follow one another
        e0  Panel               a step: e0.h its line (Step), e0.b its body (Box), in which stand
                                blocks (e1.b.0 …) or a thought's Markdown
        j1  Panel, joined       many steps behind one line: j1.h, j1.b, in which stand their panels
        e3.f  Box figures       what a run drew
      a4  Box answer            a message's Markdown
      sources, note, foot       SourceList, Note, Footer
    say                         for screen readers: say.0 is what they are told

`Tree` makes every change, and returns it as the patches that repeat it in a browser: the live view.
The saved forms (`frontends.static`, `plain`) walk it from `root`. Nothing is read
back out of HTML: what a node shows is its `value`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from qwen_magic.document import html
from qwen_magic.document.blocks import Panel
from qwen_magic.document.markdown import MarkdownStream
from qwen_magic.document.patches import (
    Add,
    Extend,
    Fold,
    Insert,
    Move,
    Remove,
    Replace,
    Unfold,
    ViewPatch,
)

ROOT: Final = "turn"
SAY: Final = "say"


@dataclass(slots=True, eq=False)
class Node:
    """`markup`: the HTML before and after its content, which is its children or a Markdown text's
    blocks.
    """

    id: str
    parent: str
    value: html.Value
    markup: html.Markup
    children: list[Node] = field(default_factory=list)
    text: MarkdownStream | None = None

    @property
    def family(self) -> Iterator[Node]:
        """The node and its descendants, parents first."""
        yield self
        for child in self.children:
            yield from child.family


class Tree:
    """The nodes by id; an id is never reused."""

    def __init__(self) -> None:
        self._nodes = {id: Node(id, "", html.NOTHING, ("", "")) for id in (ROOT, SAY)}

    @property
    def root(self) -> Node:
        """The answer."""
        return self._nodes[ROOT]

    def __contains__(self, id: str) -> bool:
        return id in self._nodes

    def put(self, id: str, parent: str, value: html.Value) -> list[ViewPatch]:
        """Append a new node to its parent, or change the value of a node.

        Only leaves can change, and `Box` and `Panel` if their HTML stays the same.
        """
        known = self._nodes.get(id)
        if known is None:
            node = self._new(id, parent, value)
            self._nodes[parent].children.append(node)
            return [Add(id, parent, "".join(node.markup))]
        if known.value == value:
            return []
        before = known.markup
        known.value, known.markup = value, html.markup(value)
        return [] if known.markup == before else [Replace(id, "".join(known.markup))]

    def put_before(self, id: str, before: str, value: html.Value) -> list[ViewPatch]:
        """Insert a new node before its sibling `before`."""
        sibling = self._nodes[before]
        node = self._new(id, sibling.parent, value)
        siblings = self._nodes[sibling.parent].children
        siblings.insert(siblings.index(sibling), node)
        return [Insert(id, before, "".join(node.markup))]

    def put_list(self, parent: str, values: Sequence[html.Value]) -> list[ViewPatch]:
        """Make these values the children of `parent`, changing only those that differ."""
        patches: list[ViewPatch] = []
        for number, value in enumerate(values):
            patches += self.put(f"{parent}.{number}", parent, value)
        for node in self._nodes[parent].children[len(values) :]:
            patches += self.drop(node.id)
        return patches

    def move(self, id: str, parent: str) -> list[ViewPatch]:
        """Move a node with its descendants to the end of `parent`."""
        node = self._nodes[id]
        self._nodes[node.parent].children.remove(node)
        self._nodes[parent].children.append(node)
        node.parent = parent
        return [Move(id, parent)]

    def fold(self, id: str) -> list[ViewPatch]:
        """Close a panel, if it is open."""
        return [Fold(id)] if self._open(id, False) else []

    def unfold(self, id: str) -> list[ViewPatch]:
        """Open a panel, if it is closed."""
        return [Unfold(id)] if self._open(id, True) else []

    def drop(self, id: str) -> list[ViewPatch]:
        """Remove a node with its descendants, if it exists."""
        node = self._nodes.get(id)
        if node is None:
            return []
        self._nodes[node.parent].children.remove(node)
        for each in node.family:
            del self._nodes[each.id]
        return [Remove(id)]

    def mount(self, parent: str, text: MarkdownStream) -> None:
        """Attach a Markdown text to the node; its blocks produce their own patches."""
        self._nodes[parent].text = text

    def unmount(self, parent: str) -> list[ViewPatch]:
        """Detach the Markdown text, and remove its blocks."""
        node = self._nodes.get(parent)
        if node is None or node.text is None:
            return []
        blocks, node.text = node.text.blocks, None
        return [Remove(block.id) for block in blocks]

    def snapshot(self) -> list[ViewPatch]:
        """The patches that build the whole tree from nothing."""
        patches: list[ViewPatch] = []
        for root in (self._nodes[ROOT], self._nodes[SAY]):
            for child in root.children:
                for node in child.family:
                    patches.append(Add(node.id, node.parent, "".join(node.markup)))
                    patches += _blocks(node)
        return patches

    def _new(self, id: str, parent: str, value: html.Value) -> Node:
        self._nodes[id] = Node(id, parent, value, html.markup(value))
        return self._nodes[id]

    def _open(self, id: str, is_open: bool) -> bool:
        """Set whether a panel is open; return whether that changed."""
        node = self._nodes[id]
        if not isinstance(node.value, Panel) or node.value.is_open == is_open:
            return False
        node.value = replace(node.value, is_open=is_open)
        node.markup = html.markup(node.value)
        return True


def _blocks(node: Node) -> list[ViewPatch]:
    patches: list[ViewPatch] = []
    for block in node.text.blocks if node.text is not None else ():
        patches.append(Add(block.id, node.id, block.settled_html))
        if block.tail:
            patches.append(Extend(block.id, block.depth, "", block.tail))
    return patches
