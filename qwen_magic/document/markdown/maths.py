r"""Rules that keep TeX as it was written, for the front end to typeset.

Inline: `$…$`, `$$…$$`, `\(…\)`, `\[…\]`. A dollar opens maths when no space follows it, and closes
it when no space stands before it and no digit behind it (Pandoc's rule), so that "costs $5 and $10"
stays money.

Display, as a block of its own: a line `$$` or `\[`, down to the line that ends with the closing
mark, as a fence does; or one line that both begins and ends with its marks. Whether a line opens
such a block is decided by that line alone: a text that is still arriving needs this, since a later
line must not change where earlier blocks end.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

LONGEST_INLINE = 1000
CLOSERS = {"$$": "$$", "\\[": "\\]"}

_ONE_LINE = re.compile(r"\$\$(?:(?!\$\$).)+\$\$|\\\[(?:(?!\\\]).)+\\\]")
_DOLLARS = re.compile(r"\$\$(?!\$)((?:[^$\\`]|\\.)+?)\$\$", re.DOTALL)
_DOLLAR = re.compile(r"\$(?![\s$])((?:[^$\\`]|\\.)*?(?:[^$\\`\s]|\\.))\$(?![\d$])", re.DOTALL)
_ROUND = re.compile(r"\\\((?:(?!\\\)|`).)+\\\)", re.DOTALL)
_SQUARE = re.compile(r"\\\[(?:(?!\\\]|`).)+\\\]", re.DOTALL)
_MONEY = re.compile(r"\d[\d.,]*[^\\^_{}=+<>]*\s[^\W\d]{2,}[^\\^_{}=+<>]*")


def add_maths(md: MarkdownIt) -> None:
    """Teach a parser maths."""
    md.block.ruler.before(
        "fence", "maths", block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    md.inline.ruler.before("escape", "maths", inline)


def opening_mark(line: str) -> str:
    """Return the mark that opens maths over several lines ("" for none) by this line alone."""
    stripped = line.strip()
    return stripped if stripped in CLOSERS else ""


def closes(line: str, mark: str) -> bool:
    """Tell whether `line` ends the maths that `mark` opened."""
    return line.rstrip().endswith(CLOSERS[mark])


def block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Take maths on lines of its own."""
    if state.is_code_block(start_line):
        return False
    first = state.src[
        state.bMarks[start_line] + state.tShift[start_line] : state.eMarks[start_line]
    ].rstrip()
    mark = opening_mark(first)
    if not mark and not _ONE_LINE.fullmatch(first):
        return False
    if silent:
        return True
    following = start_line + 1
    while mark and following < end_line:
        if state.sCount[following] < state.blkIndent and not state.isEmpty(following):
            break
        following += 1
        if closes(state.src[state.bMarks[following - 1] : state.eMarks[following - 1]], mark):
            break
    state.line = following
    token = state.push("maths_block", "div", 0)
    token.map = [start_line, following]
    token.content = state.getLines(start_line, following, state.sCount[start_line], False).rstrip(
        "\n"
    )
    return True


def inline(state: StateInline, silent: bool) -> bool:
    """Take maths inside a line of text."""
    here = state.src[state.pos]
    if here == "$":
        found = _dollars(state)
    elif here == "\\":
        end = min(state.posMax, state.pos + LONGEST_INLINE)
        found = _ROUND.match(state.src, state.pos, end) or _SQUARE.match(state.src, state.pos, end)
    else:
        return False
    if found is None:
        return False
    if not silent:
        token = state.push("maths_inline", "", 0)
        token.content = found.group()
    state.pos = found.end()
    return True


def _dollars(state: StateInline) -> re.Match[str] | None:
    end = min(state.posMax, state.pos + LONGEST_INLINE)
    found = _DOLLARS.match(state.src, state.pos, end)
    if found is not None or (state.pos and state.src[state.pos - 1] == "$"):
        return found
    found = _DOLLAR.match(state.src, state.pos, end)
    return None if found is None or _MONEY.fullmatch(found.group(1)) else found
