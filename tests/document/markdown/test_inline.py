"""What a line of text may hold beyond CommonMark, whole and while it arrives."""

from __future__ import annotations

import re
from collections.abc import Iterator

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
