"""The endpoints of a session: keys typed in or stored in the keyring, and servers started for
it.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from qwen_magic.conversation.scope import data_folder
from qwen_magic.endpoints import DEMO, LOCAL, Endpoint, find_endpoint
from qwen_magic.errors import UsageError
from qwen_magic.masking import Secret, Unshown, know

if TYPE_CHECKING:
    from qwen_magic.demo import DemoServer
    from qwen_magic.local import LocalServer
    from qwen_magic.session.tape import Tape

_SERVICE: Final = "qwen-magic"  # what the keyring knows the keys by, beside the host


class Endpoints:
    """Find endpoints with their keys.

    Keys are held only here: they are in nothing that is saved or shown, except that `save_key`
    writes one to the system's keyring. `allow_http`: keys may be sent over plain http to other
    machines. `shared`: the endpoints of another session, whose keys and servers are used too but
    not closed.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        *,
        allow_http: bool = False,
        shared: Endpoints | None = None,
    ) -> None:
        self.allow_http = allow_http
        self._shared = shared
        self._environ = Unshown(os.environ if environ is None else environ)
        self._keys: dict[str, Secret] = {}  # by host: typed in, or out of the keyring
        self._asked: set[str] = set()  # hosts that the keyring was asked for
        self._demo: DemoServer | None = None
        self.local: LocalServer | None = None  # the model of this machine, while it is served
        self.tape: Tape | None = None  # what stands in for endpoints while it is replayed

    def find(self, name_or_url: str, *, live: bool = False) -> Endpoint:
        """The endpoint with its key: typed in, else from the environment, else from the keyring.

        While a recording is replayed this is the recorded endpoint, unless `live`. Raises
        `UsageError` if there is no such endpoint, or its key may not be sent there.
        """
        if self.tape is not None and self.tape.active and not live:
            replayed = self.tape.endpoint(name_or_url)
            if replayed is not None:
                return replayed
        endpoint = find_endpoint(name_or_url, self._environ, allow_http=True)
        if endpoint.name == DEMO:
            demo = self._started_demo()
            return replace(endpoint, base_url=demo.base_url, key=demo.key)
        if endpoint.name == LOCAL:
            local = self._running_local()
            return replace(endpoint, base_url=local.base_url, key=local.key)
        typed = (each._keys.get(endpoint.host) for each in (self, self._shared) if each)
        key = next(filter(None, typed), Secret())
        if not (key or endpoint.key):
            key = self._saved_key(endpoint)
        endpoint = find_endpoint(name_or_url, self._environ, key=key, allow_http=self.allow_http)
        know(endpoint.secret)
        return endpoint

    def remember_key(self, endpoint: Endpoint, key: str) -> None:
        """Use `key` for this endpoint's host until the session ends; an empty one removes it."""
        self._keys[endpoint.host] = Secret(key)
        know(replace(endpoint, key=Secret(key)).secret)

    def check_key_may_go(self, name_or_url: str) -> None:
        """Raise `UsageError` if a key would be sent unencrypted."""
        find_endpoint(name_or_url, self._environ, key="any", allow_http=self.allow_http)

    def save_key(self, endpoint: Endpoint, key: str) -> None:
        """Store `key` for this endpoint's host in the system's keyring; an empty one deletes it.

        Raises `UsageError` if there is no keyring.
        """
        keyring = _keyring()
        if keyring is None:
            raise UsageError(
                "The package keyring is not installed here.",
                hint='pip install "qwen-magic[keyring]"; %qwen_key without --save needs none.',
            )
        try:
            if key:
                keyring.set_password(_SERVICE, endpoint.host, key)
            elif keyring.get_password(_SERVICE, endpoint.host) is not None:
                keyring.delete_password(_SERVICE, endpoint.host)
        except Exception as error:  # of any backend; its words, and its frames, may hold the key
            raise UsageError(
                "The system has no keyring that can be used.",
                why=type(error).__name__,
                hint="%qwen_key without --save keeps the key in this kernel only"
                + (f"; or set {endpoint.key_variable}." if endpoint.key_variable else "."),
            ) from None

    def _saved_key(self, endpoint: Endpoint) -> Secret:
        """The key in the keyring, or an empty text, also if the keyring cannot be read.

        The keyring is read once a host, and only for hosts that need a key or have one there.
        """
        if not endpoint.key_variable or endpoint.host in self._asked:
            return Secret()
        self._asked.add(endpoint.host)
        keyring = _keyring()
        if keyring is None:
            return Secret()
        try:
            saved = Secret(keyring.get_password(_SERVICE, endpoint.host) or "")
        except keyring.errors.KeyringError:
            return Secret()
        self._keys[endpoint.host] = saved
        return self._keys[endpoint.host]

    def _started_demo(self) -> DemoServer:
        """The demo server; only this session knows its key."""
        if self._shared is not None:
            return self._shared._started_demo()
        if self._demo is None:
            from qwen_magic.demo import DemoServer

            self._demo = DemoServer.from_environ(self._environ).start()
            self._close_when_dropped(self._demo)
        return self._demo

    def _running_local(self) -> LocalServer:
        """The local model being served, else the small Qwen if it was downloaded. Raises
        `UsageError`.
        """
        if self._shared is not None:
            return self._shared._running_local()
        if self.local is not None:
            self.local.check()
            return self.local
        weights = local_weights(self._environ)
        if not weights.exists():
            raise UsageError(
                "No local model is served.",
                hint="%qwen_local FILE.gguf begins; %qwen_local qwen fetches a small Qwen.",
            )
        return self.start_local(weights, threads=1)

    def start_local(self, weights: Path, threads: int) -> LocalServer:
        """Serve the model file `weights` as endpoint `local`, replacing any other; wait until it is
        loaded.

        Raises `UsageError`.
        """
        from qwen_magic.local import LocalServer

        self.stop_local()  # first: two models may be more than the memory holds
        server = LocalServer(weights, threads)
        server.start()
        self.local = server
        self._close_when_dropped(server)
        return server

    def _close_when_dropped(self, server: DemoServer | LocalServer) -> None:
        """Stop the server when this object is garbage-collected, on a thread so that the collector
        never waits.
        """
        end = threading.Thread(target=server.close, name="qwen-close", daemon=True)
        weakref.finalize(self, end.start).atexit = False

    def stop_local(self) -> None:
        if self.local is not None:
            self.local.close()
            self.local = None

    def close(self) -> None:
        """Stop the servers that were started."""
        self.stop_local()
        if self._demo is not None:
            self._demo.close()
            self._demo = None


def local_weights(environ: Mapping[str, str]) -> Path:
    """The path of the small Qwen of `%qwen_local qwen`; the file may not exist yet."""
    from qwen_magic.local import FILE

    return data_folder(environ) / "models" / FILE


def _keyring() -> ModuleType | None:
    """The `keyring` package if it is installed; imported only when a key is looked up."""
    try:
        import keyring
        import keyring.errors
    except ImportError:
        return None
    return keyring
