"""The figures that an answer means where it shows a file of the sandbox.

A model that saved a figure as `chart.png` often writes `![…](chart.png)`, which nobody can follow:
the file was in the sandbox. The figure itself is at hand, since it was also drawn. Which figure is
meant is told by the file's name, where the code of one run saved it; else by the order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import unquote

from qwen_magic.document.blocks import Code, Step
from qwen_magic.document.markdown.inline import LOST_CLOSE, LOST_OPEN
from qwen_magic.document.markdown.links import is_lost, is_picture
from qwen_magic.document.markdown.parts import find_images

_SAVED: Final = re.compile(
    r"\b(?:savefig|save|write_image|imsave|imwrite)\(\s*[rbfu]?([\"'])([^\"'\n]+)\1"
)
_SHOWN: Final = re.compile(r"\bshow\(")
# What `text_html` makes of an alternative text: escaped, a dollar in a span of its own.
_LOST: Final = re.compile(
    re.escape(LOST_OPEN) + r"((?:[^<]|<span>[^<]*</span>)*)" + re.escape(LOST_CLOSE)
)
_TAG: Final = re.compile(r"<[^>]*>")


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
        drawn += [
            Drawn(figure.data, of) for figure, of in zip(step.figures, names, strict=True)
        ]
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


def meant_pictures(texts: Sequence[str], drawn: Sequence[Drawn]) -> list[tuple[str, ...]]:
    """For each Markdown text, what stands for each of its lost images: a data URI, or ""."""
    lost = [tuple(filter(is_lost, find_images(text))) for text in texts]
    meant: dict[str, Drawn] = {}
    for address in dict.fromkeys(address for of in lost for address in of):
        # Of figures saved under one name, the file is the last one.
        named = (figure for figure in reversed(drawn) if _file_name(address) in figure.names)
        figure = next(named, None)
        if figure is not None:
            meant[address] = figure
    others = iter([each for each in drawn if all(each is not taken for taken in meant.values())])
    for address in dict.fromkeys(address for of in lost for address in of):
        if address not in meant:
            meant[address] = next(others, Drawn(""))
    return [tuple(meant[address].data for address in of) for of in lost]


def with_pictures(html: str, pictures: Iterator[str]) -> str:
    """`html` with the next of `pictures` in the place of each lost image."""

    def shown(found: re.Match[str]) -> str:
        data = next(pictures, "")
        if not is_picture(data):
            return found[0]
        alt = _TAG.sub("", found[1]).replace('"', "&quot;") or "Figure drawn by the code"
        return f'<img class="qm-img" src="{escape(data)}" alt="{alt}">'

    return _LOST.sub(shown, html)
