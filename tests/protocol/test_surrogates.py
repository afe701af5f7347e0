"""Halves of surrogate pairs."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_magic.protocol.text import clean, join_surrogates, split_half

HALVES = st.text(st.sampled_from("a你😀\ud83d\ude00\udbff\udc00"))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HALVES)
def test_whatever_comes_can_be_encoded(text: str) -> None:
    joined = join_surrogates(text)
    joined.encode()
    assert join_surrogates(joined) == joined


def test_pairs_become_their_character_and_lone_halves_are_replaced() -> None:
    assert join_surrogates("\ud83d\ude00") == "😀"
    assert join_surrogates("\ude00\ud83d") == "\ufffd\ufffd"
    assert join_surrogates("plain 你") == "plain 你"


def test_only_a_high_half_can_wait_for_the_other() -> None:
    assert split_half("a\ud83d") == ("a", "\ud83d")
    assert split_half("a\ude00") == ("a\ude00", "")
    assert split_half("") == ("", "")


def test_a_payload_is_cleaned_but_for_its_delta() -> None:
    payload = {"delta": "\ud83d", "a\ud83d": ["\ud83d", {"b": "\ud83d\ude00", "n": 1}]}
    assert clean(payload) == {"delta": "\ud83d", "a\ufffd": ["\ufffd", {"b": "😀", "n": 1}]}
