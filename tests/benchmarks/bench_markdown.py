"""A Markdown stream, as ratios to one whole render of the same text.

Deltas come 100 a second and updates 30 a second, so that an update takes about 3.3 deltas. CPU time
of the process; the whole render is the best of three in the same run.
"""

from __future__ import annotations

import gc
import io
import json
import math
import re
import time
import tracemalloc
from collections.abc import Callable
from itertools import islice

from corpora import HOSTILE, OTHER, PROGRAM, USUAL, deltas, document
from markdown_it import MarkdownIt

from qwen_magic.document.markdown import MarkdownStream, render_markdown
from qwen_magic.document.patches import Patch
from qwen_magic.frontends.widget import patch_json

from .goals import Figure, Figures, benchmark, cpu, without

DELTAS, UPDATES = 100, 30
CODE = {
    "python": "".join(PROGRAM),
    "json": '  {"name": "river", "value": 1.5, "ok": true, "tags": ["a", "b"], "none": null},\n',
    "bash": "for f in *.txt; do\n  grep -v '^#' \"$f\" > out/$f.log  # note\ndone\n",
}


def whole(text: str) -> float:
    """Return the CPU seconds of one whole render."""
    best = math.inf
    for _ in range(3):
        start = time.process_time()
        render_markdown(text)
        best = min(best, time.process_time() - start)
    return best


def stream(text: str, runs: int = 1) -> tuple[float, float, int]:
    """Return the CPU seconds of a stream, those of its longest update, its patches' characters.

    Each update is the best of `runs`: what an update always takes is its work, what it took once
    was a pause, for Python's collector of garbage or another process."""
    times, ends, sent = list[list[float]](), list[float](), 0
    for _ in range(runs):
        markdown, sent, due, pieces = MarkdownStream(), 0, 0.0, deltas(text)
        times.append([])
        while chunk := list(islice(pieces, int(due + DELTAS / UPDATES) - int(due))):
            due += DELTAS / UPDATES
            start = time.process_time()
            for delta in chunk:
                markdown.append(delta)
            patches = markdown.update()
            times[-1].append(time.process_time() - start)
            sent += sum(map(characters, patches))
        start = time.process_time()
        sent += sum(map(characters, markdown.finish()))
        ends.append(time.process_time() - start)
    best = [min(each) for each in zip(*times, strict=True)]
    return sum(best) + min(ends), max(best), sent


def characters(patch: Patch) -> int:
    """Return how much HTML a patch carries."""
    return len(getattr(patch, "html", "")) + len(getattr(patch, "tail", ""))


@benchmark(4, "markdown", "a stream at 30 updates a second")
def markdown(quick: bool) -> Figures:
    render_markdown(document("mixed", 20_000))
    for kind in (*USUAL, *OTHER):
        text = document(kind, 20_000 if quick else 40_000)
        spent, longest, _ = stream(text, 2)
        yield Figure(kind, spent / whole(text), "× one render", at_most=8)
        yield Figure(f"{kind}, the longest update", longest * 1e3, "ms")
    yield from _others(document("mixed", 5_000))


def _others(text: str) -> Figures:
    """What else is done with a text that grows, each as ratio to its own whole render."""
    md = MarkdownIt()

    def whole_again(shown: str) -> None:
        md.render(shown)

    start = 0

    def last_block_again(shown: str) -> None:
        nonlocal start
        tokens = md.parse(shown[start:])
        md.renderer.render(tokens, md.options, {})
        if blocks := [token.map[0] for token in tokens if token.map and not token.level][1:]:
            start += sum(map(len, shown[start:].splitlines(keepends=True)[: blocks[-1]]))

    for name, show in (("whole text", whole_again), ("last block", last_block_again)):
        took = _updates(text, show)
        one = cpu(lambda: md.render(text))
        yield Figure(f"mixed, 5 KB, the {name} again", took / one, "× one render of its own")
    missing = list(without("mixed, 5 KB, rich.Live", "rich"))
    yield from missing
    if not missing:
        from rich.console import Console
        from rich.live import Live
        from rich.markdown import Markdown

        console = Console(file=io.StringIO(), force_terminal=True, width=100, height=40)
        one = cpu(lambda: console.print(Markdown(text)))
        with Live(console=console, auto_refresh=False) as live:
            took = _updates(text, lambda shown: live.update(Markdown(shown), refresh=True))
        yield Figure("mixed, 5 KB, rich.Live", took / one, "× one render of its own")


def _updates(text: str, show: Callable[[str], None]) -> float:
    """The CPU seconds of showing a text as it grows, 30 times a second."""
    shown, due, pieces = "", 0.0, deltas(text)
    start = time.process_time()
    while chunk := list(islice(pieces, int(due + DELTAS / UPDATES) - int(due))):
        due += DELTAS / UPDATES
        shown += "".join(chunk)
        show(shown)
    return time.process_time() - start


@benchmark(5, "growth", "what grows with the length of a text")
def growth(quick: bool) -> Figures:
    render_markdown(document("mixed", 20_000))
    small, large = (10_000, 40_000) if quick else (40_000, 200_000)
    for kind in (*USUAL, *OTHER, *HOSTILE):
        low, _, _ = stream(document(kind, small), 3)
        high, longest, _ = stream(text := document(kind, large), 2)
        exponent = math.log(high / low, large / small)
        yield Figure(f"{kind}, exponent", exponent, at_most=1.1)
        yield Figure(f"{kind}, the longest update", longest * 1e3, "ms", at_most=8)
        if kind in HOSTILE:
            most = max(25 * whole(text), 20e-6 * large)
            yield Figure(f"{kind}, of what it may cost", high / most, "×", at_most=1)


@benchmark(6, "fences", "an open fence, as ratio to highlighting its code once")
def fences(quick: bool) -> Figures:
    for language, code in CODE.items():
        text = f"```{language}\n" + code * (10_000 // len(code)) + "```\n"
        spent, _, _ = min(stream(text) for _ in range(3))
        yield Figure(language, spent / whole(text), "× one highlight", at_most=2)


@benchmark(7, "taken back", "updates that take back what was shown")
def taken_back(quick: bool) -> Figures:
    for kind in ("mixed", "paragraph", "list"):
        markdown, shown, taken, updates = MarkdownStream(), "", 0, 0
        pieces = deltas(document(kind, 10_000 if quick else 40_000))
        while chunk := list(islice(pieces, 3)):
            markdown.append("".join(chunk))
            markdown.update()
            before, shown = shown, " ".join(re.sub(r"<[^>]*>", "", markdown.html).split())
            updates, taken = updates + 1, taken + (not shown.startswith(before.rstrip("$")))
        yield Figure(kind, 100 * taken / updates, "%", at_most=0.5)


@benchmark(8, "payload", "what is sent of a stream, to its final HTML")
def payload(quick: bool) -> Figures:
    for size in (5_000, 40_000) if quick else (5_000, 40_000, 200_000):
        markdown, sent, due = MarkdownStream("a4", "a4.0."), 0, 0.0
        pieces = deltas(document("mixed", size))
        while chunk := list(islice(pieces, int(due + DELTAS / UPDATES) - int(due))):
            due += DELTAS / UPDATES
            markdown.append("".join(chunk))
            sent += _size(markdown.update())
        sent += _size(markdown.finish())
        yield Figure(f"{size // 1000} KB", sent / len(markdown.html.encode()), "×", at_most=3)


def _size(patches: list[Patch]) -> int:
    message = {"seq": 100, "p": [patch_json(patch) for patch in patches]}
    return len(json.dumps(message, ensure_ascii=False).encode()) if patches else 0


@benchmark(12, "memory", "what answers leave in memory")
def memory(quick: bool) -> Figures:
    text = document("mixed", 1_000_000)
    stream(document("mixed", 20_000))
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = MarkdownStream()
    for position in range(0, len(text), 400):
        kept.append(text[position : position + 400])
        kept.update()
    kept.finish()
    gc.collect()
    yield Figure("1 MB", (tracemalloc.get_traced_memory()[0] - before) / 1e6, "MB", at_most=10)
    del kept
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for seed in range(10 if quick else 100):
        stream(document("mixed", 40_000, seed))
    gc.collect()
    left = tracemalloc.get_traced_memory()[0] - before
    yield Figure("100 dropped of 40 KB", left / 1e6, "MB", at_most=2)
