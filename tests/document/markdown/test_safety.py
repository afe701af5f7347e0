"""Hostile Markdown leaks nothing into the page."""

from __future__ import annotations

import pytest
from fuzz import examples
from html_judge import html_faults
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.document.markdown import MarkdownStream, render_markdown

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


@settings(max_examples=examples(300), deadline=None)
@given(hostile)
def test_only_what_is_allowed_comes_out(text: str) -> None:
    html = render_markdown(text, lambda number: "javascript:x" if number % 2 else "http://e.v")
    assert not html_faults(html)


@settings(max_examples=examples(100), deadline=None)
@given(hostile)
def test_nor_does_anything_else_while_it_arrives(text: str) -> None:
    stream = MarkdownStream()
    for position in range(0, len(text), 7):
        stream.append(text[position : position + 7])
        stream.update()
        assert not html_faults(stream.html)


@pytest.mark.parametrize(
    "url",
    ["javascript:x", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "//host/x", "/x", "x"],
)
def test_what_cannot_be_linked_is_text(url: str) -> None:
    assert render_markdown(f"[label]({url})") == '<p class="qm-p" dir="auto">label</p>\n'


def test_links_are_never_inside_links() -> None:
    html = render_markdown("[a <http://b.c> ![d](http://e.f)](http://g.h)")
    assert html.count("<a ") == 1
