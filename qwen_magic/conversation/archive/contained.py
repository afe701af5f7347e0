"""Somebody's Markdown made to stay where it is put, in a document that others continue.

Raw HTML becomes text, as the notebook shows it (an unclosed comment would swallow what follows).
Images become links: whoever opens the document would load them, and a page that the model read
could have chosen their addresses. A fence that is left open is closed. Code stays to the letter.
"""

from __future__ import annotations

import re
from typing import Final

from qwen_magic.document.markdown.parser import parse_structure

# In this order: what is escaped already, a code span, an address in angle brackets, then the
# beginnings of a tag and of an image. A code span that goes over lines is taken for text.
_INLINE: Final = re.compile(
    r"\\[<!\\`]|(?<!`)(?P<ticks>`+)(?!`).*?[^`](?P=ticks)(?!`)|<(?:https?://|mailto:)[^\s<>]*>"
    r"|(?P<tag><(?=[A-Za-z/!?]))|(?P<image>!(?=\[))"
)


def contained(markdown: str) -> str:
    """`markdown` with its meaning, but closed, and without HTML and images."""
    lines = markdown.strip("\n").replace("\r\n", "\n").split("\n")
    code: set[int] = set()
    closing = ""
    for token in parse_structure("\n".join(lines)):
        if token.type in ("fence", "code_block") and token.map is not None:
            first, after = token.map
            code.update(range(first, after))
            is_open = token.type == "fence" and not _closes(lines[after - 1], token.markup)
            if is_open or (after - first == 1 and token.type == "fence"):
                closing = token.markup if token.level == 0 and after == len(lines) else ""
    kept = [line if number in code else _as_text(line) for number, line in enumerate(lines)]
    return "\n".join([*kept, closing] if closing else kept)


def quoted(markdown: str) -> str:
    """The same as a quotation."""
    return "\n".join(f"> {line}".rstrip() for line in contained(markdown).split("\n"))


def _closes(line: str, markup: str) -> bool:
    bare = line.strip(" >\t")
    return len(bare) >= len(markup) and not bare.strip(markup[0])


def _as_text(line: str) -> str:
    return _INLINE.sub(_replaced, line)


def _replaced(found: re.Match[str]) -> str:
    if found["tag"]:
        return "&lt;"
    return "\\!" if found["image"] else found[0]
