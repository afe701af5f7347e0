"""A real kernel without a front end: cells in, outputs and replies out."""

import html
import json
import os
import queue
import re
import sys
import time
from dataclasses import dataclass, field

from canaries import note
from fuzz import patience
from jupyter_client import KernelManager

OTHER_PYTHON = os.environ.get("QWEN_MAGIC_OTHER_PYTHON", "")
PYTHONS = {"this": sys.executable, **({"other": OTHER_PYTHON} if OTHER_PYTHON else {})}


def fresh_environ(folder) -> dict[str, str]:
    """An environment without a key, in which conversations begin anew with each loading."""
    environ = {**os.environ, "IPYTHONDIR": str(folder), "QWEN_MAGIC_KEEP": "False"}
    for name in ("DASHSCOPE_API_KEY", "DASHSCOPE_BASE_URL"):
        environ.pop(name, None)
    return environ


@dataclass
class Ran:
    """What one execution gave."""

    status: str = ""
    stdout: str = ""
    stderr: str = ""
    result: dict = field(default_factory=dict)  # the mime bundle of Out[n]
    displays: list = field(default_factory=list)  # (transient, data, metadata), updates too
    traceback: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def final(self):
        """The last state of the only display, but for figures that LaTeX alone shows."""
        return next(data for _, data, _ in reversed(self.displays) if "text/plain" in data)


class Kernel:
    """One kernel process."""

    def __init__(self, python: str, environ: dict[str, str], cwd: str | None = None) -> None:
        self.manager = KernelManager()
        spec = self.manager.kernel_spec
        quiet = "--log-level=ERROR"  # each kernel would warn that its TCP is not encrypted
        spec.argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}", quiet]
        self.manager.start_kernel(env=environ, cwd=cwd)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=patience(60))

    def send(self, code: str, cell_id: str = "", *, stdin: bool = False, **metadata) -> str:
        """Begin to execute; the message id. `stdin`: the front end takes input; `metadata`: what
        else it says of the cell."""
        message = self.client.session.msg(
            "execute_request",
            {"code": code, "silent": False, "store_history": True, "user_expressions": {},
             "allow_stdin": stdin, "stop_on_error": True},
        )  # fmt: skip
        message["metadata"].update(metadata, cellId=cell_id)
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def collect(self, message_id: str, timeout: float = 60.0) -> Ran:
        """Wait for the end of an execution."""
        ran, began, timeout = Ran(), time.monotonic(), patience(timeout)
        while time.monotonic() - began < timeout:
            try:
                message = self.client.get_iopub_msg(timeout=timeout)
            except queue.Empty:
                break
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content, kind = message["content"], message["msg_type"]
            if kind != "execute_input":  # what a test typed itself
                note(f"{kind} of a kernel", content)
            if kind == "stream":
                setattr(ran, content["name"], getattr(ran, content["name"]) + content["text"])
            elif kind in ("display_data", "update_display_data"):
                ran.displays.append((content["transient"], content["data"], content["metadata"]))
            elif kind == "execute_result":
                ran.result = content["data"]
            elif kind == "error":
                ran.traceback = content["traceback"]
            elif kind == "status" and content["execution_state"] == "idle":
                ran.status = self._reply(message_id)["status"]
                ran.seconds = time.monotonic() - began
                return ran
        raise AssertionError(f"the execution did not end in {timeout} s: {ran}")

    def _reply(self, message_id: str) -> dict:
        while True:
            reply = self.client.get_shell_msg(timeout=patience(10))
            if reply["parent_header"].get("msg_id") == message_id:
                return reply["content"]

    def display_of(self, message_id: str, shows, timeout: float = 30.0) -> dict:
        """The first data of a display of that execution, also after its end, that `shows`."""
        deadline = time.monotonic() + patience(timeout)
        while time.monotonic() < deadline:
            try:
                message = self.client.get_iopub_msg(timeout=1.0)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") == message_id:
                data = message["content"].get("data", {})
                if isinstance(data, dict) and shows(data):
                    return data
        raise AssertionError(f"no such display in {timeout} s")

    def run(self, code: str, cell_id: str = "", timeout: float = 60.0) -> Ran:
        return self.collect(self.send(code, cell_id), timeout)

    def ok(self, code: str, cell_id: str = "") -> Ran:
        ran = self.run(code, cell_id)
        assert ran.status == "ok", ran.traceback
        return ran

    def forget(self) -> None:
        """Forget all names. `%reset` has garbage looked for: among what is new, or it would take
        half a second where pandas and matplotlib were imported."""
        self.ok("import gc\ngc.freeze()\n%reset -f")

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def complete(self, code: str, cursor: int | None = None) -> list[str]:
        cursor = len(code) if cursor is None else cursor
        reply = self.client.complete(code, cursor, reply=True, timeout=20)
        return reply["content"]["matches"]

    def close(self) -> float:
        """Shut down; how long that took, in seconds."""
        began = time.monotonic()
        self.client.shutdown()
        self.manager.finish_shutdown()
        took = time.monotonic() - began
        self.client.stop_channels()
        self.manager.cleanup_resources()
        return took


def request_in(shown):
    """The request to the letter, out of the page of a dry run."""
    found = re.search(r"as JSON</summary>.*?<pre[^>]*>(.*?)</pre>", shown["text/html"])
    return json.loads(html.unescape(found[1]))
