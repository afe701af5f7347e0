"""What the server keeps: responses, each linked to the one that it continues, and figures."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING
from uuid import uuid4

from qwen_magic.demo.wire import JSON

if TYPE_CHECKING:
    from qwen_magic.demo.switches import FigureMode

MAX_RESPONSES = 1000
MAX_BYTES = 128 * 1024 * 1024

FIGURE_PATH = "/code-interpreter/temp_files/"
FIGURE_SECONDS = 12 * 3600  # as long as the service's links live
MAX_FIGURE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """One finished response. `parent` stays reachable when it was deleted itself."""

    id: str
    body: JSON  # the response object
    input: tuple[JSON, ...]  # this turn's own input items
    output: tuple[JSON, ...]
    parent: Kept | None
    rest: str  # what an incomplete answer had still to say
    size: int  # bytes, about

    def chain(self) -> list[Kept]:
        """The turns up to this one, oldest first."""
        found: list[Kept] = []
        kept: Kept | None = self
        while kept is not None:
            found.append(kept)
            kept = kept.parent
        return found[::-1]

    def items(self) -> list[JSON]:
        """Input and output of the whole chain, in order."""
        return [item for kept in self.chain() for item in (*kept.input, *kept.output)]


class ResponseStore:
    """By id, capped: the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def keep(self, kept: Kept) -> None:
        with self._lock:
            self._kept[kept.id] = kept
            self._bytes += kept.size
            while self._bytes > MAX_BYTES or len(self._kept) > MAX_RESPONSES:
                self._bytes -= self._kept.popitem(last=False)[1].size

    def get(self, id: str) -> Kept | None:
        return self._kept.get(id)

    def delete(self, id: str) -> None:
        with self._lock:
            kept = self._kept.pop(id, None)
            self._bytes -= kept.size if kept else 0

    def forget(self) -> None:
        with self._lock:
            self._kept.clear()
            self._bytes = 0


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
        self._lock = Lock()

    def add(self, png: bytes, now: float, mode: FigureMode = "served") -> str:
        """Keep it; returns its path and query, with `Expires` in Unix seconds."""
        name, expires = f"code-output-{uuid4()}.png", int(now) + FIGURE_SECONDS
        with self._lock:
            self._figures[name] = KeptFigure(png, expires, mode)
            while sum(len(figure.png) for figure in self._figures.values()) > MAX_FIGURE_BYTES:
                self._figures.popitem(last=False)
        return f"{FIGURE_PATH}{name}?Expires={expires}"

    def get(self, path: str, now: float) -> KeptFigure | None:
        """The figure under that path; None when there is none or its time is over."""
        figure = self._figures.get(path.removeprefix(FIGURE_PATH))
        return figure if figure is not None and now < figure.expires else None
