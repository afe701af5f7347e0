"""One run of Python in a subprocess, with what came of it as the service's logs.

The child gets a temporary folder, an environment without anything of the parent's, limits on
time, memory and output (`boot.py` sets what it must set itself), and no network: namespaces of its
own where the system permits them (`unshare`), and an audit hook everywhere. As in the real sandbox
nothing is kept between two runs.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

_HERE = Path(__file__).parent
MAX_FIGURES = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use."""

    seconds: float = 20.0
    memory: int = 2 * 1024**3  # bytes of address space
    output: int = 20_000  # characters of stdout, and as many of stderr
    file_size: int = 32 * 1024**2  # bytes a file, stdout and stderr included


@dataclass(frozen=True, slots=True)
class Run:
    """What a run gave. `logs` is Markdown, as the service writes it."""

    stdout: str = ""
    stderr: str = ""
    figures: tuple[bytes, ...] = ()  # PNG
    timed_out: bool = False
    failed: bool = False  # an exception, the time limit, or ended by the system
    logs: str = ""


FigureUrl: TypeAlias = Callable[[bytes], str]


class PythonRun:
    """One run: `wait` in a worker thread, `kill` from any."""

    def __init__(self, code: str, cache_folder: Path, limits: Limits) -> None:
        self._limits = limits
        self._folder = Path(tempfile.mkdtemp(prefix="qwen-demo-run-"))
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._cache = cache_folder
        (self._folder / "cell.py").write_text(code, "utf-8", "replace")

    def wait(self, figure_url: FigureUrl) -> Run:
        """Start, wait until it ends or its time is over, and collect what came."""
        try:
            status = self._execute()
            return self._collect(figure_url, status)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            self._kill_group()

    def _execute(self) -> int | None:
        """The exit status: 0 for success, None when the time was over."""
        work, home = self._folder / "work", self._folder / "home"
        work.mkdir()
        home.mkdir()
        with (
            (self._folder / "stdout").open("wb") as stdout,
            (self._folder / "stderr").open("wb") as stderr,
        ):
            with self._lock:
                if self._killed:
                    return 1
                self._process = subprocess.Popen(
                    [
                        *isolation(),
                        sys.executable,
                        "-P",
                        str(_HERE / "boot.py"),
                        *self._arguments(),
                    ],
                    cwd=work,
                    env=self._environment(home),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    start_new_session=True,
                )
            try:
                return self._process.wait(self._limits.seconds)
            except subprocess.TimeoutExpired:
                return None
            finally:
                with self._lock:
                    self._kill_group()
                self._process.wait()

    def _arguments(self) -> list[str]:
        limits = self._limits
        numbers = (limits.memory, limits.file_size, int(limits.seconds) + 5)
        return [str(self._folder), str(self._cache), *map(str, numbers)]

    def _environment(self, home: Path) -> dict[str, str]:
        """Nothing of the parent's environment but where the system needs it."""
        environment = {
            "PATH": os.defpath,
            "HOME": str(home),
            "TMPDIR": str(self._folder / "work"),
            "LANG": "C.UTF-8",
            "PYTHONUTF8": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUSERBASE": site.getuserbase(),
            "MPLBACKEND": "module://qwen_demo_figures",
            "MPLCONFIGDIR": str(self._cache),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        if sys.platform == "win32":
            environment["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
        return environment

    def _kill_group(self) -> None:
        """Also after the end: what the code started ends with it. Holds `_lock`."""
        if self._process is None:
            return
        if sys.platform == "win32":
            self._process.kill()
            return
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def _collect(self, figure_url: FigureUrl, status: int | None) -> Run:
        stdout = self._read("stdout")
        stderr = self._read("stderr")
        files = sorted((self._folder / "figures").glob("fig-*.png"))[:MAX_FIGURES]
        figures = tuple(file.read_bytes() for file in files)
        blocks = [fenced(text) for text in (stdout, stderr) if text.strip()]
        if status is None:
            blocks.append(f"Timeout. No response after {self._limits.seconds:g} seconds.")
        elif status and not stderr.strip():
            blocks.append("The run was ended by the system: it used too much memory or time.")
        for number, figure in enumerate(figures, 1):
            blocks.append(f"![fig-{number:03}]({figure_url(figure)})")
        logs = "\n\n".join(blocks)
        return Run(stdout, stderr, figures, status is None, status != 0, logs)

    def _read(self, name: str) -> str:
        path = self._folder / name
        if not path.exists():
            return ""
        limit = self._limits.output
        with path.open("rb") as file:
            data = file.read(4 * limit + 4)
        text = data.decode("utf-8", "replace").replace("\r\n", "\n")
        if len(text) <= limit and len(data) == path.stat().st_size:
            return text
        note = f"\n… (cut: {path.stat().st_size:,} bytes)\n"
        if name == "stdout":
            return text[:limit] + note
        return self._tail(path) if len(text) > limit else text

    def _tail(self, path: Path) -> str:
        """The end of it, where a traceback's last line stands."""
        limit = self._limits.output
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - limit))
            return "…\n" + file.read().decode("utf-8", "replace")


def fenced(text: str) -> str:
    """The text as a Markdown fence that it cannot end."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}\n{text.rstrip()}\n{fence}"


@cache
def isolation() -> tuple[str, ...]:
    """The command that runs another without network or other processes, if there is one."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return ()
    net = (unshare, "--map-root-user", "--net")
    alone = (*net, "--pid", "--fork", "--kill-child", "--mount-proc")
    for command in (alone, net):
        try:
            done = subprocess.run(
                [*command, "true"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=5,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return command
    return ()


def new_cache_folder() -> Path:
    """A folder for matplotlib's font list, with the user's own list if there is one: making it anew
    takes longer than a plot."""
    folder = Path(tempfile.mkdtemp(prefix="qwen-demo-fonts-"))
    for file in (Path.home() / ".cache" / "matplotlib").glob("fontlist-*.json"):
        shutil.copy(file, folder)
    return folder
