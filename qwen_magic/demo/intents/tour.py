"""A long Markdown answer with every kind of block, at a readable pace."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from qwen_magic.demo.steps import Think, Work
from qwen_magic.demo.turn import Turn

_ASKS = re.compile(
    r"\btour\b|what (?:else )?can you do|show me what you|what do you do|show (?:me )?everything"
    r"|\bmarkdown\b|long answer|\bdemonstrat",
    re.IGNORECASE,
)


def matches(turn: Turn) -> bool:
    return bool(_ASKS.search(turn.prompt))


def work(turn: Turn) -> Work:
    yield Think(
        "The user wants to see what an answer can look like. I walk through text, lists, a table, "
        "code and mathematics, one section each, and end with things to try."
    )
    return tour_text()


@cache
def tour_text() -> str:
    return Path(__file__).with_name("tour.md").read_text("utf-8").strip()
