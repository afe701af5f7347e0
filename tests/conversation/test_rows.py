"""How a text grew."""

from hypothesis import given
from hypothesis import strategies as st

from qwen_magic.conversation.rows import TextDiff, common_length, patched, text_diff

WORDS = st.text("ab🙂", max_size=30)


def test_only_the_new_part_is_told():
    assert text_diff("One, ", "One, two") == TextDiff(5, "two")
    assert text_diff('{"text":"One"}', '{"text":"One, two"}') == TextDiff(12, ', two"}')
    assert text_diff("same", "same") is None


@given(WORDS, WORDS)
def test_the_common_beginning(one, other):
    length = common_length(one, other)
    assert one[:length] == other[:length]
    assert one[length : length + 1] != other[length : length + 1] or length == len(one + other) / 2


@given(st.lists(WORDS, max_size=6))
def test_all_steps_together_give_the_last_text(texts):
    steps = [text_diff(old, new) for old, new in zip(["", *texts], texts, strict=False)]
    assert patched("", [step for step in steps if step]) == (texts[-1] if texts else "")
