"""The figures of sandbox runs, served for twelve hours under links as the service's."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, TypeAlias
from uuid import uuid4

PATH = "/code-interpreter/temp_files/"
SECONDS = 12 * 3600
MAX_BYTES = 64 * 1024 * 1024
ELSEWHERE = "http://figures.example.invalid"  # a host that there is not

FigureMode: TypeAlias = Literal["served", "slow", "huge", "html", "down", "elsewhere"]


@dataclass(frozen=True, slots=True)
class KeptFigure:
    """A PNG, and how its link behaves; the mode is the figure's, not the server's."""

    png: bytes
    expires: int  # Unix seconds
    mode: FigureMode = "served"


class FigureStore:
    """Figures by file name, capped: the oldest go first."""

    def __init__(self) -> None:
        self._figures: OrderedDict[str, KeptFigure] = OrderedDict()

    def add(self, png: bytes, now: float, mode: FigureMode = "served") -> str:
        """Keep it; returns its path and query, with `Expires` in Unix seconds."""
        name, expires = f"code-output-{uuid4()}.png", int(now) + SECONDS
        self._figures[name] = KeptFigure(png, expires, mode)
        while sum(len(figure.png) for figure in self._figures.values()) > MAX_BYTES:
            self._figures.popitem(last=False)
        return f"{PATH}{name}?Expires={expires}"

    def get(self, path: str, now: float) -> KeptFigure | None:
        """The figure under that path; None when there is none or its time is over."""
        figure = self._figures.get(path.removeprefix(PATH))
        return figure if figure is not None and now < figure.expires else None
