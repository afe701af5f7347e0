"""The child process: runs a lesson's code as a notebook cell. It imports nothing of the package.

Called as `python -I cell.py FOLDER` with an empty environment. In FOLDER is `cell.json` with the
code, the values given to it, and limits; `result.json` and `fig-….png` are left there. The code is
the package's own, or that of a lessons' folder which the user named.
"""

from __future__ import annotations

import json
import linecache
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

FILE = "<cell>"


def set_limits(memory: int, file_size: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: only the parent's clock limits there
        return
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.setrlimit(kind, (limit, limit))
        except (ValueError, OSError):  # macOS refuses an address space limit
            continue


def run_cell(source: str, namespace: dict[str, Any]) -> BaseException | None:
    """Run the code; return the exception it raised, whose traceback is part of the output."""
    linecache.cache[FILE] = (len(source), None, source.splitlines(True), FILE)
    try:
        exec(compile(source, FILE, "exec"), namespace)
    except BaseException as error:
        sys.stdout.flush()
        frames = error.__traceback__.tb_next if error.__traceback__ is not None else None
        traceback.print_exception(type(error), error, frames)
        return error
    return None


def save_figures(folder: Path) -> None:
    """Save the open figures in order; closed ones are not shown."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    for number in pyplot.get_fignums() if pyplot is not None else ():
        path = folder / f"fig-{number:03}.png"
        pyplot.figure(number).savefig(path, dpi=100, bbox_inches="tight")


def plain(value: Any) -> Any:
    """Convert numpy and pandas values for JSON; others become text."""
    for name in ("tolist", "isoformat"):
        if hasattr(value, name):
            return getattr(value, name)()
    return list(value) if isinstance(value, set | frozenset | range) else str(value)


def main() -> int:
    folder = Path(sys.argv[1])
    cell = json.loads((folder / "cell.json").read_text("utf-8"))
    set_limits(*cell["limits"])
    sys.argv[:] = [FILE]
    threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    os.environ.update(dict.fromkeys(threads, "1"), MPLBACKEND="agg", MPLCONFIGDIR=cell["fonts"])
    warnings.filterwarnings("ignore", ".*non-interactive.*")  # of `plt.show()`
    values: dict[str, Any] = {}
    namespace = {"__name__": "__main__", "given": cell["given"], "result": values.update}
    error = run_cell(cell["code"], namespace)
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    save_figures(folder)
    ended = {"values": values, "failed": error is not None, "missing": missing}
    (folder / "result.json").write_text(json.dumps(ended, default=plain), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
