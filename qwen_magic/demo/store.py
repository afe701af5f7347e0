"""The responses that the server keeps, each linked to the one that it continues."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]

MAX_RESPONSES = 1000
MAX_BYTES = 128 * 1024 * 1024


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

    @property
    def turns(self) -> int:
        """How many turns the chain that ends here has."""
        count, kept = 1, self.parent
        while kept is not None:
            count, kept = count + 1, kept.parent
        return count

    def items(self) -> list[JSON]:
        """Input and output of the whole chain, in order."""
        chain: list[Kept] = []
        kept: Kept | None = self
        while kept is not None:
            chain.append(kept)
            kept = kept.parent
        return [item for kept in reversed(chain) for item in (*kept.input, *kept.output)]


class ResponseStore:
    """By id, capped: the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0

    def keep(self, kept: Kept) -> None:
        self._kept[kept.id] = kept
        self._bytes += kept.size
        while len(self._kept) > MAX_RESPONSES or (self._bytes > MAX_BYTES and len(self._kept) > 1):
            self._bytes -= self._kept.popitem(last=False)[1].size

    def get(self, id: str) -> Kept | None:
        return self._kept.get(id)

    def delete(self, id: str) -> bool:
        """Whether there was such a response."""
        kept = self._kept.pop(id, None)
        self._bytes -= kept.size if kept else 0
        return kept is not None

    def forget(self) -> None:
        self._kept.clear()
        self._bytes = 0
