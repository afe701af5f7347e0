"""A kernel with a front end that shows nothing: it says hello to each widget, as a page does, and
notes when which message came."""

from __future__ import annotations

import json
import queue
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from real_kernel import Kernel, fresh_environ

from qwen_magic.endpoints import find_endpoint

from .goals import copied
from .sse_server import STAMP

# The naive way: the whole text with each delta, through the openai SDK.
NAIVE = """
import openai
from IPython.display import Markdown, display
def naive(model, url={url!r}):
    client = openai.OpenAI(base_url=url, api_key="sk-0123456789abcdef")
    text, shown = "", display(Markdown(""), display_id=True)
    for event in client.responses.create(model=model, input="x", stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
            shown.update(Markdown(text))
"""


@dataclass
class Seen:
    """What the front end saw of one execution (or of all, in a while): when what came."""

    sent_at: float
    idle_at: float = 0.0
    messages: list[tuple[float, int]] = field(default_factory=list)  # when, bytes
    lags: list[float] = field(default_factory=list)  # of each stamped word, in the order of coming
    last_stamp: float = 0.0


class FrontEnd:
    """One kernel that asks the server at `url`, and its front end."""

    def __init__(self, url: str, folder: Path) -> None:
        environ = {**fresh_environ(folder), **copied(folder), "QWEN_MAGIC_ENDPOINT": url}
        environ |= {"IPYTHONDIR": str(folder), "QWEN_MAGIC_KEEP": "False"}
        environ[find_endpoint(url).key_variable] = "sk-0123456789abcdef"  # else keyring is asked
        self.kernel = Kernel(sys.executable, environ, cwd=str(folder))
        self.process = psutil.Process(self.kernel.manager.provisioner.pid)
        self._words: set[str] = set()

    def run(self, code: str, timeout: float = 60.0) -> Seen:
        """Run a cell to its end."""
        return self.watch(
            self.kernel.send(code, f"cell-{time.monotonic_ns()}", stdin=True), timeout
        )

    def ask(self, model: str, options: str = "") -> Seen:
        return self.run(f"%%qwen --new -m {model} {options}\nTell me")

    def watch(self, message_id: str, timeout: float = 60.0) -> Seen:
        seen = Seen(time.monotonic())
        self._look(seen, lambda message: _is_idle(message, message_id), timeout)
        seen.idle_at = time.monotonic()
        return seen

    def watch_all(self, seconds: float) -> Seen:
        """Whatever comes in that time."""
        seen = Seen(time.monotonic())
        until = seen.sent_at + seconds
        self._look(seen, lambda message: time.monotonic() > until, seconds, is_patient=True)
        seen.idle_at = time.monotonic()
        return seen

    def cpu(self) -> float:
        """Seconds of CPU that the kernel has used."""
        used = self.process.cpu_times()
        return used.user + used.system

    def close(self) -> None:
        self.kernel.close()

    def _look(
        self,
        seen: Seen,
        is_last: Callable[[dict[str, Any]], bool],
        timeout: float,
        *,
        is_patient: bool = False,
    ) -> None:
        client, until = self.kernel.client, time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            try:
                message = client.get_iopub_msg(timeout=left)
            except queue.Empty:
                break
            now = time.monotonic()
            if message["msg_type"] == "comm_open":
                self._greet(message["content"])
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))
            if message["msg_type"] not in ("status", "execute_input"):
                self._note(seen, message["content"], now)
            if is_last(message):
                return
        if not is_patient:
            raise AssertionError(f"nothing came in {timeout} s")

    def _greet(self, content: dict[str, Any]) -> None:
        if "aid" not in content["data"].get("state", {}):
            return
        data = {"method": "custom", "content": {"op": "hello"}}
        session, channel = self.kernel.client.session, self.kernel.client.shell_channel
        channel.send(session.msg("comm_msg", {"comm_id": content["comm_id"], "data": data}))

    def _note(self, seen: Seen, content: dict[str, Any], now: float) -> None:
        words = json.dumps(content)
        seen.messages.append((now, len(words)))
        for word in STAMP.findall(words):
            if word not in self._words:  # two words of one moment count once
                self._words.add(word)
                seen.lags.append(now - float(word))
                seen.last_stamp = max(seen.last_stamp, float(word))


def _is_idle(message: dict[str, Any], message_id: str) -> bool:
    is_its = message["parent_header"].get("msg_id") == message_id
    state = message["content"].get("execution_state")
    return is_its and message["msg_type"] == "status" and state == "idle"


@contextmanager
def front_end(url: str, folder: str, *, loaded: bool = True) -> Iterator[FrontEnd]:
    """`loaded`: with the extension, and what the first question needs."""
    shown = FrontEnd(url, Path(folder))
    try:
        if loaded:
            shown.run("%load_ext qwen_magic")
        yield shown
    finally:
        shown.close()
