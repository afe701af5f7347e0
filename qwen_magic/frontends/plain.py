"""A turn as plain text: whole, or written to a stream as it comes; how one text differs from
another, word by word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from qwen_magic.document.blocks import Box, Figure, NumberedSource, Panel, SourceList, Step
from qwen_magic.document.footer import Footer, Note
from qwen_magic.document.words import NO_BREAK, revealed

if TYPE_CHECKING:
    from qwen_magic.document.build import Document
    from qwen_magic.document.tree import Node

# Control characters would let a model write to the reader's terminal what it likes.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str, before: str = "") -> str:
    """`text` without control characters but tab and newline, and with what hides made visible.
    `before`: the character that stands in front of it."""
    return revealed(_CONTROL.sub("", text), before)


def plain_of(document: Document) -> str:
    """The whole turn: a line for each step, the answer as written, sources, note, footer."""
    parts = map(_node, document.tree.root.children)
    return spaced("\n\n".join(part for part in parts if part))


def _node(node: Node) -> str:
    match node.value:
        case Box(kind="answer", source=source):
            return source.strip()
        case Panel(is_joined=False) if isinstance(step := node.children[0].value, Step):
            return step_line(step)
        case Panel() | Box(kind="steps" | "body"):
            return "\n".join(line for line in map(_node, node.children) if line)
        case SourceList(cited=cited) if cited:
            return "\n".join(["Sources", *map(_source, cited)])
        case Note() as note:
            return note_text(note)
        case Footer() as footer:
            return footer.text()
        case _:
            return ""


def spaced(text: str) -> str:
    return printable(text).replace(NO_BREAK, " ")


def step_line(step: Step) -> str:
    """A step on one line, with the names of its figures below."""
    line = " · ".join(part for part in (step.verb, step.what, *step.facts) if part)
    return "\n".join([line, *map(_figure, step.figures)])


def _figure(figure: Figure) -> str:
    name = f"  figure: {figure.alt or figure.url}"
    return f"{name} ({figure.reason}) {figure.url}" if figure.reason else name


def _source(source: NumberedSource) -> str:
    number = f"[{source.number}] " if source.number else ""
    return f"{number}{source.title} {source.url}"


def note_text(note: Note) -> str:
    request = f"(request {note.request_id})" if note.request_id else ""
    return "\n".join(part for part in (note.title, note.text, request) if part)


# " ": both have it, "-": only the old text, "+": only the new.
Sign: TypeAlias = Literal[" ", "-", "+"]

_WORD: Final = re.compile(r"\s+|\w+|[^\w\s]")
_LARGE: Final = 4_000_000  # pairs of words above which whole lines are compared
_TAGS: Final[Mapping[str, str]] = {"-": "del", "+": "ins"}
_PLAIN: Final[Mapping[str, str]] = {" ": "{}", "-": "[-{}-]", "+": "{{+{}+}}"}


def differences(old: str, new: str) -> list[tuple[Sign, str]]:
    """What turns `old` into `new`, by words; of long texts by lines, since the time grows with the
    product of both."""
    before, after = _WORD.findall(old), _WORD.findall(new)
    if len(before) * len(after) > _LARGE:
        before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    pieces: list[tuple[Sign, str]] = []
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind == "equal":
            pieces.append((" ", "".join(before[i:j])))
        else:
            pieces += [("-", "".join(before[i:j])), ("+", "".join(after[k:m]))]
    return [piece for piece in pieces if piece[1]]


def differences_text(old: str, new: str) -> str:
    """In plain text: [-taken out-] and {+put in+}."""
    pieces = differences(old, new)
    return printable("".join(_PLAIN[sign].format(text) for sign, text in pieces))


def differences_html(summary: str, old: str, new: str) -> str:
    """Behind a disclosure that says `summary`; all of it is text."""
    pieces = "".join(_marked(sign, text) for sign, text in differences(old, new))
    return f"<details><summary>{escape(summary)}</summary><pre>{pieces}</pre></details>"


def _marked(sign: Sign, text: str) -> str:
    shown = escape(revealed(text)).replace("\n", "&#10;")  # no blank line ends the HTML
    tag = _TAGS.get(sign)
    return f"<{tag}>{shown}</{tag}>" if tag else shown
