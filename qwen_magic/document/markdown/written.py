"""Markdown written anew from its tokens, so that no reader of it loads or runs anything.

    text -> parse -> tokens -> written -> Markdown

What is text in our Markdown is escaped, so that it is text in any other; raw HTML is the closed
list of elements alone, and a picture is a link with its host in words. Code stays to the letter.
The links of reference definitions stand where they are used. A patch of the source could not do
that: readers differ in what they take for code, a link or a tag.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, TypeAlias
from urllib.parse import unquote

from qwen_magic.document.links import is_linkable, is_picture, markdown_link, misleads, remote_host
from qwen_magic.document.markdown.parser import Token, parse, parse_structure
from qwen_magic.document.markdown.render import text_of
from qwen_magic.document.words import SPECIAL, escaped

# What stands in the place of an image, None: as any other.
Instead: TypeAlias = Callable[[Token], str | None]

# What another reader may load or run, if it takes it for what it looks like.
_HAZARD: Final = re.compile(r"<(?=[A-Za-z/!?])|!\[|!\\?\[|&(?:lt|#0*60|#x0*3c)\b", re.IGNORECASE)
# The target of a link that leads elsewhere than to a page or a file beside the notebook.
_ELSEWHERE: Final = re.compile(
    r"(?:\]\(|^[ >\d.)*+-]{0,20}\[[^\]\n]+\]:)\s*<?(?!\s|https?://|mailto:|(?!//)[#\w./%\-]+[\s>)])",
    re.IGNORECASE | re.MULTILINE,
)
# Where the words of a link may show a host, or its target begin with a name (`https://a@b`). From a
# bracket to the next nothing is looked at twice.
_TOLD_HOST: Final = re.compile(
    r"[\[\]][\w\s\"'(),!?-]*+[^\w\s\[\]\"'(),!?-][^\[\]]*+\]\s?[(\[]"
    r"|\][^\[\]]*+\]\s?[(\[]|^[ >\d.)*+-]{0,20}\[[^\]\n]+\]:|://[^\s/@)]{0,300}+@",
    re.MULTILINE,
)
# What a reader without footnotes takes for the target of a definition, behind `[^1]: `.
_AWAY: Final = re.compile(
    r"<?(?!https?://|mailto:)(?:[a-z][a-z0-9+.\-]*(?::|&)|[/\\])", re.IGNORECASE
)
_BARE: Final = re.compile(r"</?[a-z]+>|<br ?/>")
_BESIDE: Final = re.compile(r"(?![/\\])[^:\\\x00-\x20]*")
# A file beside the notebook; no reader takes it for an address.
_LOCAL: Final = re.compile(r"(?:sandbox:|attachment:)?\w[\w.\- /]*")
_BLOCK_MARK: Final = re.compile(r"^(?:([+=-])|(\d{1,9})([.)]))(?=\s|$)|^(-{2,}|={2,}|:)")
_ALIGNED: Final = {
    "text-align:right": "---:",
    "text-align:center": ":---:",
    "text-align:left": ":---",
}
_REFERRED: Final = "<>&[]\\$"
_TASK: Final = re.compile(r"^&#91;([ xX])&#93; ")
_MARKS: Final = {"em": "*", "strong": "**", "s": "~~"}


def safe_markdown(text: str, instead: Instead = lambda image: None, *, last: int = 0) -> str:
    """`text` itself where no reader of Markdown takes anything in it for HTML or a picture, else
    written anew. What stands behind it is no part of it: its last fence is closed. `last`: where
    its last block begins, or an earlier one."""
    if _HAZARD.search(text) or _ELSEWHERE.search(text) or _TOLD_HOST.search(text):
        tokens = parse(text)
        if any(_is_shown(token, instead) for token in tokens) or _is_hazardous(tokens):
            return _Writer(instead).blocks(tokens)
    return text[:last] + _closed(text[last:])


def _closed(text: str) -> str:
    """`text` with a mark that closes its last fence where that is open: what follows is no code."""
    if "```" not in text and "~~~" not in text:
        return text
    lines, closing = text.split("\n"), ""
    for token in parse_structure(text):
        if token.type in ("fence", "code_block") and token.map is not None:
            first, after = token.map
            is_open = token.type == "fence" and not _closes(lines[after - 1], token.markup)
            if is_open or (after - first == 1 and token.type == "fence"):
                closing = token.markup if token.level == 0 and after == len(lines) else ""
    return f"{text}\n{closing}" if closing else text


def _closes(line: str, markup: str) -> bool:
    bare = line.strip(" >\t")
    return len(bare) >= len(markup) and not bare.strip(markup[0])


def _is_shown(token: Token, instead: Instead) -> bool:
    return any(each.type == "image" and instead(each) is not None for each in token.children or ())


def _is_hazardous(tokens: Sequence[Token]) -> bool:
    in_table = in_footnote = False
    for token in tokens:
        # To a reader without footnotes `[^1]: ```` is a definition, and no code begins there.
        in_footnote = token.type == "footnote_open" or (
            in_footnote and token.type != "footnote_close"
        )
        is_code = token.type in ("fence", "code_block")
        if in_footnote and token.type == "inline" and _AWAY.match(token.content):
            return True
        if in_footnote and is_code and _HAZARD.search(token.content):
            return True
        in_table = token.type == "table_open" or (in_table and token.type != "table_close")
        if token.type == "comment" or ("<!--" in token.content and token.type == "inline"):
            return True
        is_whole = token.type in ("maths_block", "plain_block", "definition")
        if is_whole and _HAZARD.search(unquote(f"{token.content} {token.meta}")):
            return True
        if token.type == "definition" and any(map(_leads_away, token.meta.values())):
            return True
        children = token.children or []
        for before, mark in pairwise(children):  # `![^1]`: a picture to readers without footnotes
            if mark.type == "footnote" and before.content.endswith("!"):
                return True
        is_split = in_table or "\n" in token.content  # where readers differ in what is code
        if any(_is_hazard(child, is_split) for child in children) or any(_misled(children)):
            return True
    return False


def _is_hazard(token: Token, is_split: bool) -> bool:
    if token.type == "image":
        return not _LOCAL.fullmatch(str(token.attrs.get("src", "")))
    if token.type == "code_inline" and not is_split:
        return False
    if token.type in ("html_open", "html_close", "hardbreak") and token.markup:
        return not _BARE.fullmatch(token.markup)
    if token.type == "html_close":
        return True  # the end of what is not closed
    if token.type == "link_open" and _leads_away(token.attrs):
        return True
    if token.type == "text" and "](" in token.content:
        return True  # a link to a reader that looks for it longer than ours does
    return bool(_HAZARD.search(f"{token.content} {token.attrs.get('href', '')}"))


def _misled(tokens: Sequence[Token]) -> Iterator[str]:
    """For each link, the host that it leads to where its words show another, else ""."""
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token.type == "link_open":
            opened.append(place)
        elif token.type == "link_close":
            begun = opened.pop()
            url = str(tokens[begun].attrs.get("href", ""))
            yield misleads(text_of(tokens[begun + 1 : place]), url) if is_linkable(url) else ""


def _leads_away(target: Mapping[str, object]) -> bool:
    """Whether a link leads neither to a page nor to a file beside the notebook."""
    url = str(target["href"])
    return not _BESIDE.fullmatch(url) and not is_linkable(url)


class _Writer:
    def __init__(self, instead: Instead) -> None:
        self._instead = instead

    def blocks(self, tokens: Sequence[Token], tight: bool = False) -> str:
        """The blocks at the level of the first token."""
        parts: list[str] = []
        place = 0
        while place < len(tokens):
            end = _end(tokens, place)
            written = self._block(tokens[place], tokens[place + 1 : end])
            if written is not None:
                parts.append(written)
            place = end + (tokens[place].nesting == 1)
        return ("\n" if tight else "\n\n").join(parts)

    def _block(self, token: Token, inside: Sequence[Token]) -> str | None:
        kind = token.type
        if kind == "inline":
            return self._lines(token)
        if kind in ("fence", "code_block"):
            return _fenced(token.content, token.info.strip() if kind == "fence" else "")
        if kind == "paragraph_open":
            return self._lines(inside[0])
        if kind == "heading_open":
            return "#" * int(token.tag[1:]) + " " + self._lines(inside[0]).replace("\n", " ")
        if kind == "hr":
            return "***"
        if kind == "blockquote_open":
            return _behind("> ", self.blocks(inside))
        if kind in ("bullet_list_open", "ordered_list_open"):
            return self._list(token, inside)
        if kind == "table_open":
            return self._table(inside)
        if kind == "maths_block":
            return _tex(token)
        if kind == "footnote_open":
            # Words before code: it begins a line of its own, for every reader.
            is_code = bool(inside) and inside[0].type in ("fence", "code_block")
            said = ("Code\n\n" if is_code else "") + self.blocks(inside)
            said = f"– {said}" if _AWAY.match(said) else said
            return f"[^{escaped(token.info)}]: " + _behind("    ", said).lstrip()
        if kind == "plain_block":
            return _text(token.content)
        if kind == "definition" and token.children and not token.hidden:
            return self.inline(token.children)
        return None

    def _list(self, token: Token, inside: Sequence[Token]) -> str:
        number = int(token.attrs.get("start", 1)) if token.type == "ordered_list_open" else None
        is_tight = any(each.hidden and each.type == "paragraph_open" for each in inside)
        items: list[str] = []
        place = 0
        while place < len(inside):
            end = _end(inside, place)
            mark = token.markup[:1] + " "
            if number is not None:
                mark = f"{number + len(items)}{inside[place].markup[:1] or '.'} "
            body = self.blocks(inside[place + 1 : end], is_tight)
            items.append(mark + _behind(" " * len(mark), body).lstrip(" "))
            place = end + 1
        return ("\n" if is_tight else "\n\n").join(items)

    def _table(self, tokens: Sequence[Token]) -> str:
        rows: list[list[str]] = []
        ruler: list[str] = []
        for place, token in enumerate(tokens):
            if token.type == "tr_open":
                rows.append([])
            elif token.type in ("th_open", "td_open"):
                cell = self.inline(tokens[place + 1].children or [])
                rows[-1].append(re.sub(r"(?<!\\)\|", r"\\|", cell.replace("\n", " ")))
                if token.type == "th_open":
                    ruler.append(_ALIGNED.get(str(token.attrs.get("style", "")), "---"))
        return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], ruler, *rows[1:]))

    def _lines(self, token: Token) -> str:
        lines = self.inline(token.children or []).split("\n")
        lines[0] = _TASK.sub(r"[\1] ", lines[0])
        return "\n".join(_BLOCK_MARK.sub(_unmarked, line.strip()) for line in lines)

    def inline(self, tokens: Sequence[Token]) -> str:
        """What stands in one block."""
        parts: list[str] = []
        links: list[str] = []  # what ends each link that we are in, "" where it is none to follow
        misled = _misled(tokens)
        for token in tokens:
            kind = token.type
            if kind == "link_open":
                url = str(token.attrs.get("href", ""))
                is_link = is_linkable(url) and not any(links)
                links.append(markdown_link(url, "")[2:] if is_link else "")
                parts.append("[" if is_link else "")
            elif kind == "link_close":
                ending, host = links.pop(), next(misled)
                if ending:
                    parts.append(f"]{ending}{f' ({escaped(host)})' if host else ''}")
            elif kind == "image":
                parts.append(self._image(token, inside_link=any(links)))
            elif kind.endswith(("_open", "_close")) and token.tag in _MARKS and "html" not in kind:
                parts.append(_MARKS[token.tag])
            else:
                parts.append(_leaf(token))
        return "".join(parts)

    def _image(self, token: Token, *, inside_link: bool) -> str:
        words = self._instead(token)
        if words is not None:
            return words
        url, alt = str(token.attrs.get("src", "")), text_of(token.children or [])
        if _LOCAL.fullmatch(url):
            return f"![{escaped(alt)}](<{url}>)"
        host = "" if is_picture(url) else remote_host(url)
        name = f"{alt} ({host})" if alt and host else alt or host
        return escaped(name) if inside_link or is_picture(url) else markdown_link(url, name)


def _leaf(token: Token) -> str:
    match token.type:
        case "code_inline":
            return _code(token.content)
        case "maths_inline":
            return _tex(token)
        case "softbreak":
            return "\n"
        case "hardbreak":
            return "<br>"
        case "html_open":
            return f"<{token.tag}>"
        case "html_close":
            return f"</{token.tag}>"
        case "footnote":
            return f"[^{escaped(token.info)}]"
        case "citation":
            return token.content
    return _text(token.content)


def _text(text: str) -> str:
    """Text in which nothing is a mark; its lines and spaces stay. Brackets and backslashes are
    written as references: `\\[` begins a formula."""
    made = SPECIAL.sub(
        lambda found: f"&#{ord(found[0])};" if found[0] in _REFERRED else f"\\{found[0]}", text
    )
    return made[:-1] + "&#33;" if made.endswith("!") else made


def _unmarked(found: re.Match[str]) -> str:
    if found[2]:  # `1. ` is no list
        return f"{found[2]}\\{found[3]}"
    return "\\" + found[0]


def _tex(token: Token) -> str:
    """A formula without what a reader that knows no maths could take for a tag."""
    tex = token.content.strip()
    return re.sub(r"<(?=[A-Za-z/!?])", r"\\lt ", tex).replace("![", "!{[}").replace("](", "]{}(")


def _code(code: str) -> str:
    ticks = "`" * (max((len(run) for run in re.findall("`+", code)), default=0) + 1)
    space = " " if code[:1] == "`" or code[-1:] == "`" or code.strip() != code else ""
    return f"{ticks}{space}{code}{space}{ticks}"


def _fenced(code: str, info: str) -> str:
    fence = "`" * max(3, max((len(run) for run in re.findall("`+", code)), default=0) + 1)
    language = re.sub(r"[`<>\n]", "", info)
    return f"{fence}{language}\n{code.removesuffix(chr(10))}\n{fence}"


def _behind(mark: str, text: str) -> str:
    return "\n".join((mark + line).rstrip() for line in text.split("\n"))


def _end(tokens: Sequence[Token], place: int) -> int:
    """The place of the token that closes the one at `place`; the next one where it is alone."""
    if tokens[place].nesting != 1:
        return place + 1
    depth = 0
    for number in range(place, len(tokens)):
        depth += tokens[number].nesting
        if depth == 0:
            return number
    return len(tokens)
