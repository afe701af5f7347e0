"""A Markdown stream, as ratios to one whole render of the same text.

Deltas come 100 a second and updates 30 a second, so that an update takes about 3.3 deltas. CPU time
of the process; the whole render is the best of three in the same run.
"""

from __future__ import annotations

import math
import time
from itertools import islice

from qwen_magic.document.markdown import MarkdownStream, render_markdown
from qwen_magic.document.patches import Extend, Patch, Remove

from .corpora import HOSTILE, OTHER, USUAL, deltas, document
from .goals import Figure, Figures, benchmark

DELTAS, UPDATES = 100, 30


def whole(text: str) -> float:
    """Return the CPU seconds of one whole render."""
    best = math.inf
    for _ in range(3):
        start = time.process_time()
        render_markdown(text)
        best = min(best, time.process_time() - start)
    return best


def stream(text: str) -> tuple[float, float, int]:
    """Return the CPU seconds of a stream, those of its longest update, its patches' characters."""
    markdown, spent, longest, sent, due = MarkdownStream(), 0.0, 0.0, 0, 0.0
    pieces = deltas(text)
    while chunk := list(islice(pieces, int(due + DELTAS / UPDATES) - int(due))):
        due += DELTAS / UPDATES
        start = time.process_time()
        for delta in chunk:
            markdown.append(delta)
        patches = markdown.update()
        took = time.process_time() - start
        spent, longest = spent + took, max(longest, took)
        sent += sum(map(characters, patches))
    start = time.process_time()
    sent += sum(map(characters, markdown.finish()))
    return spent + time.process_time() - start, longest, sent


def characters(patch: Patch) -> int:
    """Return how much HTML a patch carries."""
    if isinstance(patch, Remove):
        return 0
    return len(patch.html) + (len(patch.tail) if isinstance(patch, Extend) else 0)


@benchmark(4, "markdown", "a stream at 30 updates a second")
def markdown(quick: bool) -> Figures:
    render_markdown(document("mixed", 20_000))
    for kind in (*USUAL, *OTHER):
        text = document(kind, 20_000 if quick else 40_000)
        spent, longest, _ = stream(text)
        yield Figure(kind, spent / whole(text), "× one render", at_most=8)
        yield Figure(f"{kind}, the longest update", longest * 1e3, "ms")


@benchmark(5, "growth", "what grows with the length of a text")
def growth(quick: bool) -> Figures:
    render_markdown(document("mixed", 20_000))
    small, large = (10_000, 40_000) if quick else (40_000, 200_000)
    for kind in (*USUAL, *OTHER, *HOSTILE):
        low, _, _ = stream(document(kind, small))
        high, longest, _ = stream(text := document(kind, large))
        exponent = math.log(high / low, large / small)
        yield Figure(f"{kind}, exponent", exponent, at_most=1.1)
        yield Figure(f"{kind}, the longest update", longest * 1e3, "ms", at_most=8)
        if kind in HOSTILE:
            most = max(25 * whole(text), 20e-6 * large)
            yield Figure(f"{kind}, of what it may cost", high / most, "×", at_most=1)
