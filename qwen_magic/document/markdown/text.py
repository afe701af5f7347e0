"""The text of one block to HTML, without a parse where there is nothing to find."""

from __future__ import annotations

import re

from qwen_magic.document.markdown.inline import inline_html, text_html
from qwen_magic.document.markdown.parser import Env, parse_inline
from qwen_magic.document.markdown.render import PARAGRAPH_OPEN

_MARKS = re.compile(r"[\\`*_~\[<&$]|[ \t]\n|\n[ \t]")
_PARAGRAPH = re.compile(r" {0,3}(?:[^\W\d_]|\*\*[^\s*]|`[^`\s]|\d+(?![\d.)]))")


def is_plain(text: str) -> bool:
    """Tell whether `text` holds no mark that inline Markdown would read."""
    return _MARKS.search(text) is None


def text_to_html(text: str, env: Env) -> str:
    """Return the HTML of inline Markdown."""
    return text_html(text) if is_plain(text) else inline_html(parse_inline(text, env))


def is_paragraph(line: str) -> bool:
    """Tell whether a line, alone, can only be a paragraph, whatever it still grows to."""
    return _PARAGRAPH.match(line) is not None


def paragraph_html(text: str, env: Env, bare: bool = False) -> str:
    """Return the HTML of a paragraph of one line; `bare`: without its element."""
    html = text_to_html(text.strip(), env)
    return html if bare else f"{PARAGRAPH_OPEN}{html}</p>"
