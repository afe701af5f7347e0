"""What is measured, and what it may be at most: the register of `python -m tests.benchmarks`.

A benchmark is a generator function in a file `bench_*.py` of this folder; it gives figures as it
finds them:

    @benchmark(1, "parse", "reading a stream")
    def parse(quick: bool) -> Figures:
        yield Figure("over a socket", 7.2, "× json.loads", at_most=6)
        yield Figure("httpx alone", 2.8, "× json.loads")            # told beside it; no goal
        yield from without("chatlas", "chatlas")                    # a peer that is not installed

Figures are ratios taken in one run, or times that a reader notices. Each benchmark runs in a
process of its own, so that none warms up or fills the memory for another.
"""

from __future__ import annotations

import compileall
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))  # kernels, servers, browsers


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `at_most`: its goal; None: it is told for comparison. `value` None: it
    could not be measured, and `unit` says why."""

    what: str
    value: float | None
    unit: str = ""
    at_most: float | None = None

    @property
    def missed(self) -> bool:
        return self.value is not None and self.at_most is not None and self.value > self.at_most

    @property
    def skipped(self) -> bool:
        return self.value is None

    def as_json(self, benchmark: Benchmark) -> dict[str, Any]:
        of = {"goal": benchmark.number, "benchmark": benchmark.name}
        return {**of, **asdict(self), "missed": self.missed}


Figures: TypeAlias = Iterator[Figure]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`number`: of the goal that it belongs to; 0: of none. `about`: what is measured, in words."""

    number: int
    name: str
    about: str
    measure: Callable[[bool], Figures]


_REGISTER: dict[str, Benchmark] = {}


def benchmark(
    number: int, name: str, about: str
) -> Callable[[Callable[[bool], Figures]], Callable[[bool], Figures]]:
    """Register a generator function of `quick` (fewer rounds, smaller texts)."""

    def register(measure: Callable[[bool], Figures]) -> Callable[[bool], Figures]:
        _REGISTER[name] = Benchmark(number, name, about, measure)
        return measure

    return register


def benchmarks() -> dict[str, Benchmark]:
    """All of them by name, in the order of their goals."""
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        import_module(f"{__package__}.{path.stem}")
    last = max(each.number for each in _REGISTER.values()) + 1
    return dict(sorted(_REGISTER.items(), key=lambda item: item[1].number or last))


def figures(name: str, *, quick: bool) -> Iterator[Figure | None]:
    """The figures of one benchmark, out of a process of its own; None where that broke off."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(name, quick, sender))
    process.start()
    sender.close()
    try:
        while (figure := receiver.recv()) is not None:
            yield figure
    except EOFError:
        yield None
    process.join()


def _measure(name: str, quick: bool, sender: Connection) -> None:
    for figure in benchmarks()[name].measure(quick):
        sender.send(figure)
    sender.send(None)


def without(what: str, *modules: str) -> Figures:
    """A skipped figure where one of a peer's modules is not installed, else none."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        yield Figure(what, None, f"{', '.join(missing)} is not installed (extra `benchmark`)")


def copied(where: Path, *, compiled: bool = True) -> dict[str, str]:
    """The environment for a process that imports a copy of the package in `where`, with bytecode as
    after an installation, or without. Nothing is written beside the sources."""
    to = where / "qwen_magic"
    if not to.exists():
        root, unwritten = Path(__file__).parents[2], shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / "qwen_magic", to, ignore=unwritten)
    if compiled:
        compileall.compile_dir(to, quiet=1)
    return {**os.environ, "PYTHONPATH": str(where), "PYTHONDONTWRITEBYTECODE": "1"}


def cpu(action: Callable[[], object], runs: int = 5) -> float:
    """Seconds of the process's CPU time, the best of `runs`."""
    best = float("inf")
    for _ in range(runs):
        began = time.process_time()
        action()
        best = min(best, time.process_time() - began)
    return best


def quantile(values: list[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
