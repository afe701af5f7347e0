"""The figures that an answer means where it shows a file of the sandbox.

A model that saved a figure as `chart.png` often writes `![…](chart.png)`, which nobody can follow:
the file was in the sandbox. The figure itself is at hand, since it was also drawn. Which figure is
meant is told by the file's name, where the code of one run saved it; else by the order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Final
from urllib.parse import unquote

from qwen_magic.document.blocks import Code, Step
from qwen_magic.document.markdown.inline import LOST_CLOSE, LOST_OPEN
from qwen_magic.document.markdown.links import is_lost, is_picture
from qwen_magic.document.markdown.parts import find_images
from qwen_magic.document.patches import Add, Replace
from qwen_magic.document.sections import ProseSection, Section, ToolSection
from qwen_magic.document.wire import ViewPatch

_SAVED: Final = re.compile(
    r"\b(?:savefig|save|write_image|imsave|imwrite)\(\s*[rbfu]?([\"'])([^\"'\n]+)\1"
)
_SHOWN: Final = re.compile(r"\bshow\(")
# What `text_html` makes of an alternative text: escaped, a dollar in a span of its own.
_LOST: Final = re.compile(
    re.escape(LOST_OPEN) + r"((?:[^<]|<span>[^<]*</span>)*)" + re.escape(LOST_CLOSE)
)
_TAG: Final = re.compile(r"<[^>]*>")


class Pictures:
    """The figures that the prose of an ended turn shows."""

    def __init__(self, sections: Iterable[Section] = ()) -> None:
        sections = tuple(sections)
        drawn = drawn_figures(each.step for each in sections if isinstance(each, ToolSection))
        prose = [each for each in sections if isinstance(each, ProseSection)] if drawn else []
        self._prose = {each.id: each for each in prose if LOST_OPEN in each.html}
        self._data = meant_pictures([each.source for each in self._prose.values()], drawn)

    def __bool__(self) -> bool:
        """Whether the prose shows any."""
        return bool(self._data)

    def __contains__(self, address: str) -> bool:
        """Whether a figure stands where the prose has an image with this address."""
        return address in self._data

    def html(self, section: ProseSection) -> str:
        """The section's HTML with its figures."""
        return with_pictures(section.html, self._of(section)) if self._data else section.html

    def shown(self, snapshot: Sequence[ViewPatch]) -> list[ViewPatch]:
        """The patches that build the whole view, with the figures."""
        if not self._data:
            return list(snapshot)
        figures = {id: self._of(section) for id, section in self._prose.items()}
        return [
            replace(patch, html=with_pictures(patch.html, figures[patch.parent]))
            if isinstance(patch, Add) and patch.parent in figures
            else patch
            for patch in snapshot
        ]

    def replacements(self, snapshot: Sequence[ViewPatch]) -> list[ViewPatch]:
        """The patches that bring the figures into a view that has no more than `snapshot`."""
        return [
            Replace(after.id, after.html)
            for before, after in zip(snapshot, self.shown(snapshot), strict=True)
            if isinstance(after, Add) and before != after
        ]

    def _of(self, section: ProseSection) -> Iterator[str]:
        """What stands for each lost image, in order: a data URI, or "" where there is none."""
        return (self._data.get(address, "") for address in _lost_addresses(section.source))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure of a run: its data URI ("" where it could not be had), the names of its files."""

    data: str
    names: tuple[str, ...] = ()


def drawn_figures(steps: Iterable[Step]) -> list[Drawn]:
    """The figures of the steps, in order."""
    drawn: list[Drawn] = []
    for step in steps:
        code = next((block.code for block in step.blocks if isinstance(block, Code)), "")
        names = saved_names(code, len(step.figures))
        drawn += [Drawn(figure.data, of) for figure, of in zip(step.figures, names, strict=True)]
    return drawn


def saved_names(code: str, count: int) -> list[tuple[str, ...]]:
    """The names under which code saved each of the `count` figures that it drew."""
    saved = _names(code)
    parts = _SHOWN.split(code)[:-1]
    if count == 1:
        return [saved]
    if len(parts) == count:
        return [_names(part) for part in parts]
    if len(saved) == count:
        return [(name,) for name in saved]
    return [()] * count


def _names(code: str) -> tuple[str, ...]:
    return tuple(_file_name(found[2]) for found in _SAVED.finditer(code))


def _file_name(address: str) -> str:
    return unquote(address).replace("\\", "/").rpartition("/")[2]


def meant_pictures(texts: Iterable[str], drawn: Sequence[Drawn]) -> dict[str, str]:
    """The data URI of the figure that each lost image of the Markdown texts means, by its address;
    what means none, or one that could not be had, is not in it."""
    lost = dict.fromkeys(address for text in texts for address in _lost_addresses(text))
    meant = {address: figure for address in lost if (figure := _named(address, drawn)) is not None}
    others = iter([each for each in drawn if all(each is not taken for taken in meant.values())])
    for address in lost:
        if address not in meant and (figure := next(others, None)) is not None:
            meant[address] = figure
    return {address: figure.data for address, figure in meant.items() if is_picture(figure.data)}


def _lost_addresses(text: str) -> list[str]:
    return [address for address in find_images(text) if is_lost(address)]


def _named(address: str, drawn: Sequence[Drawn]) -> Drawn | None:
    """The figure that was saved under this name; of several the last, which is what it holds."""
    name = _file_name(address)
    return next((figure for figure in reversed(drawn) if name in figure.names), None)


def with_pictures(html: str, pictures: Iterator[str]) -> str:
    """`html` with the next of `pictures` in the place of each lost image."""

    def shown(found: re.Match[str]) -> str:
        data = next(pictures, "")
        if not data:
            return found[0]
        alt = _TAG.sub("", found[1]).replace('"', "&quot;") or "Figure drawn by the code"
        return f'<img class="qm-img" src="{escape(data)}" alt="{alt}">'

    return _LOST.sub(shown, html)
