"""Markdown that no reader loads anything of: judged by a reader that takes raw HTML."""

import pytest
from fuzz import examples
from html_judge import markdown_faults
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qwen_magic.document.markdown import MarkdownStream, render_markdown
from qwen_magic.document.markdown.written import safe_markdown

IMAGE, TAG = "![x](http://evil.example/?s=42)", "<img src=http://evil.example/x>"


PLACES = [
    "{}", "a {} b", "# {}", "> {}", "- a\n- {}\n  1. {}", "**a {} b**", "~~{}~~", "[a {} b](http://z/)",
    "[{}](http://z/)", "| a | b |\n|---|---|\n| {} | x |", "| a |\n|---|\n| `x|{}` |", "`a\n{}` b",
    "``a` {}`` {}", "[a](<http://x/{}>)", "[a](http://x/ \"{}\")", "x[^1]\n\n[^1]: note {}",
    "[r]: http://e/ \"{}\"\n\n{} [r]", "$a {} b$", "$$\n{}\n$$", "\\({}\\)", "<!-- {} -->",
    "<!--> {} -->", "<sub>{}</sub>", "```\n{}\n```\n{}", "    {}\n\n{}", "<http://e.org/{}>",
    "\\{}",
    "!{}", "&lt;{}&gt;", "{}\n---\n{}", "1\\. {}", "- [ ] {}", "a  \n{}", "~~~\nopen {}", "{}{}",
]  # fmt: skip


@pytest.mark.parametrize(
    "hostile", [IMAGE, TAG, f"[{IMAGE}](http://z/)", "![x][q]\n\n[q]: http://e/"]
)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_loaded(place, hostile):
    safe = safe_markdown(place.replace("{}", hostile))
    assert not markdown_faults(safe), safe


@pytest.mark.parametrize(
    "text",
    [
        f"a {TAG} b **c** `d` [e](http://f.org/?g=1&h=2)",
        f"| a | b |\n|--:|---|\n| `x\\|y` | {TAG} |",
        f"- a\n- b {TAG}\n  1. c\n  2. d\n\n> q\n> ```py\n> <b>\n> ```",
        f"x[^1] {TAG}\n\n[^1]: note",
        f"H<sub>2</sub>O {TAG} <br> <kbd>k</kbd>",
        f"# T\n\n1\\. no {TAG}\n\n- [x] task\n\n---\n\n~~s~~ *e* a_b $c^2$ \\$5 [1] & !",
    ],
)
def test_what_is_written_anew_means_the_same(text):
    safe = safe_markdown(text)
    assert safe != text
    assert render_markdown(safe) == render_markdown(text)
    assert safe_markdown(safe) == safe


@pytest.mark.parametrize(
    "text", ["`<b>` <https://d.org> a < b", "```html\n<div>\n```", "a ![b](c.png)"]
)
def test_what_loads_nothing_stays_as_it_was_written(text):
    assert safe_markdown(text) == text


PIECES = st.lists(
    st.sampled_from(
        [
            *(IMAGE, TAG, "![", "](http://e/)", "[", "]", "!", "<", ">", "<!--", "-->", "&lt;"),
            *("`", "``", "```\n", "\n", "\n\n", "|", "|---|\n", "$", "$$", "- ", "> ", "    "),
            *("\\", "a", " ", "*", "[^1]", "[^1]: ", "---", "&#60;"),
        ]
    ),
    max_size=14,
)  # fmt: skip


@settings(deadline=None, max_examples=examples(150))
@given(PIECES)
@example(["[^1]: ```\n", "![^1]"])  # to a reader without footnotes: a definition and its picture
@example(["- [^1]: ~~~\n  ![^1]"])
@example(["a![^1]\n\n[^1]: http://e/a.png"])
def test_nothing_is_loaded_of_any_text(pieces):
    safe = safe_markdown("".join(pieces))
    assert not markdown_faults(safe), safe


FENCED = st.lists(
    st.sampled_from(
        [
            *("```", "```py\n", "\n```\n", "~~~\n", "````\n", "- a\n", "  ```\n", "> ```\n"),
            *("    code\n", "\n\n", "text\n", "1. x\n", "   ~~~\n", "$$\n", "<!-- c", "-->"),
            *("- ```\n", "[^1]: n\n", "[a]: /u\n", "\t```\n", "\r\n", "\u200b", "===\n"),
        ]
    ),
    min_size=1,
    max_size=14,
)


@settings(deadline=None, max_examples=examples(150))
@given(FENCED)
def test_a_stream_knows_enough_of_its_text_to_close_the_last_fence(pieces):
    stream, text = MarkdownStream(), "".join(pieces)
    for piece in pieces:
        stream.append(piece)
        stream.update()
    stream.finish()
    assert safe_markdown(text, last=stream.last_start(text)) == safe_markdown(text)


@pytest.mark.parametrize(
    "text",
    [
        "x[^1]\n\n[^1]: javascript:alert(1)",
        "x[^1]\n\n[^1]:[x](:):",
        '[[[[[[[[[[[[[](tp:.invalid!/x "t")\na_b_a_b_a_',
    ],
)
def test_what_is_no_link_of_ours_is_none_to_other_readers(text):
    assert markdown_faults(safe_markdown(text)) == []
