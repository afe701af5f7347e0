"""The blocks of an answer as lines for a terminal, laid out and coloured with rich.

    the tree's blocks, as HTML of our own -> `Element`s -> rich `Text`, a line each -> escapes

A terminal is one more page that is given the blocks of `document`: what it knows of Markdown is the
short list of elements that `document.markdown.render` and `document.html` write. A block's lines
depend on that block and the width alone, so that a finished one is drawn once.

What a model wrote never reaches the terminal as it came: a control character that a reference
(`&#27;`) brought in goes out as nothing, and a link is one to click (OSC 8) only where it is
http(s) and its words show no other host. Colours are the sixteen of the reader's own theme.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html.parser import HTMLParser
from io import StringIO
from typing import Final, TypeAlias
from urllib.parse import quote

from rich import box
from rich.color import ColorSystem
from rich.console import Console, JustifyMethod
from rich.style import Style
from rich.table import Table
from rich.text import Text

from qwen_magic.document.links import is_linkable, misleads
from qwen_magic.document.markdown.render import FIGURE_ALT
from qwen_magic.document.words import NO_BREAK, counted
from qwen_magic.frontends.plain import cells, line_ends, printable

DIM: Final = Style(dim=True)
BOLD: Final = Style(bold=True)
GOOD: Final = Style(color="green")
BAD: Final = Style(color="red")
LIVE: Final = Style(color="cyan")
WARN: Final = Style(color="yellow")
CODE: Final = Style(color="cyan")
_PLAIN: Final = Style()
_STYLES: Final = {
    "strong": BOLD,
    "b": BOLD,
    "em": Style(italic=True),
    "i": Style(italic=True),
    "s": Style(strike=True),
    "code": CODE,
    "small": DIM,
    "kbd": Style(reverse=True),
    "mark": Style(reverse=True),
    "th": BOLD,
}
_IN_CODE: Final = {  # what `document.highlight` marks
    "b": Style(color="magenta"),
    "span": Style(color="green"),
    "i": Style(dim=True, italic=True),
}
_HEADINGS: Final = {
    "h1": Style(bold=True, underline=True, color="magenta"),
    "h2": Style(bold=True, color="magenta"),
}
_LINK: Final = Style(color="blue", underline=True)
_MATHS: Final = Style(color="yellow")
_QUOTE: Final = "▌ "
_BULLETS: Final = "•◦▪"
_NARROWEST: Final = 14  # cells of a word that a column need not show in one piece
_SPACES: Final = str.maketrans(dict.fromkeys(("\t", "\n", NO_BREAK), " "))
_RAISED: Final = str.maketrans("0123456789+-=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ")
_LOWERED: Final = str.maketrans("0123456789+-=()n", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₙ")
_CODE_BLOCK: Final = re.compile(
    r'<div class="qm-code"[^>]*><div class="qm-bar"><span class="qm-lang">(.*?)</span></div>'
    r"<pre[^>]*><code>(.*)</code></pre></div>",
    re.DOTALL,
)
_INLINE: Final = frozenset(
    "a b br code em i img kbd mark s small span strong sub sup".split()  # noqa: SIM905
)


@dataclass(slots=True)
class Element:
    """An HTML element; `children` are elements and texts."""

    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.attrs.get("class", "")

    def first(self, tag: str) -> Element | None:
        """The first descendant with this tag."""
        for child in self.children:
            if isinstance(child, Element):
                found = child if child.tag == tag else child.first(tag)
                if found is not None:
                    return found
        return None


class _Builder(HTMLParser):
    """Parses our own HTML, which is always well-formed, into elements below `root`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in ("br", "hr", "img"):
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if len(self._open) > 1:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def elements(html: str) -> list[Element | str]:
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.root.children


Lines: TypeAlias = list[Text]


def draw_block(html: str, width: int) -> Lines:
    """The lines of one block of the tree, at most `width` cells wide."""
    code = _CODE_BLOCK.fullmatch(html)
    if code is not None:
        return draw_code(code[1], code[2], width)
    return _blocks(elements(html), width)


def draw_code(label: str, html: str, width: int, *, most: int = 0) -> Lines:
    """Lines of code; each is drawn once. `most`: how many are shown, 0 for all."""
    lines = html.replace("&#10;", "\n").removesuffix("\n").split("\n")
    more = len(lines) - most if 0 < most < len(lines) else 0
    drawn = [Text(f"  {_plain(label)}", DIM)] if label else []
    for line in lines[:most] if more else lines:
        drawn += [piece.copy() for piece in _code_line(line, width)]
    return [*drawn, Text(f"  … {counted(more, 'more line')}", DIM)] if more else drawn


@lru_cache(maxsize=2048)
def _code_line(html: str, width: int) -> tuple[Text, ...]:
    return tuple(_laid_code(_code_text(elements(html)), width))


def _code_text(children: Iterable[Element | str]) -> Text:
    text = Text()
    for child in children:
        style = _PLAIN if isinstance(child, str) else _IN_CODE.get(child.tag, _PLAIN)
        said = child if isinstance(child, str) else _text_of(child)
        text.append(printable(said).expandtabs(4), style)
    return text


def _laid_code(line: Text, width: int) -> Lines:
    """A line of code, wrapped with a hanging indent."""
    indent = len(line.plain) - len(line.plain.lstrip())
    return prefixed(hanging(line, width - 2, min(indent + 2, width // 2)), "  ")


def _text_of(element: Element) -> str:
    return "".join(c if isinstance(c, str) else _text_of(c) for c in element.children)


def _plain(html: str) -> str:
    return printable("".join(c if isinstance(c, str) else _text_of(c) for c in elements(html)))


def _blocks(children: Iterable[Element | str], width: int, depth: int = 0) -> Lines:
    """The lines of an element's blocks, with empty lines between paragraphs but not between list
    items.
    """
    lines: Lines = []
    inline: list[Element | str] = []
    last = ""

    def put(kind: str, drawn: Lines) -> None:
        nonlocal last
        if drawn:
            if last and not (kind == "list" and last == "text" and depth):
                lines.append(Text())
            lines.extend(drawn)
            last = kind

    for child in children:
        if isinstance(child, str) or child.tag in _INLINE:
            inline.append(child)
            continue
        put("text", wrap(_inline(inline), width))
        inline = []
        put(*_block(child, width, depth))
    put("text", wrap(_inline(inline), width))
    return lines


def _block(element: Element, width: int, depth: int) -> tuple[str, Lines]:
    """Its kind ("text", "list" or "apart") and its lines."""
    match element.tag:
        case "ul" | "ol":
            return "list", _list(element, width, depth)
        case "blockquote":
            inside = _blocks(element.children, max(1, width - len(_QUOTE)))
            return "apart", prefixed(inside, _QUOTE, DIM)
        case "hr":
            return "apart", [Text("─" * width, DIM)]
        case "table":
            return "apart", _table(element, width)
        case "h1" | "h2" | "h3" | "h4" | "h5" | "h6":
            style = _HEADINGS.get(element.tag, BOLD)
            return "apart", wrap(_inline(element.children, style), width)
        case "div" if "qm-code" in element.kind:
            label = element.first("span") or Element("span")
            code = element.first("code") or Element("code")
            head = [Text(f"  {name}", DIM)] if (name := printable(_text_of(label))) else []
            lines = _code_text(code.children).split("\n")
            return "apart", [*head, *(each for line in lines for each in _laid_code(line, width))]
        case "div" if "qm-math" in element.kind:
            text = Text(printable(_text_of(element)).strip().strip("$").strip("\n"), _MATHS)
            return "apart", prefixed(wrap(text, max(1, width - 4)), "    ")
        case "p" | "li" | "summary":
            return "text", wrap(_inline(element.children), width)
        case _:
            return "apart", _blocks(element.children, width, depth)


def _list(element: Element, width: int, depth: int) -> Lines:
    lines: Lines = []
    number = int(element.attrs.get("start", "1")) if element.tag == "ol" else None
    for item in element.children:
        if not isinstance(item, Element):
            continue
        mark = f"{number}. " if number is not None else f"{_BULLETS[min(depth, 2)]} "
        is_task = "qm-task" in item.kind  # whose mark is the first word of its text
        space = " " * (3 if is_task else len(mark) + 1)
        inside = _blocks(item.children, max(1, width - len(space)), depth + 1) or [Text()]
        lines.append(Text.assemble((" " if is_task else f" {mark}", LIVE), inside[0]))
        lines += prefixed(inside[1:], space)
        number = number + 1 if number is not None else None
    return lines


def _table(element: Element, width: int) -> Lines:
    """A table in columns if they are wide enough, else a line "head: cell" for each cell."""
    rows = [
        [cell for cell in row.children if isinstance(cell, Element)]
        for part in element.children
        if isinstance(part, Element)
        for row in part.children
        if isinstance(row, Element)
    ]
    if not rows:
        return []
    head = rows[0]
    texts = [[_inline(cell.children, _STYLES.get(cell.tag, _PLAIN)) for cell in r] for r in rows]
    if sum(map(_least, zip(*texts, strict=False))) + 2 * (len(head) - 1) > width:
        return _stacked(texts, width)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.show_header = any(text.plain.strip() for text in texts[0])
    for cell, text in zip(head, texts[0], strict=True):
        table.add_column(text, justify=_alignment(cell), overflow="fold")
    for row in texts[1:]:
        table.add_row(*row)
    console = _ruler()
    options = console.options.update(width=width)
    lines = console.render_lines(table, options, pad=False)
    drawn = []
    for segments in lines:
        text = Text.assemble(*((s.text, s.style or _PLAIN) for s in segments if not s.control))
        text.rstrip()
        drawn.append(text)
    while drawn and not drawn[-1]:
        drawn.pop()
    return drawn


def _least(column: Sequence[Text]) -> int:
    """The width at which a column breaks no ordinary word."""
    words = (cells(word) for text in column for word in text.plain.split())
    return min(_NARROWEST, max(words, default=1))


def _stacked(rows: Sequence[Sequence[Text]], width: int) -> Lines:
    lines: Lines = []
    for row in rows[1:] or rows:
        lines += [Text()] * bool(lines)
        for name, cell in zip(rows[0], row, strict=False):
            if cell.plain.strip():
                said = Text.assemble(name, ": " if rows[1:] else "", cell)
                lines += hanging(said, width)
    return lines


def _alignment(cell: Element) -> JustifyMethod:
    if cell.attrs.get("align") == "right":
        return "right"
    return "center" if "center" in cell.attrs.get("style", "") else "left"


@lru_cache(maxsize=1)
def _ruler() -> Console:
    return Console(file=StringIO(), force_terminal=True, color_system="standard", width=80)


def _inline(children: Iterable[Element | str], style: Style = _PLAIN) -> Text:
    text = Text(style=style)
    _append(text, children, _PLAIN)
    return text


def _append(text: Text, children: Iterable[Element | str], style: Style) -> None:
    for child in children:
        if isinstance(child, str):
            text.append(printable(child).replace("\n", " "), style)
            continue
        match child.tag:
            case "br":
                text.append("\n")
            case "img":
                text.append(f"[{printable(child.attrs.get('alt', ''))}]", style + DIM)
            case "a":
                _append_link(text, child, style)
            case "sup" | "sub":
                table, mark = (_RAISED, "^") if child.tag == "sup" else (_LOWERED, "_")
                said = printable(_text_of(child))
                is_known = said and all(ord(char) in table for char in said)
                text.append(said.translate(table) if is_known else f"{mark}({said})", style)
            case "small" if child.kind == "qm-real":
                text.right_crop(1)  # the whole address stands there
            case "span" if child.kind == "qm-lost":
                text.append(f"[{printable(_text_of(child)) or FIGURE_ALT}]", style + DIM)
            case _:
                _append(text, child.children, style + _STYLES.get(child.tag, _PLAIN))


def _append_link(text: Text, link: Element, style: Style) -> None:
    said = Text()
    _append(said, link.children, style)
    is_cited = "qm-cite" in link.kind  # the sources below name its address
    append_link(text, said, link.attrs.get("href", ""), style, with_address=not is_cited)


def append_link(
    text: Text, said: Text, url: str, style: Style = _PLAIN, *, with_address: bool = True
) -> None:
    """Append a link's text, and its address if the text differs.

    It is clickable only if the text does not show another host.
    """
    url = printable(url)
    words = said.plain
    is_web = url.lower().startswith(("http://", "https://")) and is_linkable(url)
    is_safe = is_web and not misleads(words, url)
    target = quote(url, safe="%/:?#[]@!$&'()*+,;=-._~") if is_safe else None
    said.stylize(_LINK + Style(link=target))
    text.append_text(said)
    if with_address and _bare(words) != _bare(url):
        text.append(f" ({url})", style + DIM)


def _bare(url: str) -> str:
    for scheme in ("https://", "http://", "mailto:"):
        url = url.removeprefix(scheme)
    return url.rstrip("/")


def prefixed(lines: Iterable[Text], prefix: str, style: Style = _PLAIN) -> Lines:
    """Put `prefix` before each line."""
    return [Text.assemble((prefix, style), line) for line in lines]


def wrap(text: Text, width: int) -> Lines:
    """Wrap at words, and between characters of scripts without spaces."""
    lines = []
    for line in text.divide(line_ends(text.plain, width)) if text else ():
        line.rstrip()
        lines.append(line)
    return lines


def hanging(text: Text, width: int, indent: int = 2) -> Lines:
    """Wrap with a hanging indent; an empty text gives one empty line."""
    first, *rest = wrap(text, width) or [Text()]
    if not rest:
        return [first]
    text = text[len(first.plain) :]
    text = text[len(text.plain) - len(text.plain.lstrip(" ")) :]
    return [first, *prefixed(wrap(text, max(1, width - indent)), " " * indent)]


@dataclass(frozen=True, slots=True)
class Ink:
    """Writes styles in the sixteen colours, or without colour (`NO_COLOR`)."""

    has_colour: bool = True

    def line(self, text: Text) -> str:
        """A line with its escape sequences, and without any other control character."""
        parts = []
        for segment in Text().append_text(text).render(_ruler()):  # its own style as a span
            said, style = segment.text, segment.style
            if not said.isprintable():
                said = printable(said).translate(_SPACES)
            link = ""
            if style:
                link = style.link or ""
                style = (style if self.has_colour else style.without_color).update_link(None)
                said = style.render(said, color_system=ColorSystem.STANDARD)
            parts.append(f"\x1b]8;;{link}\x1b\\{said}\x1b]8;;\x1b\\" if link else said)
        return "".join(parts)
