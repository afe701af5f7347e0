"""One whole render."""

from __future__ import annotations

import re
from html import unescape

import pytest
from corpora import HOSTILE, MARKS, OTHER, USUAL, document

from qwen_magic.document.markdown import parser, render_markdown

P = '<p class="qm-p" dir="auto">'
LI = '<li class="qm-li">'
TASK = '<li class="qm-li qm-task" style="list-style-type: none">'  # a box needs no bullet


def inline(text: str) -> str:
    """Render one paragraph; return what is in it."""
    html = render_markdown(text)
    assert html.startswith(P)
    assert html.endswith("</p>\n")
    return html.removeprefix(P).removesuffix("</p>\n")


def test_blocks_are_separated_by_one_newline_and_nothing_else() -> None:
    html = render_markdown("# A\n\n- b\n- c\n\n---\n\n> d\n")
    assert html == (
        '<h1 class="qm-h1" dir="auto">A</h1>\n'
        f'<ul class="qm-list" dir="auto">{LI}b</li>{LI}c</li></ul>\n'
        '<hr class="qm-hr">\n'
        f'<blockquote class="qm-quote" dir="auto">{P}d</p></blockquote>\n'
    )


def test_a_table_keeps_its_alignment() -> None:
    html = render_markdown("| a | b | c |\n|---|--:|:-:|\n| 1 | 2 | 3 |\n")
    assert html == (
        '<div class="qm-scroll" tabindex="0"><table class="qm-table"><thead><tr>'
        '<th scope="col">a</th>'
        '<th scope="col" align="right">b</th>'
        '<th scope="col" style="text-align:center">c</th>'
        "</tr></thead><tbody><tr><td>1</td>"
        '<td align="right">2</td>'
        '<td style="text-align:center">3</td></tr></tbody></table></div>\n'
    )


def test_tasks_are_characters() -> None:
    assert render_markdown("- [ ] a\n- [x] **b**\n- [y] c") == (
        f'<ul class="qm-list" dir="auto">{TASK}☐ a</li>{TASK}☑ <strong>b</strong></li>'
        f"{LI}[y] c</li></ul>\n"
    )


def test_code_has_its_bar_and_marks() -> None:
    assert render_markdown("```py title=a\nimport x\n```") == (
        '<div class="qm-code"><div class="qm-bar"><span class="qm-lang">Python</span></div>'
        '<pre class="qm-pre" tabindex="0"><code><b>import</b> x\n'
        "</code></pre></div>\n"
    )


@pytest.mark.parametrize(
    "tex",
    [
        "$a_1 * b_2$",
        "$$a_1*b*c_2$$",
        r"\(a_1 * b * c_2\)",
        r"\[a_1 * b * c_2\]",
        r"$\$5_a_$",
        "$n$",
    ],
)
def test_maths_stays_as_written(tex: str) -> None:
    assert inline(f"x {tex} y") == f'x <span dir="ltr">{tex}</span> y'


@pytest.mark.parametrize(
    "text",
    [
        "costs $5 and $10",
        "$5-$10",
        "from $1,000 to $2,000.",
        "$5 for `x$` and $6",
        "$20 a month for the team, worth 20$.",
        "a $ b $ c",
        r"\$5 and \$6",
    ],
)
def test_dollars_of_money_are_kept_from_a_typesetter(text: str) -> None:
    html = inline(text).replace('<code class="qm-c">x$</code>', "")
    assert "$" in html
    assert "$" not in html.replace("<span>$</span>", "")


def test_a_bracket_behind_a_written_backslash_is_kept_from_a_typesetter() -> None:
    assert inline(r"\\(a\\)") == r"\<span>(</span>a\)"


@pytest.mark.parametrize(
    "text", ["$$\na_1\n\nb_*c*_\n$$", "\\[\na_1 *b*\n\\]", "$$ a_1 *b* $$", r"\[ a_1 *b* \]"]
)
def test_display_maths_is_a_block(text: str) -> None:
    assert render_markdown(f"Then:\n{text}\nand").replace("&#10;", "\n") == (
        f'{P}Then:</p>\n<div class="qm-math" dir="ltr">{text}</div>\n{P}and</p>\n'
    )


def test_maths_in_an_item_loses_the_items_indentation() -> None:
    html = render_markdown("- so\n\n  $$\n  a_1\n  $$\n")
    assert '<div class="qm-math" dir="ltr">$$\na_1\n$$</div>' in html


def test_a_citation_is_linked_where_it_is_text() -> None:
    def url(number: int) -> str | None:
        return f"https://host{number}.example/p" if number < 3 else None

    html = render_markdown("a [1][2] [9] `[1]` $x[1]$ [b [1]](http://c.d)", url)
    assert html.count("qm-cite") == 2
    assert '" title="host2.example" rel="noopener noreferrer" target="_blank">[2]</a>' in html
    assert "[9] " in html


def test_a_remote_picture_is_named_not_loaded() -> None:
    html = inline("![a cat](https://pics.example/cat.png)")
    assert html == (
        '<a class="qm-a qm-remote" href="https://pics.example/cat.png" '
        'rel="noopener noreferrer" target="_blank">a cat (pics.example)</a>'
    )


def test_a_picture_in_the_text_is_shown() -> None:
    html = inline("![dot](data:image/png;base64,iVBORw0KGgo=)")
    assert html == '<img class="qm-img" src="data:image/png;base64,iVBORw0KGgo=" alt="dot">'


def test_what_is_nested_too_deeply_is_still_there() -> None:
    assert "the bottom" in render_markdown("- " * 300 + "the bottom")
    assert "the bottom" in render_markdown("> " * 300 + "the bottom")


WANTED = {
    "a table": "| a | b | c | d | e | f |\n|---|---|---|---|---|---|\n"
    + "| 1 | 2 | `3` | 4 | five | 6 |\n" * 1_250,
    "items": "- one more\n" * 4_000,
    "items with a term": "- **One term**: and what there is to say of it in a few words.\n" * 3_300,
    "items with many marks": "1. **one** more of `these` in *many* words, as it goes\n" * 1_300,
    "links": "- [one](https://example.com/one) is a page\n" * 2_800,
    "addresses": "See https://example.com/one for it.\n\n" * 2_000,
    "a page": "```html\n" + '  <li><a href="/one_a">One</a> of these</li>\n' * 5_000 + "```\n",
    **{kind: document(kind, 200_000) for kind in (*USUAL, *OTHER)},
}


@pytest.mark.parametrize("kind", WANTED)
def test_all_that_somebody_may_want_is_drawn(kind: str) -> None:
    assert parser.drawn(WANTED[kind])[1] == ""


@pytest.mark.parametrize("kind", [*MARKS, *HOSTILE])
def test_no_text_makes_a_page_of_more_than_can_be_shown(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a twentieth of the size."""
    monkeypatch.setattr(parser, "MOST_DRAWN", parser.MOST_DRAWN // 20)
    text = document(kind, 5_000) if kind in HOSTILE else kind * (5_000 // len(kind))
    assert render_markdown(text).count("<") < 2_450


def test_what_is_too_much_to_draw_stands_as_it_was_written() -> None:
    text = "- a *b* &\n" * 9_000
    html = render_markdown(text)
    drawn, rest = html.split("What follows is shown as it was written")
    items = drawn.count(LI)
    assert 1_500 < items < 5_000
    code = re.search("<code>(.*)</code>", rest, re.DOTALL)
    assert code is not None
    assert unescape(code[1]) == "- a *b* &\n" * (9_000 - items)
