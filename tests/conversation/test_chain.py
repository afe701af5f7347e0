"""One conversation: head, parents, siblings, references."""

from dataclasses import replace

import pytest

from qwen_magic.conversation.chain import CellKey, Chain, Turn
from qwen_magic.errors import ConversationError

ONE, TWO, THREE = CellKey("c1"), CellKey("c2"), CellKey("c3")


def turn(key, parent=None, *, cell=None, status="completed", text="text", response_id=None):
    identity = f"resp_{key}" if response_id is None else response_id
    return Turn(key, "main", status, parent, identity, cell=cell, text=text)


def test_a_new_turn_continues_after_the_head():
    chain = Chain("main", [turn("a"), turn("b", "a")])
    assert chain.head.key == "b"
    assert chain.parent_for(None).key == "b"
    assert [t.key for t in chain.path(chain.head)] == ["a", "b"]


@pytest.mark.parametrize(
    ("status", "text", "response_id", "is_head"),
    [
        ("completed", "text", "resp_b", True),
        ("incomplete", "text", "resp_b", True),
        ("incomplete", "", "resp_b", False),
        ("completed", "", "resp_b", False),
        ("completed", "text", "", True),  # a server that gives no ids: it goes as text
        ("failed", "text", "resp_b", False),
        ("stopped", "text", "resp_b", False),
    ],
)
def test_what_becomes_the_head(status, text, response_id, is_head):
    chain = Chain("main", [turn("a")])
    chain.append(turn("b", "a", status=status, text=text, response_id=response_id))
    assert chain.head.key == ("b" if is_head else "a")
    assert "b" in chain.turns


THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
CALL = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}
CUSTOM = {"type": "custom_tool_call", "name": "f", "input": "", "call_id": "c"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "1"}


@pytest.mark.parametrize(
    ("status", "text", "items", "is_head", "goes_on", "once_answered"),
    [
        ("completed", "Hi", (), True, True, True),
        ("completed", "", (THOUGHT,), True, False, False),
        ("incomplete", "", (THOUGHT,), True, False, False),
        ("incomplete", "Hi", (THOUGHT,), True, True, True),
        ("completed", "", (CALL,), True, False, True),
        ("completed", "", (CUSTOM,), True, False, True),
        ("completed", "Hi", (CALL,), True, False, True),
        ("completed", "", (CALL, OUTPUT), True, True, True),
        ("incomplete", "Hi", (CALL,), False, False, True),
        ("completed", "", (), False, False, False),
        ("failed", "", (THOUGHT,), False, False, False),
    ],
)
def test_what_may_be_the_head_and_what_its_server_can_continue(
    status, text, items, is_head, goes_on, once_answered
):
    made = Turn("a", "main", status, response_id="resp_a", text=text, items=items)
    assert made.may_be_head is is_head
    assert made.may_continue() is goes_on
    assert made.may_continue(["c"]) is once_answered


@pytest.mark.parametrize("change", [{"response_id": ""}, {"stored": False}])
def test_a_turn_that_the_server_does_not_keep_goes_as_text(change):
    made = replace(turn("a", text="Hi"), **change)
    assert made.may_be_head
    assert not made.may_continue()


def test_a_turn_that_only_calls_a_tool_may_be_the_head():
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}
    made = Turn("a", "main", "completed", response_id="resp_a", items=(call,))
    assert Chain("main", [made]).head is made


def test_a_cell_that_runs_again_makes_a_sibling():
    chain = Chain("main", [turn("a", cell=ONE), turn("b", "a", cell=TWO)])
    assert chain.parent_for(ONE) is None
    chain.append(turn("a2", None, cell=ONE))
    assert [t.key for t in chain.siblings(ONE)] == ["a", "a2"]
    assert chain.parent_for(TWO).key == "a2", "cell 2 follows the new answer of cell 1"


def test_a_failed_rerun_leaves_the_earlier_sibling_current():
    chain = Chain("main", [turn("a", cell=ONE), turn("b", "a", cell=TWO)])
    chain.append(turn("a2", None, cell=ONE, status="failed"))
    assert chain.parent_for(TWO).key == "a"


def test_calls_of_one_cell_make_a_chain_and_its_rerun_another():
    first, second = CellKey("c", 0), CellKey("c", 1)
    chain = Chain("main", [turn("a"), turn("x", "a", cell=first), turn("y", "x", cell=second)])
    assert chain.parent_for(first).key == "a"
    chain.append(turn("x2", "a", cell=first))
    assert chain.parent_for(second).key == "x2"


def test_without_a_cell_a_turn_is_appended():
    chain = Chain("main", [turn("a", cell=ONE)])
    assert chain.parent_for(None).key == "a"


@pytest.mark.parametrize(
    ("ref", "key"),
    [("1", "a"), ("2", "b"), ("-1", "b"), ("-2", "a"), ("resp_aaaaaaaa", "a"), ("aaaaaa", "a")],
)
def test_references(ref, key):
    a = turn("a", response_id="resp_aaaaaaaa")
    chain = Chain("main", [a, turn("b", "a", response_id="resp_aabbbbbb")])
    assert chain.find(ref).key == key


@pytest.mark.parametrize("ref", ["0", "3", "-3", "aa", "nothing-like-it", ""])
def test_wrong_references_say_so(ref):
    chain = Chain("main", [turn("a"), turn("b", "a")])
    with pytest.raises(ConversationError):
        chain.find(ref)


def test_an_ambiguous_id_asks_for_more():
    chain = Chain("main", [turn("a", response_id="resp_abcdef1")])
    chain.append(turn("b", "a", response_id="resp_abcdef2"))
    with pytest.raises(ConversationError, match="Give more"):
        chain.find("abcdef")


def test_a_chain_refuses_what_would_break_it():
    chain = Chain("main", [turn("a")])
    with pytest.raises(ValueError, match="already"):
        chain.append(turn("a"))
    with pytest.raises(ValueError, match="parent"):
        chain.append(turn("b", "nobody"))
