"""Rules for what stands inside a line: emphasis beside CJK, addresses, a little HTML, marks of
footnotes, pictures, citations.

Emphasis. CommonMark lets `**` close behind punctuation only before a space or more punctuation;
Chinese and Japanese set no spaces, so that `**重点：**这是` would stay asterisks. The CJK-friendly
amendments mend this and change nothing for other scripts: punctuation counts only where it is not
CJK's own, and where it does, a CJK character beyond the mark is as good as a space.

Addresses. `https://…`, `www.…` and mail addresses are links where they stand in text. One ends
before a space, a quotation mark, `**`, `~~` or CJK punctuation, and its host where the script
changes ("见https://example.com。谢谢"); of other marks at its end linkify-it knows which belong to
it.

HTML. A closed list: `<br>`, comments, and in pairs `<sub>`, `<sup>`, `<kbd>`, `<mark>`, without
their attributes. What is between a pair is parsed by itself, so that elements always nest; one that
is not closed ends with what it stands in.

Long texts. What a block says is read in pieces of at most `LONGEST` characters, over whose ends no
mark goes: else one mark that is never closed would cost a look at all the rest, and nothing of a
text that arrives could be shown for good before its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from types import SimpleNamespace
from typing import Final
from unicodedata import east_asian_width

from markdown_it import MarkdownIt, helpers
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace, unescapeAll
from markdown_it.helpers import parseLinkLabel
from markdown_it.parser_inline import ParserInline, RuleFuncInlineType
from markdown_it.rules_core import StateCore, text_join
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.entity import entity
from markdown_it.rules_inline.image import image
from markdown_it.rules_inline.link import link
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.rules_inline.text import text
from markdown_it.token import Token
from markdown_it.utils import EnvType

from qwen_magic.document.markdown.maths import LONGEST_DISPLAY, begun_at, formula_end
from qwen_magic.document.markdown.unfinished import MOST_MARKS, is_note, openers, pending
from qwen_magic.document.words import revealed

LONGEST_EXPANSION: Final = 100_000  # characters of addresses that a text, or a shorter one, holds
LONGEST: Final = 1200  # characters of a text that are read together, of a longer one in each piece
_CUT: Final = re.compile(
    r"(?<=[^\s\\])[ \n](?=\S)|(?<=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])"
    r"(?=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])"
)
_IN_ADDRESS: Final = re.compile(r"(?:://|www\.)\S*\Z")
_IN_TARGET: Final = re.compile(r"\]\([^\s()]*\Z")
_TARGET: Final = re.compile(r"[^\s)]*\)?")
_MARKS: Final = re.compile(r"[\\`*_~\[<&$@]|[ \t]\n|\n[ \t]|://|www\.", re.IGNORECASE)
_CITATION: Final = re.compile(r"\[(\d{1,3})\]")
_WIDE_SYMBOLS: Final = re.compile("[\u2329\u232a\u2630-\u2637\u268a-\u268f]")  # that are no emoji
_WIDE_EMOJI: Final = re.compile(
    "[\U0001f000-\U0001f1ff\U0001f201\U0001f21a\U0001f22f\U0001f232-\U0001f236"
    "\U0001f238-\U0001f23a\U0001f250\U0001f251\U0001f300-\U0001faff]"
)
_FULL_QUOTE: Final = re.compile("[‘’“”]\ufe01")  # quotation marks in their full-width form


_TAG: Final = re.compile(r"<(/?)(br|sub|sup|kbd|mark)(?:\s[^<>]*)?/?>", re.IGNORECASE)
_ANGLED_TARGET: Final = re.compile(r"<(?:[^<>\n\\]|\\.)*+>", re.DOTALL)
_UNBROKEN: Final = re.compile(r"(?:[^\x00-\x20\x7f()\\]++|\\[^ ]|\\\Z)*+", re.DOTALL)
_DEEPEST_TARGET: Final = 8  # parentheses in one another
DEEPEST_TAGS: Final = 16  # elements in one another; what is deeper is text
_MOST_SPENT: Final = 20  # times the length of a text: brackets that are nested deeper are text
_NOTE: Final = re.compile(r"\[\^([^\]\s\[^]{1,40})\]")

_ANGLE: Final = re.compile(  # CommonMark's
    r"<(?:(?P<url>[a-zA-Z][a-zA-Z0-9+.\-]{1,31}:[^<>\x00-\x20]*)"
    r"|(?P<mail>[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~\-]++@[a-zA-Z0-9](?:[a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])?)*))>"
)
_STOP: Final = (  # what no address holds
    r"\s<>\"`\u060c\u061b\u061f\u06d4\u2018-\u201f\u2026\u3000-\u3004\u3008-\u3020\u30fb"
    r"\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
)
_EAST: Final = "\u2e80-\ufaff\U00020000-\U0003ffff"
_LABEL: Final = rf"(?:[\w-]+|(?:(?![{_STOP}])[{_EAST}])+)"
_WRITTEN: Final = re.compile(
    rf"(?>(?:https?://|www\.){_LABEL}(?:\.{_LABEL})*(?::\d+)?(?:[/?#](?:(?!\*\*|~~)[^{_STOP}])*)?)(?!(?::[!-~]*)?@)",
    re.IGNORECASE | re.ASCII,
)
_LAST_ENTITY: Final = re.compile(r"&[a-z0-9]{1,31};\Z", re.IGNORECASE)
_SCHEME: Final = re.compile(r"(?<![a-z0-9.+-])https?\Z", re.IGNORECASE)
_IN_TEXT: Final = re.compile(
    r"(?<![\w./@-])www\.(?=\w)"
    r"|(?<![\w.+/:@-])(?P<mail>(?:mailto:)?[a-z0-9][\w.+-]*@(?:[a-z0-9-]+\.)+[a-z]{2,})"
    r"(?![\w-]|[:/@]\w)",
    re.IGNORECASE | re.ASCII,
)


# The rules that look at a character; none does at any other, but where it is text.
_RULES_OF: Final[dict[str, tuple[str, ...]]] = {
    ":": ("linkify",),
    "\n": ("newline",),
    "$": ("maths",),
    "\\": ("maths", "escape"),
    "`": ("backticks",),
    "~": ("strikethrough",),
    "*": ("emphasis",),
    "_": ("emphasis",),
    "[": ("link",),
    "!": ("image", "text"),
    "<": ("autolink",),
    "&": ("entity",),
}


def is_plain(text: str) -> bool:
    """Tell whether `text` holds no mark that is read inside a line."""
    return _MARKS.search(text) is None


def add_inline(md: MarkdownIt) -> None:
    """Teach a parser these rules."""
    old, md.inline = md.inline, _InlineParser()
    md.inline.ruler, md.inline.ruler2 = old.ruler, old.ruler2
    md.helpers = SimpleNamespace(**{**vars(helpers), "parseLinkDestination": _destination})  # type: ignore[assignment]
    md.inline.ruler.at("newline", _newline)
    md.inline.ruler.at("image", _image)
    md.inline.ruler.at("link", _bracket)
    md.inline.ruler.at("autolink", _angle)
    md.inline.ruler.at("linkify", _address)
    md.inline.ruler.at("entity", _entity)


@dataclass(slots=True)
class _Destination:
    """What markdown-it has for the target of a link."""

    ok: bool = False
    pos: int = 0
    str: str = ""


def _destination(text: str, start: int, end: int) -> _Destination:
    """markdown-it's `parseLinkDestination`, which looks at each character, by expressions."""
    if text[start - 1 : start] == "(" and text.find(")", start, end) < 0:
        return _NO_TARGET  # of a link that nothing closes
    if text.startswith("<", start):
        whole = _ANGLED_TARGET.match(text, start, end)
        return _Destination(True, whole.end(), unescapeAll(whole[0][1:-1])) if whole else _NO_TARGET
    place, depth = start, 0
    while (found := _UNBROKEN.match(text, place, end)) is not None:
        place = found.end()
        mark = text[place : place + 1] if place < end else ""
        if mark not in ("(", ")") or (mark == ")" and depth == 0):
            break
        depth += 1 if mark == "(" else -1
        place += 1
        if depth > _DEEPEST_TARGET:
            return _NO_TARGET
    if depth or place == start:
        return _NO_TARGET
    return _Destination(True, place, unescapeAll(text[start:place]))


_NO_TARGET: Final = _Destination()


class _InlineParser(ParserInline):
    """The parser of lines, with our notion of where a mark of emphasis may open and close.

    Of the rules only those are asked that know the character (`_RULES_OF`): a text of nothing but
    marks would else cost a call of each of them for each character.
    """

    def __init__(self) -> None:
        super().__init__()
        self.terminator_re = re.compile(
            f"[{re.escape(''.join(_RULES_OF).replace('!', ''))}\\]]|!(?=\\[)"
        )
        self._known: dict[str, tuple[RuleFuncInlineType, ...]] = {}

    def tokenize(self, state: StateInline) -> None:
        """Read what stands from `state.pos` to `state.posMax`."""
        known, src, end, deepest = self._rules(), state.src, state.posMax, _deepest(state)
        while state.pos < end:
            place = state.pos
            for rule in known.get(src[place], _TEXT) if state.level < deepest else ():
                if rule(state, False):
                    break
            else:
                state.append_pending(src[place])
                state.pos = place + 1
        if state.pending:
            state.pushPending()

    def skipToken(self, state: StateInline) -> None:  # noqa: N802, markdown-it's name
        """Go behind the next mark, or character, without a token for it."""
        place, cache = state.pos, state.cache
        if place not in cache:
            if state.level >= _deepest(state):
                state.pos = state.posMax
            state.level += 1
            for rule in self._rules().get(state.src[place], _TEXT) if state.pos == place else ():
                if rule(state, True):
                    break
            else:
                state.pos += 1
            state.level -= 1
            cache[place] = state.pos
        state.pos = cache[place]

    def _rules(self) -> dict[str, tuple[RuleFuncInlineType, ...]]:
        if not self._known:  # they are all there only when the first text is read
            names = self.ruler.get_active_rules()
            rules = dict(zip(names, self.ruler.getRules(""), strict=True))
            if {*rules} != {"text", *chain(*_RULES_OF.values())}:
                raise RuntimeError("a rule stands in no row of _RULES_OF, or one that is none")
            self._known = {
                char: tuple(rules[name] for name in names) for char, names in _RULES_OF.items()
            }
        return self._known

    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        if len(src) < LONGEST and is_plain(src):
            tokens.append(Token("text", "", 0, content=src))
            return tokens
        start = 0
        while len(src) - start > LONGEST:
            start, piece = first_piece(md, src, env, start) or (len(src), [])
            tokens += piece
        return _parse_piece(src[start:], md, env, tokens)


_TEXT: Final = (text,)


def _deepest(state: StateInline) -> int:
    return int(state.md.options["maxNesting"])


def _parse_piece(src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
    state = _Inline(src, md, env, tokens)
    md.inline.tokenize(state)
    for rule in md.inline.ruler2.getRules(""):
        rule(state)
    return state.tokens


def first_piece(
    md: MarkdownIt, text: str, env: EnvType, start: int = 0, is_whole: bool = True
) -> tuple[int, list[Token]] | None:
    """Where the piece ends that a long text has at `start`, and its tokens; None where what comes
    (the text is not the whole) decides that.

    In front of a mark that is not closed in it, if that is not too far back; else between words.
    Display maths is not cut, nor is a link's target (a picture's may be the picture).
    """

    def read(end: int) -> list[Token]:
        whole = Token("inline", "", 0)
        whole.children = _parse_piece(text[start:end], md, env, [])
        text_join(StateCore("", md, env, [whole]))
        return whole.children or []

    window = text[start : start + LONGEST]
    if _IN_TARGET.search(window) and (rest := _TARGET.match(text, start + LONGEST)):
        is_open = rest.end() == len(text) and not is_whole
        return None if is_open else (rest.end(), read(rest.end()))
    if (begun := begun_at(window)) >= 0:
        end = formula_end(text, start + begun, len(text))
        if end >= 0:
            return end, read(end)
        if not is_whole and len(text) - start - begun < LONGEST_DISPLAY:
            return None
    first = last_cut(window, LONGEST) or LONGEST
    tokens = read(start + first)
    if (mark := pending(tokens)) and openers(tokens) <= MOST_MARKS:  # not one that opens all over
        end = last_cut(window, window.rfind(mark, 0, first))
        if end >= LONGEST // 2 and not pending(before := read(start + end)):
            return start + end, before
    return start + first, tokens


def last_cut(text: str, limit: int) -> int:
    """The last place up to `limit` where the text may be cut between words, or between characters
    of scripts without spaces; not in an address. 0 for none."""
    for near in (24, 160, LONGEST) if limit > 0 else ():
        found = 0
        for match in _CUT.finditer(text, max(0, limit - near), limit):
            found = match.end()
        if found and (text[found - 1] in " \n" or not _IN_ADDRESS.search(text, 0, found)):
            return found
    return 0


_SPACES: Final = frozenset(char for char in map(chr, range(128)) if isWhiteSpace(ord(char)))
_PUNCTUATION: Final = frozenset(char for char in map(chr, range(128)) if isMdAsciiPunct(ord(char)))


class _Inline(StateInline):
    uncommented = 0  # up to here no comment ends that is not begun yet
    spent = 0  # characters of labels that were looked through, and were none

    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803
        src, end = self.src, start + 1
        while end < self.posMax and src[end] == src[start]:
            end += 1
        if src.isascii():  # markdown-it's own, with fewer calls
            last, after = src[start - 1 : start] or " ", src[end : min(end + 1, self.posMax)] or " "
            space_before, space_after = last in _SPACES, after in _SPACES
            mark_before, mark_after = last in _PUNCTUATION, after in _PUNCTUATION
            left = not space_after and (not mark_after or space_before or mark_before)
            right = not space_before and (not mark_before or space_after or mark_after)
            return Scanned(
                left and (canSplitWord or not right or mark_before),
                right and (canSplitWord or not left or mark_after),
                end - start,
            )
        before = src[max(0, start - 2) : start] or " "
        after = src[end] if end < self.posMax else " "
        full = _FULL_QUOTE.fullmatch(before)
        last = before[-1]
        if len(before) == 2 and "\ufe00" <= last <= "\ufe0e":  # a variation of what it follows
            last = before[0]
        cjk_before, cjk_after = full is not None or is_cjk(last), is_cjk(after)
        mark_before, mark_after = _is_punctuation(last), _is_punctuation(after)
        space_before, space_after = isWhiteSpace(ord(last)), isWhiteSpace(ord(after))
        left = not space_after and (
            not mark_after or cjk_after or space_before or mark_before or cjk_before
        )
        right = not space_before and (
            not mark_before or cjk_before or space_after or mark_after or cjk_after
        )
        return Scanned(
            left and (canSplitWord or not right or mark_before),
            right and (canSplitWord or not left or mark_after),
            end - start,
        )


@lru_cache(maxsize=4096)
def is_cjk(char: str) -> bool:
    """Whether a character is Chinese, Japanese or Korean, letter or punctuation: one that is wide
    and no emoji, Hangul, or the selector of an ideograph's variation."""
    if char < "\u1100":
        return False
    if char < "\u2e80":
        return char < "\u1200" or char == "\u20a9" or bool(_WIDE_SYMBOLS.match(char))
    if "\ud7b0" <= char <= "\ud7ff" or "\U000e0100" <= char <= "\U000e01ef":
        return True
    return east_asian_width(char) in "WFH" and not _WIDE_EMOJI.match(char)


@lru_cache(maxsize=4096)
def _is_punctuation(char: str) -> bool:
    return isMdAsciiPunct(ord(char)) or isPunctChar(char)


def _newline(state: StateInline, silent: bool) -> bool:
    """The end of a line: a part of the text, or a break behind two spaces."""
    if not silent:
        said = state.pending
        if not said.endswith(" "):
            state.append_pending("\n")
        elif said.endswith("  "):
            state.pending = said.rstrip(" ")
            state.push("hardbreak", "br", 0)
        else:
            state.pending = said[:-1] + "\n"
    state.pos += 1
    while state.pos < state.posMax and state.src[state.pos] in " \t":
        state.pos += 1
    return True


def _image(state: StateInline, silent: bool) -> bool:
    """An image."""
    start = state.pos
    if not state.src.startswith("![", start) or not _may_close(state):
        return False
    if not image(state, silent):
        _charge(state, start + 1)
        return False
    if not silent:
        _use(state, len(state.tokens) - 1)
    return True


def _bracket(state: StateInline, silent: bool) -> bool:
    """A link; else, where they are known, the mark of a footnote or a citation."""
    if state.src[state.pos] != "[" or not _may_close(state):
        return False
    first = len(state.tokens)
    if link(state, silent):
        if not silent:
            _use(state, first)
        return True
    _charge(state, state.pos)
    # Silent is the search for the end of a link's text, where a number in brackets is only text.
    return not silent and (_note(state) or _citation(state))


def _may_close(state: StateInline) -> bool:
    """Whether a bracket closes later at all: else each that opens would cost a look at the rest.
    Nor is each of a thousand that are nested looked through to its end."""
    if isinstance(state, _Inline) and state.spent > _MOST_SPENT * len(state.src):
        return False
    return state.src.find("]", state.pos, state.posMax) >= 0


def _charge(state: StateInline, opening: int) -> None:
    """The bracket there opened nothing, and to find that out its label was looked through."""
    if isinstance(state, _Inline) and state.src.startswith("[", opening):
        end = parseLinkLabel(state, opening, False)
        state.spent += (end if end >= 0 else state.posMax) - opening


def _use(state: StateInline, first: int) -> None:
    """Keep where a link or an image leads to, the token of which is `first` or the next.

    What definitions add to a text is bounded, as in cmark: thousands of `[a]` could else each
    become an address as long as the text."""
    for token in state.tokens[first : first + 2]:
        url = str(token.attrs.get("href") or token.attrs.get("src") or "")
        state.env.setdefault("used", set()).add(url)
        left = state.env["expandable"] = state.env.get("expandable", LONGEST_EXPANSION) - len(url)
        if left < 0 and state.env.get("references"):
            state.env["references"] = {}


def _note(state: StateInline) -> bool:
    """`[^1]`, where the text has that footnote; while it arrives, a number or a name is taken for
    one."""
    found = _NOTE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    label = found.group(1)
    is_expected = state.env.get("arrives") and is_note(label)
    if not is_expected and label not in state.env.get("footnotes", ()):
        return False
    state.push("footnote", "sup", 0).info = label
    state.pos = found.end()
    return True


def _citation(state: StateInline) -> bool:
    """`[n]`, where the text's callback knows an address for the number."""
    ask = state.env.get("citation")
    if ask is None or state.linkLevel > 0:
        return False
    found = _CITATION.match(state.src, state.pos, state.posMax)
    url = ask(int(found.group(1))) if found is not None else None
    if found is None or url is None:
        return False
    token = state.push("citation", "a", 0)
    token.content = found.group()
    token.attrs = {"href": url}
    token.meta = {"number": int(found.group(1))}
    state.pos = found.end()
    return True


def _entity(state: StateInline, silent: bool) -> bool:
    """A character by its name or number; one that would hide is seen."""
    before = state.pending[-1:] or (state.tokens[-1].content[-1:] if state.tokens else "")
    if not entity(state, silent):
        return False
    if not silent and state.tokens:
        state.tokens[-1].content = revealed(state.tokens[-1].content, before)
    return True


def _angle(state: StateInline, silent: bool) -> bool:
    """An address in angle brackets, an element or a comment."""
    return state.src[state.pos] == "<" and (_autolink(state, silent) or _html(state, silent))


def _autolink(state: StateInline, silent: bool) -> bool:
    """`<https://…>`, `<a@b.c>`."""
    found = _ANGLE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        url = found["url"] or found["mail"]
        for token in _linking(state.md, url if found["url"] else f"mailto:{url}", url):
            state.push(token.type, token.tag, token.nesting).attrs = token.attrs
            state.tokens[-1].content = token.content
    state.pos = found.end()
    return True


def _html(state: StateInline, silent: bool) -> bool:
    """An element of the closed list, or a comment, which is left out."""
    start = state.pos
    if state.src.startswith("<!--", start):
        if isinstance(state, _Inline) and state.posMax <= state.uncommented:
            return False
        end = state.src.find("-->", start + 4, state.posMax)
        if end < 0 and isinstance(state, _Inline):
            state.uncommented = state.posMax
        state.pos = end + 3 if end >= 0 else start
        return end >= 0
    found = _TAG.match(state.src, start, state.posMax)
    if found is None or state.level > DEEPEST_TAGS:
        return False
    name = found.group(2).lower()
    if name == "br":  # as browsers take it, also closing
        if not silent:
            state.push("hardbreak", "br", 0).markup = found.group()
        state.pos = found.end()
        return True
    if found.group(1):
        return False
    state.pos = found.end()
    inner, after = _closing(state, name)
    if not silent:
        state.push("html_open", name, 1).markup = found.group()
        state.pos, outer, state.posMax = found.end(), state.posMax, inner
        state.md.inline.tokenize(state)
        state.posMax = outer
        state.push("html_close", name, -1).markup = state.src[inner:after]
    state.pos = after
    return True


def _closing(state: StateInline, name: str) -> tuple[int, int]:
    """Where the tag that closes the element begins and ends: at the end where there is none."""
    if re.compile(f"</{name}", re.IGNORECASE).search(state.src, state.pos, state.posMax):
        while state.pos < state.posMax:
            found = _TAG.match(state.src, state.pos, state.posMax)
            if found is not None and found.group(1) and found.group(2).lower() == name:
                return found.start(), found.end()
            state.md.inline.skipToken(state)
    return state.posMax, state.posMax


def _address(state: StateInline, silent: bool) -> bool:
    """`https://…`, of which what stands before the colon is in `pending`."""
    if state.src[state.pos] != ":" or silent or state.linkLevel > 0:
        return False
    if not state.src.startswith("://", state.pos):
        return False
    scheme = _SCHEME.search(state.pending[-8:])
    if scheme is None:
        return False
    begin = state.pos - len(scheme.group())
    written = _written(state.md, state.src[begin : state.posMax])
    if not written:
        return False
    state.pending = state.pending[: -len(scheme.group())]
    for token in _linking(state.md, written, written):
        state.push(token.type, token.tag, token.nesting).attrs = token.attrs
        state.tokens[-1].content = token.content
    state.pos = begin + len(written)
    return True


def _written(md: MarkdownIt, text: str) -> str:
    """The address that `text` begins with, "" for none."""
    found = _WRITTEN.match(text)
    if found is None or md.linkify is None:
        return ""
    address = _LAST_ENTITY.sub("", found.group()).rstrip("*_~\\")
    scheme = "http://" if address[:4].lower() == "www." else ""
    link = md.linkify.match_at_start(scheme + address)
    return link.raw[len(scheme) :].rstrip("*_~\\") if link else ""


def _linking(md: MarkdownIt, url: str, words: str) -> list[Token]:
    opening, text = Token("link_open", "a", 1), Token("text", "", 0, content=words)
    opening.attrs = {"href": md.normalizeLink(url)}
    return [opening, text, Token("link_close", "a", -1)]


def linked(md: MarkdownIt, tokens: list[Token]) -> list[Token]:
    """The tokens with links for the `www.…` and mail addresses in what is text in the end."""
    out: list[Token] = []
    depth = 0  # of links
    for token in tokens:
        depth += token.nesting if token.tag == "a" else 0
        text, copied = token.content, 0
        for found in _IN_TEXT.finditer(text) if token.type == "text" and not depth else ():
            words = found["mail"] or _written(md, text[found.start() :])
            if not words or found.start() < copied:
                continue
            before = text[copied : found.start()]
            out += [Token("text", "", 0, content=before)] if before else []
            scheme = "http://" if not found["mail"] else "mailto:"
            out += _linking(md, words if words.startswith("mailto:") else scheme + words, words)
            copied = found.start() + len(words)
        if not copied:
            out.append(token)
        elif copied < len(text):
            out.append(Token("text", "", 0, content=text[copied:]))
    return out
