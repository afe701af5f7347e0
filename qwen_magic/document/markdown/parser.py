"""What our Markdown is: CommonMark, tables, strikethrough, maths, citations; no raw HTML.

    text -> parse -> tokens -> blocks_of -> ParsedBlock, with its lines     (`incremental`)
                            -> render_blocks -> HTML                      (`render`)

What it has beyond CommonMark is in `inline` and `maths`.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.reference import reference
from markdown_it.token import Token as Token

from qwen_magic.document.markdown.inline import add_inline
from qwen_magic.document.markdown.maths import add_maths

MAX_NESTING: Final = 120  # the parser drops without a word what lies deeper …
DEEPEST: Final = 100  # … so from here on it is taken as plain text

Env: TypeAlias = MutableMapping[str, Any]
Citation: TypeAlias = Callable[[int], str | None]


def new_env(citation: Citation | None = None) -> dict[str, Any]:
    """What one text's parses share: its link references, its citations.

    `citation` maps the number of a `[n]` to the URL of the page it stands for, or None.
    """
    return {"citation": citation, "references": {}}


def parse(text: str, env: Env | None = None) -> list[Token]:
    """The block tokens of `text`; definitions of links are added to `env`."""
    return _parser().parse(text, new_env() if env is None else env)


def parse_inline(text: str, env: Env) -> list[Token]:
    """The inline tokens of `text`, taken as the content of one block."""
    return _parser().parseInline(text, env)[0].children or []


def parse_structure(text: str) -> list[Token]:
    """The block tokens of `text` without a look inside its lines of text."""
    tokens: list[Token] = []
    _parser().block.parse(text, _parser(), {"references": {}}, tokens)
    return tokens


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    """One block at the top level of a parse: its tokens, its lines [start, end).

    `opening` is its first line where that is not a whole line: what stands behind the maths that
    ends in it.
    """

    tokens: Sequence[Token]
    start: int
    end: int
    opening: str = ""

    @property
    def kind(self) -> str:
        """The type of the block's first token."""
        return self.tokens[0].type

    def onwards(self, lines: Sequence[str]) -> list[str]:
        """Of the lines that were parsed, those from this block on."""
        newline = "\n" if self.opening and lines[self.start].endswith("\n") else ""
        first = [self.opening + newline] if self.opening else []
        return [*first, *lines[self.start + len(first) :]]


def blocks_of(tokens: Sequence[Token]) -> list[ParsedBlock]:
    """The tokens of a parse, block by block."""
    found: list[ParsedBlock] = []
    depth = first = 0
    rest = ""
    for index, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            start, end = tokens[first].map or (0, 0)
            found.append(ParsedBlock(tokens[first : index + 1], start, end, rest))
            first, rest = index + 1, token.meta.get("rest", "")
    return found


def replace_images(text: str, instead: Callable[[Token], str | None]) -> str:
    """`text` with other Markdown for its images: `instead` is given an image's token (`content`:
    its words, `attrs["src"]`: its address), and gives None for one to leave as it is.

    Tokens know their lines, not their columns. So the text is walked with its tokens: an image is
    the next place, behind all code that came before it, where what it was written as stands.
    """
    starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    parts: list[str] = []
    here = copied = 0
    for token in _leaves(parse(text)):
        if token.map:
            first, behind = token.map
            line = behind if token.type in ("fence", "code_block") else first
            here = max(here, starts[min(line, len(starts) - 1)])
        elif token.type == "code_inline":
            here = max(here, text.find(token.content, here) + len(token.content))
        elif token.type == "image":
            written = token.meta["written"]
            at, words = text.find(written, here), instead(token)
            if at < 0:
                continue
            here = at + len(written)
            if words is not None:
                parts += [text[copied:at], words]
                copied = here
    return "".join([*parts, text[copied:]])


def _leaves(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING, "html": False, "linkify": False})
    md.enable(["table", "strikethrough"])
    md.disable(["html_block", "html_inline"])
    md.block.ruler.at("reference", _definition)
    md.block.ruler.before("table", "deepest", _deepest)
    add_maths(md)
    add_inline(md)
    # Every address parses as one: `links` decides, when it is rendered, what becomes a link.
    md.validateLink = lambda url: True  # type: ignore[method-assign]
    return md


def _definition(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A definition of a link reference, leaving a token to know its lines by."""
    if not reference(state, start_line, end_line, silent):
        return False
    if not silent:
        token = state.push("definition", "", 0)
        token.map = [start_line, state.line]
        token.hidden = True
        token.meta = dict(_last_of(state.env["references"]))
    return True


def _last_of(references: Mapping[str, Any]) -> dict[str, Any]:
    """The newest entry (perhaps of an earlier definition, which does no harm)."""
    own = references.maps[0] if isinstance(references, ChainMap) else {}
    label = next(reversed(own), None) if isinstance(own, dict) else None
    return {} if label is None else {label: own[label]}


def _deepest(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """All that is nested too deeply, as one paragraph of plain text."""
    if state.level < DEEPEST or silent:
        return False
    token = state.push("plain_block", "p", 0)
    token.map = [start_line, end_line]
    token.content = state.getLines(start_line, end_line, state.blkIndent, False).strip()
    state.line = end_line
    return True
