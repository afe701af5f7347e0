"""What an output says of its turn is what a restore reads."""

import json
from dataclasses import replace

import pytest

from qwen_magic.conversation.archive.notebook import (
    METADATA_KEY,
    read_notebook,
    refer_to,
    turn_metadata,
)
from qwen_magic.conversation.chain import CellKey, Turn
from qwen_magic.errors import ConversationError
from qwen_magic.protocol.response import Usage

SAID = {"type": "message", "content": [{"type": "output_text", "text": "It is 5."}]}
ANSWER = Turn(
    "k1", "main", "completed", None, "resp_1", cell=CellKey("c1", 1), prompt="Sum {df}",
    input="Sum of SECRET", text="It is 5.", items=(SAID,), model="qwen3-max", host="home.example",
    usage=Usage(5, 3, 8, 1, 2, {"web_search": 1}), created_at=1_700_000_000.125, seconds=2.5,
)  # fmt: skip


def restored(*metadata):
    cells = [
        {"cell_type": "code", "id": f"c{n}", "outputs": [{"metadata": each}]}
        for n, each in enumerate(metadata, 1)
    ]
    (conversation,) = read_notebook(json.dumps({"cells": cells})).conversations
    return conversation.records


def test_a_turn_comes_back_but_for_what_braces_put_in():
    metadata = turn_metadata(ANSWER, parent=None, number=1)
    assert restored(metadata) == (replace(ANSWER, input="Sum {df}"),)
    assert "SECRET" not in json.dumps(metadata)


def test_what_differs_from_the_usual_is_kept():
    first = turn_metadata(ANSWER, parent=None, number=1)
    odd = replace(
        ANSWER, key="k2", parent="k1", response_id="resp_2", previous_response_id="", text="Shown",
        stored=False, status="stopped", cell=CellKey("c2"), input="Sum {df}",
    )  # fmt: skip
    second = turn_metadata(odd, parent=ANSWER, number=2)
    assert restored(first, second)[1] == odd


def test_the_usual_takes_no_room():
    said = turn_metadata(ANSWER, parent=None, number=1)[METADATA_KEY]
    assert not {"text", "stored", "previous_response_id", "parent", "input"} & set(said)


LONG = "# Five\n\nIt is **5**, as every child knows.\n" * 4
THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": LONG[::-1]}]}


def beside(markdown, metadata):
    output = {"data": {"text/markdown": markdown.splitlines(True)}, "metadata": metadata}
    cells = [{"cell_type": "code", "id": "c1", "outputs": [output]}]
    return read_notebook(json.dumps({"cells": cells}))


@pytest.mark.parametrize("markdown", [f"{LONG[::-1]}\n\n{LONG}\n", f"before\n{LONG}", "no text"])
@pytest.mark.parametrize("text", [LONG, "Shown", "Shown\n" * 30])
def test_what_the_markdown_has_is_said_once(markdown, text):
    said = {"type": "message", "content": [{"type": "output_text", "text": LONG}]}
    turn = replace(ANSWER, text=text, items=(THOUGHT, said), input="Sum {df}")
    whole = turn_metadata(turn, parent=None, number=1)
    metadata = refer_to(markdown, whole)
    (conversation,) = beside(markdown, metadata).conversations
    assert conversation.records == (turn,)
    assert refer_to(markdown, whole) == metadata, "what was given is as it was"
    assert (json.dumps(LONG)[1:-1] in json.dumps(metadata)) == (LONG not in markdown)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.update(crc32=1),
        lambda text: text["in_markdown"].update({"/items/9/text": [0, 3]}),
        lambda text: text["in_markdown"].update({"/prompt": [0, 3]}),
        lambda text: text["in_markdown"].update({"/items/0/content/0/text": [3]}),
        lambda text: text["in_markdown"].update({"/items/0/content/0/text": "all"}),
        lambda text: text.update(own={"a": 1}),
    ],
)
def test_a_place_that_leads_nowhere_is_told(change):
    said = {"type": "message", "content": [{"type": "output_text", "text": LONG}]}
    turn = replace(ANSWER, text=LONG, items=(said,))
    metadata = refer_to(LONG, turn_metadata(turn, parent=None, number=1))
    change(metadata[METADATA_KEY]["text"])
    with pytest.raises(ConversationError, match="cell 1"):
        beside(LONG, metadata)


def test_edited_markdown_is_not_taken_for_what_was_said():
    said = {"type": "message", "content": [{"type": "output_text", "text": LONG}]}
    metadata = refer_to(
        LONG, turn_metadata(replace(ANSWER, text=LONG, items=(said,)), parent=None, number=1)
    )
    with pytest.raises(ConversationError, match="changed since"):
        beside(LONG.replace("5", "6"), metadata)
