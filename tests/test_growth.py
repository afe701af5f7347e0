"""No text of a stranger costs more than its length: every reader of such texts, with every kind of
text that tries.

Each kind is a few characters, over and over. What is linear takes up to 10 µs a character here, and
what is quadratic over 100 by this length: the bound is far from both. It is a clock's all the same,
so that this is for a machine that does nothing else (`.ci/heavy`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from corpora import HOSTILE, MARKS, document
from fuzz import IS_HEAVY

from qwen_magic.context.cell_text import clean, words_of_html
from qwen_magic.context.interpolation import interpolate
from qwen_magic.context.secrets import Secrets
from qwen_magic.document.links import misleads
from qwen_magic.document.markdown import MarkdownStream, render_markdown
from qwen_magic.document.markdown.written import safe_markdown
from qwen_magic.document.question import Question
from qwen_magic.document.steps import find_error, parse_logs
from qwen_magic.document.words import revealed
from qwen_magic.frontends.plain import line_ends, printable
from qwen_magic.masking import redact, without_named
from qwen_magic.protocol.thinking import ThinkSplitter

LENGTH = 12_000  # characters; half of it where each is read many times
MOST = 50e-6  # seconds of the processor for a character


def stream(text: str) -> None:
    markdown = MarkdownStream()
    for position in range(0, len(text), 40):
        markdown.append(text[position : position + 40])
        markdown.update()
    markdown.finish()


def thinking(text: str) -> None:
    splitter = ThinkSplitter(may_lack_start=True)
    for position in range(0, len(text), 40):
        splitter.feed(text[position : position + 40])
    splitter.close()


READERS: dict[str, Callable[[str], object]] = {
    "one render": render_markdown,
    "streaming": stream,
    "a saved form": safe_markdown,
    "lines of a window": lambda text: line_ends(printable(text), 80),
    "thinking": thinking,
    "the log of a run": lambda text: find_error(parse_logs(text)),
    "a question of approval": lambda text: Question("f", json.dumps({"a": text})).call,
    "a link's words": lambda text: misleads(text, "https://example.com"),
    "hidden characters": revealed,
    "a prompt": lambda text: interpolate(text, {"a": 1}),
    "a cell's output": lambda text: words_of_html(clean(text)),
    "keys": redact,
    "data": without_named,
    "a traceback": Secrets(["hunter2hunter2"]).mask,
    "code in a traceback": lambda text: Secrets(["hunter2hunter2"]).mask(text, code=True),
}


@pytest.mark.skipif(not IS_HEAVY, reason="it is timed")
@pytest.mark.parametrize("reader", READERS)
def test_no_kind_of_text_costs_more_than_its_length(reader: str) -> None:
    read = READERS[reader]
    length = LENGTH // 2 if reader == "streaming" else LENGTH
    texts = {repr(mark): mark * (length // len(mark)) for mark in MARKS}
    texts |= {kind: document(kind, length) for kind in HOSTILE}
    read("A *few* words, `code` and [a link](https://example.com).\n\n| a |\n|---|\n| b |\n")
    costs = {}
    for kind, text in texts.items():
        began = time.process_time()
        read(text)
        costs[kind] = (time.process_time() - began) / len(text)
    assert {kind: f"{cost * 1e6:.0f} µs" for kind, cost in costs.items() if cost > MOST} == {}
