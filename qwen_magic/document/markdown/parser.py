"""What our Markdown is: CommonMark, tables, strikethrough, maths, citations; no raw HTML."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.reference import reference
from markdown_it.token import Token

from qwen_magic.document.markdown.citations import CITATION, Citation, add_citations
from qwen_magic.document.markdown.maths import add_maths
from qwen_magic.document.markdown.render import render_blocks

MAX_NESTING = 120  # the parser drops without a word what lies deeper …
DEEPEST = 100  # … so from here on it is taken as plain text

Env: TypeAlias = MutableMapping[str, Any]


def render_markdown(text: str, citation: Citation | None = None) -> str:
    """Return the safe HTML of a whole Markdown text, one root element per block.

    `citation` maps the number of a `[n]` to the URL of the page it stands for, or None.
    """
    env = new_env(citation)
    return render_blocks(parse(text, env))


def new_env(citation: Citation | None = None) -> dict[str, Any]:
    """Return what one text's parses share: its link references, its citations."""
    return {CITATION: citation, "references": {}}


def parse(text: str, env: Env) -> list[Token]:
    """Return the block tokens of `text`; definitions of links are added to `env`."""
    return _parser().parse(text, env)


def parse_inline(text: str, env: Env) -> list[Token]:
    """Return the inline tokens of `text`, taken as the content of one block."""
    return _parser().parseInline(text, env)[0].children or []


def parse_structure(text: str) -> list[Token]:
    """Return the block tokens of `text` without a look inside its lines of text."""
    tokens: list[Token] = []
    _parser().block.parse(text, _parser(), {"references": {}}, tokens)
    return tokens


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING, "html": False, "linkify": False})
    md.enable(["table", "strikethrough"])
    md.disable(["html_block", "html_inline"])
    md.block.ruler.at("reference", _definition)
    md.block.ruler.before("table", "deepest", _deepest)
    add_maths(md)
    add_citations(md)
    # Every address parses as one: `links` decides, when it is rendered, what becomes a link.
    md.validateLink = lambda url: True  # type: ignore[method-assign]
    return md


def _definition(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Take a definition of a link reference, leaving a token to know its lines by."""
    if not reference(state, start_line, end_line, silent):
        return False
    if not silent:
        token = state.push("definition", "", 0)
        token.map = [start_line, state.line]
        token.hidden = True
        token.meta = dict(_last_of(state.env["references"]))
    return True


def _last_of(references: Mapping[str, Any]) -> dict[str, Any]:
    """Return the newest entry (perhaps of an earlier definition, which does no harm)."""
    own = references.maps[0] if isinstance(references, ChainMap) else {}
    label = next(reversed(own), None) if isinstance(own, dict) else None
    return {} if label is None else {label: own[label]}


def _deepest(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Take all that is nested too deeply as one paragraph of plain text."""
    if state.level < DEEPEST or silent:
        return False
    token = state.push("plain_block", "p", 0)
    token.map = [start_line, end_line]
    token.content = state.getLines(start_line, end_line, state.blkIndent, False).strip()
    state.line = end_line
    return True
