"""How a text grew."""

from hypothesis import given
from hypothesis import strategies as st

from qwen_magic.conversation.text_diff import Growth, common_length, grown, growth

WORDS = st.text("ab🙂", max_size=30)


def test_only_the_new_part_is_told():
    assert growth("One, ", "One, two") == Growth(5, "two")
    assert growth('{"text":"One"}', '{"text":"One, two"}') == Growth(12, ', two"}')
    assert growth("same", "same") is None


@given(WORDS, WORDS)
def test_the_common_beginning(one, other):
    length = common_length(one, other)
    assert one[:length] == other[:length]
    assert one[length : length + 1] != other[length : length + 1] or length == len(one + other) / 2


@given(st.lists(WORDS, max_size=6))
def test_all_steps_together_give_the_last_text(texts):
    steps = [growth(old, new) for old, new in zip(["", *texts], texts, strict=False)]
    assert grown("", [step for step in steps if step]) == (texts[-1] if texts else "")
