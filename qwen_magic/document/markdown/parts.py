"""Parts of a whole Markdown text as values: its code blocks, its tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markdown_it.common.normalize_url import normalizeLink
from markdown_it.token import Token

from qwen_magic.document.markdown.lines import split_lines
from qwen_magic.document.markdown.parser import new_env, parse
from qwen_magic.document.markdown.render import fence_language

# An image, or the code in a line that may look like one.
_IMAGE = re.compile(
    r"(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)"
    r"|!\[(?P<alt>(?:[^\[\]\\]|\\.)*)\]"
    r"\(\s*(?:<(?P<bracketed>[^<>]*)>|(?P<bare>[^\s()<>]*))(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
)
_BREAKS = ("softbreak", "hardbreak")


@dataclass(frozen=True, slots=True)
class Fence:
    """A code block: its language ("" where none is named) and code, which ends in a newline."""

    language: str
    code: str


@dataclass(frozen=True, slots=True)
class PipeTable:
    """A table as text: the cells without markup, as many in each row as the header has.

    `alignment` is `left`, `center`, `right` or empty, per column.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    alignment: tuple[str, ...]


def find_fences(text: str) -> tuple[Fence, ...]:
    """The fenced and indented code blocks of `text`, in order, wherever they are nested."""
    return tuple(
        Fence(fence_language(token.info) if token.type == "fence" else "", token.content)
        for token in parse(text, new_env())
        if token.type in ("fence", "code_block")
    )


def find_tables(text: str) -> tuple[PipeTable, ...]:
    """The pipe tables of `text`, in order."""
    tokens = parse(text, new_env())
    opened = [n for n, token in enumerate(tokens) if token.type == "table_open"]
    return tuple(_table(tokens[start + 1 :]) for start in opened)


def find_images(text: str) -> tuple[str, ...]:
    """The addresses of the images of `text`, in order, as a link would have them."""
    return tuple(
        str(child.attrs.get("src", ""))
        for token in parse(text, new_env())
        for child in token.children or ()
        if child.type == "image"
    )


def replace_images(text: str, instead: Callable[[str, str], str | None]) -> str:
    """`text` with other words for images that stand in one line: `instead` is given an image's
    own words and address, and gives None for one to leave as it is."""

    def other(found: re.Match[str]) -> str:
        if found["alt"] is None:  # code
            return found[0]
        url = found["bracketed"] or found["bare"] or ""
        words = instead(found["alt"], normalizeLink(url))
        return found[0] if words is None else words

    tokens = [token for token in parse(text, new_env()) if token.type in ("fence", "code_block")]
    code = {line for token in tokens for line in range(*(token.map or (0, 0)))}
    return "".join(
        line if number in code else _IMAGE.sub(other, line)
        for number, line in enumerate(split_lines(text))
    )


def _table(tokens: Sequence[Token]) -> PipeTable:
    rows: list[list[str]] = []
    alignment: list[str] = []
    for token, following in _until_closed(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append(_plain(following.children or []).strip())
            if token.type == "th_open":
                alignment.append(str(token.attrs.get("style", "")).removeprefix("text-align:"))
    return PipeTable(tuple(rows[0]), tuple(map(tuple, rows[1:])), tuple(alignment))


def _until_closed(tokens: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    for number, token in enumerate(tokens):
        if token.type == "table_close":
            return
        yield token, tokens[number + 1]


def _plain(tokens: Sequence[Token]) -> str:
    """The text of inline tokens: of links and pictures their words, of code its code."""
    return "".join(
        "\n"
        if token.type in _BREAKS
        else _plain(token.children)
        if token.children
        else token.content
        for token in tokens
    )
