"""Measure the goals, beside their peers; fails where one is missed.

    pip install -e ".[test,benchmark]"
    python -m tests.benchmarks [NAME …] [--quick] [--json FILE]

Without a NAME all of them. `--quick`: fewer rounds and smaller texts, to see where one stands.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .goals import Benchmark, Figure, benchmarks, figures

_VERSIONS = ("openai", "httpx2", "markdown-it-py", "pygments", "ipykernel", "jupyterlab", "rich")
_HEAD = "| goal | what | measured | at most | |\n|---|---|---|---|---|"


def main() -> int:
    known = benchmarks()
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", metavar="FILE", type=Path)
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    print(
        f"{_machine()}\n\n| goal | what | measured | at most | |\n|---|---|---|---|---|", flush=True
    )
    found: list[tuple[Benchmark, Figure]] = []
    broken = []
    for name in options.names or known:
        for figure in figures(name, quick=options.quick):
            if figure is None:
                broken.append(name)
                continue
            found.append((known[name], figure))
            print(_row(known[name], figure), flush=True)
    if options.json:
        rows = [figure.as_json(of) for of, figure in found]
        options.json.write_text(json.dumps({"machine": _machine(), "figures": rows}, indent=1))
    return _conclude(found, broken)


def _row(of: Benchmark, figure: Figure) -> str:
    goal = "" if figure.at_most is None else f"{figure.at_most:g}"
    verdict = "" if figure.at_most is None else "missed" if figure.missed else "met"
    value = figure.unit if figure.value is None else f"{_short(figure.value)} {figure.unit}".strip()
    if figure.skipped:
        verdict = "SKIPPED"
    return f"| {of.number or ''} {of.name} | {figure.what} | {value} | {goal} | {verdict} |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _machine() -> str:
    found = []
    for name in _VERSIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} is not installed")
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {_processor()}"
    python = f"Python {platform.python_version()}"
    return ", ".join((time.strftime("%Y-%m-%d"), system, python, *found))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "?")


def _conclude(found: list[tuple[Benchmark, Figure]], broken: list[str]) -> int:
    goals = [(of, figure) for of, figure in found if figure.at_most is not None]
    missed = [f"{of.name}, {figure.what}" for of, figure in goals if figure.missed]
    skipped = [f"{of.name}, {figure.what}: {figure.unit}" for of, figure in found if figure.skipped]
    print(f"\n{len(goals) - len(missed)} of {len(goals)} goals are met.", file=sys.stderr)
    for word, names in (("MISSED", missed), ("SKIPPED", skipped), ("BROKE OFF", broken)):
        for name in names:
            print(f"{word} {name}", file=sys.stderr)
    return bool(missed or broken)


if __name__ == "__main__":
    sys.exit(main())
