"""`%qwen_local`: a model of this machine as endpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from IPython.core.magic import magics_class

from qwen_magic.endpoints import DEFAULT_MODEL, LOCAL, default_endpoint_name
from qwen_magic.frontends.plain import say
from qwen_magic.magics.base import SessionMagics, command
from qwen_magic.magics.qwen import QwenMagics

if TYPE_CHECKING:
    from qwen_magic.local import LocalServer

_SLOW: Final = 8.0  # tokens a second; people read about five words a second
_MB: Final = 1_000_000


@magics_class
class LocalMagics(SessionMagics):
    """Starts and stops the session's local model."""

    def __init__(self, shell: Any, magics: QwenMagics) -> None:
        super().__init__(shell, magics)
        self._settings: Any = magics  # its traits are made of the table of options
        self._before: tuple[str, str] | None = None  # the endpoint and model it took the place of

    @command
    def qwen_local(self, line: str) -> None:
        """A model of this machine as endpoint: %qwen_local FILE.gguf | qwen | off [--threads N].

        `qwen` fetches a small Qwen (0.5B, about 490 MB) from a model hub, the first time, and
        checks its sum. Without a word it says which model is served.
        """
        from qwen_magic.magics.line import read_words

        words, options = read_words("qwen_local", line, "FILE.gguf, qwen or off", most=1)
        word = words[0] if words else ""
        match word:
            case "":
                pass
            case "off":
                self._off()
            case "qwen":
                self._on(self._fetched(), options.get("threads", 1))
            case _:
                self._on(Path(word).expanduser().absolute(), options.get("threads", 1))
        say(self._state())

    def _on(self, weights: Path, threads: Any) -> None:
        server = self._asker.session.endpoints.start_local(weights, threads)
        if self._before is None:
            self._before = self._settings.endpoint, self._settings.model
        self._settings.endpoint, self._settings.model = LOCAL, server.model

    def _off(self) -> None:
        self._asker.session.endpoints.stop_local()
        before, self._before = self._before, None
        if self._settings.endpoint == LOCAL:
            self._settings.endpoint, self._settings.model = before or (
                default_endpoint_name(),
                DEFAULT_MODEL,
            )

    def _fetched(self) -> Path:
        from qwen_magic.local import fetch_weights, hubs
        from qwen_magic.session.endpoint_keys import local_weights

        folder = local_weights(os.environ).parent
        shown = _Bar()
        path = fetch_weights(self._asker.session.client, folder, hubs(os.environ), shown)
        if shown.begun:
            say(f"\nKept as {path}; its sha256 is the one that the hub says.")
        return path

    def _state(self) -> str:
        server = self._asker.session.endpoints.local
        if server is None:
            return "No local model is served. %qwen_local FILE.gguf, or %qwen_local qwen, begins."
        return said_of(server, os.cpu_count() or 1)


class _Bar:
    """How much of a file has come, as one line that is written over."""

    def __init__(self) -> None:
        self.begun = False

    def __call__(self, size: int, done: int) -> None:
        self.begun = True
        filled = 30 * done // size
        bar = "█" * filled + "·" * (30 - filled)
        print(f"\r{bar} {done // _MB} of {size // _MB} MB", end="", flush=True)  # noqa: T201


def said_of(server: LocalServer, cores: int) -> str:
    """What is served, and how fast; where it is slow, that it is, and what may help."""
    threads = "1 thread" if server.threads == 1 else f"{server.threads} threads"
    speed = server.tokens_per_second
    said = (
        f"{server.model} answers on this machine, with {threads}: about {speed:.2g} tokens a second"
    )
    if speed >= _SLOW:
        return f"{said}."
    more = (
        f" --threads {cores} would use all of this machine's cores."
        if (server.threads < cores)
        else " A smaller model would be faster."
    )
    return f"{said}, which is slow.{more}"
