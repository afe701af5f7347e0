"""What measures still fits what is measured. Only that it runs: the figures are `.ci/heavy`'s."""

import subprocess
import sys
from pathlib import Path

CODE = """
from tests.benchmarks.goals import benchmarks

known = benchmarks()
assert len(list(known["history"].measure(True))) == 12
for name in ("parse", "markdown", "fences", "taken back", "payload", "saved", "store"):
    figures = known[name].measure(True)
    assert next(figures).value is not None
    figures.close()
"""


def test_the_benchmarks_run():
    """Those that need neither a kernel nor seconds; of most their first figure."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-W", "error", "-c", CODE]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
