"""What the server keeps: responses, each linked to the one that it continues, and figures."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from qwen_magic.demo.wire import JSON

if TYPE_CHECKING:
    from qwen_magic.demo.switches import FigureMode

MAX_RESPONSES = 1000
MAX_BYTES = 128 * 1024 * 1024

T = TypeVar("T")


class Store(Generic[T]):
    """Values by key, for any thread. Capped by count and by bytes: the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._lock = Lock()

    def keep(self, key: str, value: T, size: int) -> None:
        with self._lock:
            self._kept[key] = (value, size)
            total = sum(size for _, size in self._kept.values())
            while total > MAX_BYTES or len(self._kept) > MAX_RESPONSES:
                total -= self._kept.popitem(last=False)[1][1]

    def get(self, key: str) -> T | None:
        return self._kept.get(key, (None, 0))[0]

    def delete(self, key: str) -> None:
        with self._lock:
            self._kept.pop(key, None)

    def forget(self) -> None:
        with self._lock:
            self._kept.clear()


@dataclass(frozen=True, slots=True)
class Kept:
    """One finished response. `parent` stays reachable when it was deleted itself."""

    body: JSON  # the response object
    input: tuple[JSON, ...]  # this turn's own input items
    parent: Kept | None
    rest: str  # what an incomplete answer had still to say

    def chain(self) -> list[Kept]:
        """The turns up to this one, oldest first."""
        return [*(self.parent.chain() if self.parent else ()), self]

    def items(self) -> list[JSON]:
        """Input and output of the whole chain, in order."""
        return [item for kept in self.chain() for item in (*kept.input, *kept.body["output"])]


@dataclass(frozen=True, slots=True)
class Figure:
    """A PNG, and how its link behaves; the mode is the figure's, not the server's."""

    png: bytes
    expires: int  # Unix seconds
    mode: FigureMode = "served"
