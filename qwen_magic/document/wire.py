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


ViewPatch: TypeAlias = Patch | Fold | Unfold


def patch_json(patch: ViewPatch) -> dict[str, Any]:
    """`{"do": "add" | "replace" | "extend" | "remove" | "fold" | "unfold", "id": …, …}`."""
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
        case _:
            assert_never(patch)
