"""The server: a loopback socket, a daemon thread for each client, and which path does what.

Only this machine is answered, and only with the key.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from qwen_magic.demo.http import (
    ClientGoneError,
    Connection,
    ReadLimits,
    RefusedError,
    RequestRecord,
)
from qwen_magic.demo.lesson import BUNDLED
from qwen_magic.demo.player import FIGURE_PATH, Player
from qwen_magic.demo.runner import Runner
from qwen_magic.demo.turn import Switches
from qwen_magic.demo.wire import MODEL

PREFIXES = ("/compatible-mode/v1", "/api/v2/apps/protocols/compatible-mode/v1", "/v1")
_PREFIX = re.compile(f"^(?:{'|'.join(PREFIXES)})(?=/)")
# What the service lists beside its base URL, with prices in ISO 4217's code for tests.
_CATALOGUE_FILE = Path(__file__).with_name("catalogue.json")
MOST_RECORDS = 2000
MOST_OPEN = 500  # connections; what comes besides is closed at once
_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?", re.IGNORECASE)


class DemoServer:
    """The offline server on 127.0.0.1; `port` 0 takes a free one. It listens as soon as it is made,
    and answers once it is started.

    `key`: requests must bear it; None makes one that nobody can guess; empty: none is checked.
    `lessons`: folders of lessons besides, and before, those that come with the package. `signs`:
    whether texts end with a line that says who answered. Further
    keyword arguments are those of `Switches` (`delay=0`, `error="429"`, …). `requests`: those so
    far, oldest first. Raises `OSError` when the port is taken, `SwitchError` for a switch that
    there is not.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        key: str | None = None,
        lessons: str | Path | Iterable[str | Path] = (),
        read_limits: ReadLimits | None = None,
        signs: bool = True,
        **switches: Any,
    ) -> None:
        own = Switches().changed(switches)
        self.key = f"demo-{secrets.token_urlsafe(24)}" if key is None else key
        self.requests: list[RequestRecord] = []
        folders = [lessons] if isinstance(lessons, str | Path) else list(lessons)
        self.lessons = [*map(Path, folders), BUNDLED]
        self._read_limits = read_limits
        self._serving: dict[Connection, threading.Thread] = {}
        self._ending = False
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.base_url = self.url + PREFIXES[0]  # as clients take it
        self._runner = Runner()
        self.player = Player(self.lessons, own, self._runner, self.url, signs)
        self._thread: threading.Thread | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """The server that a kernel starts for itself: `QWEN_DEMO_LESSONS` (folders, with the
        system's separator between them) and `QWEN_DEMO_DELAY` (seconds between two deltas).
        The footer of each of its answers says whose it is, so the text does not."""
        folders = [each for each in environ.get("QWEN_DEMO_LESSONS", "").split(os.pathsep) if each]
        delay = environ.get("QWEN_DEMO_DELAY") or Switches().delay
        return cls(lessons=folders, signs=False, delay=delay)

    def log(self, record: RequestRecord) -> None:
        self.requests.append(record)
        del self.requests[:-MOST_RECORDS]

    def send_figure(self, client: Connection, png: bytes) -> None:
        """Answer the link of a figure. A method of its own: tests have hosts that fail here."""
        client.reply(png, content_type="image/png")

    def set(self, **switches: Any) -> None:
        """Change switches for later requests, and reset the count of faults. Raises
        `SwitchError`.
        """
        self.player.switches = self.player.switches.changed(switches)
        self.player.failures.clear()

    def forget(self) -> None:
        """Forget all stored responses, as a real server does after seven days."""
        self.player.responses.clear()

    def start(self) -> Self:
        """Start serving on threads; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._accept, name="qwen-demo", daemon=True)
            self._thread.start()
        return self

    def close(self) -> None:
        """End all streams and runs, and wait for their threads. May be called again."""
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
            if len(self._serving) >= MOST_OPEN:
                raw.close()
                continue
            connection = Connection(raw, self._read_limits)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._serving[connection] = thread
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            _serve(self, connection)
        except ClientGoneError:
            pass
        finally:
            connection.close()
            del self._serving[connection]


def _serve(server: DemoServer, client: Connection) -> None:
    """Answer one request after the other until either side closes. Raises `ClientGoneError`."""
    while client.keeps_alive:
        try:
            if not client.read_head():
                return
            client.record.key = _key_sent(client.headers, server.key)
            try:
                body = _admit(client)
            except RefusedError:
                server.log(client.record)
                raise
            server.log(client.record)
            _answer(server, client, body)
        except RefusedError as refused:
            client.refuse(refused)
        except ClientGoneError:
            raise
        except Exception as error:  # a fault of the demo itself: told, and it goes on serving
            if client.record.status:
                client.reset()
            text = f"The demo server failed: {type(error).__name__}: {error}"
            client.refuse(RefusedError(text, "InternalError", 500))
        finally:
            client.record.ended_at = time.time()
    client.linger()


def _admit(client: Connection) -> Any:
    """The request's body, read as JSON. Nobody's is read who has no right to an answer: no page
    may reach the server through a browser, neither one that says where it is from (`Origin`), nor
    one whose host name was made to point here (DNS rebinding). Raises `RefusedError`."""
    if "origin" in client.headers or not _LOOPBACK.fullmatch(client.headers.get("host", "")):
        raise RefusedError("The offline demo answers only to this machine.", "AccessDenied", 403)
    by_link = client.record.path.startswith(FIGURE_PATH)  # the link is the key, as the service's
    if client.record.key in ("none", "wrong") and not by_link:
        word = "No" if client.record.key == "none" else "Invalid"
        raise RefusedError(f"{word} API-key provided.", "InvalidApiKey", 401)
    return client.read_body()


def _answer(server: DemoServer, client: Connection, body: Any) -> None:
    """Raises `RefusedError`."""
    method, path = client.record.method, client.record.path
    if path.startswith(FIGURE_PATH):
        png = server.player.figures.get(path)
        if png is None:
            raise RefusedError("The figure is gone.", "NoSuchKey", 404)
        server.send_figure(client, png)
        return
    match [method, *_PREFIX.sub("~", path).rstrip("/").split("/")]:
        case ["POST", "~", "responses"]:
            if not isinstance(body, dict):
                raise RefusedError("The request's body is not a JSON object.")
            server.player.play(client, body)
        case ["GET" | "DELETE", "~", "responses", id]:
            kept = server.player.responses.get(id)
            if kept is None:  # the service's own words for this one are not documented
                raise RefusedError(f"Response with id '{id}' not found.", "NotFound", 404)
            if method == "DELETE":
                server.player.responses.pop(id, None)
            client.reply(kept.body if method == "GET" else {"id": id, "deleted": True})
        case ["GET", "~", "models"]:
            model = {"id": MODEL, "object": "model", "created": 1767225600}
            client.reply({"object": "list", "data": [{**model, "owned_by": "qwen_magic"}]})
        case ["GET", "", "api", "v1", "models"]:  # beside the base URL
            client.reply(json.loads(_CATALOGUE_FILE.read_text("utf-8")))
        case [_, "~", "responses" | "models"] | [_, "~", "responses", _]:
            raise RefusedError("Method Not Allowed", "Method Not Allowed", 405)
        case _:
            raise RefusedError("Not support", "Not Found", 404)


def _key_sent(headers: Mapping[str, str], key: str) -> str:
    scheme, _, sent = headers.get("authorization", "").partition(" ")
    if not key:
        return "unchecked"
    if scheme.lower() != "bearer" or not sent.strip():
        return "none"
    right = secrets.compare_digest(sent.strip().encode("utf-8", "replace"), key.encode())
    return "right" if right else "wrong"
