"""How texts differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_magic.frontends import plain as module
from qwen_magic.frontends.plain import differences, differences_html, differences_text

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
