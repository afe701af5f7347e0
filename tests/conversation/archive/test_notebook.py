"""Conversations out of a notebook's own outputs."""

import json

import pytest
from fuzz import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.conversation.archive import LARGEST_FILE
from qwen_magic.conversation.archive.notebook import read_notebook
from qwen_magic.conversation.chain import CellKey, Chain, HeadMove
from qwen_magic.errors import ConversationError
from qwen_magic.protocol.response import Usage


def said(key, parent=None, **more):
    """The metadata of a turn; `parent` is a key, whose response id follows from it."""
    known = {
        "version": 1, "key": key, "chat": "main", "status": "completed", "number": 1,
        "response_id": f"resp_{key}", "prompt": f"ask {key}", "model": "qwen3-max", "host": "h",
        "items": [{"type": "message", "content": [{"type": "output_text", "text": f"say {key}"}]}],
        "created_at": 100.0,
    }  # fmt: skip
    if parent is not None:
        known |= {"parent": parent, "parent_response_id": f"resp_{parent}"}
    return {name: value for name, value in (known | more).items() if value is not None}


def cell(*turns, id=None, kind="code"):
    outputs = [
        {"output_type": "display_data", "data": {}, "metadata": {"qwen_magic": turn}}
        for turn in turns
    ]
    return {"cell_type": kind, "outputs": outputs, "metadata": {}} | ({"id": id} if id else {})


def notebook(*cells):
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)})


def restore(*cells):
    restored = read_notebook(notebook(*cells))
    return {each.name: each for each in restored.conversations}, restored.notes


def keys(conversation):
    return [turn.key for turn in conversation.records if not isinstance(turn, HeadMove)]


def test_a_conversation_comes_back_from_its_outputs():
    usage = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8, "tools": {"web_search": 1}}
    first = said("a", cell={"cell_id": "c1", "call": 0}, usage=usage, seconds=2.5)
    second = said("b", "a", cell={"cell_id": "c2", "call": 1}, created_at=101.0, stored=False)
    chats, notes = restore(cell(first, id="c1"), {"cell_type": "markdown"}, cell(second, id="c2"))
    assert notes == ()
    one, two = chats["main"].records
    assert (one.key, one.parent, one.response_id) == ("a", None, "resp_a")
    assert (one.prompt, one.input, one.text) == ("ask a", "ask a", "say a")
    assert one.usage == Usage(5, 3, 8, tools={"web_search": 1})
    assert (one.cell, two.cell) == (CellKey("c1"), CellKey("c2", 1))
    assert (two.parent, two.previous_response_id, two.stored) == ("a", "resp_a", False)
    assert chats["main"].chain().head is two


def test_the_text_that_was_shown_wins_over_the_items():
    chats, _ = restore(cell(said("a", text="shown")))
    assert chats["main"].records[0].text == "shown"


def test_order_is_by_time_with_parents_first():
    chats, _ = restore(
        cell(said("c", "b", created_at=50.0)),
        cell(said("b", "a", created_at=90.0)),
        cell(said("a", created_at=80.0)),
        cell(said("d", created_at=60.0)),
    )
    assert keys(chats["main"]) == ["a", "b", "c", "d"]


def test_outputs_that_were_copied_with_their_cell_count_once():
    turn = said("a", cell={"cell_id": "c1"})
    chats, notes = restore(cell(turn, id="new"), cell(turn, turn, id="c1"))
    assert keys(chats["main"]) == ["a"]
    assert chats["main"].records[0].cell == CellKey("c1")
    assert notes == ()


def test_a_cell_whose_id_is_new_takes_its_turn_along():
    chats, _ = restore(cell(said("a", cell={"cell_id": "gone", "call": 2}), id="here"))
    assert chats["main"].records[0].cell == CellKey("here", 2)
    chats, _ = restore(cell(said("a", cell={"cell_id": "gone", "call": 2})))
    assert chats["main"].records[0].cell == CellKey("gone", 2), "notebooks before 4.5 have no ids"


def test_a_parent_that_is_gone_is_continued_by_its_response_id():
    chats, notes = restore(cell(), cell(said("b", "a")))
    (turn,) = chats["main"].records
    assert (turn.parent, turn.previous_response_id) == (None, "resp_a")
    assert notes == (
        "Cell 2: a turn of main follows one that is not in this notebook (resp_a); it goes "
        "on there only where this machine had that answer.",
    )


def test_a_parent_that_is_gone_and_had_no_id_is_a_beginning():
    chats, notes = restore(cell(said("b", "a", parent_response_id=None)))
    assert chats["main"].records[0].parent is None
    assert "begins with it" in notes[0]


def test_a_parent_is_also_found_by_its_response_id():
    chats, notes = restore(cell(said("x", response_id="resp_a")), cell(said("b", "a")))
    assert [turn.parent for turn in chats["main"].records] == [None, "x"]
    assert notes == ()


def test_what_was_sent_instead_of_an_id_stays_so():
    chats, _ = restore(cell(said("a")), cell(said("b", "a", previous_response_id="")))
    assert chats["main"].records[1].previous_response_id == ""


def test_failed_and_stopped_turns_are_kept_and_are_no_head():
    chats, _ = restore(
        cell(said("a")),
        cell(said("b", "a", status="failed", response_id=None, items=[])),
        cell(said("c", "a", status="stopped")),
    )
    chain = chats["main"].chain()
    assert [turn.status for turn in chain.turns.values()] == ["completed", "failed", "stopped"]
    assert chain.head.key == "a"


def test_two_versions_of_one_turn_are_told_and_the_later_is_taken():
    early, late = said("a", text="old"), said("a", text="new", created_at=200.0)
    chats, notes = restore(cell(late), cell(early))
    assert chats["main"].records[0].text == "new"
    assert notes == (
        "Cells 2 and 1 tell the same turn of main differently; the one of cell 1 was taken.",
    )


def test_two_notebooks_in_one_have_two_beginnings_under_one_name():
    chats, notes = restore(cell(said("a")), cell(said("x")), cell(said("b", "a"), said("y", "x")))
    assert [turn.parent for turn in chats["main"].records] == [None, None, "a", "x"]
    assert notes == ()


def test_conversations_come_apart_and_a_fork_is_told():
    chats, notes = restore(
        cell(said("a")),
        cell(said("b", "a", created_at=101.0)),
        cell(said("f", "a", chat="proof", created_at=102.0)),
        cell(said("g", "f", chat="proof", created_at=103.0)),
        cell(said("o", chat="other", created_at=99.0)),
    )
    assert list(chats) == ["other", "main", "proof"]
    fork = chats["proof"]
    assert fork.records[0] == HeadMove("proof", "fork", "a", 102.0)
    assert [turn.key for turn in fork.base] == ["a"]
    assert [turn.key for turn in fork.chain().path(fork.chain().head)] == ["a", "f", "g"]
    assert notes == ()


def test_a_fork_that_went_back_before_its_beginning():
    chats, notes = restore(
        cell(said("a")),
        cell(said("b", "a", created_at=101.0)),
        cell(said("f", "a", chat="proof", created_at=102.0)),
        cell(said("g", "b", chat="proof", created_at=103.0)),
    )
    fork = chats["proof"]
    assert fork.records[0] == HeadMove("proof", "fork", "b", 102.0)
    assert [(t.key, t.parent) for t in fork.chain().turns.values()] == [
        ("a", None), ("b", "a"), ("f", "a"), ("g", "b"),
    ]  # fmt: skip
    assert notes == ()


def test_conversations_that_leave_from_each_other_in_a_circle_are_cut():
    chats, notes = restore(
        cell(said("a", chat="one")),
        cell(said("b", "a", chat="two", created_at=101.0)),
        cell(said("c", "b", chat="one", created_at=102.0)),
    )
    assert [(turn.key, turn.parent) for turn in chats["one"].records] == [("a", None), ("c", None)]
    assert [turn.key for turn in chats["two"].base] == ["a"]
    assert notes == ("Cell 3: a turn of one follows one of another conversation.",)


def test_parents_in_a_circle_are_cut():
    chats, notes = restore(cell(said("a", "b")), cell(said("b", "c")), cell(said("c", "a")))
    chain = chats["main"].chain()
    assert sorted(chain.turns) == ["a", "b", "c"]
    assert sum(turn.parent is None for turn in chain.turns.values()) == 1
    assert notes == ("Cell 3: the parents of a turn lead round in a circle.",)


def test_turns_outside_any_conversation_are_none():
    with pytest.raises(ConversationError, match="no turn of qwen_magic"):
        read_notebook(notebook(cell(said("a", chat=""))))


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"key": 5}, "cell 2, qwen_magic.key is 5, not a text"),
        ({"status": "x"}, "cell 2, qwen_magic.status is 'x'"),
        ({"items": [5]}, "cell 2, qwen_magic.items[0] is 5, not an object"),
        ({"version": 2}, "cell 2, qwen_magic.version is 2: a newer qwen_magic has written"),
        ({"usage": {"input_tokens": "5"}}, "cell 2, qwen_magic.usage.input_tokens is '5'"),
        ({"parent_response_id": []}, "cell 2, qwen_magic.parent_response_id is a list"),
    ],
)
def test_a_turn_that_cannot_be_read_is_left_out_with_its_place(wrong, place):
    chats, notes = restore(cell(said("a")), cell(said("b", "a") | wrong))
    assert keys(chats["main"]) == ["a"]
    assert len(notes) == 1
    assert place in notes[0]


def test_many_notes_are_few():
    _, notes = restore(*(cell(said(f"b{n}", f"a{n}")) for n in range(50)))
    assert len(notes) == 21
    assert notes[-1] == "… and 30 more of this kind."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "is not JSON"),
        ("[]", "it is a list, not an object"),
        ("{}", "has no cells: it is no notebook"),
        ('{"worksheets": []}', "notebooks before 2015"),
        ('{"cells": 5}', "cells is 5, not a list"),
        ('{"cells": [{}, 5]}', "cell 2 is 5, not an object"),
        ('{"cells": [{"cell_type": "code", "outputs": 5}]}', "cell 1, outputs is 5, not a list"),
        ('{"cells": [{"cell_type": "code", "outputs": [5]}]}', r"cell 1, outputs\[0\] is 5"),
        ('{"cells": []}', "no turn of qwen_magic"),
        ('{"cells": [{"cell_type": "code", "outputs": [{"metadata": []}]}]}', "no turn"),
    ],
)
def test_what_is_no_notebook_is_refused(text, words):
    with pytest.raises(ConversationError, match=words):
        read_notebook(text)


def test_a_notebook_that_is_too_large_is_refused():
    with pytest.raises(ConversationError, match="The notebook cannot be read: it is larger"):
        read_notebook(" " * (LARGEST_FILE + 1))


def test_an_empty_restore_says_why():
    with pytest.raises(ConversationError) as raised:
        read_notebook(notebook(cell(said("a", version=9))))
    assert "newer qwen_magic" in raised.value.why


names = st.sampled_from(["a", "b", "c", "d", "e", "gone"])
chats = st.sampled_from(["main", "two", "three"])
anything = st.builds(
    lambda key, parent, chat, at, status: said(
        key, parent, chat=chat, created_at=float(at), status=status
    ),
    names, st.none() | names, chats, st.integers(0, 5), st.sampled_from(["completed", "stopped"]),
)  # fmt: skip


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(anything, min_size=1, max_size=12))
def test_whatever_a_notebook_says_the_chains_stand(turns):
    restored = read_notebook(notebook(*(cell(turn) for turn in turns)))
    every = [key for each in restored.conversations for key in keys(each)]
    assert sorted(every) == sorted({turn["key"] for turn in turns}), "each turn once"
    done = set()
    for each in restored.conversations:
        chain = Chain(each.name, each.records, base=each.base)
        assert {turn.chat for turn in each.base} <= done, "a fork comes after what it leaves"
        assert all(turn.chat == each.name for turn in each.records if turn not in each.base)
        assert chain.path(chain.head)[:1] == [t for t in chain.path(chain.head) if not t.parent]
        done.add(each.name)
