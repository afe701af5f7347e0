"""One prompt's share of a map as a picklable function, for Dask and other schedulers."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from qwen_magic.answer import Answer
from qwen_magic.batch.map import check_options
from qwen_magic.batch.rows import Prompt
from qwen_magic.errors import UsageError


class Asks(Protocol):
    """What an `Asker` asks: a `Qwen`."""

    def ask(self, prompt: Prompt, **options: Any) -> Answer: ...

    def close(self) -> None: ...


class Asker:
    """A function of one prompt, which carries its settings and never a key.

    Wherever it is unpickled it finds the key in that process's own environment, as a new `Qwen`
    does. Safe to call from several threads; its connections end when it is forgotten.
    """

    def __init__(
        self,
        make: Callable[[str, str], Asks],
        model: str,
        endpoint: str,
        options: Mapping[str, Any],
    ) -> None:
        """`make`: importable, called with model and endpoint (a name or URL). Raises `UsageError`
        for options of a conversation, and for tools that carry a secret."""
        check_options(options)
        _refuse_secrets(options.get("tools", ()))
        self._settings = (make, model, endpoint, dict(options))
        self._lock = threading.Lock()
        self._asks: Asks | None = None

    def __call__(self, prompt: Prompt) -> Answer:
        """The answer, outside any conversation. Raises `QwenError`."""
        return self._here().ask(prompt, history=False, **self._settings[3])

    def __reduce__(self) -> tuple[object, ...]:
        return (Asker, self._settings)

    def __repr__(self) -> str:
        _make, model, endpoint, options = self._settings
        return f"Asker(model={model!r}, endpoint={endpoint!r}, options={sorted(options)})"

    def _here(self) -> Asks:
        with self._lock:
            if self._asks is None:
                make, model, endpoint, _options = self._settings
                self._asks = make(model, endpoint)
                weakref.finalize(self, self._asks.close)
            return self._asks


def _refuse_secrets(tools: object) -> None:
    given = tools if isinstance(tools, list | tuple) else ()
    for tool in given:
        if isinstance(tool, Mapping) and ("headers" in tool or "authorization" in tool):
            raise UsageError(
                "A tool with headers or an authorization cannot travel to workers.",
                why="They would be written into the pickle, and may hold a key.",
                hint="Make the Qwen and its tools in the function that the workers run.",
            )
