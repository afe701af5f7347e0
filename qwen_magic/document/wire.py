"""Patches in the form in which they travel to the browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from qwen_magic.document.patches import Add, Extend, Patch, Remove, Replace


@dataclass(frozen=True, slots=True)
class Fold:
    """Close the panel `id`, unless the reader has opened or closed it by hand."""

    id: str


@dataclass(frozen=True, slots=True)
class Unfold:
    """Open the panel `id`, unless the reader has opened or closed it by hand."""

    id: str


@dataclass(frozen=True, slots=True)
class Insert:
    """Put a new element in front of its sibling `before`."""

    id: str
    before: str
    html: str


@dataclass(frozen=True, slots=True)
class Move:
    """Make an element, with all that is in it, the last child of `parent`."""

    id: str
    parent: str


ViewPatch: TypeAlias = Patch | Fold | Unfold | Insert | Move


def patch_json(patch: ViewPatch) -> dict[str, Any]:
    """`{"do": "add" | "replace" | "extend" | "remove" | "fold" | "unfold" | "insert" | "move",
    "id": …, …}`."""
    match patch:
        case Add(id=id, parent=parent, html=html):
            return {"do": "add", "id": id, "parent": parent, "html": html}
        case Replace(id=id, html=html):
            return {"do": "replace", "id": id, "html": html}
        case Extend(id=id, at=at, html=html, tail=tail):
            return {"do": "extend", "id": id, "at": at, "html": html, "tail": tail}
        case Remove(id=id):
            return {"do": "remove", "id": id}
        case Fold(id=id):
            return {"do": "fold", "id": id}
        case Unfold(id=id):
            return {"do": "unfold", "id": id}
        case Insert(id=id, before=before, html=html):
            return {"do": "insert", "id": id, "before": before, "html": html}
        case Move(id=id, parent=parent):
            return {"do": "move", "id": id, "parent": parent}
        case _:
            assert_never(patch)
