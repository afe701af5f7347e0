"""Markdown to safe HTML, whole or while it arrives.

`parser` says what our Markdown is: `inline` and `maths` add rules to it, `tex` says what of a
formula is shown. `render` turns its tokens into HTML. `render_markdown` is one whole render,
`MarkdownStream` (`incremental`) the same text piece by piece: `rules` has a renderer for each kind
of block that is still open, `unfinished` closes the marks that its last line leaves open, `sent`
keeps what the views have. `written` is the same text as Markdown of which no reader loads anything.
"""

from __future__ import annotations

from qwen_magic.document.markdown.incremental import MarkdownStream
from qwen_magic.document.markdown.render import render_markdown
from qwen_magic.document.markdown.sent import MarkdownBlock

__all__ = ["MarkdownBlock", "MarkdownStream", "render_markdown"]
