"""What a line of text may hold beyond CommonMark, whole and while it arrives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from qwen_magic.document.markdown import MarkdownStream, render_markdown

P = '<p class="qm-p" dir="auto">'


def inline(text: str) -> str:
    """What one paragraph holds."""
    html = render_markdown(text)
    assert html.startswith(P)
    assert html.endswith("</p>\n")
    return html.removeprefix(P).removesuffix("</p>\n")


def seen(text: str) -> Iterator[str]:
    """What a reader sees, letter by letter: the text without its elements."""
    stream = MarkdownStream()
    for letter in text:
        stream.append(letter)
        stream.update()
        yield re.sub("<[^>]*>", "", stream.html).strip()
    stream.finish()
    assert stream.html == render_markdown(text)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**重点：**这是说明", "<b>重点：</b>这是说明"),
        ("含**「重点」**内容", "含<b>「重点」</b>内容"),
        ("这是**“引用”**的词", "这是<b>“引用”</b>的词"),
        ("**測試（括號）**後面", "<b>測試（括號）</b>後面"),
        ("**強調。**次の文", "<b>強調。</b>次の文"),
        ("*注意！*看", "<em>注意！</em>看"),
        ("***重点：***中", "<em><b>重点：</b></em>中"),
        ("~~旧价：~~新价", "<s>旧价：</s>新价"),
        ("**重点：*斜体。***后", "<b>重点：<em>斜体。</em></b>后"),
        ("***斜。*重点：**后", "<b><em>斜。</em>重点：</b>后"),
        ("*斜**粗。**后*面", "<em>斜<b>粗。</b>后</em>面"),
        ("**a *b*** c, *d **e*** f", "<b>a <em>b</em></b> c, <em>d <b>e</b></em> f"),
        ("한국어**[강조]**한국어", "한국어<b>[강조]</b>한국어"),
        ("실행은 **(필수)**를", "실행은 <b>(필수)</b>를"),
        ("增长**+5%**左右，**(约)**中", "增长<b>+5%</b>左右，<b>(约)</b>中"),
        ("ｶﾅ**（ﾊﾝ）**ｶﾅ", "ｶﾅ<b>（ﾊﾝ）</b>ｶﾅ"),
        ("葛\U000e0100**(あ)**り", "葛\U000e0100<b>(あ)</b>り"),
        ("中**“\ufe01引用”\ufe01**b", "中<b>“\ufe01引用”\ufe01</b>b"),
        ("𩸽**(ほっけ)**焼き", "𩸽<b>(ほっけ)</b>焼き"),
    ],
)
def test_emphasis_beside_cjk_is_as_its_writer_meant_it(text: str, html: str) -> None:
    assert inline(text).replace("strong>", "b>") == html
    assert not any("*" in shown or "~" in shown for shown in seen(text))


@pytest.mark.parametrize(
    "text", ["a**(b)**c", "**a.**b", "😀**(a)**b", "中文__注：__中", "** 中 **", "a ~~b.~~c"]
)
def test_other_scripts_have_commonmarks_rule(text: str) -> None:
    assert inline(text) == text


def links(text: str) -> list[str]:
    """The words of the links; their addresses are checked to be the same."""
    html = render_markdown(text)
    found = re.findall(r'<a class="qm-a" href="([^"]*)"[^>]*>([^<]*)</a>', html)
    assert html.count("<a ") == len(found)
    for address, words in found:
        assert unquote(address).removeprefix("http://" if words[:4] == "www." else "mailto:") in (
            words,
            words.removeprefix("mailto:"),
        )
    return [words for _, words in found]


def test_an_address_in_bold_ends_with_it() -> None:
    html = render_markdown("见**https://a.b/c**谢谢")
    assert '<strong><a class="qm-a" href="https://a.b/c"' in html


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("See https://docs.python.org/3/.", ["https://docs.python.org/3/"]),
        ("见https://example.com。谢谢", ["https://example.com"]),
        ("来源：https://example.com/报告。", ["https://example.com/报告"]),
        ("https://example.com谢谢", ["https://example.com"]),
        (
            "（https://a.b/c）「https://d.e」‘https://f.g’",
            ["https://a.b/c", "https://d.e", "https://f.g"],
        ),
        ("见www.example.com，谢谢 (www.b.c)", ["www.example.com", "www.b.c"]),
        ("写信到info@example.com。mailto:a@b.cc", ["info@example.com", "mailto:a@b.cc"]),
        ("(https://en.wikipedia.org/wiki/A_(b))", ["https://en.wikipedia.org/wiki/A_(b)"]),
        ("**https://a.b/c_d_e**, ~~https://f.g~~", ["https://a.b/c_d_e", "https://f.g"]),
        ("| https://a.b | c@d.ee |\n|---|---|\n", ["https://a.b", "c@d.ee"]),
        ("# http://localhost:8000/x", ["http://localhost:8000/x"]),
        ("- https://a.b/?x=1&y=*2* $z$", ["https://a.b/?x=1&amp;y=*2"]),
        ("`https://a.b` `c@d.ee` ``www.f.g``\n\n    https://h.i", []),
        ("$https://a.b$ https:// http:/x.y ftp://a.b javascript://x", []),
        ("README.md a@b.T x@y @user git@github.com:a/b https://user@host.com/a", []),
        ("https://user:word@host.com/a", []),
        ("_https://a.b_ __www.c.d__ https://e.f/g_", ["https://a.b", "www.c.d", "https://e.f/g"]),
        ("www.a.b/?q=c&hl; &lt;https://d.e/f&gt;", ["www.a.b/?q=c", "https://d.e/f"]),
        ("https://a.b/c، و https://d.e؟", ["https://a.b/c", "https://d.e"]),
        ("https://a.b/c\\\nd", ["https://a.b/c"]),
        ("<https://a.b> [https://c.d x](https://e.f)", ["https://a.b"]),
    ],
)
def test_addresses_are_links_where_they_are_text(text: str, found: list[str]) -> None:
    if "[" in text:
        assert render_markdown(text).count("<a ") == 2
        text = text.partition(" [")[0]
    assert links(text.replace("**", "").replace("~~", "")) == found
    assert render_markdown(text).count("<a ") == len(found)
    list(seen(text))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a<br>b<BR/>c<br class='x'>d</br>e", "a<br>b<br>c<br>d<br>e"),
        ("H<sub>2</sub>O, x<SUP title=y>2</SUP>", "H<sub>2</sub>O, x<sup>2</sup>"),
        ("<kbd>Ctrl</kbd>+<mark>*a*</mark>", "<kbd>Ctrl</kbd>+<mark><em>a</em></mark>"),
        ("*a <sub>b</sub>*", "<em>a <sub>b</sub></em>"),
        ("*a <sub>b* c</sub>", "*a <sub>b* c</sub>"),
        ("<sub>a `</sub>` b", '<sub>a <code class="qm-c">&lt;/sub&gt;</code> b</sub>'),
        ("<sub>never *closed*", "<sub>never <em>closed</em></sub>"),
        ("never opened</sub>", "never opened&lt;/sub&gt;"),
        ("a<!-- b --> c<!--\nd-->", "a c"),
        ("a <!-- b", "a &lt;!-- b"),
        ("<b>a</b><u>b</u><span>", "&lt;b&gt;a&lt;/b&gt;&lt;u&gt;b&lt;/u&gt;&lt;span&gt;"),
        ("<sub/onclick=x>", "&lt;sub/onclick=x&gt;"),
    ],
)
def test_of_html_a_closed_list_is_understood(text: str, html: str) -> None:
    assert inline(text) == html
    *before, _ = seen(text)
    if "&lt;" not in html:
        assert not any("&lt;" in shown for shown in before)


def test_elements_nest_only_so_deep() -> None:
    assert inline("<sub>" * 200 + "x").count("<sub>") < 20


@pytest.mark.parametrize("text", ["Title:\n- a", "> Title:\n> - a", "1. T:\n   - a"])
def test_a_line_above_a_list_is_never_shown_as_a_heading(text: str) -> None:
    stream = MarkdownStream()
    for letter in text:
        stream.append(letter)
        stream.update()
        assert "<h" not in stream.html
