"""The JSON file: it round-trips exactly, and nothing wrong in it goes unnamed."""

import copy
import json

import pytest
from fuzz import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.conversation.archive import LARGEST_FILE
from qwen_magic.conversation.archive.json_form import export_json, import_json
from qwen_magic.conversation.chain import CellKey, Conversation, HeadMove, Turn
from qwen_magic.errors import ConversationError
from qwen_magic.protocol.response import Usage

texts = st.text(max_size=30)
ids = st.text(max_size=20)
counts = st.integers(0, 2**63 - 1)
times = st.floats(-1e12, 1e12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
objects = st.dictionaries(texts, values, max_size=3)
item_lists = st.lists(objects, max_size=3).map(tuple)
usages = st.builds(
    Usage, counts, counts, counts, counts, counts, st.dictionaries(texts, counts, max_size=2)
)


@st.composite
def conversations(draw):
    name = draw(st.sampled_from(["main", "sales 2026", "对话"]))
    base_size, size = draw(st.integers(0, 2)), draw(st.integers(0, 5))
    turns = []
    for number in range(base_size + size):
        earlier = [turn.key for turn in turns]
        in_base = number < base_size
        parent = (earlier[-1] if earlier else None) if in_base else _parent(draw, earlier)
        turns.append(
            Turn(
                key=f"{number}-{draw(ids)}",
                chat="other" if in_base else name,
                status=draw(st.sampled_from(["completed", "incomplete", "failed", "stopped"])),
                parent=parent,
                response_id=draw(ids),
                previous_response_id=draw(ids),
                cell=draw(st.none() | st.builds(CellKey, ids, st.integers(0, 9))),
                prompt=draw(texts),
                input=draw(texts | item_lists),
                text=draw(texts),
                items=draw(item_lists),
                model=draw(ids),
                host=draw(ids),
                usage=draw(st.none() | usages),
                created_at=draw(times),
                seconds=draw(times),
                stored=draw(st.booleans()),
                raw=draw(objects),
            )
        )
    base, own = turns[:base_size], turns[base_size:]
    records = [HeadMove(name, "fork", base[-1].key, draw(times))] if base else []
    for turn in own:
        records.append(turn)
        if draw(st.booleans()):
            known = [t.key for t in base] + [r.key for r in records if isinstance(r, Turn)]
            records.append(HeadMove(name, "head", draw(st.none() | st.sampled_from(known)), 5.0))
    return Conversation(name, tuple(records), tuple(base))


def _parent(draw, earlier):
    return draw(st.none() | st.sampled_from(earlier)) if earlier else None


@settings(max_examples=examples(60), deadline=None)
@given(conversations())
def test_a_conversation_comes_back_as_it_was(conversation):
    text = export_json(conversation)
    back = import_json(text)
    assert back == conversation
    assert [turn.raw for turn in back.turns] == [turn.raw for turn in conversation.turns]
    assert back.chain().head == conversation.chain().head


def test_what_a_server_sent_wrongly_can_still_be_kept():
    sent = {"half": "\ud83d", "number": float("nan"), "other": float("inf")}
    turn = Turn("a", "main", "completed", items=(sent,), text="\ud83d\ude00 and \udc00")
    text = export_json(Conversation("main", (turn,)))
    assert text.encode()
    (back,) = import_json(text).records
    assert back.items == ({"half": "�", "number": None, "other": None},)
    assert back.text == "😀 and �"


@settings(max_examples=examples(20), deadline=None)
@given(conversations())
def test_an_adopted_conversation_has_nothing_of_the_old_names(conversation):
    numbers = iter(range(1000))
    records = conversation.adopted("new", lambda: f"n{next(numbers)}")
    adopted = Conversation("new", records)
    assert {record.chat for record in records} <= {"new"}
    assert [t.prompt for t in adopted.turns] == [t.prompt for t in conversation.turns]
    before, after = conversation.chain(), adopted.chain()
    way = [turn.prompt for turn in after.path(after.head)]
    assert way == [turn.prompt for turn in before.path(before.head)]
    assert import_json(export_json(adopted)) == adopted


def document(*records, **more):
    return {
        "format": "qwen_magic conversation", "version": 1, "name": "main",
        "records": list(records), **more,
    }  # fmt: skip


def turn(key, parent=None, **more):
    return {
        "record": "turn", "key": key, "chat": "main", "status": "completed", "parent": parent,
        **more,
    }  # fmt: skip


def mark(key, kind="head"):
    return {"record": "mark", "chat": "main", "kind": kind, "key": key}


WRONG = {
    "a list": ([], "it is a list, not an object"),
    "another format": (document() | {"format": "x"}, 'format is not "qwen_magic conversation"'),
    "newer": (document() | {"version": 2}, "version is 2, and this qwen_magic reads up to 1"),
    "version 0": (document() | {"version": 0}, "version is 0, not 1"),
    "version as text": (document() | {"version": "1"}, "version is '1', not a whole number"),
    "no name": (document() | {"name": None}, "name is missing"),
    "an empty name": (document() | {"name": " "}, "name is no name that can be typed"),
    "a name of two lines": (document() | {"name": "a\nb"}, "name is no name that can be typed"),
    "records": (document() | {"records": {}}, "records is an object, not a list"),
    "a record": (document(5), "records[0] is 5, not an object"),
    "its kind": (document({"record": "x"}), "records[0].record is 'x'"),
    "no key": (document(turn(None)), "records[0].key is missing"),
    "an empty key": (document(turn("")), "records[0].key is empty"),
    "a key as number": (document(turn(1)), "records[0].key is 1, not a text"),
    "a long id": (document(turn("a", response_id="x" * 600)), "records[0].response_id is 600 cha"),
    "the status": (document(turn("a") | {"status": "done"}), "records[0].status is 'done', not"),
    "a key twice": (document(turn("a"), turn("a")), "records[1].key is 'a', which another turn"),
    "a missing parent": (document(turn("a", "b")), "records[0].parent is 'b', and no turn before"),
    "a later parent": (document(turn("a", "b"), turn("b")), "records[0].parent is 'b', and no"),
    "its own parent": (document(turn("a", "a")), "records[0].parent is 'a', which leads round"),
    "a circle": (document(turn("a", "b"), turn("b", "a")), "records[0].parent is 'b', which leads"),
    "another chat": (document(turn("a") | {"chat": "b"}), "records[0].chat is 'b'; the conversati"),
    "the cell": (document(turn("a", cell=5)), "records[0].cell is 5, not an object"),
    "a cell without id": (document(turn("a", cell={})), "records[0].cell.cell_id is missing"),
    "input": (document(turn("a", input=5)), "records[0].input is 5, not a list"),
    "an item": (document(turn("a", items=[{}, "x"])), "records[0].items[1] is 'x', not an object"),
    "usage": (document(turn("a", usage={"input_tokens": -1})), "records[0].usage.input_tokens is"),
    "true is no number": (document(turn("a", usage={"tools": {"x": True}})),
                          "records[0].usage.tools.x is true, not a whole number"),
    "a time": (document(turn("a", created_at="now")), "records[0].created_at is 'now', not a num"),
    "a huge time": (document(turn("a", created_at=10**400)), "records[0].created_at is too large"),
    "stored": (document(turn("a", stored=1)), "records[0].stored is 1, not true or false"),
    "a mark's kind": (document(mark(None, "x")), "records[0].kind is 'x', not head or fork"),
    "a mark's key": (document(mark("a")), "records[0].key names 'a', and no turn before it"),
    "a fork of nothing": (document(mark("a", "fork")), "records[0].key names 'a'"),
    "the base": (document(base=[turn("a", "b")]), "base[0].parent is 'b', and no turn before it"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "place"), WRONG.values(), ids=WRONG)
def test_every_fault_is_named_with_its_place(said, place):
    with pytest.raises(ConversationError) as raised:
        import_json(json.dumps(said))
    assert place in raised.value.message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ("{" * 5, "is not JSON"),
        ("[" * 200_000, "is nested more than 100 levels deep"),
        ('{"a":' * 150 + "1" + "}" * 150, "is nested more than 100 levels deep"),
        ('{"a": NaN}', "is not JSON"),
        ('{"a": 1e999}', "infinite"),
        ('{"a": ' + "9" * 5000 + "}", "is not JSON"),
    ],
)
def test_what_is_no_such_file_is_refused(text, words):
    with pytest.raises(ConversationError, match=words):
        import_json(text)


def test_a_file_that_is_too_large_is_not_even_parsed():
    with pytest.raises(ConversationError, match="larger than 64 MiB"):
        import_json(" " * LARGEST_FILE + "{}")
    with pytest.raises(ConversationError, match="larger than 64 MiB"):
        import_json('"' + "对" * (LARGEST_FILE // 3) + '"')


def test_unknown_fields_are_ignored_and_absent_ones_have_their_default():
    said = document({"record": "turn", "key": "a", "chat": "main", "status": "stopped", "new": 1})
    said = copy.deepcopy(said) | {"later": {"x": 1}}
    assert import_json(json.dumps(said)).records == (Turn("a", "main", "stopped"),)


def test_ten_thousand_turns_are_no_matter():
    turns = [Turn(f"k{n}", "main", "completed", f"k{n - 1}" if n else None) for n in range(10_000)]
    long = Conversation("main", tuple(turns))
    assert import_json(export_json(long)) == long
