"""What a reader waits for in a kernel: the request of a cell, the first word, the end, other cells.

Times are those of a front end in another process, from the moment when the server wrote a word to
the moment when the message that shows it was there. A shared machine disturbs them: the middle of
many is told, and a peer in the same run.
"""

from __future__ import annotations

import statistics
import tempfile
import time

from .front_end import NAIVE, FrontEnd, front_end
from .goals import Figure, Figures, benchmark, quantile, without
from .sse_server import paced, sse_server

SHORT = paced(rate=0, deltas=3)


@benchmark(3, "request", "from a cell to its request")
def request(quick: bool) -> Figures:
    first, warm, slower = [], [], []
    with sse_server() as server, tempfile.TemporaryDirectory() as folder:
        for _ in range(3 if quick else 7):
            with front_end(server.url, folder, loaded=False) as shown:
                shown.run("1")
                loaded = shown.run("%load_ext qwen_magic")
                shown.ask(SHORT)
                first.append(server.arrivals()[-1] - loaded.idle_at)
        with front_end(server.url, folder) as shown:
            shown.ask(SHORT)
            for _ in range(10 if quick else 40):
                sent = shown.ask(SHORT).sent_at
                warm.append(server.arrivals()[-1] - sent)
        for _ in range(3 if quick else 7):
            with front_end(server.url, folder, loaded=False) as shown:
                before = _slowest(shown)
                shown.run("%load_ext qwen_magic")
                slower.append(_slowest(shown) - before)
    yield Figure("warm", statistics.median(warm) * 1e3, "ms", at_most=10)
    yield Figure("the first, at once after load", statistics.median(first) * 1e3, "ms", at_most=200)
    worst = statistics.median(slower) * 1e3
    yield Figure("the slowest cell of the first second, slower by", worst, "ms", at_most=10)


def _slowest(shown: FrontEnd) -> float:
    """The longest time of a trivial cell within a second."""
    took, began = [], time.monotonic()
    while time.monotonic() - began < 1.0:
        seen = shown.run("1")
        took.append(seen.idle_at - seen.sent_at)
    return max(took)


@benchmark(9, "wait", "from the server's write to the front end")
def wait(quick: bool) -> Figures:
    answers = 12 if quick else 60
    with sse_server() as server, tempfile.TemporaryDirectory() as folder:
        with front_end(server.url, folder) as shown:
            for rate in (100, 1500):
                first, end = _waits(
                    shown, f"%%qwen --new -m {paced(rate=rate, deltas=30)}\nx", answers
                )
                of = f"at {rate:,} a second"
                yield Figure(f"the first word {of}, p50", quantile(first, 0.5), "ms", at_most=3)
                yield Figure(f"the first word {of}, p99", quantile(first, 0.99), "ms", at_most=15)
                goal = 15 if rate == 100 else None
                yield Figure(f"last byte to idle {of}", statistics.median(end), "ms", at_most=goal)
            yield from _burst(shown, server, quick)
        missing = list(without("openai and update_display", "openai"))
        yield from missing
        if not missing:
            with front_end(server.url, folder, loaded=False) as shown:
                shown.run(NAIVE.format(url=server.url))
                first, end = _waits(shown, f"naive({paced(rate=100, deltas=30)!r})", answers)
                of = "with openai and update_display"
                yield Figure(f"the first word {of}, p50", quantile(first, 0.5), "ms")
                yield Figure(f"the first word {of}, p99", quantile(first, 0.99), "ms")
                yield Figure(f"last byte to idle {of}", statistics.median(end), "ms")


def _waits(shown: FrontEnd, code: str, answers: int) -> tuple[list[float], list[float]]:
    """Milliseconds to the first word, and from the last byte to the cell's end."""
    shown.run(code)
    first, end = [], []
    for _ in range(answers):
        seen = shown.run(code)
        first.append(seen.lags[0] * 1e3)
        end.append((seen.idle_at - seen.last_stamp) * 1e3)
    return first, end


def _burst(shown: FrontEnd, server, quick: bool) -> Figures:
    size, took = 40_000, []
    for _ in range(3 if quick else 9):
        idle = shown.ask(paced(rate=0, kind="mixed", size=size)).idle_at
        took.append((idle - server.arrivals()[-1]) * 1e3 / (size / 1000))
    yield Figure("a burst of 40 KB, to idle", statistics.median(took), "ms a KB", at_most=2.5)


@benchmark(10, "burst", "CPU of the kernel for a burst of 40 KB")
def burst(quick: bool) -> Figures:
    model, runs = paced(rate=0, kind="mixed", size=40_000), 3 if quick else 7
    with sse_server() as server, tempfile.TemporaryDirectory() as folder:
        with front_end(server.url, folder) as shown:
            ours = _cpu(shown, f"%%qwen --new -m {model}\nx", runs)
        yield Figure("%%qwen", ours * 1e3, "ms")
        missing = list(without("of openai and update_display", "openai"))
        yield from missing
        if not missing:
            with front_end(server.url, folder, loaded=False) as shown:
                shown.run(NAIVE.format(url=server.url))
                naive = _cpu(shown, f"naive({model!r})", min(runs, 3))
            yield Figure("openai and update_display", naive * 1e3, "ms")
            yield Figure("%%qwen, of openai and update_display", ours / naive, "×", at_most=1 / 20)


def _cpu(shown: FrontEnd, code: str, runs: int) -> float:
    shown.run(code)
    took = []
    for _ in range(runs):
        before = shown.cpu()
        shown.run(code)
        took.append(shown.cpu() - before)
    return min(took)


@benchmark(14, "many", "50 answers in the background at 100 deltas a second")
def many(quick: bool) -> Figures:
    seconds = 3.0 if quick else 8.0
    with (
        sse_server() as server,
        tempfile.TemporaryDirectory() as folder,
        front_end(server.url, folder) as shown,
    ):
        shown.ask(SHORT)
        model = paced(rate=100, deltas=int(100 * (seconds * 2 + 6)))
        for number in range(50):
            shown.run(f"%%qwen --bg -c c{number} -m {model}\nTell me")
        shown.watch_all(1.0)
        before = shown.cpu()
        seen = shown.watch_all(seconds)
        took = seen.idle_at - seen.sent_at
        used = (shown.cpu() - before) / took
        lags, rate = [lag * 1e3 for lag in seen.lags], len(seen.messages) / took
        cells = []
        for _ in range(10):
            cell = shown.run("1")
            cells.append((cell.idle_at - cell.sent_at) * 1e3)
            shown.watch_all(seconds / 10)
    yield Figure("messages a second", rate, at_most=300)
    yield Figure("of a core", used * 100, "%", at_most=60)
    yield Figure("a word's lag, p50", quantile(lags, 0.5), "ms")
    yield Figure("a word's lag, p95", quantile(lags, 0.95), "ms", at_most=100)
    yield Figure("a cell `1` meanwhile", statistics.median(cells), "ms", at_most=50)
