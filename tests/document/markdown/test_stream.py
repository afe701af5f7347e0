"""A Markdown text that arrives piece by piece."""

from __future__ import annotations

import itertools
import random
import re
import sys
from collections.abc import Callable

import pytest
from corpora import HOSTILE, OTHER, USUAL, document
from fuzz import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.document.markdown import MarkdownStream, parser, render_markdown
from qwen_magic.document.patches import Add, Extend, Grow, Patch, Remove, Replace

PIECES = (
    *("word ", "two words ", "\n", "\n\n", "**bold** ", "*it", "* ", "`code` ", "``", "~~x~~ "),
    *("[a](http://b.c) ", "[", "](", "![p](http://q.r/s.png)", "[1] ", "$x_1$ ", "$5 ", "$$\n"),
    *("\\(a\\) ", "\\[\n", "\\]\n", "# h\n", "===\n", "---\n", "- item\n", "  - sub\n", "  "),
    *(
        "1. one\n",
        "3) x\n",
        "> quote\n",
        "> ",
        ">\n",
        "```python\n",
        "```\n",
        "~~~\n",
        "\t",
        "    ",
    ),
    *("| a | b |\n", "|---|--:|\n", "| 1 | `2` |\n", "[r]: http://s.t\n", "[r] ", "- [ ] do\n"),
    *("<b>", "<http://u.v>", "&amp;", "\\", "\r\n", "\r", "\0", "漢字を書く。", "long " * 60),
    *(
        "$$ x\n",
        "$$. ",
        "\\] so ",
        "\\begin{align}\n",
        "\\end{align} ",
        "a &= b \\\\\n",
        "$2 ($y$) ",
    ),
    *("[^1]", "[^1]: note\n", "[^n] ", "\n[^n]: > q\n    more\n", "[x]: word\n", "[3]: word\n"),
    *(
        "https://a.b/c_d ",
        "见https://e.f。",
        "www.g.h ",
        "i@j.kl ",
        "<br>",
        "<sub>",
        "</sub>",
        "<sup>",
    ),
    *(
        "<!-- c -->",
        "<!--",
        "-->\n",
        "| a | `b|c` |\n",
        "|---|\n",
        "**注：**",
        "「重」",
        "~~旧。~~",
    ),
    *("x = 'a'  # b\n", '{"k": [1]}', "$$ y $$\n", "- [x] done ", "***\n", "_a_b_", "é"),
)
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def sizes(seed: int) -> Callable[[], int]:
    rng = random.Random(seed)
    return lambda: rng.choice((1, 2, 7, 40, 300))


@settings(max_examples=examples(250), deadline=None)
@given(texts, st.integers(0, 999))
def test_views_follow_and_the_end_is_a_whole_render(
    new_view: Callable[[], object],
    block_shapes: Callable[[object], list[object]],
    text: str,
    seed: int,
) -> None:
    stream, view, size, position = MarkdownStream(), new_view(), sizes(seed), 0
    while position < len(text):
        step = size()
        stream.append(text[position : position + step])
        position += step
        view.apply(stream.update())
        assert view.shapes() == block_shapes(stream.blocks)
    view.apply(stream.finish())
    assert view.shapes() == block_shapes(stream.blocks)
    assert stream.html == render_markdown(text)


def run(text: str, step: int = 5) -> tuple[MarkdownStream, list[Patch]]:
    stream = MarkdownStream()
    patches: list[Patch] = []
    for position in range(0, len(text), step):
        stream.append(text[position : position + step])
        patches += stream.update()
    return stream, patches


def characters(patch: Patch) -> int:
    """How much HTML a patch carries."""
    return len(getattr(patch, "html", "")) + len(getattr(patch, "tail", ""))


GROWING = {
    "fence": "```python\n" + "x = 'one'  # two\n" * 60,
    "maths": "$$\n" + "a_1 + b_2 \\\\\n" * 60,
    "indented": "    code = 1\n" * 60,
    "table": "| a | b |\n|---|--:|\n" + "| **one** | 2 |\n" * 60,
    "paragraph": "Some *words* in a [link](http://a.b) and `more` of them. " * 30,
    "wrapped": "Some *words* in a [link](http://a.b)\nand `more` of them.\n" * 30,
    "one word a line": "word\n" * 300,
    "wide": "これは**長い**段落です。改行も空白もありません。" * 100,
    "list": "- one **two** three\n" * 60,
    "nested": "- one\n  - two\n    - three\n" * 30,
    "ordered": "1. one\n   two\n" * 60,
    "code in a list": "- Do:\n\n" + "  ```python\n  x = 1\n  ```\n\n" * 50,
    "quote": "> one **two** three\n" * 60,
    "lazy quote": "> one **two** three\nand four\n" * 40,
}


@pytest.mark.parametrize("kind", GROWING)
def test_a_long_block_grows_by_steps(kind: str) -> None:
    text = GROWING[kind]
    _, patches = run(text)
    whole = render_markdown(text)
    extended = sum(characters(p) for p in patches if isinstance(p, Extend | Grow))
    assert 0.7 * len(whole) < extended < 8 * len(whole), "it is settled, piece by piece"
    # A replacement is for the time when the block is short.
    assert all(len(p.html) < 1200 for p in patches if isinstance(p, Replace | Add))
    tails = [len(p.tail) for p in patches if isinstance(p, Extend)]
    assert max(tails) < 900


@pytest.mark.parametrize("kind", GROWING)
def test_what_is_settled_is_what_a_whole_render_gives(kind: str) -> None:
    """A grower settles the very HTML of a whole parse: closing its block needs no replacement."""
    stream, _ = run(GROWING[kind] + "\n\n")
    stream.append("```\n```\n# End\n\nThe end.\n")
    closing = [p for p in stream.update() if isinstance(p, Replace)]
    assert closing == [] or kind == "code in a list"  # loose items show only later


WITHOUT_STEPS = {
    "stars": "**a word ",
    "brackets": "[a word ",
    "ticks": "`` a word ",
    "dollars": "$a word ",
    "one line of code": '{"a": 1}, ',
}


@pytest.mark.parametrize("size", [4_000, 16_000])
@pytest.mark.parametrize("kind", WITHOUT_STEPS)
def test_what_is_sent_stays_linear_where_no_step_is_cheap(kind: str, size: int) -> None:
    fence = "```json\n" if kind == "one line of code" else ""
    _, patches = run(fence + WITHOUT_STEPS[kind] * (size // len(WITHOUT_STEPS[kind])), step=37)
    assert sum(map(characters, patches)) < 30 * size


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_text_costs_more_than_its_length(kind: str) -> None:
    """Counted in calls of functions, twice as many for twice the text."""

    def calls(length: int) -> int:
        count = 0

        def counted(*_: object) -> None:
            nonlocal count
            count += 1

        stream, text = MarkdownStream(), document(kind, length)
        sys.setprofile(counted)
        try:
            for position in range(0, len(text), 40):
                stream.append(text[position : position + 40])
                stream.update()
            stream.finish()
        finally:
            sys.setprofile(None)
        return count

    calls(1000)
    assert calls(8_000) < 2.8 * calls(4_000)


@settings(max_examples=examples(25), deadline=None)
@given(
    st.sampled_from((*USUAL, *OTHER, *HOSTILE)),
    st.integers(0, 9),
    st.lists(st.integers(1, 200), min_size=1, max_size=8),
)
def test_any_cutting_of_a_document_ends_as_a_whole_render(
    kind: str, seed: int, steps: list[int]
) -> None:
    text, stream, position = document(kind, 2500, seed), MarkdownStream(), 0
    for step in itertools.cycle(steps):
        stream.append(text[position : position + step])
        stream.update()
        position += step
        if position >= len(text):
            break
    stream.finish()
    assert stream.html == render_markdown(text)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.one_of(texts, st.sampled_from((*USUAL, *OTHER, *HOSTILE)).map(lambda k: document(k, 1500))),
    st.integers(0, 999),
    st.sampled_from((60, 300)),
)
def test_what_is_too_much_to_draw_comes_as_it_was_written(text: str, seed: int, most: int) -> None:
    stream, size, position, closed = MarkdownStream(), sizes(seed), 0, list[str]()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parser, "MOST_DRAWN", most)
        while position < len(text):
            step = size()
            stream.append(text[position : position + step])
            position += step
            stream.update()
            before, closed = closed, [block.html for block in stream.blocks if block.closed]
            assert closed[: len(before)] == before
        stream.finish()
        assert stream.html == render_markdown(text)


def test_what_is_not_drawn_grows_as_one_block() -> None:
    stream, patches = run("- a\n" * 10_000, 400)
    assert [block.closed for block in stream.blocks] == [True, True, False]
    assert max(characters(patch) for patch in patches) < 5_000
    stream.finish()
    assert stream.html == render_markdown("- a\n" * 10_000)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("**bold and more**", "<strong>bold and more</strong>"),
        ("[a link](https://a.b/c)", ">a link</a>"),
        ("`some code`", '<code class="qm-c">some code</code>'),
        (f"![](data:image/png;base64,{'AAAA' * 2000})", f"base64,{'AAAA' * 2000}"),
        ("$$\\begin{aligned}" + "a &= b \\\\ " * 200 + "\\end{aligned}$$", "aligned}$$</span>"),
    ],
)
@pytest.mark.parametrize("step", [7, 300])
def test_a_long_paragraph_is_cut_between_its_marks(text: str, whole: str, step: int) -> None:
    for before in (1180, 1190, 1196):
        words = ("word " * 300)[:before] + text + " and so on" * 200
        stream, _ = run(words, step)
        stream.finish()
        assert stream.html == render_markdown(words)
        assert whole in stream.html


def test_a_link_is_not_cut_before_its_title() -> None:
    text = "word " * 30 + '[a link](https://a.b/c "t")' + "<br>" * 20
    stream, _ = run(text)
    stream.finish()
    assert stream.html == render_markdown(text)
    assert ">a link</a>" in stream.html


def test_an_open_fence_shows_highlighted_lines_at_once() -> None:
    stream = MarkdownStream()
    stream.append("```py\ndef f():\n  ret")
    stream.update()
    (block,) = stream.blocks
    assert "<b>def</b> f():\n" in block.settled_html
    assert block.tail == "  ret"
    assert block.html.endswith("  ret</code></pre></div>")


@pytest.mark.parametrize(
    ("begun", "shown"),
    [
        ("some **bol", "some <strong>bol</strong>"),
        ("some *it", "some <em>it</em>"),
        ("some `cod", 'some <code class="qm-c">cod</code>'),
        ("some [text](htt", "some text"),
        ("some [tex", "some tex"),
        ("some **", "some"),
        ("2 * 3 and *a* ", "2 * 3 and <em>a</em>"),
    ],
)
def test_marks_that_are_not_closed_yet_are_not_shown(begun: str, shown: str) -> None:
    stream = MarkdownStream()
    stream.append(begun)
    stream.update()
    assert stream.html == f'<p class="qm-p" dir="auto">{shown}</p>\n'


@pytest.mark.parametrize(
    "text",
    [
        "Pay $3.50/month or $x^2$ each.",
        "公式$$E=mc^2$$。后面",
        "Intro\n\n$$\nx = 1\n$$ where x\n\nNext",
        "Intro\n\n\\begin{align*}\na &= b\n\\end{align*}.\n\nNext",
        "**$x$：**公式",
        "**<sub>a</sub>** and <https://a.example/path>",
        "**https://a.example/x**\n\nand **https://a.example/y**后面",
        "* [ ] one\n  * [x] two",
        "Title\n- a\n  - b",
        "标题：\n1. **第一：**开始",
        "Never **closed or `ticked\n\n<sub>nor\n\nthis one",
        "See it.\n\n[a]: https://a.example/b",
    ],
)
def test_no_letter_that_comes_takes_words_away_or_shows_marks(text: str) -> None:
    def shown(html: str) -> str:
        return re.sub(
            r"<[^>]*>", "", re.sub(r'<(div|span)[^>]* dir="ltr".*?</\1>', "", html, flags=re.S)
        )

    whole = render_markdown(text)
    stream, words = MarkdownStream(), 0
    for letter in text:
        stream.append(letter)
        stream.update()
        before, words = words, len(re.findall(r"\w+", re.sub(r"<[^>]*>", " ", stream.html)))
        assert words >= before - 1, stream.html
        for mark in ("*", "`", "[", "\\", "&lt;"):
            assert shown(stream.html).count(mark) <= shown(whole).count(mark), stream.html
        assert stream.html.count("<h") <= whole.count("<h")


def test_new_text_shows_at_once_in_a_block_too_large_to_render_each_time() -> None:
    stream = MarkdownStream()
    stream.append("# " + "word " * 400)
    stream.update()
    stream.append("the newest")
    stream.update()
    assert "the newest" in stream.html


def test_an_update_without_news_is_empty() -> None:
    stream, _ = run("# A\n\nText **b")
    assert stream.update() == []


def test_ids_are_the_prefix_and_a_number_and_adds_name_the_parent() -> None:
    stream = MarkdownStream(parent="m1", prefix="m1-")
    stream.append("a\n\nb\n")
    assert [(p.id, p.parent) for p in stream.update() if isinstance(p, Add)] == [
        ("m1-1", "m1"),
        ("m1-2", "m1"),
    ]


def test_finish_puts_right_a_reference_used_before_its_definition() -> None:
    stream, _ = run("See [it].\n\nText.\n\n[it]: http://a.b\n")
    (patch,) = stream.finish()
    assert isinstance(patch, Replace)
    assert 'href="http://a.b"' in patch.html


def test_a_provisional_block_that_turns_out_otherwise_is_removed() -> None:
    stream = MarkdownStream()
    stream.append('[a]: http://b.c\n"')
    stream.update()
    stream.append('title"\n')
    patches = stream.update()
    assert any(isinstance(p, Remove) for p in patches)
    assert stream.finish() == []
    assert stream.html == ""


def test_citations_are_asked_for_at_every_update() -> None:
    known: dict[int, str] = {}
    stream = MarkdownStream(citation=known.get)
    stream.append("As said [1].")
    stream.update()
    assert "<a" not in stream.html
    known[1] = "https://example.com/page"
    stream.append(" And more.")
    stream.update()
    assert '<a class="qm-cite" href="https://example.com/page" title="example.com"' in stream.html
    stream.finish()
    assert stream.html == render_markdown("As said [1]. And more.", known.get)
