"""Cancelling a request so that its connection is really closed.

Two traps of httpcore, both seen: a second cancel, while the first closes the connection, leaves
it open and the server writing; and a cancel between the connection's making and the first byte of
the request leaves an open socket that nobody owns.
"""

from __future__ import annotations

import asyncio
from typing import Final

# Trace events of httpcore after which a new connection has no owner until the next event.
_UNOWNED: Final = ("connect_tcp.complete", "start_tls.complete")


class Canceller:
    """Cancels one task at most once, and not in the moment when its connection has no owner.

    All of it runs on the task's loop. `trace` is httpcore's `trace` extension of the request.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._asked = False
        self._unowned = False

    def bind(self, task: asyncio.Task[None] | None) -> None:
        """`task` is the one to cancel from now on; None: it has ended."""
        self._task = task

    def cancel(self) -> None:
        """Cancel the task, or do so as soon as that is safe. Again: nothing."""
        if self._asked or self._task is None:
            return
        self._asked = True
        if not self._unowned:
            self._task.cancel()

    def forget(self) -> None:
        """The task has caught its cancellation, and may be cancelled anew."""
        self._asked = False
        if self._task is not None:
            self._task.uncancel()

    async def trace(self, event: str, info: object) -> None:
        was_unowned, self._unowned = self._unowned, event.endswith(_UNOWNED)
        if was_unowned and not self._unowned and self._asked and self._task is not None:
            self._task.cancel()
