"""What `%load_ext qwen_magic` costs a fresh process, beside importing the openai SDK.

Without bytecode only qwen_magic's own modules have none, as when a new version was installed on a
disk that cannot be written: what is loaded besides stands there compiled.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from .goals import Figure, Figures, benchmark, copied, without

MEASURED = """
import sys, time
heavy = ("httpx2", "markdown_it", "pygments", "ipywidgets", "anywidget")
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "autoreload")  # what loading any extension imports
before = set(sys.modules)
began = time.process_time()
{}
print((time.process_time() - began) * 1000)
print(sum(name in sys.modules and name not in before for name in heavy))
"""
LOAD = 'shell.run_line_magic("load_ext", "qwen_magic")'


@benchmark(2, "load", "`%load_ext qwen_magic` in a fresh process")
def load(quick: bool) -> Figures:
    runs = 7 if quick else 15
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        bare, _ = _measured(LOAD, runs, copied(where, compiled=False))
        environ = copied(where)
        took, imported = _measured(LOAD, runs, environ)
        yield Figure("with bytecode", took, "ms of CPU", at_most=5)
        yield Figure("without bytecode of its own", bare, "ms of CPU", at_most=10)
        yield Figure("heavy packages that it imports", imported, at_most=0)
        missing = list(without("`import openai`", "openai"))
        yield from missing
        if not missing:
            yield Figure("`import openai`", _measured("import openai", 3, environ)[0], "ms of CPU")


def _measured(code: str, runs: int, environ: dict[str, str]) -> tuple[float, int]:
    """CPU milliseconds of `code` in a shell, the median of some runs; and how many of the packages
    that are to wait for the first question it imported."""
    environ = {**environ, "QWEN_MAGIC_WARM_UP": "False"}
    took, imported = [], 0
    for _ in range(runs):
        done = subprocess.run(
            [sys.executable, "-c", MEASURED.format(code)],
            env=environ, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        milliseconds, heavy = done.stdout.split()
        took.append(float(milliseconds))
        imported = int(heavy)
    return statistics.median(took), imported
