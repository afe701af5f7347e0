"""Endpoints by name for one session: keys typed in, and the offline demo started when needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from qwen_magic.endpoints import DEMO, Endpoint, find_endpoint

if TYPE_CHECKING:
    from qwen_magic.demo import DemoServer


class Endpoints:
    """Finds endpoints. Keys are held here and in nothing that is saved or shown."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._keys: dict[str, str] = {}
        self._demo: DemoServer | None = None

    def find(self, name_or_url: str) -> Endpoint:
        """Raises `UsageError` where there is no such endpoint."""
        endpoint = find_endpoint(name_or_url, self._environ)
        if endpoint.name == DEMO:
            demo = self._started_demo()
            return replace(endpoint, base_url=demo.base_url, key=demo.key)
        key = self._keys.get(endpoint.host, "")
        return find_endpoint(name_or_url, self._environ, key=key) if key else endpoint

    def remember_key(self, endpoint: Endpoint, key: str) -> None:
        """Use `key` for this endpoint's host as long as the session lives; empty: forget it."""
        self._keys[endpoint.host] = key

    def _started_demo(self) -> DemoServer:
        """The demo server, whose key nobody but this session is told."""
        if self._demo is None:
            from qwen_magic.demo import DemoServer

            self._demo = DemoServer.from_environ(self._environ).start()
        return self._demo

    def close(self) -> None:
        """Stop the demo server, if it was started."""
        if self._demo is not None:
            self._demo.close()
            self._demo = None
