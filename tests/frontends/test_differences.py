"""How texts differ."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_magic.frontends import plain as module
from qwen_magic.frontends.plain import (
    changed_lines,
    differences,
    differences_html,
    differences_text,
    source_difference_html,
    source_difference_text,
)

texts = st.text(st.sampled_from("ab \n.你<é"), max_size=60)


@pytest.mark.parametrize("large", [module._LARGE, 0])  # by words; by lines
@given(texts, texts)
def test_differences_give_both_texts_back(large, old, new):
    kept, module._LARGE = module._LARGE, large
    try:
        pieces = differences(old, new)
    finally:
        module._LARGE = kept
    assert "".join(text for sign, text in pieces if sign != "+") == old
    assert "".join(text for sign, text in pieces if sign != "-") == new


def test_what_differs_is_marked_and_all_is_text():
    assert differences_text("one two", "one three") == "one [-two-]{+three+}"
    html = differences_html("<b>", "one <i>two</i>", "one\n\n\u202e<i>")
    assert "<b>" not in html
    assert "<i>" not in html
    assert "\u202e" not in html
    assert "\n" not in html
    assert "<del>" in html
    assert "<ins>" in html


SOURCES = st.lists(st.sampled_from(["x = 1", "y = 2", "", "  z", "<b>", "\u202ea", "\x1b[31m"]))


@given(SOURCES, SOURCES)
def test_a_source_is_told_line_by_line(before, after):
    old, new = "\n".join(before), "\n".join(after)
    lines = changed_lines(old, new)
    assert "\n".join(text for sign, text in lines if sign != "+") == old
    assert "\n".join(text for sign, text in lines if sign != "-") == new
    plain, html = source_difference_text(old, new), source_difference_html(old, new)
    assert not any(hidden in plain + html for hidden in ("\u202e", "\x1b"))
    assert "\n" not in html
    assert not re.search(r"<(?!/?(?:ins|del|span|i)>)", html)


def test_what_hides_in_a_source_is_plain_to_see():
    told = source_difference_text("a", "a\u202e\x1b[2J\r\0")
    assert told == "- a\n+ a⟨U+202E⟩⟨U+001B⟩[2J⟨U+000D⟩⟨U+0000⟩"
    long = "\n".join(map(str, range(40)))
    told = source_difference_text(long, long.replace("\n20\n", "\n"))
    assert told.split("\n")[0].replace("\xa0", " ") == "  … 17 lines as before …"
    assert len(told.split("\n")) == 9
