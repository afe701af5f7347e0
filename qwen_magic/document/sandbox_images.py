"""The figures that an answer means where it shows a file of the sandbox.

A model that saved a figure as `chart.png` often writes `![…](chart.png)`, which nobody can follow:
the file was in the sandbox. The figure itself is at hand, since it was also drawn. Which figure is
meant is told by the file's name, where the code of one run saved it; else by the order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from qwen_magic.document.blocks import Code, Step
from qwen_magic.document.links import is_picture

_SAVED: Final = re.compile(
    r"\b(?:savefig|save|write_image|imsave|imwrite)\(\s*[rbfu]?([\"'])([^\"'\n]+)\1"
)
_SHOWN: Final = re.compile(r"\bshow\(")


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


def meant_figures(addresses: Iterable[str], drawn: Sequence[Drawn]) -> dict[str, str]:
    """The data URI of the figure that each image with one of these addresses means, by address;
    what means none, or one that could not be had, is not in it."""
    lost = dict.fromkeys(addresses)
    meant = {address: figure for address in lost if (figure := _named(address, drawn)) is not None}
    others = iter([each for each in drawn if all(each is not taken for taken in meant.values())])
    for address in lost:
        if address not in meant and (figure := next(others, None)) is not None:
            meant[address] = figure
    return {address: figure.data for address, figure in meant.items() if is_picture(figure.data)}


def _named(address: str, drawn: Sequence[Drawn]) -> Drawn | None:
    """The figure that was saved under this name; of several the last, which is what it holds."""
    name = _file_name(address)
    return next((figure for figure in reversed(drawn) if name in figure.names), None)
