"""The HTML of one block that grows at its end.

A writer stands in the innermost open element, its cursor. What is settled there stays; behind it
comes the tail, which is provisional. The way from the block's element to the cursor always leads
through last children, so that the same short selector finds it in any view.
"""

from __future__ import annotations


class Writer:
    """Builds one element; `take` yields what was settled since the last call."""

    def __init__(self) -> None:
        self.tail = ""
        self._settled: list[str] = []
        self._closings: list[str] = []
        self._news: list[tuple[str, list[str]]] = []

    @property
    def at(self) -> str:
        """The cursor as a selector relative to the block's element ("" is that element)."""
        depth = len(self._closings) - 1
        return ":scope" + ">:last-child" * depth if depth > 0 else ""

    @property
    def settled_html(self) -> str:
        """The element without its tail."""
        return "".join(self._settled) + self._ending()

    @property
    def html(self) -> str:
        """The element with its tail."""
        return "".join(self._settled) + self.tail + self._ending()

    def open(self, opening: str, *closings: str) -> None:
        """Open elements and stand in the innermost; each must be its parent's last child."""
        if self._closings:
            self._note(opening + "".join(reversed(closings)))
        self._settled.append(opening)
        self._closings.extend(closings)

    def settle(self, html: str) -> None:
        """Append whole nodes at the cursor."""
        if html:
            self._note(html)
            self._settled.append(html)

    def close(self, count: int = 1) -> None:
        """Leave the `count` innermost elements; the block's own stays open."""
        for _ in range(min(count, len(self._closings) - 1)):
            self._settled.append(self._closings.pop())

    def take(self) -> list[tuple[str, str]]:
        """Return (selector, html) of what was settled since the last call, in order."""
        news = [(at, "".join(parts)) for at, parts in self._news]
        self._news = []
        return news

    def _note(self, html: str) -> None:
        at = self.at
        if self._news and self._news[-1][0] == at:
            self._news[-1][1].append(html)
        else:
            self._news.append((at, [html]))

    def _ending(self) -> str:
        return "".join(reversed(self._closings))
