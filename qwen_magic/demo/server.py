"""The server itself: a loopback socket, an event loop in one daemon thread, a clean end."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from qwen_magic.demo.app import PREFIXES, Site
from qwen_magic.demo.http import Connection, ReadLimits
from qwen_magic.demo.lesson import BUNDLED
from qwen_magic.demo.player import Player
from qwen_magic.demo.request_log import RequestLog, RequestRecord
from qwen_magic.demo.runner import Limits, Runner
from qwen_magic.demo.store import FigureStore
from qwen_magic.demo.switches import Switches


class DemoServer:
    """The offline server on 127.0.0.1; `port` 0 takes a free one. It listens as soon as it is made,
    and answers once it is started.

    `key`: requests must bear it; None makes one that nobody can guess; empty: none is checked.
    `lessons`: folders of lessons besides, and before, those that come with the package.
    Further keyword arguments are those of `Switches`
    (`delay=0`, `error="429"`, …). Raises `OSError` when the port is taken, `SwitchError` for a
    switch that there is not.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        key: str | None = None,
        lessons: str | Path | Iterable[str | Path] = (),
        limits: Limits | None = None,
        read_limits: ReadLimits | None = None,
        **switches: Any,
    ) -> None:
        self.key = f"demo-{secrets.token_urlsafe(24)}" if key is None else key
        self.log = RequestLog()
        own = Switches().changed(switches)
        folders = [lessons] if isinstance(lessons, str | Path) else list(lessons)
        self.lessons = [*map(Path, folders), BUNDLED]
        self._connections: set[Connection] = set()
        self._read_limits = read_limits
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        _close_in_forked_child(self._socket)
        self._runner = Runner(limits)
        figures = FigureStore()
        self._player = Player(self.lessons, own, self._runner, figures, self.url)
        self._site = Site(figures, self.log, self._player, lambda: self.key)
        self._thread: threading.Thread | None = None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """The server that a kernel starts for itself: `QWEN_DEMO_LESSONS` (folders, with the
        system's separator between them) and `QWEN_DEMO_DELAY` (seconds between two deltas)."""
        folders = [each for each in environ.get("QWEN_DEMO_LESSONS", "").split(os.pathsep) if each]
        delay = environ.get("QWEN_DEMO_DELAY", "")
        changes: dict[str, Any] = {"delay": delay} if delay else {}
        return cls(lessons=folders, **changes)

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """What clients take as their base URL, without a trailing slash."""
        return self.url + PREFIXES[0]

    @property
    def requests(self) -> Sequence[RequestRecord]:
        """The requests so far, oldest first."""
        return self.log.records

    @property
    def switches(self) -> Switches:
        return self._player.switches

    def set(self, **switches: Any) -> None:
        """Change switches for the requests to come. Raises `SwitchError`."""
        self._player.change(**switches)

    def forget(self) -> None:
        """Forget every response kept, as a real server does after seven days."""
        self._player.store.forget()

    def start(self) -> Self:
        """Answer, in a thread of its own; returns at once. A closed server does not start again."""
        if self.running:
            return self
        if self._loop.is_closed():
            raise RuntimeError("This demo server was closed: make a new one.")
        self._thread = threading.Thread(target=self._run, name="qwen-demo", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """End every stream and run, and wait until all is put away. May be called again."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(10)
        elif not self._loop.is_closed():  # it was never started
            self._loop.close()
            self._socket.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # In the server's thread.

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async def serve(connection: Connection) -> None:
            self._connections.add(connection)
            try:
                await self._site.serve(connection)
            finally:
                self._connections.discard(connection)

        listener = await self._loop.create_server(
            lambda: Connection(serve, self._read_limits), sock=self._socket
        )
        try:
            await self._stop.wait()
        finally:
            listener.close()
            tasks = []
            for connection in tuple(self._connections):
                connection.close()
                if connection.task is not None:
                    connection.task.cancel()
                    tasks.append(connection.task)
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0)  # the transports close in the loop's next turn
            self._runner.close()


def _close_in_forked_child(listening: socket.socket) -> None:
    """A child forked from a notebook must not hold the port open after the server has ended."""
    if not hasattr(os, "register_at_fork"):
        return
    ref = weakref.ref(listening)

    def close() -> None:
        if (found := ref()) is not None:
            found.close()

    os.register_at_fork(after_in_child=close)
