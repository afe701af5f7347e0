"""The server itself: a loopback socket, a daemon thread for each client, a clean end."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from qwen_magic.demo.app import PREFIXES, Site
from qwen_magic.demo.http import ClientGoneError, Connection, ReadLimits
from qwen_magic.demo.lesson import BUNDLED
from qwen_magic.demo.player import Player
from qwen_magic.demo.request_log import RequestLog, RequestRecord
from qwen_magic.demo.runner import Limits, Runner
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
        self._read_limits = read_limits
        self._serving: dict[Connection, threading.Thread] = {}
        self._ending = False
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        _close_in_forked_child(self._socket)
        self._runner = Runner(limits)
        self._player = Player(self.lessons, own, self._runner, self.url)
        self._site = Site(self.log, self._player, lambda: self.key)
        self._thread: threading.Thread | None = None

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
        self._player.responses.forget()

    def start(self) -> Self:
        """Answer, in threads of its own; returns at once. A closed server does not start again."""
        if self._ending:
            raise RuntimeError("This demo server was closed: make a new one.")
        if self._thread is None:
            self._thread = threading.Thread(target=self._accept, name="qwen-demo", daemon=True)
            self._thread.start()
        return self

    def close(self) -> None:
        """End every stream and run, and wait until all is put away. May be called again."""
        if self._ending:
            return
        self._ending = True
        if self._thread is not None:
            socket.create_connection(("127.0.0.1", self.port)).close()  # wakes it
            self._thread.join(10)
        self._socket.close()
        for connection, thread in [*self._serving.items()]:
            connection.end()
            thread.join(10)
        self._runner.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._socket.accept()
            except OSError:  # such as too many open files
                time.sleep(0.1)
                continue
            if self._ending:
                raw.close()
                return
            connection = Connection(raw, self._read_limits)
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="qwen-demo-client", daemon=True
            )
            self._serving[connection] = thread
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            self._site.serve(connection)
        except ClientGoneError:
            pass
        finally:
            connection.close()
            del self._serving[connection]


def _close_in_forked_child(listening: socket.socket) -> None:
    """A child forked from a notebook must not hold the port open after the server has ended."""
    if not hasattr(os, "register_at_fork"):
        return
    ref = weakref.ref(listening)

    def close() -> None:
        if (found := ref()) is not None:
            found.close()

    os.register_at_fork(after_in_child=close)
