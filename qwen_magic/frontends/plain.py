"""A turn as plain text; where its lines end in a window; how one text differs from another, word by
word."""

from __future__ import annotations

import difflib
import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, TextIO, TypeAlias

from qwen_magic.document.footer import Footer, Note
from qwen_magic.document.words import NO_BREAK, counted, revealed

if TYPE_CHECKING:
    from qwen_magic.document.blocks import Figure, NumberedSource, Step
    from qwen_magic.document.build import Document
    from qwen_magic.document.tree import Node

# Control characters would let a model write to the reader's terminal what it likes; halves of
# surrogate pairs cannot be written.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str, before: str = "") -> str:
    """`text` without control characters except tab and newline, and with invisible characters
    spelled out.

    `before`: the character before it.
    """
    return revealed(_CONTROL.sub("", text), before)


def plain_of(document: Document) -> str:
    """The complete turn as text: a line for each step, the answer as written, sources, note,
    footer.
    """
    parts = map(_node, document.tree.root.children)
    return spaced("\n\n".join(part for part in parts if part))


def _node(node: Node) -> str:
    # Here, so that a notebook's first question, which says a line at most, need not wait.
    from qwen_magic.document.blocks import Box, Panel, SourceList, Step

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


# Lines of a window -------------------------------------------------------------------------------

# Chinese and Japanese set no spaces: a line may end behind any of their characters, but not before
# what closes, nor behind what opens.
_EAST: Final = "\u2e80-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003fffd"
_OPENS: Final = "（［｛「『【《〈“‘"
_CLOSES: Final = "、。，．：；？！）］｝」』】》〉”’…"
WORDS: Final = re.compile(
    f"\n|[ \t]+|[{_OPENS}]*[{_EAST}][{_CLOSES}]*|[{_OPENS}]*[^ \\t\\n{_EAST}]+[{_CLOSES}]*|[^\n]"
)


ROOM: Final = 24  # cells in which a column of prose can be read
_GAP: Final = re.compile(r"(?<=\S) {2,}(?=\S)")  # between two columns


@lru_cache(maxsize=4096)
def _width(char: str) -> int:
    if char == "\ufe0f" or unicodedata.east_asian_width(char) in "WF":
        return 1 + (char != "\ufe0f")
    return int(unicodedata.category(char) not in ("Mn", "Me", "Cf"))


def cells(text: str) -> int:
    """The largest width of `text` in terminal cells; terminals differ for joined emoji."""
    return len(text) if text.isascii() else sum(map(_width, text))


def line_ends(text: str, width: int) -> list[int]:
    """The offsets at which to break `text` into lines of at most `width` cells.

    Its own line ends are included. Spaces at a break stay at the line's end and do not count.
    """
    ends: list[int] = []
    column = 0
    for found in WORDS.finditer(text):
        word = found[0]
        if word == "\n":
            ends.append(found.end())
            column = 0
            continue
        size = cells(word)
        if column + size <= width or word.isspace():
            column += size
            continue
        if column and size <= width:
            ends.append(found.start())
            column = 0
        for place, char in enumerate(
            word, found.start()
        ):  # one that fits no line is cut at its edge
            if column and column + _width(char) > width:
                ends.append(place)
                column = 0
            column += _width(char)
    return ends[:-1] if ends and ends[-1] == len(text) else ends


def window_size(out: TextIO) -> tuple[int, int]:
    """The current columns and rows of the window that `out` writes to."""
    try:
        columns, rows = os.get_terminal_size(out.fileno())
    except (OSError, ValueError):
        return 80, 24
    return columns or 80, rows or 24


def cut_at_words(text: str, out: TextIO) -> str:
    """Lines for the window of `out`, if it is a terminal. One that goes on does so below the last
    of its columns, where that leaves room, else a little further in than it began."""
    if not out.isatty():
        return text
    width = window_size(out)[0]
    return "\n".join("\n".join(_hanging(line, width)) for line in text.split("\n"))


def _hanging(line: str, width: int) -> Iterator[str]:
    end, *_ = *line_ends(line, width), len(line)
    if head := line[:end].rstrip():
        yield head
    rest = line[end:].lstrip(" ")
    if not rest:
        return
    column = max((cells(line[: gap.end()]) for gap in _GAP.finditer(line[:end])), default=width)
    begun = len(line) - len(line.lstrip(" "))
    indent = column if width - column >= ROOM else min(begun + 2, width // 2)
    for begin, stop in pairwise((0, *line_ends(rest, width - indent), len(rest))):
        yield " " * indent + rest[begin:stop].rstrip()


def say(*lines: str, out: TextIO | None = None) -> None:
    """Print lines to stdout or `out`; in a terminal they are wrapped at words."""
    out = sys.stdout if out is None else out
    for line in map(printable, lines):
        print(cut_at_words(line, out), file=out)


# How texts differ --------------------------------------------------------------------------------

# " ": both have it, "-": only the old text, "+": only the new.
Sign: TypeAlias = Literal[" ", "-", "+"]

_WORD: Final = re.compile(r"\s+|\w+|[^\w\s]")
_AROUND: Final = 3  # lines around a change
_LARGE: Final = 4_000_000  # pairs of words above which whole lines are compared
_TAGS: Final[Mapping[str, str]] = {"-": "del", "+": "ins"}
_PLAIN: Final[Mapping[str, str]] = {" ": "{}", "-": "[-{}-]", "+": "{{+{}+}}"}


def differences(old: str, new: str) -> list[tuple[Sign, str]]:
    """The differences by words, or for long texts by lines, as the time is quadratic."""
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


def changed_lines(old: str, new: str) -> list[tuple[Sign, str]]:
    """The differences of two sources, by lines."""
    before, after = old.split("\n"), new.split("\n")
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    lines: list[tuple[Sign, str]] = []
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind == "equal":
            lines += [(" ", line) for line in before[i:j]]
        else:
            lines += [*(("-", line) for line in before[i:j]), *(("+", line) for line in after[k:m])]
    return lines


def _in_sight(lines: list[tuple[Sign, str]]) -> Iterator[tuple[Sign, str] | int]:
    """The changed lines with their context; of the others only the count."""
    changed = [at for at, (sign, _) in enumerate(lines) if sign != " "]
    near = {each for at in changed for each in range(at - _AROUND, at + _AROUND + 1)}
    hidden = 0
    for at, line in enumerate(lines):
        if at not in near:
            hidden += 1
            continue
        if hidden:
            yield hidden
        hidden = 0
        yield line
    if hidden:
        yield hidden


def source_difference_text(old: str, new: str) -> str:
    """How one source differs from another, in lines that begin with `-`, `+` or a space."""
    return "\n".join(
        f"  … {counted(each, 'line')} as before …" if isinstance(each, int) else _line(*each)
        for each in _in_sight(changed_lines(old, new))
    )


def _line(sign: Sign, text: str) -> str:
    """A line with invisible characters spelled out, as the user accepts it by its looks."""
    shown = revealed(text).replace("\r", "⟨U+000D⟩").replace("\0", "⟨U+0000⟩")
    return f"{sign} {shown}"


def source_difference_html(old: str, new: str) -> str:
    """The difference of two sources as escaped HTML without blank lines, which would end it in
    Markdown.
    """
    return "".join(
        f"<i>… {counted(each, 'line')} as before …&#10;</i>"
        if isinstance(each, int)
        else _marked_line(*each)
        for each in _in_sight(changed_lines(old, new))
    )


def _marked_line(sign: Sign, text: str) -> str:
    shown = escape(_line(sign, text)) + "&#10;"
    tag = _TAGS.get(sign)
    return f"<{tag}>{shown}</{tag}>" if tag else f"<span>{shown}</span>"


def differences_text(old: str, new: str) -> str:
    """The differences as plain text: [-removed-] and {+added+}."""
    pieces = differences(old, new)
    return printable("".join(_PLAIN[sign].format(text) for sign, text in pieces))


def differences_html(summary: str, old: str, new: str) -> str:
    """The differences in a closed disclosure with the title `summary`; escaped."""
    from qwen_magic.document.markdown.render import shown_html

    pieces = "".join(_marked(sign, text) for sign, text in differences(old, new))
    return f"<details><summary>{shown_html(summary)}</summary><pre>{pieces}</pre></details>"


def _marked(sign: Sign, text: str) -> str:
    shown = escape(revealed(text)).replace("\n", "&#10;")  # no blank line ends the HTML
    tag = _TAGS.get(sign)
    return f"<{tag}>{shown}</{tag}>" if tag else shown
