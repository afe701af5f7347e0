"""Hostile Markdown leaks nothing into the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from fuzz import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.document.markdown import MarkdownStream, render_markdown

ALLOWED = {
    **{tag: {"class", "dir"} for tag in ("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul")},
    **{tag: {"class"} for tag in ("hr", "table", "tr", "b", "i")},
    "li": {"class", "style"},
    "span": {"class", "dir"},
    **{
        tag: set()
        for tag in (*("em", "strong", "s", "br", "thead", "tbody"), *("sub", "sup", "kbd", "mark"))
    },
    "ol": {"class", "dir", "start"},
    "blockquote": {"class", "dir"},
    "div": {"class", "dir", "tabindex"},
    "pre": {"class", "tabindex"},
    "code": {"class"},
    "th": {"class", "scope", "style", "align"},
    "td": {"class", "style", "align"},
    "a": {"class", "href", "title", "rel", "target"},
    "img": {"class", "src", "alt"},
}
STYLES = ("text-align:center", "list-style-type: none")
BAITS = (
    *(
        "<br onclick=x>",
        "<sub onclick=x>",
        "</sub>",
        "<SUP style='x'>",
        "<kbd",
        "<mark><!--",
        "-->",
    ),
    *("<br/ onload=x>", "<sub/x=y>", "<!--><script>-->", "[^1]", "[^<b>]: <script>\n", "[^<b>]"),
    *('www.e.v/"onclick=x ', "https://e.v/'><b>", "a@e.vv", "[x]: <script>\n", "- [ ] <b>\n"),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg/onload=x>", "<!-- -->"),
    *(
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:x)",
        "[a](data:text/html,<script>)",
        "[a](//e.v)",
    ),
    *("![a](http://e.v/t.gif)", "![a](javascript:x)", "![a](data:image/svg+xml,<svg onload=x>)"),
    *('![a](data:image/png;base64,AA"onerror=x)', '[a](http://e.v "t\\" onclick=x")', "[a]: x:y\n"),
    *('```" onclick="x\n', "```<script>\n", "[a](vbscript:x)", "<javascript:x>", '<http://e.v/">'),
    *(
        "| a |\n|:-:|\n",
        "[x]: http://e.v 'a\" onclick=b'\n",
        "[x] ",
        "&#106;avascript:",
        "&lt;b&gt;",
    ),
    *("$<script>$", "$$\n<script>\n", "\\(<b>\\)", "`<b>`", "**", "_", "[", "](", ")", "> ", "- "),
    *("\n", "\n\n", " ", "a", "<", '"', "'", "&", "\x00", "1. ", "http://e.v", "\u2028", "\x0b"),
)
hostile = st.lists(st.sampled_from(BAITS) | st.text(max_size=6), max_size=25).map("".join)


def elements(element: object) -> Iterator[object]:
    for child in element.children:  # type: ignore[attr-defined]
        if hasattr(child, "tag"):
            yield child
            yield from elements(child)


def check(html: str, parse_tree: Callable[[str], object]) -> None:
    assert "<script" not in html.lower()
    for element in elements(parse_tree(html)):
        tag, attrs = element.tag, element.attrs  # type: ignore[attr-defined]
        assert set(attrs) <= ALLOWED[tag], (tag, attrs)
        assert re.match("https?://|mailto:", attrs.get("href", "mailto:"), re.IGNORECASE)
        assert attrs.get("style", "text-align:center") in STYLES
        if "src" in attrs:
            assert re.match("data:image/(png|jpeg|gif|webp);base64,", attrs["src"])
        if tag == "a":
            assert attrs["rel"] == "noopener noreferrer"
            assert attrs["target"] == "_blank"


@settings(max_examples=examples(300), deadline=None)
@given(hostile)
def test_only_what_is_allowed_comes_out(parse_tree: Callable[[str], object], text: str) -> None:
    check(
        render_markdown(text, lambda number: "javascript:x" if number % 2 else "http://e.v"),
        parse_tree,
    )


@settings(max_examples=examples(100), deadline=None)
@given(hostile)
def test_nor_does_anything_else_while_it_arrives(
    parse_tree: Callable[[str], object], text: str
) -> None:
    stream = MarkdownStream()
    for position in range(0, len(text), 7):
        stream.append(text[position : position + 7])
        stream.update()
        check(stream.html, parse_tree)


@pytest.mark.parametrize(
    "url",
    ["javascript:x", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "//host/x", "/x", "x"],
)
def test_what_cannot_be_linked_is_text(url: str) -> None:
    assert render_markdown(f"[label]({url})") == '<p class="qm-p" dir="auto">label</p>\n'


def test_links_are_never_inside_links() -> None:
    html = render_markdown("[a <http://b.c> ![d](http://e.f)](http://g.h)")
    assert html.count("<a ") == 1
