"""The final output of a cell: one turn as HTML, Markdown and plain text, in need of nothing."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from qwen_magic.document import html
from qwen_magic.document.blocks import Box
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Note, Outcome, TurnFacts
from qwen_magic.document.markdown.render import CodeHtml
from qwen_magic.document.question import Asked
from qwen_magic.document.tree import Node
from qwen_magic.frontends.plain import plain_of
from qwen_magic.frontends.saved_markdown import markdown_of
from qwen_magic.protocol.events import ResponseEnded
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.state import ResponseState

_SHEET: Final = Path(__file__).with_name("widget.css")
_LIVE_ONLY: Final = "/* === live only === */"
_MARK_LENGTH: Final = 12  # characters of a turn's key
# A blank line would end the HTML for a reader of Markdown, which nbconvert puts it into: so the
# newline before it is written as a reference. (Lines of spaces would do; nbconvert strips them.)
# Code comes so from the highlighter.
_BEFORE_BLANK_LINE: Final = re.compile(r"(?:\r\n|\n|\r(?!\n))(?=[^\S\r\n]*[\r\n])")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")


def bundle(document: Document) -> dict[str, str]:
    """`text/html`, `text/markdown` and `text/plain` of a finished document: what is saved with
    the notebook. Nothing of one that shows nothing (a failure that the cell fails with)."""
    if not document.tree.root.children:
        return {}
    return {
        "text/html": turn_html(document),
        "text/markdown": markdown_of(document),
        "text/plain": plain_of(document),
    }


def bundle_of(response: JSON, facts: TurnFacts, outcome: Outcome, seconds: float) -> dict[str, str]:
    """The same of a whole `response`, as the service gives it, that took so many `seconds`."""
    state = ResponseState()
    state.apply(ResponseEnded("completed", response), seconds)
    document = Document(facts)
    document.update(state, seconds)
    document.finish(state, seconds, outcome)
    return bundle(document)


def mark_of(key: str) -> str:
    """The class by which a page's actions find the answer of the turn `key`: class names are the
    only thing to know an element by that a sanitizer leaves."""
    return "qm-id-" + _NO_NAME.sub("", key)[:_MARK_LENGTH]


def turn_html(document: Document) -> str:
    """The turn as HTML; while it runs, for front ends without a widget manager."""
    content = "".join(map(_saved, document.tree.root.children))
    mark = f" {mark_of(document.turn.key)}" if document.turn.key else ""
    html = f'<div class="qm-turn qm-saved{mark}"><style>{saved_style()}</style>{content}</div>'
    return _BEFORE_BLANK_LINE.sub("&#10;", html)


def _saved(node: Node) -> str:
    """A node as it is saved: without what only a live view needs, with long code folded."""
    match node.value:
        case Asked() | Box(kind="figures") if not node.children:
            return ""
        case Note() as note:
            return html.note_html(note)
    opening, closing = map(_piece, node.markup)
    text = map(_piece, node.text.pieces) if node.text is not None else ()
    return "".join([opening, *text, *map(_saved, node.children), closing])


def _piece(piece: str) -> str:
    return piece.saved() if isinstance(piece, CodeHtml) else piece


@lru_cache(maxsize=1)
def saved_style() -> str:
    """widget.css down to its mark "live only", without comments and needless space.

    All of it is nested in `.qm-turn.qm-turn`, so it touches nothing else on the page, and it
    outweighs the notebook's own rules for `pre`, `code` and `td`.
    """
    sheet = _SHEET.read_text("utf-8").partition(_LIVE_ONLY)[0]
    sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    sheet = re.sub(r"\s+", " ", sheet)
    sheet = re.sub(r" ?([{};,>]|!important) ?|(?<=:) ", lambda found: found[1] or "", sheet)
    return sheet.replace(";}", "}").strip()
