"""Patches that lead a view to the tree of an answer.

A view keeps elements by id. A Markdown text is a sequence of blocks, each exactly one root element
with an id of its own; of a block the view also keeps the nodes of its *tail*, the provisional end
of an open block.

    Add      put a new element behind the last child of `parent`; it has no tail
    Insert   put a new element in front of its sibling `before`
    Replace  put another element in the place of the element; its tail is forgotten
    Extend   drop the nodes of the block's tail, wherever they were put, then append `html`
             (settled for good), then append `tail` (provisional), in an element inside
    Grow     append to the block's tail, which stays
    Keep     what is the block's tail is settled for good
    Move     make an element, with all that is in it, the last child of `parent`
    Fold, Unfold   close or open a panel, unless the reader has done so by hand
    Remove   take the element away

Applied in order, they lead every view to the same tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Add:
    """`html` is one element; `parent` the id of the one that holds it ("" is the root)."""

    id: str
    parent: str
    html: str


@dataclass(frozen=True, slots=True)
class Insert:
    """`before` is the id of a sibling."""

    id: str
    before: str
    html: str


@dataclass(frozen=True, slots=True)
class Replace:
    """`html` is one element."""

    id: str
    html: str


@dataclass(frozen=True, slots=True)
class Extend:
    """Let a block grow at its end.

    What grows is the block's element, or the last element in it, or the last in that: `depth` is
    how many steps down, when the old tail is gone. `html` and `tail` are sequences of whole nodes,
    either may be empty; a text node may follow another text node.
    """

    id: str
    depth: int
    html: str
    tail: str


@dataclass(frozen=True, slots=True)
class Grow:
    """`tail`: whole nodes."""

    id: str
    tail: str


@dataclass(frozen=True, slots=True)
class Keep:
    """`id` is a block's."""

    id: str


@dataclass(frozen=True, slots=True)
class Move:
    """`parent` is the id of the element that takes it."""

    id: str
    parent: str


@dataclass(frozen=True, slots=True)
class Fold:
    """`id` is a panel's."""

    id: str


@dataclass(frozen=True, slots=True)
class Unfold:
    """`id` is a panel's."""

    id: str


@dataclass(frozen=True, slots=True)
class Remove:
    """`id` is any element's."""

    id: str


Patch: TypeAlias = Add | Replace | Extend | Grow | Keep | Remove  # of a Markdown text
ViewPatch: TypeAlias = Patch | Insert | Move | Fold | Unfold
