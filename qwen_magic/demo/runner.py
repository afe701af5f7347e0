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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AT_ONCE = 4
MAX_FIGURES = 20
_TICK = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use."""

    seconds: float = 20.0
    memory: int = 2 * 1024**3  # bytes of address space
    output: int = 20_000  # characters of stdout, and as many of stderr
    file_size: int = 32 * 1024**2  # bytes a file, stdout and stderr included


@dataclass(frozen=True, slots=True)
class Run:
    """What a run gave. `values`: what it named with `result(…)`. `logs`: Markdown, as the service
    writes it, without the figures."""

    logs: str = ""
    figures: tuple[bytes, ...] = ()  # PNG
    values: dict[str, Any] = field(default_factory=dict)
    failed: bool = False  # an exception, the time limit, or ended by the system
    missing: str = ""  # the package that was not found


class Runner:
    """Runs at most `AT_ONCE` at a time; the others wait. May be called from any thread."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._places = threading.Semaphore(AT_ONCE)
        self._cache: Path | None = None  # matplotlib's list of fonts, which takes seconds to make
        self._lock = threading.Lock()

    def run(self, code: str, given: Mapping[str, Any], go_on: Callable[[], None]) -> Run:
        """`go_on` is called again and again meanwhile: what it raises ends the run, and comes out
        of here."""
        while not self._places.acquire(timeout=_TICK):
            go_on()
        folder = Path(tempfile.mkdtemp(prefix="qwen-demo-run-"))
        try:
            cell = json.dumps({"code": code, "given": dict(given)})
            (folder / "cell.json").write_text(cell, "utf-8")
            return self._read(folder, self._execute(folder, go_on))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            self._places.release()

    def _execute(self, folder: Path, go_on: Callable[[], None]) -> bool:
        """Whether it ended by itself in time."""
        limits = self._limits
        numbers = (limits.memory, limits.file_size, int(limits.seconds) + 5)
        work = folder / "work"
        work.mkdir()
        system = {"SYSTEMROOT": os.environ.get("SYSTEMROOT", "")}
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-X", "utf8", str(Path(__file__).with_name("cell.py"))),
                    *(str(folder), str(self._cache_folder()), *map(str, numbers)),
                ],
                cwd=work,
                env=system if sys.platform == "win32" else {},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        end = time.monotonic() + limits.seconds
        try:
            while process.poll() is None and time.monotonic() < end:
                go_on()
                try:
                    process.wait(_TICK)
                except subprocess.TimeoutExpired:
                    pass
            return process.returncode is not None
        finally:
            _kill(process)
            process.wait()

    def _read(self, folder: Path, in_time: bool) -> Run:
        stdout, stderr = self._output(folder / "stdout"), self._output(folder / "stderr")
        file = folder / "result.json"
        ended = json.loads(file.read_text("utf-8")) if in_time and file.exists() else None
        blocks = [fenced(text) for text in (stdout, stderr) if text.strip()]
        if not in_time:
            blocks.append(f"Timeout. No response after {self._limits.seconds:g} seconds.")
        elif ended is None and not stderr.strip():
            blocks.append("The run was ended by the system: it used too much memory or time.")
        files = sorted(folder.glob("fig-*.png"))[:MAX_FIGURES]
        return Run(
            "\n\n".join(blocks),
            tuple(each.read_bytes() for each in files),
            ended["values"] if ended else {},
            ended is None or ended["failed"],
            (ended and ended["missing"]) or "",
        )

    def _output(self, path: Path) -> str:
        """What was written: the beginning, or of errors the end, where the last line tells most."""
        limit, size = self._limits.output, path.stat().st_size
        with path.open("rb") as file:
            if path.name == "stderr":
                file.seek(max(0, size - limit))
            text = file.read(4 * limit).decode("utf-8", "replace").replace("\r\n", "\n")
        if path.name == "stderr":
            return text if size <= limit else f"…\n{text}"
        note = f"\n… (cut: {size:,} bytes)\n"
        return text if len(text) <= limit and size <= 4 * limit else text[:limit] + note

    def _cache_folder(self) -> Path:
        """With the user's own list of fonts, if there is one."""
        with self._lock:
            if self._cache is None:
                self._cache = Path(tempfile.mkdtemp(prefix="qwen-demo-fonts-"))
                for file in (Path.home() / ".cache" / "matplotlib").glob("fontlist-*.json"):
                    shutil.copy(file, self._cache)
            return self._cache

    def close(self) -> None:
        if self._cache is not None:
            shutil.rmtree(self._cache, ignore_errors=True)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The run and all that it started, also after its end."""
    try:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def fenced(text: str) -> str:
    """The text as a Markdown fence that it cannot end."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"
