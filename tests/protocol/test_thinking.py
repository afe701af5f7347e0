"""Thinking that a server leaves in the text of the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.protocol.decode import decode_event
from qwen_magic.protocol.items import Message, Reasoning
from qwen_magic.protocol.state import ResponseState
from qwen_magic.protocol.thinking import ThinkSplitter, split_thinking

# Text -> its thinking, its answer.
WHOLE = {
    "<think>Hm.</think>Yes.": ("Hm.", "Yes."),
    "<think>\nHm.\n\nWell.\n</think>\n\nYes.\n": ("Hm.\n\nWell.", "Yes.\n"),
    "\n \n<think>Hm.</think>Yes.": ("Hm.", "Yes."),
    "<think>\n\n</think>\n\nYes.": ("", "Yes."),
    "<think></think>Yes.": ("", "Yes."),
    "<think>Hm.": ("Hm.", ""),
    "<think>Hm.</thi": ("Hm.</thi", ""),
    "<think>Hm.</think>": ("Hm.", ""),
    "<think>a < b </b> </think>Yes.": ("a < b </b>", "Yes."),
    "<think>Hm.</think>Use <think>x</think>.": ("Hm.", "Use <think>x</think>."),
    "<thin": ("", "<thin"),
    "<thinking>No.</thinking>": ("", "<thinking>No.</thinking>"),
    "Yes <think>Hm.</think>": ("", "Yes <think>Hm.</think>"),
    "No start.</think>Yes.": ("", "No start.</think>Yes."),
    "`<think>` is a tag": ("", "`<think>` is a tag"),
    "Yes.": ("", "Yes."),
    " \n": ("", " \n"),
    "": ("", ""),
}
LACKING = {
    "Hm.\n</think>\n\nYes.": ("Hm.", "Yes."),
    "\nHm.</think>": ("Hm.", ""),
    "</think>Yes.": ("", "Yes."),
    "Close it with `</think>`, as ever.": ("", "Close it with `</think>`, as ever."),
    "Write <think>x</think> there.": ("", "Write <think>x</think> there."),
    "Hm, `</think>` ends it.\n</think>\nYes.": ("Hm, `</think>` ends it.", "Yes."),
    "Yes, a </thin line.": ("", "Yes, a </thin line."),
    "<think>Hm.</think>Yes.": ("Hm.", "Yes."),
    "Yes.": ("", "Yes."),
}


@pytest.mark.parametrize(("text", "expected"), WHOLE.items())
def test_a_whole_text(text: str, expected: tuple[str, str]) -> None:
    assert split_thinking(text) == expected


@pytest.mark.parametrize(("text", "expected"), LACKING.items())
def test_a_server_that_is_known_to_leave_out_the_first_tag(
    text: str, expected: tuple[str, str]
) -> None:
    assert split_thinking(text, may_lack_start=True) == expected


def event(kind: str, **fields: Any) -> Any:
    return decode_event({"type": f"response.{kind}", **fields})


def message(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": "m", "type": "message", "role": "assistant", "content": content}


def state_of(
    text: str, pieces: list[str], *, end: str = "completed", known: bool = False
) -> ResponseState:
    """The state after a text that came in these deltas, and then once more in every later event."""
    state = ResponseState(thinks_in_text=known)
    state.apply(event("output_item.added", item=message("")))
    for piece in pieces:
        state.apply(event("output_text.delta", item_id="m", delta=piece))
    if end != "cut":
        state.apply(event("output_text.done", item_id="m", text=text))
        part = {"type": "output_text", "text": text}
        state.apply(event("content_part.done", item_id="m", part=part))
        state.apply(event("output_item.done", item=message(text)))
        state.apply(event(end, response={"output": [message(text)]}))
    return state


def check(state: ResponseState, thought: str, answer: str) -> None:
    assert (state.reasoning, state.text) == (thought, answer)
    kinds = [type(item) for item in state.items]
    assert kinds == ([Reasoning, Message] if thought else [Message])
    for item in state.items:
        assert item.text in (thought, answer)  # type: ignore[union-attr]
    assert len({entry.key for entry in state.entries}) == len(state.entries)


@pytest.mark.parametrize(("text", "expected"), WHOLE.items())
def test_a_tag_may_be_cut_anywhere(text: str, expected: tuple[str, str]) -> None:
    for cut in range(len(text) + 1):
        check(state_of(text, [text[:cut], text[cut:]]), *expected)
    check(state_of(text, list(text)), *expected)
    check(state_of(text, []), *expected)


@pytest.mark.parametrize(("text", "expected"), LACKING.items())
def test_a_missing_first_tag_may_be_cut_anywhere(text: str, expected: tuple[str, str]) -> None:
    for cut in range(len(text) + 1):
        check(state_of(text, [text[:cut], text[cut:]], known=True), *expected)
    check(state_of(text, list(text), known=True), *expected)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "/", "think", ">", "a", "\n", " "])),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_pieces_say_what_the_whole_says(words: list[str], known: bool, random: Any) -> None:
    text = "".join(words)
    cuts = sorted(random.randrange(len(text) + 1) for _ in range(5))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    splitter = ThinkSplitter(may_lack_start=known)
    thought = answer = ""
    for kind, said in [*(p for piece in pieces for p in splitter.feed(piece)), *splitter.close()]:
        if kind == "recall":
            thought, answer = (answer + said).strip(), ""
        elif kind == "thought":
            thought += said
        else:
            answer += said
    assert (thought, answer) == split_thinking(text, may_lack_start=known)


def test_while_it_streams() -> None:
    state = state_of("", ["<thi", "nk>\nHm. ", "Well.", "\n</th"], end="cut")
    thinking, answer = state.entries
    assert (thinking.text, thinking.phase, answer.text) == ("Hm. Well.", "in_progress", "")
    state.apply(event("output_text.delta", item_id="m", delta="ink>\n\nYes"))
    assert (thinking.text, thinking.phase, answer.text) == ("Hm. Well.", "completed", "Yes")


def test_a_server_that_says_the_answer_alone_at_the_end() -> None:
    state = ResponseState()
    state.apply(event("output_text.delta", item_id="m", delta="<think>Hm.</think>Yes."))
    state.apply(event("output_item.done", item=message("Yes.")))
    state.apply(event("completed", response={"output": [message("Yes.")]}))
    check(state, "Hm.", "Yes.")


@pytest.mark.parametrize("end", ["completed", "incomplete", "failed"])
def test_thinking_that_does_not_end(end: str) -> None:
    check(state_of("<think>Hm.", ["<think>Hm"], end=end), "Hm.", "")


def test_a_plain_response() -> None:
    state = ResponseState()
    raw = {"object": "response", "status": "completed", "output": [message("<think>a</think>b")]}
    state.apply(decode_event(json.loads(json.dumps(raw))))
    check(state, "a", "b")
    assert state.raw == raw
