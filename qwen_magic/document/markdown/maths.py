r"""Rules that keep TeX as it was written, for the front end to typeset.

Inline: `$…$`, `$$…$$`, `\(…\)`, `\[…\]`, `\begin{align}…\end{align}`. A dollar opens maths when no
space follows it, and closes it when no space stands before it and no digit behind it (Pandoc's
rule); what begins as a sum of money does ("$5 ($x$ each)") is none.

Display, as a block of its own: from a line that begins with `$$`, `\[` or `\begin{…}` to its
closing mark, and what stands behind that is a paragraph again. Whether a line opens such a block is
decided by that line alone, whether a blank line ends it by the next one: a text that is still
arriving needs this, since a later line must not change where earlier blocks end. So one that is
never closed ends with a blank line which no more TeX follows.

    $$                       opens
    E = mc^2
    $$, where $c$ is …       closes; the comma goes inside; "where …" begins a paragraph
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.paragraph import paragraph as commonmark_paragraph
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from qwen_magic.document.markdown.tex import Macros, tamed

LONGEST_INLINE: Final = 1000  # characters of a formula in a line …
LONGEST_DISPLAY: Final = 4000  # … of one with marks of its own kind for that
FIRST_LINES: Final = 400  # characters of a paragraph in one of which display maths has to begin

_ENVIRONMENTS: Final = (
    "align|aligned|alignat|alignedat|gather|gathered|multline|equation|eqnarray|flalign|split"
    "|[dr]?cases|array|subarray|(?:small|[pbBvV])?matrix"
)
_OPENING: Final = re.compile(rf"\$\$(?!\$)|\\\[|\\begin\{{((?:{_ENVIRONMENTS})\*?)\}}")
_MARKS: Final = {
    "$$": re.compile(r"\\.|(?P<end>\$\$)", re.DOTALL),
    "\\[": re.compile(r"(?P<end>\\\])|\\.", re.DOTALL),
}
_BEHIND: Final = re.compile(r"([.,;:!?](?=\s|$)|[。，；：、！？]|)[ \t]*")
_LABEL: Final = re.compile(r"(?:[^\[\]\\]|\\[a-zA-Z])*\]")
_UNDERLINE: Final = re.compile(r"(?:=+|-+)[ \t]*")
_OTHER_BLOCK: Final = re.compile(r"\s*(?:```|~~~|#{1,6} |[-*+] |\|.*\|\s*$)")
_COMMAND: Final = re.compile(
    r"\\(?:text\w*|mbox|operatorname|math\w+|label|tag|begin|end)\*?\s*\{[^{}]*\}|\\[a-zA-Z]+"
)
_PROSE: Final = re.compile(r"[^\W\d_]{2,}[,.;:]?\s+[^\W\d_]{2,}|[\u3040-\u30ff\u3400-\u9fff]{2}")
_WORD: Final = re.compile(r"(?<![_^{\w])[^\W\d_]{2,}")
_OPERATOR: Final = re.compile(r"[\\^_&=]")

_DOLLARS: Final = re.compile(r"\$\$(?!\$)((?:[^$\\`]|\\.)+?)\$\$", re.DOTALL)
_DOLLAR: Final = re.compile(
    r"\$(?![\s$])((?:[^$\\`]|\\.)*?(?:[^$\\`\s]|\\.))\$(?![\d$])", re.DOTALL
)
_ROUND: Final = re.compile(r"\\\((?:(?!\\\)|`).)+\\\)", re.DOTALL)
_SQUARE: Final = re.compile(r"\\\[(?:(?!\\\]|`).)+\\\]", re.DOTALL)
_SUM: Final = re.compile(r"\d[\d.,]*(?:[kKMB]|bn|mn)?(?![\w^_\\])")
_MONEY: Final = re.compile(r"\d[\d.,]*[^\\^_{}=+<>]*\s[^\W\d]{2,}[^\\^_{}=+<>]*")


def add_maths(md: MarkdownIt) -> None:
    """Teach a parser maths."""
    md.block.ruler.before(
        "fence", "maths", block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )
    md.block.ruler.before("lheading", "maths_paragraph", paragraph)
    md.inline.ruler.before("escape", "maths", inline)


@dataclass(slots=True)
class Display:
    """Display maths that a line has opened, and where it ends."""

    mark: str  # "$$", "\\[" or the name of an environment
    depth: int = 1  # environments of that name in one another

    @classmethod
    def opened_by(cls, line: str) -> Display | None:
        """What a line opens that further lines go on with."""
        text = line.strip()
        found = _OPENING.match(text)
        if found is None:
            return None
        opened = cls(found.group(1) or found.group())
        if opened.end(text, found.end()) >= 0:
            return None
        rest = text[found.end() :]
        # `\[label](address)` is a link that was escaped.
        is_tex = looks_like_tex(rest) and not (opened.mark == "\\[" and _LABEL.match(rest))
        return opened if found.group(1) or is_tex else None

    def end(self, text: str, start: int = 0, limit: int = sys.maxsize) -> int:
        """Where in the next `text` the closing mark ends, before `limit`; -1: not in it."""
        for found in _closing(self.mark).finditer(text, start, limit):
            if found.lastgroup == "begin":
                self.depth += 1
            elif found.lastgroup == "end":
                self.depth -= 1
                if self.depth == 0:
                    return found.end()
        return -1

    def split(self, line: str, start: int = 0) -> tuple[str, str] | None:
        """The line's own part and what stands behind it; None: it does not close. A comma or full
        stop behind the mark belongs to the formula, where it is set before the mark."""
        end = self.end(line, start)
        if end < 0:
            return None
        behind = _BEHIND.match(line, end)
        assert behind is not None  # it matches the empty text
        mark = next(m for m in reversed(list(_closing(self.mark).finditer(line, start, end))))
        own = line[: mark.start()] + behind.group(1) + line[mark.start() : end]
        return own, line[behind.end() :].rstrip("\n")

    def goes_on(self, line: str, blank_before: bool) -> bool:
        """Whether a line that is not blank is still TeX, below a blank line or not."""
        if blank_before:
            text = _COMMAND.sub("", line)
            closing = _closing(self.mark).match(line.strip())
            return bool(closing and closing.lastgroup == "end") or not (
                _OTHER_BLOCK.match(line)
                or _WORD.search(text)
                or re.search(r"`|\\[(\[]|\$", line)
                or not _OPERATOR.search(line)
            )
        return not re.match(r"\s*(?:```|~~~|#{1,6} )", line)


def _closing(mark: str) -> re.Pattern[str]:
    if mark in _MARKS:
        return _MARKS[mark]
    name = re.escape(mark)
    return re.compile(rf"(?P<begin>\\begin\{{{name}\}})|(?P<end>\\end\{{{name}\}})|\\.", re.DOTALL)


def closing_mark(opening: str) -> str:
    """The mark that closes what `opening` opens."""
    found = _OPENING.match(opening)
    if found is not None and found.group(1):
        return f"\\end{{{found.group(1)}}}"
    return {"\\(": "\\)", "\\[": "\\]"}.get(opening, opening)


def looks_like_tex(text: str) -> bool:
    """Whether no words in a row stand in `text` but in TeX's own commands."""
    return _PROSE.search(_COMMAND.sub("", text)) is None


def block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Take maths on lines of its own."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    if state.src[begin : begin + 1] not in ("$", "\\") or state.is_code_block(start_line):
        return False
    first = _line(state, start_line)
    if silent and _is_inside(state, start_line):
        return False
    opened = Display.opened_by(first)
    closed = _one_line(first) if opened is None else ""
    if opened is None and not closed:
        return False
    if silent:
        return True
    following, last, rest = start_line + 1, start_line + 1, ""
    while opened and following < end_line:
        blank = state.isEmpty(following)
        if not blank:
            line = _line(state, following)
            if state.sCount[following] < state.blkIndent or not opened.goes_on(
                line, blank_before=last < following
            ):
                break
            parted = opened.split(line)
            last = following + 1
            if parted is not None:
                closed, rest = parted
                break
        following += 1
    indent = state.sCount[start_line]
    written = state.getLines(start_line, last, indent, False).rstrip("\n")
    if closed:  # the last line as it is split, with its indentation
        above, newline, below = written.rpartition("\n")
        written = above + newline + below[: len(below) - len(below.lstrip())] + closed
    token = state.push("maths_block", "div", 0)
    token.map = [start_line, last]
    token.content = written
    state.line = last
    if rest:
        token.meta = {"rest": rest}
        _begin_anew(state, last - 1, len(rest))
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _is_inside(state: StateBlock, line: int) -> bool:
    """Whether the paragraph that began before `line` has opened maths that it has not closed.

    It is asked of line after line: `seen` is how far the paragraph's formulas are closed.
    """
    first, end = state.bMarks[state.line], state.bMarks[line]
    src, begin, seen = state.env.get("formulas", ("", 0, 0))
    if src is not state.src or begin != first or seen > end:
        seen = first
    found = _begun(state.src, seen, end, first)
    if isinstance(found, int):
        state.env["formulas"] = state.src, first, found
        return False
    return True


def opened_in(text: str) -> Display | None:
    """The display maths that a text opens and does not close."""
    begun = _begun(text, 0, len(text), 0)
    return None if isinstance(begun, int) else begun[1]


def begun_at(text: str) -> int:
    """Where the display maths begins that a text opens and does not close, -1 for none."""
    begun = _begun(text, 0, len(text), 0)
    return -1 if isinstance(begun, int) else begun[0]


def _begun(text: str, start: int, end: int, first: int) -> tuple[int, Display] | int:
    """The display maths that the text [first, end) opens and does not close, its search beginning
    at `start`; else up to where nothing more of that text can open any."""
    while (found := _OPENING.search(text, start, end)) is not None:
        opened = Display(found.group(1) or found.group())
        closed = opened.end(text, found.end(), min(end, found.end() + LONGEST_DISPLAY))
        if closed >= 0:
            start = closed
            continue
        if end - found.end() > LONGEST_DISPLAY:
            return sys.maxsize
        is_code = text.count("`", first, found.start()) % 2
        is_maths = not is_code and looks_like_tex(text[found.end() : end])
        return (found.start(), opened) if is_maths else found.start()
    return end


def may_hold_display(text: str) -> bool:
    """False where no display maths begins in `text`: told at a glance."""
    return "$$" in text or "\\" in text


def paragraph(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A paragraph with display maths that goes on over lines, whatever these begin with."""
    begin = state.bMarks[start_line]
    near = state.src[begin : begin + FIRST_LINES]
    if silent or not may_hold_display(near) or not _OPENING.search(near):
        return False
    line, opened, first, ticks = start_line, None, start_line, 0
    inside: list[int] = []  # the lines that go on with maths, in which nothing ends a paragraph
    while line < end_line and not state.isEmpty(line):
        text = _line(state, line)
        if opened is None:
            if line > start_line and _UNDERLINE.fullmatch(text) and not inside:
                return False  # what is above it is a heading, whatever comes
            opened, first = opened_in("`" * (ticks % 2) + text), line + 1
        elif state.sCount[line] < state.blkIndent:
            break
        elif opened.end(text) >= 0:
            opened, last = None, _last_inside(state, first, line)
            inside += range(first, last + 1)
        ticks += text.count("`")  # of code that lines above may have opened
        line += 1
    counts = [state.sCount[line] for line in inside]
    for line in inside:
        state.sCount[line] = -1
    try:
        return bool(inside) and commonmark_paragraph(state, start_line, end_line, silent)
    finally:
        for line, count in zip(inside, counts, strict=True):
            state.sCount[line] = count


def _last_inside(state: StateBlock, first: int, last: int) -> int:
    """The last of these lines that goes on with the maths which the line before `first` has opened.
    A text that arrives ends at a line that begins another block, where what came before it turned
    out to be prose; no later mark may take that back."""
    begin = state.bMarks[first - 1]
    for line in range(first, last + 1):
        is_word = _line(state, line)[:1].isalpha()  # which begins no block
        if not is_word and opened_in(state.src[begin : state.bMarks[line]]) is None:
            return line - 1
    return last


def _one_line(text: str) -> str:
    """A line that is one formula, with what ends its sentence inside; "" if it is not."""
    found = _OPENING.match(text)
    if found is None or found.end() == len(text.rstrip()):
        return ""
    parted = Display(found.group(1) or found.group()).split(text.rstrip(), found.end())
    return "" if parted is None or parted[1] else parted[0]


def _begin_anew(state: StateBlock, line: int, length: int) -> None:
    """Let the last characters of a line be a line of their own."""
    state.bMarks[line] = state.eMarks[line] - length
    state.tShift[line] = 0
    state.sCount[line] = state.blkIndent
    state.line = line


def inline(state: StateInline, silent: bool) -> bool:
    """Take maths inside a line of text."""
    if state.src[state.pos] not in "$\\":
        return False
    end = formula_end(state.src, state.pos, state.posMax)
    if end < 0:
        return False
    if not silent:
        token = state.push("maths_inline", "", 0)
        token.content = state.src[state.pos : end]
    state.pos = end
    return True


def formula_end(text: str, start: int, end: int) -> int:
    """Where the formula ends, before `end`, that begins at `start`; -1: none does."""
    if text[start] == "$":
        return _dollars(text, start, end)
    kind, limit, found = text[start + 1 : start + 2], min(end, start + LONGEST_DISPLAY), None
    if kind == "b" and (opening := _OPENING.match(text, start, limit)) is not None:
        return Display(opening.group(1)).end(text[:limit], opening.end())
    if kind == "[" and text.find("\\]", start, limit) >= 0:
        found = _SQUARE.match(text, start, limit)
    limit = min(limit, start + LONGEST_INLINE)
    if kind == "(" and text.find("\\)", start, limit) >= 0:
        found = _ROUND.match(text, start, limit)
    return found.end() if found else -1


def _dollars(text: str, start: int, end: int) -> int:
    if text.startswith("$$", start):
        found = _DOLLARS.match(text, start, min(end, start + LONGEST_DISPLAY))
        if found is not None:
            return found.end()
    if start and text[start - 1] == "$":
        return -1
    found = _DOLLAR.match(text, start, min(end, start + LONGEST_INLINE))
    if found is None or _is_money(found.group(1), text[found.end() : found.end() + 1]):
        return -1
    return found.end()


def _is_money(content: str, behind: str) -> bool:
    """Whether what stands between two dollars is a sum and what is said of it; `behind` is the
    character after the second, which in "$5 ($x$ each)" begins a formula."""
    if _MONEY.fullmatch(content):
        return True
    found = _SUM.match(content)
    if found is None:
        return False
    said = content[found.end() :]
    return (
        (behind.isascii() and behind.isalpha())
        or behind == "\\"
        or said[-1:] in tuple("([{/,;:–—-~=+<>*&|，。；：、（【「")
        or any(said.count(a) != said.count(b) for a, b in ("()", "[]", "{}"))
        or _PROSE.search(_COMMAND.sub("", said)) is not None
        or re.search("[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]", _COMMAND.sub("", said))
        is not None
    )


def tame(formula: Token, macros: Macros) -> None:
    """Say of a formula what of it is shown (see `tex`)."""
    if formula.type in ("maths_block", "maths_inline"):
        formula.meta["shown"] = tamed(formula.content, macros)
