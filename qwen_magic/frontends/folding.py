"""Long code, folded: the first lines stay in sight, the rest is behind "62 more lines".

Two blocks under one bar, the second in a `<details>`: it folds where nothing but HTML is left, and
reads as one block where not even that is. widget.js does the same to code on a live page.
"""

from __future__ import annotations

import re
from typing import Final

from qwen_magic.document.words import counted

LONGEST: Final = 40  # lines that are shown whole
_BLOCK: Final = re.compile(r'(<pre class="qm-pre"[^>]*><code>)(.*?)(</code></pre>)', re.DOTALL)
# The highlighter closes what it opens at the end of each line, behind the newline.
_FIRST: Final = re.compile(rf"(?:[^\n]*\n(?:</\w+>)*){{{LONGEST}}}")

_TAG: Final = re.compile(r"<[^>]*>")


def fold_long_code(html: str) -> str:
    """`html` with each code block of more than `LONGEST` lines folded."""
    return _BLOCK.sub(_folded, html)


def _folded(block: re.Match[str]) -> str:
    opening, code, closing = block.groups()
    first = _FIRST.match(code)
    rest = code[first.end() :] if first else ""
    if first is None or not rest:
        return block[0]
    count = len(_TAG.sub("", rest).rstrip("\n").split("\n"))
    return (
        f"{opening}{first[0]}{closing}"
        f'<details class="qm-more"><summary class="qm-more-head">{counted(count, "more line")}'
        f"</summary>{opening}{rest}{closing}</details>"
    )
