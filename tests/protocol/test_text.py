"""One text out of sources that differ."""

from __future__ import annotations

import pytest

from qwen_magic.protocol.text import ITEM, PART_DONE, TERMINAL, TEXT_DONE, TextAccumulator


def test_deltas_append_and_nothing_overrules_them() -> None:
    text = TextAccumulator()
    assert text.extend("output_text", 0, "a")
    chunks = text.chunks
    assert text.extend("output_text", 0, "b")
    assert not text.offer("output_text", 0, "done", TEXT_DONE)
    assert not text.offer("output_text", 0, "part", PART_DONE)
    assert not text.replace([("output_text", "item")], ITEM)
    assert not text.replace([("output_text", "end")], TERMINAL)
    assert (text.text, text.revision) == ("ab", 0)
    assert text.chunks is chunks


def test_an_empty_delta_is_none() -> None:
    text = TextAccumulator()
    assert not text.extend("output_text", 0, "")
    assert text.offer("output_text", 0, "done", TEXT_DONE)
    assert text.text == "done"


def test_each_better_source_replaces_the_lesser() -> None:
    text = TextAccumulator()
    seen = []
    assert text.replace([("output_text", "end")], TERMINAL)
    seen.append((text.text, text.revision))
    assert text.replace([("output_text", "item")], ITEM)
    seen.append((text.text, text.revision))
    assert text.offer("output_text", 0, "part", PART_DONE)
    seen.append((text.text, text.revision))
    assert text.offer("output_text", 0, "done", TEXT_DONE)
    seen.append((text.text, text.revision))
    assert text.extend("output_text", 0, "delta")
    seen.append((text.text, text.revision))
    assert seen == [("end", 0), ("item", 1), ("part", 2), ("done", 3), ("delta", 4)]


def test_the_item_beats_the_terminal_response_in_either_order() -> None:
    text = TextAccumulator()
    assert text.replace([("output_text", "item")], ITEM)
    assert not text.replace([("output_text", "end")], TERMINAL)
    assert text.text == "item"


def test_the_same_words_from_a_better_source_change_nothing() -> None:
    text = TextAccumulator()
    text.replace([("output_text", "same")], ITEM)
    assert not text.offer("output_text", 0, "same", TEXT_DONE)
    assert (text.chunks, text.revision) == (["same"], 0)
    assert not text.replace([("output_text", "other")], ITEM)


def test_parts_of_a_message_are_joined_with_nothing() -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "a")
    text.extend("output_text", 1, "b")
    assert text.offer("output_text", 2, "c", TEXT_DONE)
    assert text.text == "abc"


@pytest.mark.parametrize("joined", [1, 2, 3, 9])
@pytest.mark.parametrize(
    "deltas",
    [["One ", "One two ", "One two three"], ["One ", "two ", "three", "One two three"]],
)
def test_deltas_that_hold_the_text_so_far_are_not_added_up(deltas: list[str], joined: int) -> None:
    text = TextAccumulator()
    for place in range(0, len(deltas), joined):
        text.extend("output_text", 0, "".join(deltas[place : place + joined]))
    assert text.offer("output_text", 0, "One two three", TEXT_DONE)
    assert text.text == "One two three"


def test_a_text_of_repeated_words_is_kept() -> None:
    text = TextAccumulator()
    for _ in range(3):
        text.extend("output_text", 0, "ha ")
    assert not text.offer("output_text", 0, "ha ha", TEXT_DONE)
    assert text.text == "ha ha ha "


def test_a_whole_that_came_as_deltas_of_another_index_is_not_doubled() -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "all of it")
    assert not text.offer("output_text", 1, "all of it", TEXT_DONE)
    assert text.text == "all of it"


def test_summaries_have_an_empty_line_between_them() -> None:
    text = TextAccumulator()
    for part in (0, 1):
        text.extend("reasoning_summary_text", part, "a")
        text.extend("reasoning_summary_text", part, "b")
        text.offer("reasoning_summary_text", part, "ab", TEXT_DONE)
    assert text.text == "ab\n\nab"
    assert text.chunks == ["a", "b", "\n\n", "a", "b"]


def test_only_the_last_part_can_be_put_right() -> None:
    text = TextAccumulator()
    text.offer("output_text", 0, "one", PART_DONE)
    text.offer("output_text", 1, "two", PART_DONE)
    assert not text.extend("output_text", 0, "late")
    assert text.extend("output_text", 1, "deltas")
    assert (text.text, text.revision) == ("onedeltas", 1)


@pytest.mark.parametrize("first", ["reasoning_text", "reasoning_summary_text"])
def test_of_two_channels_of_reasoning_the_first_speaks(first: str) -> None:
    other = {"reasoning_text": "reasoning_summary_text"}.get(first, "reasoning_text")
    text = TextAccumulator()
    assert text.extend(first, 0, "thought")  # type: ignore[arg-type]
    assert not text.extend(other, 0, "again")  # type: ignore[arg-type]
    assert not text.offer(other, 0, "again", TEXT_DONE)  # type: ignore[arg-type]
    assert text.text == "thought"


def test_the_text_of_one_kind() -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "Well, ")
    text.extend("refusal", 1, "no")
    text.extend("refusal", 1, ".")
    text.extend("output_text", 0, "Sorry.")
    assert text.text == "Well, no.Sorry."
    assert text.text_of("refusal") == "no."
    assert text.text_of("output_text") == "Well, Sorry."


def test_halves_of_a_character_are_joined_over_deltas() -> None:
    text = TextAccumulator()
    assert text.extend("output_text", 0, "a\ud83d")
    assert text.chunks == ["a"]
    assert text.extend("output_text", 0, "\ude00b")
    assert text.chunks == ["a", "😀b"]


def test_a_half_does_not_wait_beyond_its_part() -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "a\ud83d")
    text.extend("output_text", 1, "\ude00b")
    assert text.text == "a\ufffd\ufffdb"


def test_a_half_that_stays_alone_is_replaced_at_the_end() -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "a\ud83d")
    assert text.close()
    assert not text.close()
    assert text.text == "a\ufffd"


def test_text_is_joined_once_for_each_state() -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "a")
    assert text.text is text.text
    text.extend("output_text", 0, "b")
    assert text.text == "ab"


FULL = "One two three four."


@pytest.mark.parametrize("deltas", [["One "], ["One ", "two ", "three "], list(FULL[:-1]), [FULL]])
@pytest.mark.parametrize("source", [TEXT_DONE, PART_DONE, ITEM, TERMINAL])
def test_the_rest_is_added_where_the_deltas_are_the_beginning(
    deltas: list[str], source: int
) -> None:
    text = TextAccumulator()
    for delta in deltas:
        text.extend("output_text", 0, delta)
    chunks = text.chunks
    for later in range(source, 0, -1):  # the lesser sources say it too
        if later in (ITEM, TERMINAL):
            text.replace([("output_text", FULL)], later)
        else:
            text.offer("output_text", 0, FULL, later)
    assert (text.text, text.text_of("output_text"), text.revision) == (FULL, FULL, 0)
    assert text.chunks is chunks


@pytest.mark.parametrize("source", [TEXT_DONE, ITEM])
@pytest.mark.parametrize("other", ["One", "One 2 three four.", "two three four.", "Uno."])
def test_where_the_sources_do_not_agree_the_deltas_speak(source: int, other: str) -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "One ")
    text.extend("output_text", 0, "two ")
    if source == ITEM:
        assert not text.replace([("output_text", other)], source)
    else:
        assert not text.offer("output_text", 0, other, source)
    assert text.text == "One two "


def test_an_item_that_is_only_added_does_not_add_to_deltas() -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "One ")
    assert not text.replace([("output_text", "One two ")], ITEM, is_last=False)
    text.extend("output_text", 0, "two ")
    assert text.text == "One two "


def test_the_rest_of_a_refusal_is_one() -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "Well, ")
    assert text.replace([("output_text", "Well, hm. "), ("refusal", "No.")], ITEM)
    assert text.text_of("output_text") == "Well, hm. "
    assert text.text_of("refusal") == "No."


def test_the_rest_of_a_later_part() -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "a")
    text.extend("output_text", 1, "b")
    assert text.offer("output_text", 1, "bc", TEXT_DONE)
    assert not text.offer("output_text", 0, "ax", TEXT_DONE)
    assert text.text == "abc"


def test_the_rest_of_a_summary() -> None:
    text = TextAccumulator()
    text.extend("reasoning_summary_text", 0, "a")
    text.extend("reasoning_summary_text", 1, "b")
    assert text.offer("reasoning_summary_text", 1, "bc", TEXT_DONE)
    assert text.text == "a\n\nbc"


def test_half_a_character_and_its_rest() -> None:
    text = TextAccumulator()
    text.extend("output_text", 0, "a\ud83d")
    assert text.offer("output_text", 0, "a😀b", TEXT_DONE)
    text.close()
    assert text.text == "a😀b"


@pytest.mark.parametrize("index", [0, 3, 4, 5, 99])
@pytest.mark.parametrize("done", [FULL, FULL + "\n", "One two three", "One 2 three four."])
@pytest.mark.parametrize("source", [TEXT_DONE, PART_DONE])
def test_an_index_that_grows_with_every_delta_doubles_nothing(
    index: int, done: str, source: int
) -> None:
    text = TextAccumulator()
    for n, delta in enumerate(["One ", "two ", "three ", "four."]):
        text.extend("output_text", n, delta)
    text.offer("output_text", index, done, source)
    text.replace([("output_text", done)], ITEM)
    assert text.text == (FULL + "\n" if done.endswith("\n") else FULL)


def test_deltas_that_hold_all_so_far() -> None:
    text = TextAccumulator()
    for delta in ("One ", "One two ", FULL):
        text.extend("output_text", 0, delta)
    assert text.offer("output_text", 0, FULL, TEXT_DONE)
    assert (text.text, text.revision) == (FULL, 1)


def test_the_whole_once_more_behind_its_pieces() -> None:
    text = TextAccumulator()
    for delta in ("One two ", "three four.", FULL):
        text.extend("output_text", 0, delta)
    assert text.offer("output_text", 0, FULL, TEXT_DONE)
    assert text.text == FULL
