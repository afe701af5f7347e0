"""The final output of a cell: one turn as HTML, Markdown and plain text, in need of nothing."""

from __future__ import annotations

import re
from typing import Final

from qwen_magic.document import html
from qwen_magic.document.blocks import Figure, Step
from qwen_magic.document.build import Document
from qwen_magic.document.groups import Joined, Row
from qwen_magic.document.sections import ProseSection, ThoughtSection, ToolSection
from qwen_magic.frontends.folding import fold_long_code
from qwen_magic.frontends.markdown import markdown_of
from qwen_magic.frontends.plain import plain_of
from qwen_magic.frontends.style import saved_style

# Where no style sheet comes along, code would touch what stands around it.
_CODE: Final = '<div class="qm-code">'
_CODE_APART: Final = '<div class="qm-code" style="padding: 4px 0 12px 0">'

_MARK_LENGTH: Final = 12  # characters of a turn's key
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")


def bundle(document: Document) -> dict[str, str]:
    """`text/html`, `text/markdown` and `text/plain` of a finished document: what is saved with
    the notebook."""
    return {
        "text/html": _turn(document),
        "text/markdown": markdown_of(document),
        "text/plain": plain_of(document),
    }


def live_html(document: Document) -> str:
    """The turn so far as HTML, for front ends without a widget manager."""
    return _turn(document)


def mark_of(key: str) -> str:
    """The class by which a page's actions find the answer of the turn `key`: class names are the
    only thing to know an element by that a sanitizer leaves."""
    return "qm-id-" + _NO_NAME.sub("", key)[:_MARK_LENGTH]


def _turn(document: Document) -> str:
    parts = [f"<style>{saved_style()}</style>"]
    for group in document.groups:
        rows = "".join(_row(document, row) for row in group.rows)
        parts.append(f'<div class="qm-steps">{rows}</div>' if group.kind == "steps" else rows)
    if document.waiting:
        parts.append(html.waiting(document.waiting))
    parts.append(html.sources_html(document.sources))
    if document.note is not None:
        parts.append(html.note_html(document.note))
    if document.footer is not None:
        parts.append(html.footer_html(document.footer))
    content = fold_long_code("".join(parts)).replace(_CODE, _CODE_APART)
    mark = f" {mark_of(document.turn.key)}" if document.turn.key else ""
    return f'<div class="qm-turn qm-saved{mark}">{content}</div>'


def _row(document: Document, row: Row) -> str:
    match row:
        case ProseSection():
            return html.inside(html.ANSWER, document.pictures.html(row))
        case Joined():
            return _panel(row.step, "".join(_row(document, each) for each in row.sections))
        case ThoughtSection():
            return _thought(row)
        case ToolSection():
            blocks = "".join(map(html.block_html, row.step.blocks))
            return _panel(row.step, blocks) + _figures(row.step.figures)


def _panel(step: Step, content: str) -> str:
    return html.inside(html.details(), html.head(step) + html.inside(html.BODY, content))


def _thought(section: ThoughtSection) -> str:
    if not section.thought_html:
        return html.waiting(section.step.verb)
    panel = html.details(is_open=section.step.state == "live")
    body = html.inside(html.THOUGHT, section.thought_html)
    return html.inside(panel, html.head(section.step) + body)


def _figures(figures: tuple[Figure, ...]) -> str:
    shown = "".join(map(html.figure_html, figures))
    return html.inside(html.FIGURES, shown) if shown else ""
