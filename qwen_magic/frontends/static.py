"""The final output of a cell: one turn as HTML, Markdown and plain text, in need of nothing."""

from __future__ import annotations

from typing import Final

from qwen_magic.document import html
from qwen_magic.document.blocks import Figure
from qwen_magic.document.build import Document
from qwen_magic.document.sections import ProseSection, Section, ThoughtSection, ToolSection
from qwen_magic.frontends.markdown import markdown_of
from qwen_magic.frontends.plain import plain_of
from qwen_magic.frontends.style import saved_style

# Where no style sheet comes along, code would touch what stands around it.
_CODE: Final = '<div class="qm-code">'
_CODE_APART: Final = '<div class="qm-code" style="padding: 4px 0 12px 0">'


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


def _turn(document: Document) -> str:
    parts = [f"<style>{saved_style()}</style>"]
    for group in document.groups:
        sections = "".join(map(_section, group.sections))
        parts.append(
            f'<div class="qm-steps">{sections}</div>' if group.kind == "steps" else sections
        )
    if document.waiting:
        parts.append(html.waiting(document.waiting))
    parts.append(html.sources_html(document.sources))
    if document.note is not None:
        parts.append(html.note_html(document.note))
    if document.footer is not None:
        parts.append(html.footer_html(document.footer))
    content = "".join(parts).replace(_CODE, _CODE_APART)
    return f'<div class="qm-turn qm-saved">{content}</div>'


def _section(section: Section) -> str:
    match section:
        case ProseSection():
            return html.inside(html.ANSWER, section.html)
        case ThoughtSection():
            thought = section.thought_html
            body = html.inside(html.THOUGHT, thought) if thought else ""
            panel = html.details(is_open=section.step.state == "live")
            return html.inside(panel, html.head(section.step) + body)
        case ToolSection():
            blocks = "".join(map(html.block_html, section.step.blocks))
            panel = html.inside(
                html.details(), html.head(section.step) + html.inside(html.BODY, blocks)
            )
            return panel + _figures(section.step.figures)


def _figures(figures: tuple[Figure, ...]) -> str:
    shown = "".join(map(html.figure_html, figures))
    return html.inside(html.FIGURES, shown) if shown else ""
