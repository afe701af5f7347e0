"""Inline tokens to HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from markdown_it.token import Token

from qwen_magic.document.markdown.links import host_of, is_lost, is_picture, link_open

# Around the words of a picture that is a file of the sandbox, for `pictures` to find its place.
LOST_OPEN = '<span class="qm-lost">'
LOST_CLOSE = "</span>"

_PLAIN = {
    "em_open": "<em>",
    "em_close": "</em>",
    "strong_open": "<strong>",
    "strong_close": "</strong>",
    "s_open": "<s>",
    "s_close": "</s>",
    "softbreak": "\n",
    "hardbreak": "<br>",
}


def text_html(text: str) -> str:
    r"""Escape text, and keep a typesetter from taking its dollars (or `\(`, `\[`) for maths."""
    html = escape(text, quote=False)
    if "$" in html:
        html = html.replace("$", "<span>$</span>")
    if "\\" in html:
        html = html.replace("\\(", "\\<span>(</span>").replace("\\[", "\\<span>[</span>")
    return html


def inline_html(tokens: Sequence[Token]) -> str:
    """Return the HTML of the children of an inline token."""
    out: list[str] = []
    links: list[bool] = []  # the links we are inside, and whether each was opened
    for token in tokens:
        kind = token.type
        if kind == "text":
            out.append(text_html(token.content))
        elif kind in _PLAIN:
            out.append(_PLAIN[kind])
        elif kind == "link_open":
            html = "" if any(links) else link_open(_attr(token, "href"), _attr(token, "title"))
            links.append(html != "")
            out.append(html)
        elif kind == "link_close":
            out.append("</a>" if links.pop() else "")
        else:
            out.append(_leaf(token, inside_link=any(links)))
    return "".join(out)


def _leaf(token: Token, inside_link: bool) -> str:
    if token.type == "code_inline":
        return f'<code class="qm-c">{escape(token.content, quote=False)}</code>'
    if token.type == "maths_inline":  # left to right also where it stands in other writing
        return f'<span dir="ltr">{escape(token.content, quote=False)}</span>'
    if token.type == "image":
        return _image(token, inside_link)
    if token.type == "citation" and not inside_link:
        url = _attr(token, "href")
        opening = link_open(url, host_of(url), "qm-cite")
        return opening + token.content + "</a>" if opening else token.content
    return text_html(token.content)


def _image(token: Token, inside_link: bool) -> str:
    """Show a picture that is in the text itself; name any other, with a link to it."""
    url, alt = _attr(token, "src"), _text_of(token.children or [])
    if is_picture(url):
        return f'<img class="qm-img" src="{escape(url)}" alt="{escape(alt)}">'
    if is_lost(url):
        return LOST_OPEN + text_html(alt) + LOST_CLOSE
    host = host_of(url)
    name = f"{alt} ({host})" if alt and host else alt or host
    opening = "" if inside_link else link_open(url, _attr(token, "title"), "qm-a qm-remote")
    return f"{opening}{text_html(name)}</a>" if opening else text_html(name)


def _text_of(tokens: Sequence[Token]) -> str:
    """Return the text of inline tokens, as an alternative to a picture."""
    parts = [
        "\n"
        if token.type in ("softbreak", "hardbreak")
        else _text_of(token.children)
        if token.children
        else token.content
        for token in tokens
    ]
    return "".join(parts)


def _attr(token: Token, name: str) -> str:
    return str(token.attrs.get(name, ""))
