"""Runs a lesson's code: a plain subprocess, with limits on time, memory and output.

`python -I`, an empty environment and a temporary folder keep the run from the user's files and
settings by mistake. That is no prison: only code of lessons is run, never any out of a request,
whose values reach it as JSON data.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AT_ONCE = 4
MAX_FIGURES = 20
_TICK = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a run."""

    seconds: float = 20.0
    memory: int = 2 * 1024**3  # bytes of address space
    output: int = 20_000  # bytes of stdout and stderr together
    file_size: int = 32 * 1024**2  # bytes a file, stdout and stderr included


@dataclass(frozen=True, slots=True)
class Run:
    """The outcome of a run.

    `values`: those that the code named with `result(…)`; `logs`: its output as Markdown in the
    service's form, without figures.
    """

    logs: str = ""
    figures: tuple[bytes, ...] = ()  # PNG
    values: dict[str, Any] = field(default_factory=dict)
    failed: bool = False  # an exception, the time limit, or ended by the system
    missing: str = ""  # the package that was not found


class Runner:
    """Runs at most `AT_ONCE` programs at a time; others wait. Thread-safe."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._places = threading.Semaphore(AT_ONCE)
        self._folder = Path(tempfile.mkdtemp(prefix="qwen-demo-"))
        # matplotlib's list of fonts, which takes seconds to make: the user's own, if there is one
        self._fonts = self._folder / "fonts"
        self._fonts.mkdir()
        for file in (Path.home() / ".cache" / "matplotlib").glob("fontlist-*.json"):
            shutil.copy(file, self._fonts)

    def run(self, code: str, given: Mapping[str, Any], go_on: Callable[[], None]) -> Run:
        """Run the code. `go_on` is called repeatedly; if it raises, the run ends and the exception
        is raised.
        """
        while not self._places.acquire(timeout=_TICK):
            go_on()
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            own = self._limits
            limits = (own.memory, own.file_size, int(own.seconds) + 5)
            cell = {"code": code, "given": dict(given), "limits": limits, "fonts": str(self._fonts)}
            (folder / "cell.json").write_text(json.dumps(cell), "utf-8")
            return self._read(folder, self._execute(folder, go_on))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._places.release()

    def _execute(self, folder: Path, go_on: Callable[[], None]) -> bool:
        """Wait for the process; return whether it ended in time."""
        work = folder / "work"
        work.mkdir()
        system = {"SYSTEMROOT": os.environ.get("SYSTEMROOT", "")}
        cell = Path(__file__).with_name("cell.py")
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", str(cell), str(folder)],
                cwd=work,
                env=system if sys.platform == "win32" else {},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + self._limits.seconds
        try:
            while process.poll() is None and time.monotonic() < end:
                go_on()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_TICK)
            return process.returncode is not None
        finally:
            with suppress(ProcessLookupError, PermissionError):  # and all that it started
                if sys.platform == "win32":
                    process.kill()
                else:
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _read(self, folder: Path, in_time: bool) -> Run:
        data, limit = (folder / "output").read_bytes(), self._limits.output
        if len(data) > limit:  # an error stands at the end
            note = f"\n… (cut: {len(data):,} bytes) …\n".encode()
            data = data[: limit // 2] + note + data[-limit // 2 :]
        text = data.decode("utf-8", "replace").replace("\r\n", "\n")
        file = folder / "result.json"
        ended = json.loads(file.read_text("utf-8")) if in_time and file.exists() else None
        blocks = [fenced(text)] if text.strip() else []
        if not in_time:
            blocks.append(f"Timeout. No response after {self._limits.seconds:g} seconds.")
        elif ended is None:
            blocks.append("The run was ended by the system: it used too much memory or time.")
        files = sorted(folder.glob("fig-*.png"))[:MAX_FIGURES]
        return Run(
            "\n\n".join(blocks),
            tuple(each.read_bytes() for each in files),
            ended["values"] if ended else {},
            ended is None or ended["failed"],
            (ended and ended["missing"]) or "",
        )

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def fenced(text: str) -> str:
    """The text in a Markdown code block that it cannot close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"
