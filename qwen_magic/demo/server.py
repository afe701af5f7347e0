"""The server itself: a loopback socket, an event loop in one daemon thread, a clean end."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from qwen_magic.demo.app import PREFIXES, Site, serve_connection
from qwen_magic.demo.connection import Connection
from qwen_magic.demo.figures import ELSEWHERE, FigureMode, FigureStore
from qwen_magic.demo.playing import Player
from qwen_magic.demo.request_log import RequestLog, RequestRecord
from qwen_magic.demo.sandbox.runner import Limits
from qwen_magic.demo.sandbox.workshop import Workshop
from qwen_magic.demo.store import ResponseStore
from qwen_magic.demo.switches import Switches


class DemoServer:
    """The offline server on 127.0.0.1; `port` 0 takes a free one.

    `key`: requests must bear it; empty: no key is checked. `log`: a file that gets a JSON line a
    request. Further keyword arguments are those of `Switches` (`delay=0`, `error="429"`, …). Raises
    `OSError` from `start` when the port is taken, `SwitchError` for a switch that there is not.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        key: str = "",
        log: str | Path | None = None,
        limits: Limits | None = None,
        **switches: Any,
    ) -> None:
        self.key = key
        self._wanted_port = port
        self._store = ResponseStore()
        self._figures = FigureStore()
        self._workshop = Workshop(limits or Limits(), self._figure_url)
        self._player = Player(self._store, Switches().changed(switches), self._workshop)
        self.log = RequestLog(Path(log) if log else None)
        self._connections: set[Connection] = set()
        self._socket: socket.socket | None = None
        self._port: int | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def port(self) -> int:
        if self._port is None:
            raise RuntimeError("The demo server is not started.")
        return self._port

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
        self._store.forget()

    def start(self) -> Self:
        """Listen, in a thread of its own; returns at once. A closed server does not start again."""
        if self.running:
            return self
        if self._socket is not None:
            raise RuntimeError("This demo server was closed: make a new one.")
        self._socket = socket.create_server(("127.0.0.1", self._wanted_port))
        self._port = int(self._socket.getsockname()[1])
        _close_in_forked_child(self._socket)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="qwen-demo", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """End every stream and run, and wait until all is put away. May be called again."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(10)

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # In the server's thread.

    def _run(self) -> None:
        assert self._loop is not None
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        assert self._loop is not None
        assert self._stop is not None
        assert self._socket is not None
        site = Site(self._store, self._figures, self.log, self._player, lambda: self.key)

        async def serve(connection: Connection) -> None:
            self._connections.add(connection)
            try:
                await serve_connection(site, connection)
            finally:
                self._connections.discard(connection)

        listener = await self._loop.create_server(lambda: Connection(serve), sock=self._socket)
        try:
            await self._stop.wait()
        finally:
            listener.close()
            await self._put_away()

    async def _put_away(self) -> None:
        tasks = []
        for connection in tuple(self._connections):
            connection.close()
            if connection.task is not None:
                connection.task.cancel()
                tasks.append(connection.task)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close in the loop's next turn
        self._workshop.close()

    def _figure_url(self, png: bytes, mode: FigureMode) -> str:
        host = ELSEWHERE if mode == "elsewhere" else self.url
        return host + self._figures.add(png, time.time(), mode)


def _close_in_forked_child(listening: socket.socket) -> None:
    """A child forked from a notebook must not hold the port open after the server has ended."""
    if not hasattr(os, "register_at_fork"):
        return
    ref = weakref.ref(listening)

    def close() -> None:
        if (found := ref()) is not None:
            found.close()

    os.register_at_fork(after_in_child=close)
