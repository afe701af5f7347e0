"""Slower when the service says so, and faster again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_magic.batch.scheduler import LONGEST_REST, RateLimiter


def pace(limit=8, share=1.0):
    return RateLimiter(limit, base=4.0, random=lambda: share)


def test_full_speed_at_first():
    assert pace().allowed(0.0) == 8


def test_a_refusal_halves_and_rests():
    slowed = pace()
    slowed.refused(begun_at=0.0, now=10.0)
    assert slowed.allowed(13.9) == 0
    assert slowed.allowed(14.0) == 4


def test_many_refusals_of_one_moment_count_once():
    slowed = pace()
    for late in range(8):
        slowed.refused(begun_at=0.0, now=10.0 + late / 10)
    assert slowed.allowed(14.0) == 4


def test_rests_grow_until_something_is_answered():
    slowed, now, rests = pace(), 0.0, []
    for _ in range(6):
        begun = now + 0.1
        now = begun + 0.1
        slowed.refused(begun, now)
        rest = next(s for s in range(1000) if slowed.allowed(now + s))
        rests.append(rest)
        now += rest
    assert rests == [4, 8, 16, 32, LONGEST_REST, LONGEST_REST]
    assert slowed.allowed(now) == 1, "never less than one"
    slowed.answered()
    slowed.refused(now + 1, now + 2)
    assert slowed.allowed(now + 6) == 1


def test_nothing_is_begun_while_the_client_waits():
    slowed = pace()
    slowed.wait(begun_at=0.0, now=1.0)
    assert slowed.allowed(100.0) == 0
    slowed.resume()
    assert slowed.allowed(100.0) == 4


def test_what_the_client_waited_for_in_vain_rests_too_but_halves_once():
    slowed = pace()
    slowed.wait(begun_at=0.0, now=1.0)
    slowed.resume()
    slowed.refused(begun_at=0.0, now=5.0)
    assert slowed.allowed(8.9) == 0
    assert slowed.allowed(9.0) == 4


def test_it_recovers_one_at_a_time():
    slowed = pace()
    slowed.refused(0.0, 1.0)
    seen = []
    for _ in range(30):
        slowed.answered()
        seen.append(slowed.allowed(100.0))
    assert seen == sorted(seen)
    assert seen[3:5] == [4, 5], "after about as many answers as run at once"
    assert seen[-1] == 8, "and never beyond the limit"


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_maps_that_are_refused_together_do_not_come_back_together(share):
    slowed = pace(share=share)
    slowed.refused(0.0, 1.0)
    assert [slowed.allowed(1.0 + s) > 0 for s in (1.9, 2.0, 4.0)] == [False, share == 0.0, True]


@given(st.integers(1, 50), st.lists(st.sampled_from(["answered", "refused", "wait"])))
def test_always_between_one_and_the_limit(limit, story):
    slowed, now = pace(limit), 0.0
    for step in story:
        now += 1
        if step == "answered":
            slowed.answered()
        elif step == "refused":
            slowed.refused(now - 0.5, now)
        else:
            slowed.wait(now - 0.5, now)
            assert slowed.allowed(now) == 0
            slowed.resume()
        assert 1 <= slowed.allowed(now + 1000) <= limit
