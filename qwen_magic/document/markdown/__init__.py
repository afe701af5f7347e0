"""Markdown to safe HTML, whole or while it arrives.

`parser` says what our Markdown is (CommonMark, tables, strikethrough; `maths` and `citations` add
rules); `render` turns its tokens into HTML, `links` decides what may be linked or shown.
`render_markdown` is one whole render, `MarkdownStream` the same text piece by piece.
"""

from __future__ import annotations

from qwen_magic.document.markdown.block import MarkdownBlock
from qwen_magic.document.markdown.parser import render_markdown
from qwen_magic.document.markdown.stream import MarkdownStream

__all__ = ["MarkdownBlock", "MarkdownStream", "render_markdown"]
