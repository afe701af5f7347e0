"""What an output says of its turn is what a restore reads."""

import json
from dataclasses import replace

from qwen_magic.conversation.archive.metadata import METADATA_KEY, turn_metadata
from qwen_magic.conversation.archive.notebook import read_notebook
from qwen_magic.conversation.chain import CellKey, Turn
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
