"""A real model on this machine: its weights, fetched when the user says so, and its server.

%qwen_local qwen       hub.fetch_weights -> a GGUF file in the user's data folder
%qwen_local FILE.gguf  LocalServer -> program.py in a process of its own -> /v1/responses
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

from qwen_magic.errors import UsageError

_PROGRAM: Final = Path(__file__).with_name("program.py")
# A line of llama.cpp's log: `0.00.016.773 E gguf_init_from_reader: invalid magic characters: …`
_ERROR_LINE: Final = re.compile(r"^[\d.]+ E +(?:\w+ +)?\w+: (.+)", re.MULTILINE)


class LocalServer:
    """Serves the model in `weights`, a GGUF file, on 127.0.0.1 from `start` to `close`.

    Why a process, where xllamacpp could serve out of a thread of the kernel: what llama.cpp does
    with bad weights or too little memory is an abort, which must not take the kernel and its
    variables along; unloading gives all memory back; and the process is in a session of its own,
    so that ■, which interrupts the kernel's whole process group, leaves it alone. It ends with the
    kernel, however that ends: its stdin closes.

    `model` is the file's name without its ending, `key` what requests must bear (made for each
    server: other programs and web pages of this machine do not have it), `tokens_per_second` the
    speed of four tokens, measured at the start.
    """

    def __init__(self, weights: Path, threads: int = 1) -> None:
        self.weights = weights
        self.threads = threads
        self.model = weights.stem
        self.key = secrets.token_urlsafe(24)
        self.base_url = ""
        self.tokens_per_second = 0.0
        self._pid = os.getpid()
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[bytes] | None = None

    def start(self) -> None:
        """Load the weights and begin to serve; waits until it does. Raises `UsageError` where
        xllamacpp or the file is missing, or the weights cannot be loaded."""
        if find_spec("xllamacpp") is None:
            raise UsageError(
                "A model of this machine needs the library xllamacpp.",
                hint='Install it: %pip install "qwen-magic[local]"',
            )
        if not self.weights.is_file():
            raise UsageError(f"There is no file {self.weights}.", hint="Give a GGUF file.")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        self._process = process = subprocess.Popen(
            # -P: no folder of scripts, nor the working folder, is searched for modules.
            [sys.executable, "-P", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        given = {
            "weights": str(self.weights),
            "model": self.model,
            "threads": self.threads,
            "key": self.key,
        }
        try:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            said = process.stdout.readline()
        except BrokenPipeError:
            said = ""
        except BaseException:  # an interrupt while it loads
            self.close()
            raise
        if not said:
            why = self._why()
            self.close()
            raise UsageError(f"{self.weights.name} cannot be loaded.", why=why)
        ready = json.loads(said)
        self.base_url = f"{ready['url']}/v1"
        self.tokens_per_second = ready["tokens_per_second"]

    def check(self) -> None:
        """Raises `UsageError` where the process has ended by itself."""
        if self._process is not None and (status := self._process.poll()) is not None:
            raise UsageError(
                f"The server of the local model {self.model} has ended (exit status {status}).",
                why=self._why(),
                hint=f"Start it again: %qwen_local {self.weights}",
            )

    def close(self) -> None:
        """End the process; an answer that it is writing is cut. Idempotent. In a forked child the
        process is left alone: it is the parent's."""
        process, self._process = self._process, None
        if process is not None and self._pid == os.getpid():
            process.kill()
            process.communicate()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _why(self) -> str:
        """Of a process that has ended, or is about to: llama.cpp's first error, which the
        others follow from; else the last line."""
        assert self._process is not None
        assert self._log is not None
        self._process.wait()
        self._log.seek(0)
        log = self._log.read().decode("utf-8", "replace")
        if found := _ERROR_LINE.search(log):
            return found[1]
        return (log.strip().splitlines() or [""])[-1]
