"""Costs of a Markdown stream, as ratios to one whole render.

    python tests/benchmarks/bench_markdown.py [--sizes 40000 200000] [--kinds mixed table …]

Deltas come 100 a second and updates 30 a second, so that an update takes about 3.3 deltas. CPU time
of the process; the whole render is the best of three in the same run. Columns: the stream with its
`finish`, the longest update in ms, patches' HTML to final HTML, and for each kind the exponent of
growth between the smallest and the largest size.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from corpora import HOSTILE, OTHER, USUAL, deltas, document

from qwen_magic.document.markdown import MarkdownStream, render_markdown
from qwen_magic.document.patches import Extend, Patch, Remove

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[40_000, 200_000])
    parser.add_argument("--kinds", nargs="+", default=[*USUAL, *OTHER, *HOSTILE])
    options = parser.parse_args()
    render_markdown(document("mixed", 20_000))
    print(f"{'kind':18}{'size':>9}{'render ms':>11}{'stream ×':>10}{'max ms':>8}{'HTML ×':>8}")
    for kind in options.kinds:
        costs: list[tuple[int, float]] = []
        for size in options.sizes:
            text = document(kind, size)
            once = whole(text)
            spent, longest, sent = stream(text)
            costs.append((size, spent))
            html = len(render_markdown(text))
            print(
                f"{kind:18}{size:9}{once * 1e3:11.1f}{spent / once:10.1f}"
                f"{longest * 1e3:8.1f}{sent / max(1, html):8.1f}",
                flush=True,
            )
        if len(costs) > 1:
            (small, low), (large, high) = costs[0], costs[-1]
            print(f"{kind:18}grows with exponent {math.log(high / low, large / small):.2f}")


if __name__ == "__main__":
    main()
