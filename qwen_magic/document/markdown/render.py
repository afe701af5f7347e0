"""Tokens to safe HTML.

Between elements there is no whitespace but one newline after each top-level block, so that what a
view builds from patches is the tree that a browser builds from the whole.

Two pieces of a block's HTML are more than text, since a saved answer or a figure that comes later
needs what they stand for: `CodeHtml` and `SandboxImage`. Both are strings, the HTML that live views
show, and are joined as such.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias

from qwen_magic.document.highlight import highlight_pieces, language_label, pieces
from qwen_magic.document.links import is_picture, is_sandbox_file, link_open, misleads, remote_host
from qwen_magic.document.markdown.parser import Citation, Token, drawn, new_env, parse
from qwen_magic.document.words import counted, revealed

# (code, language) -> the HTML of its `pieces`; one that remembers gives what the highlighter gives.
Highlighted: TypeAlias = Callable[[str, str], Sequence[str]]

PARAGRAPH_OPEN: Final = '<p class="qm-p" dir="auto">'
ITEM_OPEN: Final = '<li class="qm-li">'
QUOTE_OPEN: Final = '<blockquote class="qm-quote" dir="auto">'
BULLETS_OPEN: Final = '<ul class="qm-list" dir="auto">'
TABLE_OPEN: Final = '<div class="qm-scroll" tabindex="0"><table class="qm-table">'
NOTE_OPEN: Final = '<div class="qm-fn" dir="auto">'
TASK_OPEN: Final = '<li class="qm-li qm-task" style="list-style-type: none">'
_BLANK_LINES: Final = re.compile(r"\n(?:[ \t]*\n)+")
MATHS_OPEN: Final = '<div class="qm-math" dir="ltr">'
_CODE_APART: Final = ' style="padding: 4px 0 12px 0"'
_PRE_OPEN: Final = '<pre class="qm-pre" tabindex="0"><code>'
_PRE_CLOSE: Final = "</code></pre>"
LONGEST_CODE: Final = 40  # lines of a block that a saved answer shows unfolded
FIGURE_ALT: Final = "Figure drawn by the code"

_FIXED: Final = {
    "paragraph_open": PARAGRAPH_OPEN,
    "paragraph_close": "</p>",
    "bullet_list_open": BULLETS_OPEN,
    "bullet_list_close": "</ul>",
    "ordered_list_close": "</ol>",
    "list_item_close": "</li>",
    "blockquote_open": QUOTE_OPEN,
    "blockquote_close": "</blockquote>",
    "hr": '<hr class="qm-hr">',
    "table_open": TABLE_OPEN,
    "table_close": "</table></div>",
    "thead_open": "<thead>",
    "thead_close": "</thead>",
    "tbody_open": "<tbody>",
    "tbody_close": "</tbody>",
    "tr_open": "<tr>",
    "tr_close": "</tr>",
    "th_close": "</th>",
    "td_close": "</td>",
    "em_open": "<em>",
    "em_close": "</em>",
    "strong_open": "<strong>",
    "strong_close": "</strong>",
    "s_open": "<s>",
    "s_close": "</s>",
    "softbreak": "\n",
    "hardbreak": "<br>",
}
_ALIGNED: Final = {
    "text-align:right": ' align="right"',
    "text-align:center": ' style="text-align:center"',
}
_HEADING_CLASS: Final = {"h1": "qm-h1", "h2": "qm-h2"}
TASK: Final = re.compile(r"\[([ xX])\] ")
BOXES: Final = {" ": "☐ ", "x": "☑ ", "X": "☑ "}
_RAISED: Final = "0123456789+-=()n"
_SUPERSCRIPT: Final = str.maketrans(_RAISED, "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ")
_TEX_MARK: Final = re.compile(r"\\([(\[]|begin|(?:eq)?ref)")
_LANGUAGE: Final = re.compile(r"\{?\.?([^\s{},:]*)")


class CodeHtml(str):
    """A code block; it knows its code, and the HTML of each of the code's `pieces`."""

    __slots__ = ("code", "highlighted", "language")
    code: str
    language: str
    highlighted: Sequence[str]

    @classmethod
    def of(cls, code: str, language: str, highlighted: Sequence[str]) -> CodeHtml:
        html = cls(code_open(language) + "".join(highlighted) + _PRE_CLOSE + "</div>")
        html.code, html.language, html.highlighted = code, language, highlighted
        return html

    def folded(self, words: str) -> str:
        """The same form, with all of the code behind `words`."""
        return (
            f'<details class="qm-code qm-more"{_CODE_APART}><summary class="qm-more-head">{words}'
            f"</summary>{_PRE_OPEN}{''.join(self.highlighted)}{_PRE_CLOSE}</details>"
        )

    def saved(self) -> str:
        """The form in which nothing but HTML is needed: apart from what stands around it, and of
        long code the first lines in sight, the rest behind "62 more lines". widget.js folds code
        on a live page in the same way."""
        ends = [at for at, piece in enumerate(pieces(self.code), 1) if piece.endswith("\n")]
        cut = ends[LONGEST_CODE - 1] if len(ends) >= LONGEST_CODE else len(self.highlighted)
        first, rest = "".join(self.highlighted[:cut]), "".join(self.highlighted[cut:])
        folded = ""
        if rest:
            hidden = "".join(pieces(self.code)[cut:]).rstrip("\n")
            more = counted(hidden.count("\n") + 1, "more line")
            folded = (
                f'<details class="qm-more"><summary class="qm-more-head">{more}</summary>'
                f"{_PRE_OPEN}{rest}{_PRE_CLOSE}</details>"
            )
        opening = code_open(self.language, _CODE_APART)
        return f"{opening}{first}{_PRE_CLOSE}{folded}</div>"


class SandboxImage(str):
    """An image that is a file of the sandbox: its words, or the figure that it means (`with_data`)
    once that is known."""

    __slots__ = ("address", "alt", "data")
    address: str
    alt: str
    data: str

    @classmethod
    def of(cls, address: str, alt: str, data: str = "") -> SandboxImage:
        html = cls(
            f'<img class="qm-img" src="{escape(data)}" alt="{escape(alt or FIGURE_ALT)}">'
            if data
            else f'<span class="qm-lost">{text_html(alt)}</span>'
        )
        html.address, html.alt, html.data = address, alt, data
        return html

    def with_data(self, data: str) -> SandboxImage:
        """The same image with the data URI of its figure."""
        return SandboxImage.of(self.address, self.alt, data)


@dataclass(frozen=True, slots=True)
class RenderedBlock:
    """One block's HTML in pieces, some of which may be `CodeHtml` and `SandboxImage`."""

    pieces: tuple[str, ...]

    @property
    def html(self) -> str:
        return "".join(self.pieces)


AS_WRITTEN: Final = RenderedBlock(
    (
        f"{PARAGRAPH_OPEN}<em>What follows is shown as it was written: the text has more parts "
        "than a page can show.</em></p>",
    )
)


def render_markdown(text: str, citation: Citation | None = None) -> str:
    """The safe HTML of a whole Markdown text, one root element per block (`citation`: as of
    `new_env`)."""
    text = re.sub("\r\n?", "\n", revealed(text.replace("\0", "\ufffd")))
    text, rest = drawn(text)
    blocks = render_blocks(parse(text, new_env(citation)))
    if rest:
        blocks += [AS_WRITTEN, as_written(rest)]
    return "".join(f"{block.html}\n" for block in blocks)


def as_written(rest: str, highlighted: Highlighted = highlight_pieces) -> RenderedBlock:
    """What is not drawn of a text (`parser.Bound`); before it stands `AS_WRITTEN`."""
    return RenderedBlock((CodeHtml.of(rest, "text", highlighted(rest, "text")),))


def block_htmls(tokens: Iterable[Token], highlighted: Highlighted = highlight_pieces) -> list[str]:
    """The HTML of each block at the level of the first token."""
    return [block.html for block in render_blocks(tokens, highlighted)]


def render_blocks(
    tokens: Iterable[Token], highlighted: Highlighted = highlight_pieces
) -> list[RenderedBlock]:
    """Each block at the level of the first token; what is not closed counts as one."""
    blocks: list[RenderedBlock] = []
    out: list[str] = []
    mark = ""  # what stands before the next text: a task's box, a footnote's number
    depth = 0
    tokens = list(tokens)
    for place, token in enumerate(tokens):
        depth += token.nesting
        if token.type == "inline":
            inside = _inline_pieces(token.children or [])
            if mark:
                if mark in BOXES.values():
                    inside[0] = inside[0][len("[ ] ") :]
                out.append(mark)
                mark = ""
            out += inside
        elif token.type == "list_item_open":
            mark = _box(tokens[place + 1 : place + 3])
            out.append(TASK_OPEN if mark else ITEM_OPEN)
        elif token.type == "fence":
            language = fence_language(token.info)
            out.append(CodeHtml.of(token.content, language, highlighted(token.content, language)))
        elif not token.hidden:
            out.append(_FIXED.get(token.type) or _element(token))
            if token.info:  # of a footnote
                mark = f"<sup>{text_html(token.info)}</sup> "
        if depth == 0 and out:
            blocks.append(RenderedBlock(tuple(out)))
            out = []
    return [*blocks, RenderedBlock(tuple(out))] if out else blocks


def _box(tokens: Sequence[Token]) -> str:
    """The box of the task that a list's item begins with, "" where it begins with none."""
    for token in tokens:
        first = token.children[0].content if token.children else ""
        if token.type == "inline" and (found := TASK.match(first)):
            return BOXES[found.group(1)]
    return ""


def _element(token: Token) -> str:
    match token.type:
        case "heading_open":
            return f'<{token.tag} class="{_HEADING_CLASS.get(token.tag, "qm-h3")}" dir="auto">'
        case "heading_close":
            return f"</{token.tag}>"
        case "ordered_list_open":
            return ordered_open(int(token.attrs.get("start", 1)))
        case "th_open" | "td_open":
            return cell_open(token.tag, _attr(token, "style"))
        case "code_block":
            return CodeHtml.of(token.content, "", highlight_pieces(token.content, ""))
        case "maths_block":
            return f"{MATHS_OPEN}{_tex(token)}</div>"
        case "definition":
            return f"{PARAGRAPH_OPEN}{inline_html(token.children or [])}</p>"
        case "footnote_open":
            return NOTE_OPEN
        case "footnote_close":
            return "</div>"
        case "plain_block":
            return f"{PARAGRAPH_OPEN}{text_html(token.content)}</p>"
        case _:
            raise ValueError(f"a block token without a form: {token.type}")


def ordered_open(start: int) -> str:
    """The opening tag of an ordered list whose first number is `start`."""
    return '<ol class="qm-list" dir="auto"' + (f' start="{start}">' if start != 1 else ">")


def fence_language(info: str) -> str:
    """The language that a fence's info string names, "" for none."""
    found = _LANGUAGE.match(info.strip())
    return found.group(1) if found else ""


def code_open(language: str, attributes: str = "") -> str:
    """All that stands before the code of a code block."""
    label = shown_html(language_label(language)) if language else ""
    return (
        f'<div class="qm-code"{attributes}><div class="qm-bar">'
        f'<span class="qm-lang">{label}</span></div>{_PRE_OPEN}'
    )


def cell_open(tag: str, style: str) -> str:
    """The opening tag of a table's cell (`th` or `td`) aligned by `style`."""
    scope = ' scope="col"' if tag == "th" else ""
    return f"<{tag}{scope}{_ALIGNED.get(style, '')}>"


def shown_html(text: str) -> str:
    """Anybody's words: `text_html`, and what hides in them is seen."""
    return text_html(revealed(text))


def text_html(text: str) -> str:
    r"""Text, escaped; a typesetter takes no dollars (or `\(`, `\[`, `\begin`) in it for maths."""
    html = escape(text, quote=False)
    if "$" in html:
        html = html.replace("$", "<span>$</span>")
    return _TEX_MARK.sub(r"\\<span>\1</span>", html) if "\\" in html else html


def inline_html(tokens: Sequence[Token]) -> str:
    """The HTML of the children of an inline token."""
    return "".join(_inline_pieces(tokens))


def _inline_pieces(tokens: Sequence[Token]) -> list[str]:
    out: list[str] = []
    links: list[bool] = []  # the links we are inside, and whether each was opened
    target, begun = "", 0  # where the link that was opened leads, and its first token
    for place, token in enumerate(tokens):
        kind = token.type
        if kind == "text":
            out.append(text_html(token.content))
        elif kind == "settled":  # HTML of a renderer of what arrives
            out.append(token.content)
        elif kind == "html_open":
            out.append(f"<{token.tag}>")
        elif kind == "html_close":
            out.append(f"</{token.tag}>")
        elif kind in _FIXED:
            out.append(_FIXED[kind])
        elif kind == "link_open":
            html = "" if any(links) else link_open(_attr(token, "href"), _attr(token, "title"))
            links.append(html != "")
            out.append(html)
            if html:
                target, begun = _attr(token, "href"), place
        elif kind == "link_close":
            if links.pop():
                out.append(f"</a>{_real_host(text_of(tokens[begun + 1 : place]), target)}")
        else:
            out.append(_leaf(token, inside_link=any(links)))
    return out


def _real_host(text: str, url: str) -> str:
    """What stands behind a link whose words lead the reader to expect another host."""
    host = misleads(text, url)
    return f' <small class="qm-real" dir="ltr">({text_html(host)})</small>' if host else ""


def _leaf(token: Token, inside_link: bool) -> str:
    if token.type == "code_inline":
        return f'<code class="qm-c">{escape(token.content, quote=False)}</code>'
    if token.type == "maths_inline":  # left to right also where it stands in other writing
        return f'<span dir="ltr">{_tex(token)}</span>'
    if token.type == "footnote":
        return f"<sup>{text_html(token.info)}</sup>"
    if token.type == "image":
        return _image(token, inside_link)
    if token.type == "citation" and not inside_link:
        url = _attr(token, "href")
        opening = link_open(url, remote_host(url), "qm-cite")
        return opening + token.content + "</a>" if opening else token.content
    return text_html(token.content)


def _tex(token: Token) -> str:
    """A formula. The newlines of its blank lines are references, as in code (see `highlight`)."""
    html = escape(str(token.meta.get("shown", token.content)), quote=False)
    return _BLANK_LINES.sub(lambda found: "\n" + "&#10;" * (found[0].count("\n") - 1), html)


def _image(token: Token, inside_link: bool) -> str:
    """A picture that is in the text itself is shown; any other is named, with a link to it."""
    url, alt = _attr(token, "src"), text_of(token.children or [])
    if is_picture(url):
        return f'<img class="qm-img" src="{escape(url)}" alt="{escape(alt)}">'
    if is_sandbox_file(url):
        return SandboxImage.of(url, alt)
    host = remote_host(url)
    name = f"{alt} ({host})" if alt and host else alt or host
    opening = "" if inside_link else link_open(url, _attr(token, "title"), "qm-a qm-remote")
    return f"{opening}{text_html(name)}</a>" if opening else text_html(name)


def text_of(tokens: Sequence[Token]) -> str:
    """The text of inline tokens: of links and pictures their words, of code its code; what is
    raised is raised still (10³, not 103), marks of footnotes are left out."""
    parts: list[str] = []
    raised = 0  # where what is raised begins
    for token in tokens:
        if token.type in ("softbreak", "hardbreak"):
            parts.append("\n")
        elif token.type == "html_open" and token.tag == "sup":
            raised = len(parts)
        elif token.type == "html_close" and token.tag == "sup":
            above = "".join(parts[raised:])
            is_known = all(char in _RAISED for char in above)
            parts[raised:] = [above.translate(_SUPERSCRIPT) if is_known else f"^({above})"]
        else:
            parts.append(text_of(token.children) if token.children else token.content)
    return "".join(parts)


def _attr(token: Token, name: str) -> str:
    return str(token.attrs.get(name, ""))
