"""How far a map is: a bar where tqdm is installed, else one line at the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from qwen_magic.batch.result import MapResult


class Progress(Protocol):
    """Called in the thread that called the map."""

    def show(self, table: MapResult) -> None:
        """Some time has passed; called about ten times a second."""

    def close(self, table: MapResult) -> None:
        """The map has ended, in whatever way."""


class NoProgress:
    """Says nothing."""

    def show(self, table: MapResult) -> None:
        pass

    def close(self, table: MapResult) -> None:
        pass


class Line:
    """One line at the end, where tqdm's bar would be: the standard error."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def show(self, table: MapResult) -> None:
        pass

    def close(self, table: MapResult) -> None:
        from qwen_magic.batch.table import summary

        stream = self._stream or sys.stderr
        stream.write(summary(table) + "\n")
        stream.flush()


class Bar:
    """tqdm's bar: the widget in a notebook, the line in a terminal."""

    def __init__(self, total: int) -> None:
        """Raises `ImportError` without tqdm."""
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        self._bar = tqdm(total=total, unit="prompt")

    def show(self, table: MapResult) -> None:
        failed = table.failed
        grown = table.answered + failed - self._bar.n
        if failed:
            self._bar.set_postfix(failed=failed, refresh=False)
        if grown:
            self._bar.update(grown)

    def close(self, table: MapResult) -> None:
        self.show(table)
        self._bar.close()


def make_progress(total: int, *, wanted: bool) -> Progress:
    """The best there is."""
    if not wanted:
        return NoProgress()
    try:
        return Bar(total)
    except ImportError:
        return Line()
