"""A turn as Markdown: the answer as the model wrote it, all else around it.

Steps are `<details>`: Jupyter and GitHub fold them, a plain reader shows the tags and the text.
What came from outside is escaped, but for the model's own Markdown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from qwen_magic.document import blocks
from qwen_magic.document.blocks import Block, NumberedSource, Step
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Footer, Note
from qwen_magic.document.html import Value
from qwen_magic.document.links import markdown_link, source_line
from qwen_magic.document.markdown import MarkdownStream
from qwen_magic.document.markdown.render import text_of
from qwen_magic.document.markdown.written import safe_markdown
from qwen_magic.document.question import Asked
from qwen_magic.document.tree import Node
from qwen_magic.document.words import SPECIAL, counted, escaped, fenced, revealed


def markdown_of(document: Document) -> str:
    """The whole turn."""
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
            return safe_markdown(source)
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
    )


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
    rest = [_entities(part) for part in (step.what, *step.facts) if part]
    line = " · ".join([f"<b>{_entities(step.verb)}</b>", *rest])
    return f"<details><summary>{line}</summary>\n\n{body}\n\n</details>"


def _entities(text: str) -> str:
    """Text on one line inside an HTML block, where backslashes escape nothing."""
    return SPECIAL.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


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
    return f"*Figure: {escaped(alt) or 'drawn by the code'} (in the HTML form of this output)*"


def _figure(figure: blocks.Figure) -> str:
    name = figure.alt or "drawn by the code"
    if figure.data:
        return f"*Figure: {escaped(name)} (in the HTML form of this output)*"
    reason = escaped(figure.reason or "not fetched")
    return f"*Figure: {markdown_link(figure.url, name)} ({reason})*"


def _lines(sources: Sequence[NumberedSource]) -> str:
    return "\n".join(map(source_line, sources))
