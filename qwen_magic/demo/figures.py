"""The figures of sandbox runs, served for twelve hours under links as the service's."""

from __future__ import annotations

from collections import OrderedDict
from uuid import uuid4

PATH = "/code-interpreter/temp_files/"
SECONDS = 12 * 3600
MAX_BYTES = 64 * 1024 * 1024


class FigureStore:
    """PNG bytes by file name, capped: the oldest go first."""

    def __init__(self) -> None:
        self._figures: OrderedDict[str, tuple[bytes, int]] = OrderedDict()

    def add(self, png: bytes, now: float) -> str:
        """Keep it; returns its path and query, with `Expires` in Unix seconds."""
        name, expires = f"code-output-{uuid4()}.png", int(now) + SECONDS
        self._figures[name] = (png, expires)
        while sum(len(data) for data, _ in self._figures.values()) > MAX_BYTES:
            self._figures.popitem(last=False)
        return f"{PATH}{name}?Expires={expires}"

    def get(self, path: str, now: float) -> bytes | None:
        """The PNG under that path; None when there is none or its time is over."""
        png, expires = self._figures.get(path.removeprefix(PATH), (b"", 0))
        return png if now < expires else None
