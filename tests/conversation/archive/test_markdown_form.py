"""The document to read: what is in it, and that nothing in it swallows the rest."""

import html.parser
from html import unescape

import pytest

from qwen_magic.conversation.archive.markdown_form import contained, export_markdown, quoted
from qwen_magic.conversation.chain import Chain, Turn
from qwen_magic.document.markdown import render_markdown
from qwen_magic.document.markdown.parser import parse_structure
from qwen_magic.document.words import escaped, fenced
from qwen_magic.protocol.call_outputs import items_json
from qwen_magic.protocol.items import (
    CodeInterpreterCall,
    CodeOutput,
    CustomToolCall,
    FileSearchCall,
    FunctionCall,
    ImageSearchCall,
    McpCall,
    Reasoning,
    Source,
    UnknownItem,
    WebExtractorCall,
    WebSearchCall,
)
from qwen_magic.protocol.response import Usage


def turn(key, parent=None, *, prompt="Why?", text="Because.", status="completed", items=(), **more):
    return Turn(
        key, "main", status, parent, f"resp_{key}000000", prompt=prompt, text=text,
        items=items_json(items), model="qwen3-max", created_at=1_700_000_000.0, **more,
    )  # fmt: skip


def headings(markdown):
    tokens = parse_structure(markdown)
    return [
        tokens[n + 1].content
        for n, t in enumerate(tokens)
        if t.type == "heading_open" and t.tag == "h2"
    ]


def test_the_way_to_the_head_reads_as_a_document():
    chain = Chain("main", [
        turn("aaaaaa", prompt="What is 1+1?", text="**2**", usage=Usage(12, 3, 15), seconds=2.4),
        turn("bbbbbb", "aaaaaa", prompt="An aside"),
        turn("cccccc", "aaaaaa", prompt="And 2+2?\nBriefly.", text="4"),
    ])  # fmt: skip
    text = export_markdown(chain)
    assert text.startswith("# main\n\n*2\u00a0turns · 1 more on other branches*\n")
    assert "## 1. What is 1+1?\n\n**2**" in text
    assert (
        "*qwen3-max · 2023-11-14 22:13 UTC · 2.4 s · 12 tokens in · 3 out · resp\\_aaaaaa" in text
    )
    assert "*1 other branch leaves here:* bbbbbb An aside" in text
    assert "## 2. And 2+2? Briefly.\n\n> And 2+2?\n> Briefly.\n\n4" in text
    assert text.index("An aside") < text.index("## 2.")


def test_steps_fold_and_sources_are_named():
    items = (
        Reasoning("r", "Let me <think> about `it`."),
        WebSearchCall("s", ("primes",), (Source("https://a.org/x"), Source("https://b.org/y"))),
        WebExtractorCall("e", "", ("https://a.org/x",), "Page ``` text"),
        CodeInterpreterCall("c", "print('```')", (CodeOutput(
            "```\n[1, 2]\n```\n![fig-1](http://oss.example/f.png?OSSAccessKeyId=1&Signature=2)"),)),
        FunctionCall("f", "rows", '{"a": 1}', "c1", output="[7, 8]"),
        FunctionCall("g", "delete", "{}", "c2", output="no", output_status="refused"),
        FunctionCall("h", "later", "{}", "c3"),
        CustomToolCall("t", "tool", "input"),
        McpCall("m", "maps", "amap", "{}", "out"),
        FileSearchCall("fs", ("q",)),
        ImageSearchCall("i", "image_search_call", "image_search", "{}"),
        UnknownItem("u", "new_call", {"type": "new_call"}),
    )  # fmt: skip
    text = export_markdown(Chain("main", [turn("a", text="Yes [2].", items=items)]))
    lines = [
        "Thought", "Searched the web · 2", "Read a page", "Ran Python", "Called rows",
        "Was refused delete", "Asked for later", "Called tool", "Called maps", "Searched files",
        "Searched images", "Did something of the type new_call",
    ]  # fmt: skip
    assert all(f"<summary>{line}" in unescape(text) for line in lines)
    assert "**Sources**\n\n- \\[2\\] [y](<https://b.org/y>) b.org" in text
    assert "a.org/x>) a.org" not in text, "not cited"
    assert "OSSAccessKeyId" not in text
    assert "*Figure: fig-1*" in text
    assert "```\n[7, 8]\n```" in text
    assert "````python\nprint('```')\n````" in text
    assert text.count("<details>") == text.count("</details>") == len(items)


@pytest.mark.parametrize("status", ["stopped", "incomplete"])
def test_how_it_ended_is_said(status):
    ended = turn("b", "a", status=status, text="Half a")
    chain = Chain("main", [turn("a"), ended])
    chain.move("b")
    words = {"stopped": "**Stopped before its end.**", "incomplete": "**Cut off at the limit"}
    assert words[status] in export_markdown(chain)


EVIL = [
    "```python\nprint(1)",
    "~~~~\nopen",
    "- item\n  ```\n  open",
    "<!-- swallowed",
    "<details><summary>x",
    "text <script>alert(1)</script> <style>*{display:none}</style>",
    "> quote\n> ```\n> open",
    "| a |\n| - |\n| `<b>` |",
    "`code` <b>`<i>`</b> `",
    "    indented <b>",
    "text\n<?php",
    "<![CDATA[ x",
    "```",
    "a\n```",
    "$$\nx < y",
    "\\<b> \\`<i>`",
]


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_swallows_what_follows(evil):
    first = turn("a", prompt=evil + "\nmore", text=evil, items=(Reasoning("r", evil),))
    text = export_markdown(Chain("main", [first, turn("b", "a", prompt="The second")]))
    assert headings(text)[-1] == "2. The second"
    assert _tags(text) == {"details", "summary"}


def _tags(markdown):
    """The tags of raw HTML in a document, as any CommonMark reader takes them."""
    from markdown_it import MarkdownIt

    found = set()

    class Tags(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.add(tag)

        def handle_comment(self, data):
            found.add("comment")

        def handle_decl(self, decl):
            found.add("declaration")

        def handle_pi(self, data):
            found.add("instruction")

        def unknown_decl(self, data):
            found.add("declaration")

    def walk(tokens):
        for token in tokens:
            if token.type in ("html_block", "html_inline"):
                Tags().feed(token.content + "\n")
            walk(token.children or ())

    walk(MarkdownIt("commonmark").parse(markdown))
    return found


def test_contained_text_means_the_same():
    text = "# A\n\n*b* `<c>` <https://d.org> a < b\n\n```html\n<p>![x](y)\n```\n\n- e"
    assert contained(text) == text
    assert render_markdown(contained("a <b> c")) == render_markdown("a <b> c")


def test_images_become_links():
    assert contained("![x](https://e.org/?q=s)") == "[x (e.org)](<https://e.org/?q=s>)"
    assert "<img" not in render_markdown(contained("![x](data:image/png;base64,AAAA)"))


def test_fences_are_longer_than_what_is_in_them():
    assert fenced("a ```` b", "x") == "`````x\na ```` b\n`````"


def test_a_quotation_keeps_its_lines():
    assert quoted("a\n\nb") == "> a\n>\n> b"


def test_a_line_is_text_only():
    assert escaped("a\n*b* <c> [d](e) `f`") == "a \\*b\\* &#60;c&#62; \\[d\\](e) \\`f\\`"


def test_an_empty_conversation():
    assert export_markdown(Chain("main")) == "# main\n\n*0\u00a0turns*\n"
