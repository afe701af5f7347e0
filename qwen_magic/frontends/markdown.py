"""A turn as Markdown: the answer as the model wrote it, all else around it.

Steps are `<details>`: Jupyter and GitHub fold them, a plain reader shows the tags and the text.
What came from outside is escaped, but for the model's own Markdown.
"""

from __future__ import annotations

import re
from typing import Final, assert_never

from qwen_magic.document.blocks import (
    Block,
    Code,
    Extract,
    Figure,
    Label,
    Lines,
    Link,
    NumberedSource,
    Output,
    SourceGroups,
    Step,
    Text,
    Wait,
)
from qwen_magic.document.build import Document
from qwen_magic.document.groups import Joined, Row
from qwen_magic.document.markdown.links import is_linkable
from qwen_magic.document.markdown.parts import replace_images
from qwen_magic.document.sections import ProseSection, ThoughtSection, ToolSection
from qwen_magic.document.words import counted

_SPECIAL: Final = re.compile(r"[\\`*_\[\]<>#|$~&]")


def markdown_of(document: Document) -> str:
    """The whole turn."""
    parts = [_row(document, row) for group in document.groups for row in group.rows]
    parts.append(_sources([source for source in document.sources if source.cited], "Sources"))
    others = [source for source in document.sources if not source.cited]
    if others:
        listed = _sources(others, "")
        parts.append(_details(Step(f"{counted(len(others), 'source')}, not cited"), listed))
    if document.note is not None:
        note = document.note
        request = f" (request {escaped(note.request_id)})" if note.request_id else ""
        parts.append(f"**{escaped(note.title)}** {escaped(note.text)}{request}".strip())
    if document.footer is not None:
        lines = document.footer.text().split("\n")
        parts.append("---\n\n" + "  \n".join(f"*{escaped(line)}*" for line in lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def _row(document: Document, row: Row) -> str:
    match row:
        case ProseSection():
            return replace_images(
                row.source.strip("\n"),
                lambda alt, url: _shown_in_html(alt) if url in document.pictures else None,
            )
        case Joined():
            return _details(row.step, "\n\n".join(_row(document, each) for each in row.sections))
        case ThoughtSection():
            return _details(row.step, row.source.strip())
        case ToolSection():
            body = "\n\n".join(map(_block, row.step.blocks))
            figures = "\n\n".join(map(_figure, row.step.figures))
            return "\n\n".join(part for part in (_details(row.step, body), figures) if part)


def _details(step: Step, body: str) -> str:
    rest = [_entities(part) for part in (step.what, *step.facts) if part]
    line = " · ".join([f"<b>{_entities(step.verb)}</b>", *rest])
    return f"<details><summary>{line}</summary>\n\n{body}\n\n</details>"


def _entities(text: str) -> str:
    """Text on one line inside an HTML block, where backslashes escape nothing."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def escaped(text: str) -> str:
    """Text on one line, as text in Markdown and in HTML."""
    return _SPECIAL.sub(_character, " ".join(text.split()))


def _character(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};" if found[0] in "<>&" else f"\\{found[0]}"


def _block(block: Block) -> str:
    match block:
        case Label(text=text):
            return f"*{escaped(text)}*"
        case Text(text=text) | Wait(text=text):
            return escaped(text)
        case Lines(texts=texts):
            return "\n".join(f"- {escaped(text)}" for text in texts)
        case Link(url=url):
            return _link(url, url)
        case Code(code=code, language=language):
            return _fenced(code, language)
        case Output(text=text):
            return _fenced(text, "")
        case Extract(text=text):
            return "\n".join(f"> {escaped(line)}" for line in text.split("\n"))
        case Figure():
            return _figure(block)
        case SourceGroups(sources=sources):
            return "\n".join(_source(source) for source in sources)
        case _:
            assert_never(block)


def _fenced(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _link(url: str, text: str) -> str:
    if not is_linkable(url):
        return escaped(text)
    target = re.sub(r"[<>\s\\]", lambda found: f"%{ord(found[0]):02X}", url)
    return f"[{escaped(text)}](<{target}>)"


def _shown_in_html(alt: str) -> str:
    """In the place of an image; `alt` is the model's own Markdown."""
    return f"*Figure: {alt or 'drawn by the code'} (in the HTML form of this output)*"


def _figure(figure: Figure) -> str:
    name = figure.alt or "drawn by the code"
    if figure.data:
        return f"*Figure: {escaped(name)} (in the HTML form of this output)*"
    return f"*Figure: {_link(figure.url, name)} ({escaped(figure.reason or 'not fetched')})*"


def _sources(sources: list[NumberedSource], title: str) -> str:
    if not sources:
        return ""
    head = f"**{title}**\n\n" if title else ""
    return head + "\n".join(_source(source) for source in sources)


def _source(source: NumberedSource) -> str:
    number = f"\\[{source.number}\\] " if source.number else ""
    return f"- {number}{_link(source.url, source.title)} {escaped(source.host)}"
