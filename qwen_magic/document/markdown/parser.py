"""What our Markdown is: CommonMark, tables, strikethrough, footnotes, maths, citations; of HTML a
closed list of elements.

    text -> parse -> tokens -> blocks_of -> ParsedBlock, with its lines     (`incremental`)
                            -> render_blocks -> HTML                      (`render`)

What it has beyond CommonMark is in `inline`, `maths` and, for blocks, below. `[label]: word` is
text where the word is no address, with a title where nothing refers to it: else it would vanish.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.common.utils import MD_TRIM_CHARS
from markdown_it.parser_block import RuleFuncBlockType
from markdown_it.ruler import Ruler
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.reference import reference
from markdown_it.rules_block.table import table
from markdown_it.rules_core import StateCore
from markdown_it.token import Token as Token

from qwen_magic.document.markdown import inline
from qwen_magic.document.markdown.inline import LONGEST, LONGEST_EXPANSION, add_inline, linked
from qwen_magic.document.markdown.maths import FIRST_LINES, add_maths, may_hold_display, tame

MOST_DRAWN: Final = 25_000  # what the elements of a text may weigh (`Bound`) …
DRAWN_EACH: Final = 8  # … and one more for each so many characters
_WEIGHTS: Final = {  # of what may become an element, by the time that takes
    **dict.fromkeys("&<", 1),
    "</": -1,
    ">>": 2,
    **dict.fromkeys("_~`|\\", 2),
    **dict.fromkeys("*$", 3),
    "**": -2,
    "[": 3,
    "](": 4,
    "@": 7,
    **dict.fromkeys(("ww.", "WW."), 9),
    "://": 11,
    "](http": -11,  # the address is the link's own
}
_ITEM_WEIGHT: Final = 7  # of a mark that begins an item or a quote …
_LINE_WEIGHT: Final = 4  # … of a line that may begin another block, or end a paragraph
_BEGUN: Final = re.compile(
    r"((?:[ \t]*(?:[-+*>]|\d{1,9}[.)])(?=\s|$))*)[ \t]*([-+*#>=|`~<\[$\\_:\d]|$)?"
)
_ANY_MARK: Final = b"*_~`$|\\&<>[]@-+.):/\n"  # what weighs has one of them for each 10 or less
# What is weighed together: lines, or so much of one.
_LINES: Final = re.compile(rf"(?s:.{{100}})[^\n]{{0,{LONGEST - 101}}}\n|(?s:.{{{LONGEST}}})")

MAX_NESTING: Final = 60  # the parser drops without a word what lies deeper …
_LACKING: Final = 40  # cells that rows may lack, and one more for each four characters of a table
DEEPEST: Final = 30  # … so from here on it is taken as plain text

# What the target of a definition has to look like.
_TARGET: Final = re.compile(
    r"$|#|[?/.]|[a-z][a-z0-9+.-]*:(?!$)|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\d?(?:[/?#:]|$)",
    re.IGNORECASE,
)
FOOTNOTE: Final = re.compile(r"\[\^([^\]\s\[^]{1,40})\]:[ \t]*")
_RULER: Final = re.compile(r"\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?")
_CODE: Final = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)")
_CODE_BEGUN: Final = re.compile(r"(?<!`)(`+)(?!`).*?(?:(?<!`)\1(?!`)|$)")
_FORMULA: Final = re.compile(
    r"(?<![\\$])\$(?![\s$])[^$`]*?(?<![\s\\])\$(?![\d$])|\\\((?:(?!\\\)|`).)+\\\)"
)
_BEGINS: Final = frozenset("`~>#*-+_=0123456789[<$\\")  # what begins another block than a paragraph
# The rules that know their block by its first character; the others are asked of each line.
_RULES_OF: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys("`~", ("fence",)),
    **dict.fromkeys("$\\", ("maths",)),
    **dict.fromkeys("*-", ("hr", "list")),
    **dict.fromkeys("+0123456789", ("list",)),
    ">": ("blockquote",),
    "_": ("hr",),
    "[": ("aside", "reference"),
    "<": ("aside",),
    "#": ("heading",),
}
_UNDERLINE: Final = re.compile(r"(?:=+|-+)[ \t]*")
_PIPE: Final = re.compile(r"(?<!\\)\|")

Env: TypeAlias = MutableMapping[str, Any]
Citation: TypeAlias = Callable[[int], str | None]


def new_env(citation: Citation | None = None, arrives: bool = False) -> dict[str, Any]:
    """What one text's parses share: its link references, footnotes, macros and citations.

    `citation` maps the number of a `[n]` to the URL of the page it stands for, or None. `arrives`:
    more of the text is to come, perhaps footnotes that it has marks of.
    """
    return {
        "citation": citation,
        "arrives": arrives,
        "references": {},
        "used": set(),  # the addresses that links lead to
        "footnotes": set(),
        "macros": {},
        "settled": {},  # the HTML of texts that a renderer had whole, by text
    }


def parse(text: str, env: Env | None = None) -> list[Token]:
    """The block tokens of `text`; definitions of links are added to `env`."""
    return _parser().parse(text, new_env() if env is None else env)


def parse_inline(text: str, env: Env) -> list[Token]:
    """The inline tokens of `text`, taken as the content of one block."""
    return _parser().parseInline(text, env)[0].children or []


def first_piece(text: str, env: Env, is_whole: bool) -> tuple[int, list[Token]] | None:
    """Where the first piece of a text that is read in several ends, and its inline tokens; None
    where what is to come decides that."""
    found = inline.first_piece(_parser(), text, env, is_whole=is_whole)
    if found is not None:
        whole = Token("inline", "", 0, content=text, children=found[1])
        _complete(StateCore("", _parser(), env, [whole]))
        found = found[0], whole.children or []
    return found


class Bound:
    """How much of a text is drawn: a page of 20,000 items is no good to anybody, and takes a second
    to make. What a text holds is weighed as it comes, by the marks in its lines; what follows the
    line where that is too much is shown as it was written.

    3,500 short items are drawn, 1,300 rows of six short cells, 2,800 items with a link, and of
    longer ones more; so is a book of prose, or code of any length but the oddest.
    """

    def __init__(self) -> None:
        self._is_spent = self._is_cut = False
        self._weight = self._length = 0  # of the text so far
        self._begun = ""  # what is not weighed yet

    def cut(self, text: str) -> int:
        """Where what is drawn ends in `text`, which goes on with what came before; -1: not in it,
        with more behind."""
        end = 0
        if not self._is_spent:
            before, text = len(self._begun), self._begun + text
            for found in _LINES.finditer(text) if "\n" in text or len(text) >= LONGEST else ():
                end = found.end()
                self._weight += _weight(found[0])
                self._length += len(found[0])
                if self._weight > MOST_DRAWN + self._length // DRAWN_EACH:
                    self._is_spent = True
                    break
            self._begun = text[end:]
            end, text = end - before, text[before:]
        if self._is_cut or not self._is_spent or end == len(text):
            return -1
        self._is_cut = True
        return end


def _weight(lines: str) -> int:
    weight = sum(weight * lines.count(mark) for mark, weight in _WEIGHTS.items())
    for line in lines.removesuffix("\n").split("\n"):
        if not line[:1].isalpha() and (found := _BEGUN.match(line)):
            items = len(found[1].split())
            weight += _ITEM_WEIGHT * items or _LINE_WEIGHT * (found[2] is not None)
    return weight


def drawn(text: str) -> tuple[str, str]:
    """Of a whole text, what is drawn, and what is shown as it was written."""
    written = text.encode(errors="replace")
    marks = len(written) - len(written.translate(None, _ANY_MARK))
    end = Bound().cut(text) if 10 * (marks + 1) > MOST_DRAWN else -1
    return (text, "") if end < 0 else (text[:end], text[end:])


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


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    md = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING, "html": False, "linkify": True})
    md.enable(["table", "strikethrough"])
    md.inline.ruler.enable("linkify")
    md.disable(["html_block", "html_inline"])
    md.block.ruler.at("reference", _definition)
    md.block.ruler.before("table", "deepest", _deepest)
    md.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    md.block.ruler.before("reference", "aside", _aside, {"alt": ["paragraph", "reference"]})
    add_maths(md)
    md.block.ruler.after("deepest", "plain", _plain)
    md.block.ruler.at("lheading", _text)
    add_inline(md)
    md.block.ruler = _BlockRuler(md.block.ruler)
    md.core.ruler.at("inline", _inline)
    md.core.ruler.after("inline", "complete", _complete)
    # Every address parses as one: `links` decides, when it is rendered, what becomes a link.
    # Its words are as it was typed: decoded punycode can look like another host.
    md.normalizeLinkText = lambda link: link  # type: ignore[method-assign]
    md.validateLink = lambda url: True  # type: ignore[method-assign]
    return md


class _BlockRuler(Ruler[RuleFuncBlockType]):
    """The block rules of `all_rules`; each chain is one that asks those which a line's first
    character allows."""

    def __init__(self, all_rules: Ruler[RuleFuncBlockType]) -> None:
        super().__init__()
        self.__rules__ = all_rules.__rules__
        self._chains: dict[str, list[RuleFuncBlockType]] = {}

    def getRules(self, chainName: str = "") -> list[RuleFuncBlockType]:  # noqa: N802, N803
        if chainName not in self._chains:
            self._chains[chainName] = [self._asking(super().getRules(chainName))]
        return self._chains[chainName]

    def _asking(self, rules: Sequence[RuleFuncBlockType]) -> RuleFuncBlockType:
        names = {rule.fn: rule.name for rule in self.__rules__}
        known = {*chain(*_RULES_OF.values())}
        others = tuple(rule for rule in rules if names[rule] not in known)
        chosen = {
            char: tuple(rule for rule in rules if rule in others or names[rule] in own)
            for char, own in _RULES_OF.items()
        }

        def ask(state: StateBlock, line: int, end: int, silent: bool) -> bool:
            begin = state.bMarks[line] + state.tShift[line]
            for rule in chosen.get(state.src[begin : begin + 1], others):
                if rule(state, line, end, silent):
                    return True
            return False

        return ask


def _definition(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A definition of a link reference, leaving a token to know its lines by."""
    env, own = state.env, dict[str, Any]()
    state.env = {"references": own}
    try:
        if not reference(state, start_line, end_line, silent):
            return False
    finally:
        state.env = env
    if silent:
        return True
    ((label, target),) = own.items()
    is_address = bool(_TARGET.match(target["href"]))
    if not is_address and not target["title"]:  # a list of sources, a note
        state.line = start_line
        return False
    env["references"].setdefault(label, target)
    token = state.push("definition", "", 0)
    token.map = [start_line, state.line]
    token.hidden = True
    token.meta = own
    if not is_address:
        written = state.getLines(start_line, state.line, state.blkIndent, False)
        token.content = written.strip()
    return True


def _plain(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """Text that its first line tells to be none but that: most is, and no other rule is asked."""
    begin = state.bMarks[start_line]
    return (
        _next_begun(state, start_line, end_line) > start_line
        and not state.is_code_block(start_line)
        and not may_hold_display(state.src[begin : begin + FIRST_LINES])
        and _text(state, start_line, end_line, silent)
    )


def _text(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A paragraph, or the heading that its last line makes of it.

    Of a line only what may begin another block is asked whether it does: most lines begin with a
    letter, and markdown-it would ask all of them twice, of every kind of block.
    """
    kind, state.parentType = state.parentType, "paragraph"
    (ends,), underline, line = state.md.block.ruler.getRules("paragraph"), "", start_line
    while (line := _next_begun(state, line + 1, end_line)) < end_line and not state.isEmpty(line):
        indent = state.sCount[line]
        if indent - state.blkIndent > 3:
            continue
        if indent >= state.blkIndent and _UNDERLINE.fullmatch(found := _line(state, line)):
            underline = found[0]
            break
        if indent >= 0 and ends(state, line, end_line, True):
            break
    state.parentType = kind
    tag = {"=": "h1", "-": "h2"}.get(underline, "p")
    name = "heading" if underline else "paragraph"
    state.line = line + bool(underline)
    opening = state.push(f"{name}_open", tag, 1)
    opening.markup = underline
    opening.map = [start_line, state.line]
    inside = state.push("inline", "", 0)
    inside.content = state.getLines(start_line, line, state.blkIndent, False).strip(MD_TRIM_CHARS)
    inside.map = [start_line, line]
    inside.children = []
    state.push(f"{name}_close", tag, -1).markup = underline
    return True


def _next_begun(state: StateBlock, line: int, end: int) -> int:
    """The first of the lines [line, end) that is empty, or may begin a block: by its first
    character, or as the head of a table, by that of the line below it."""
    src, marks, shifts, ends = state.src, state.bMarks, state.tShift, state.eMarks
    while line < end:
        begin = marks[line] + shifts[line]
        below = marks[line + 1] + shifts[line + 1]
        if begin >= ends[line] or src[begin] in _BEGINS or src[below : below + 1] in "|-:":
            break
        line += 1
    return line


def _inline(state: StateCore) -> None:
    """Read the blocks' texts, but for those whose HTML is known and no definition changes."""
    state.env["expandable"] = max(LONGEST_EXPANSION, len(state.src))
    settled, defined = state.env.get("settled", {}), bool(state.env.get("references"))
    for token in state.tokens:
        if token.type == "inline":
            token.children = token.children or []
            html = settled.get(token.content)
            if html is not None and not (defined and "[" in token.content):
                token.children.append(Token("settled", "", 0, content=html))
            else:
                state.md.inline.parse(token.content, state.md, state.env, token.children)


def _complete(state: StateCore) -> None:
    """Do what can be done only when all tokens are there: show the definitions without an address
    that nothing refers to, link the addresses in what is text, say what formulas show."""
    macros, used = state.env.setdefault("macros", {}), state.env.setdefault("used", set())
    for token in state.tokens:
        if token.type == "definition" and token.content:
            (target,) = token.meta.values()
            token.hidden, token.children = target["href"] in used, []
            alone = {**state.env, "references": {}}  # its label refers to itself
            state.md.inline.parse(token.content, state.md, alone, token.children)
        text = token.content
        if token.children and ("@" in text or "ww." in text or "WW." in text):
            token.children = linked(state.md, token.children)
        if "\\" in text or "{" in text:
            for formula in token.children or (token,):
                tame(formula, macros)


def _table(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A table, where the row below the head may be a cell short and pipes in code are of the code.

    The rows that are meant otherwise than they are written stand, while the table is parsed, behind
    the text, corrected.
    """
    if start_line + 2 > end_line:
        return False
    begin = state.bMarks[start_line + 1] + state.tShift[start_line + 1]
    if state.src[begin : begin + 1] not in ("|", "-", ":"):
        return False
    ruler = _line(state, start_line + 1).strip()
    if not _RULER.fullmatch(ruler):
        return table(state, start_line, end_line, silent)
    cells = ruler.strip("|").split("|")
    head = as_meant(_line(state, start_line).strip(), len(cells))
    missing = len(row_cells(head)) - len(cells)
    meant = {start_line: head}
    if abs(missing) == 1 and head[:1] == ruler[:1] == "|":
        meant[start_line + 1] = "|".join(["", *cells, *(["---"] * missing), ""])
        meant[start_line] = head if missing > 0 else head.rstrip("|") + "| |"
    # Its first two lines tell whether it is one, before all others are looked at.
    if not _as_written(state, meant, start_line, end_line, True):
        return False
    if silent:
        return True
    columns = len(cells) + max(0, missing)
    (ends,) = state.md.block.ruler.getRules("blockquote")  # as the table's own rule asks them
    may_lack = _LACKING + sum(map(len, meant.values())) // 4
    for line in range(start_line + 2, end_line):
        if state.isEmpty(line) or ends(state, line, end_line, True):
            break
        text = _line(state, line)
        may_lack += len(text) // 4 - max(0, columns - text.count("|") - 1)
        if may_lack < 0:
            end_line = line
            break
        meant[line] = as_meant(text, columns)
    return _as_written(state, meant, start_line, end_line, False)


def _as_written(
    state: StateBlock, meant: Mapping[int, str], start_line: int, end_line: int, silent: bool
) -> bool:
    """The table whose lines are, where they are in `meant`, what is said there."""
    src, size, parts = state.src, len(state.src), list[str]()
    written: dict[int, tuple[int, int, int]] = {}
    for line, text in meant.items():
        if text != _line(state, line):
            parts.append(text)
            written[line] = state.bMarks[line], state.eMarks[line], state.tShift[line]
            state.bMarks[line], state.tShift[line] = size, 0
            state.eMarks[line] = size = size + len(text)
    if parts:
        state.src = "".join((src, *parts))
    try:
        return table(state, start_line, end_line, silent)
    finally:
        state.src = src
        for line, marks in written.items():
            state.bMarks[line], state.eMarks[line], state.tShift[line] = marks


def row_cells(row: str) -> list[str]:
    """The cells of a row of a table, with the spaces around them."""
    cells = [cell.replace("\\|", "|") for cell in _PIPE.split(row.strip())]
    return cells[cells[:1] == [""] : len(cells) - (cells[1:] != [] and cells[-1] == "")]


def as_meant(row: str, columns: int, begun: bool = False) -> str:
    """A row of a table with the pipes in its code escaped, where it has no more cells than the
    table without that, and those in its formulas (`$|x|$`) where it then has as many. `begun`: code
    that is not closed goes on."""
    if "`" in row:
        escaped = _escaped_in(_CODE_BEGUN if begun else _CODE, row)
        if begun and escaped != row:
            return escaped
        fits = len(row_cells(row)) == columns and len(row_cells(escaped)) != columns
        row = row if fits else escaped
    if ("\\(" in row or row.count("$") > 1) and len(row_cells(row)) > columns:
        escaped = _escaped_in(_FORMULA, row)
        row = escaped if len(row_cells(escaped)) == columns else row
    return row


def _escaped_in(spans: re.Pattern[str], row: str) -> str:
    return spans.sub(lambda found: _PIPE.sub(r"\|", found.group()), row)


def _aside(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A footnote or a comment."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    match state.src[begin : begin + 2]:
        case "[^":
            take = _footnote
        case "<!":
            take = _comment
        case _:
            return False
    return not state.is_code_block(start_line) and take(state, start_line, end_line, silent)


def _footnote(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """`[^1]: text`, and below it what is indented by four spaces."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    found = FOOTNOTE.match(state.src, begin, state.eMarks[start_line])
    if found is None:
        return False
    if silent:
        return True
    token = state.push("footnote_open", "div", 1)
    token.info = found.group(1)
    token.map = [start_line, end_line]
    state.env.setdefault("footnotes", set()).add(token.info)
    before = state.bMarks[start_line], state.tShift[start_line], state.sCount[start_line]
    state.blkIndent += 4
    state.bMarks[start_line], state.tShift[start_line] = found.end(), 0
    state.sCount[start_line] = state.blkIndent
    state.md.block.tokenize(state, start_line, end_line)
    state.blkIndent -= 4
    state.bMarks[start_line], state.tShift[start_line], state.sCount[start_line] = before
    state.line = max(state.line, start_line + 1)
    token.map[1] = state.line
    state.push("footnote_close", "div", -1)
    return True


def _comment(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A comment on lines of its own, which is left out."""
    begin = state.bMarks[start_line] + state.tShift[start_line]
    if not state.src.startswith("<!--", begin):
        return False
    src, first, bound = state.env.get("uncommented", ("", 0, 0))
    limit = state.eMarks[end_line - 1]
    if src is state.src and first <= begin and limit <= bound:  # looked for before
        return False
    end = state.src.find("-->", begin + 4, limit)
    if end < 0:
        state.env["uncommented"] = state.src, begin, limit
    last = start_line
    while end > state.eMarks[last]:
        last += 1
        if state.sCount[last] < state.blkIndent and not state.isEmpty(last):
            return False
    if end < 0 or state.src[end + 3 : state.eMarks[last]].strip():
        return False
    if not silent:
        token = state.push("comment", "", 0)
        token.map, token.hidden = [start_line, last + 1], True
        state.line = last + 1
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]


def _deepest(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """All that is nested too deeply, as one paragraph of plain text."""
    if state.level < DEEPEST or silent:
        return False
    token = state.push("plain_block", "p", 0)
    token.map = [start_line, end_line]
    token.content = state.getLines(start_line, end_line, state.blkIndent, False).strip()
    state.line = end_line
    return True
