"""The final output of a cell: one turn as HTML, Markdown and plain text, in need of nothing.

In the Markdown the answer stands as the model wrote it, all else around it. Steps are `<details>`:
Jupyter and GitHub fold them, a plain reader shows the tags and the text. What came from outside is
escaped, but for the model's own Markdown.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, assert_never

from qwen_magic.document import blocks, html
from qwen_magic.document.blocks import Block, Box, NumberedSource, Step
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Footer, Note, Outcome, TurnFacts
from qwen_magic.document.highlight import is_python
from qwen_magic.document.html import Value
from qwen_magic.document.links import markdown_link, source_line
from qwen_magic.document.markdown import MarkdownStream
from qwen_magic.document.markdown.render import CodeHtml, text_of
from qwen_magic.document.markdown.written import safe_markdown
from qwen_magic.document.question import Asked
from qwen_magic.document.tree import Node
from qwen_magic.document.words import as_entities, counted, escaped, fenced, revealed
from qwen_magic.frontends.plain import plain_of
from qwen_magic.protocol.events import ResponseEnded
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.state import ResponseState

_SHEET: Final = Path(__file__).with_name("widget.css")
_LIVE_ONLY: Final = "/* === live only === */"
STAGE: Final = "qm-stage"  # the class of answers that are shown before an audience
_MARK_LENGTH: Final = 12  # characters of a turn's key
# A blank line would end the HTML for a reader of Markdown, which nbconvert puts it into: so the
# newline before it is written as a reference. (Lines of spaces would do; nbconvert strips them.)
# Code comes so from the highlighter.
_BEFORE_BLANK_LINE: Final = re.compile(r"(?:\r\n|\n|\r(?!\n))(?=[^\S\r\n]*[\r\n])")
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")
# A figure of a run or a function in the HTML of `document.html`.
_FIGURE: Final = re.compile(
    r'<figure class="qm-fig"><img class="qm-img" src="data:(image/(?:png|jpeg));base64,([^"]+)"'
)
_SIGNATURES: Final = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


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


def figure_bundles(bundle: Mapping[str, str], key: str) -> list[dict[str, str]]:
    """The figures of the answer `bundle` to the turn `key`, each as the bundle of one more output
    that a page does not show: LaTeX, and PDF by it, takes pictures from outputs of their own alone.

    Whoever shows HTML takes the comment, which has no height in JupyterLab, Notebook 7 and
    nbconvert's pages. LaTeX has no GIF and no WebP."""
    hidden = f"<!-- figure {mark_of(key)} -->"
    found = dict.fromkeys(_FIGURE.findall(bundle.get("text/html", "")))
    return [{kind: data, "text/html": hidden} for kind, data in found if _is_image(kind, data)]


def _is_image(kind: str, data: str) -> bool:
    """nbconvert fails, in any form, at what is no base64, which a server of tools may send."""
    try:
        return b64decode(data, validate=True).startswith(_SIGNATURES[kind])
    except ValueError:
        return False


def bundle_of(
    response: JSON,
    facts: TurnFacts,
    outcome: Outcome,
    seconds: float,
    figures: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """The same of a whole `response`, as the service gives it, that took so many `seconds`.
    `figures`: those that were fetched, as data URIs by their address."""
    state = ResponseState()
    state.apply(ResponseEnded("completed", response), seconds)
    document = Document(facts)
    for url, data in figures.items():
        document.figure(url, data)
    document.update(state, seconds)
    document.finish(state, seconds, outcome)
    return bundle(document)


def mark_of(key: str) -> str:
    """The class by which a page's actions find the answer of the turn `key`: class names are the
    only thing to know an element by that a sanitizer leaves."""
    return "qm-id-" + _NO_NAME.sub("", key)[:_MARK_LENGTH]


def turn_html(document: Document) -> str:
    """The turn as HTML; while it runs, for front ends without a widget manager."""
    piece = _proposed_piece if document.turn.proposes else _piece
    content = "".join(_saved(child, piece) for child in document.tree.root.children)
    mark = f" {mark_of(document.turn.key)}" if document.turn.key else ""
    style = saved_style()
    if document.turn.stage:
        mark, style = f" {STAGE}{mark}", f"{style}.qm-turn.{STAGE}{{zoom:1.4}}"
    html = f'<div class="qm-turn qm-saved{mark}"><style>{style}</style>{content}</div>'
    return _BEFORE_BLANK_LINE.sub("&#10;", html)


def _saved(node: Node, piece: Callable[[str], str]) -> str:
    """A node as it is saved: without what only a live view needs, with long code folded."""
    match node.value:
        case Asked() | Box(kind="figures") if not node.children:
            return ""
        case Note() as note:
            return html.note_html(note)
    opening, closing = map(piece, node.markup)
    text = map(piece, node.text.pieces) if node.text is not None else ()
    return "".join([opening, *text, *(_saved(each, piece) for each in node.children), closing])


def _piece(piece: str) -> str:
    return piece.saved() if isinstance(piece, CodeHtml) else piece


def _proposed_piece(piece: str) -> str:
    """The same, where code is what the cell below says."""
    if not isinstance(piece, CodeHtml) or not is_python(piece.language):
        return _piece(piece)
    lines = counted(piece.code.strip("\n").count("\n") + 1, "line")
    return piece.folded(f"The cell as it was proposed · {lines}")


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


def markdown_of(document: Document) -> str:
    """The turn as Markdown."""
    return revealed(_inside(document.tree.root)) + "\n"


def _inside(node: Node) -> str:
    parts = map(_node, node.children)
    return "\n\n".join(part for part in parts if part)


def _node(node: Node) -> str:
    match node.value:
        case blocks.Panel() if isinstance(step := node.children[0].value, Step):
            return _details(step, "\n\n".join(map(_node, node.children[1:])))
        case blocks.Box(kind="answer", source=source):
            return _with_figures(source, node.text)
        case blocks.Box(kind="thought", source=source):
            return safe_markdown(source, last=_last(source, node.text))
        case blocks.Panel() | blocks.Box():
            return _inside(node)
        case value:
            return _value(value)


def _with_figures(source: str, text: MarkdownStream | None) -> str:
    """The answer as the model wrote it where that loads nothing; else the same written anew. Files
    of the sandbox in whose place the HTML form has a figure are named so."""
    shown = {image.address for image in text.images if image.data} if text is not None else set()
    return safe_markdown(
        source,
        lambda image: (
            _shown_in_html(text_of(image.children or [])) if image.attrs["src"] in shown else None
        ),
        last=_last(source, text),
    )


def _last(source: str, text: MarkdownStream | None) -> int:
    return text.last_start(source) if text is not None else 0


def _value(value: Value) -> str:
    match value:
        case blocks.SourceList():
            others = value.others
            listed = _details(Step(f"{counted(len(others), 'source')}, not cited"), _lines(others))
            cited = f"**Sources**\n\n{_lines(value.cited)}" if value.cited else ""
            return "\n\n".join(part for part in (cited, listed if others else "") if part)
        case Note(title=title, text=text, request_id=id):
            request = f" (request {escaped(id)})" if id else ""
            return f"**{escaped(title)}** {escaped(text)}{request}".strip()
        case Footer():
            lines = value.text().split("\n")
            return "---\n\n" + "  \n".join(f"*{escaped(line)}*" for line in lines)
        case blocks.Panel() | blocks.Box() | Step() | blocks.LiveLine() | blocks.Spoken() | Asked():
            return ""
        case _:
            return _block(value)


def _details(step: Step, body: str) -> str:
    rest = [as_entities(part) for part in (step.what, *step.facts) if part]
    line = " · ".join([f"<b>{as_entities(step.verb)}</b>", *rest])
    return f"<details><summary>{line}</summary>\n\n{body}\n\n</details>"


def _block(block: Block) -> str:
    match block:
        case blocks.Label(text=text):
            return f"*{escaped(text)}*"
        case blocks.Text(text=text) | blocks.Pending(text=text):
            return escaped(text)
        case blocks.Lines(texts=texts):
            return "\n".join(f"- {escaped(text)}" for text in texts)
        case blocks.Link(url=url):
            return markdown_link(url, url)
        case blocks.Code(code=code, language=language):
            return fenced(code, language)
        case blocks.Output(text=text):
            return fenced(text)
        case blocks.Extract(text=text):
            return "\n".join(f"> {escaped(line)}" for line in text.split("\n"))
        case blocks.Figure():
            return _figure(block)
        case blocks.SourceGroups(sources=sources):
            return _lines(sources)
        case _:
            assert_never(block)


def _shown_in_html(alt: str) -> str:
    """In the place of an image."""
    return f"*Figure: {escaped(alt) or 'drawn by the code'} (shown after the answer)*"


def _figure(figure: blocks.Figure) -> str:
    name = figure.alt or "drawn by the code"
    if figure.data:
        return f"*Figure: {escaped(name)} (shown after the answer)*"
    reason = escaped(figure.reason or "not fetched")
    return f"*Figure: {markdown_link(figure.url, name)} ({reason})*"


def _lines(sources: Sequence[NumberedSource]) -> str:
    return "\n".join(map(source_line, sources))
