"""Text of the user's made safe to stand in a prompt's line."""

from __future__ import annotations

import re


def fenced(text: str, language: str = "") -> str:
    """`text` as a fenced code block: its fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def printable(text: str) -> str:
    r"""`text` with `\n`, `\x..` and the like for what does not print, as Python writes it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
