"""One conversation: head, parents, siblings, references."""

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
        ("completed", "text", "", False),
        ("failed", "text", "resp_b", False),
        ("stopped", "text", "resp_b", False),
    ],
)
def test_what_becomes_the_head(status, text, response_id, is_head):
    chain = Chain("main", [turn("a")])
    chain.append(turn("b", "a", status=status, text=text, response_id=response_id))
    assert chain.head.key == ("b" if is_head else "a")
    assert "b" in chain.turns


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
