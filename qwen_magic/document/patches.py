"""Patches that carry one rendered Markdown text to a view.

A text is a sequence of blocks, each exactly one root element with an id of its own. A view keeps
the elements by id and, per block, the nodes of its *tail*: the provisional end of an open block.

    Add      put the element of a new block behind the last child of `parent`; it has no tail
    Replace  put another element in the place of the block's; its tail is forgotten
    Extend   drop the nodes of the block's tail, wherever they were put, then append `html`
             (settled for good), then append `tail` (provisional) inside the element `at`
    Remove   take the block's element away

Applied in order, they lead every view to the same tree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Add:
    """Append a block as the last child of `parent`.

    `html` is one element; `parent` is the id of the element that holds the text ("" is the root).
    """

    id: str
    parent: str
    html: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Put the one element `html` in the place of the block's element."""

    id: str
    html: str


@dataclass(frozen=True, slots=True)
class Extend:
    """Let a block grow at its end.

    `at` is the CSS selector, relative to the block's element, of the element that grows: "" is the
    block's element itself, all others start with `:scope>` (`element.querySelector(at)`). It is
    looked up when the old tail is gone. `html` and `tail` are sequences of whole nodes, either
    may be empty; a text node may follow another text node.
    """

    id: str
    at: str
    html: str
    tail: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Take the block's element away."""

    id: str


Patch: TypeAlias = Add | Replace | Extend | Remove
