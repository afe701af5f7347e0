"""What an output says of its turn is what a restore reads."""

import json
from dataclasses import replace

import pytest

from qwen_magic.conversation.archive.notebook import read_notebook
from qwen_magic.conversation.chain import CellKey, Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.endpoints import DASHSCOPE, Endpoint
from qwen_magic.protocol.response import Usage
from qwen_magic.session.metadata import METADATA_KEY, turn_metadata
from qwen_magic.session.plan import Ask, plan

HOME = Endpoint("home", "https://home.example/v1", DASHSCOPE, "DASHSCOPE_API_KEY", "sk-canary-1")
ASK = Ask(prompt="Sum {df}", input="Sum of SECRET", model="qwen3-max", endpoint=HOME, chat="main")
SAID = {"type": "message", "content": [{"type": "output_text", "text": "It is 5."}]}
ANSWER = Turn(
    "k1", "main", "completed", None, "resp_1", cell=CellKey("c1", 1), prompt="Sum {df}",
    input="Sum of SECRET", text="It is 5.", items=(SAID,), model="qwen3-max", host="home.example",
    usage=Usage(5, 3, 8, 1, 2, {"web_search": 1}), created_at=1_700_000_000.125, seconds=2.5,
)  # fmt: skip


@pytest.fixture
def conversations():
    return Conversations()


def restored(*metadata):
    cells = [
        {"cell_type": "code", "id": f"c{n}", "outputs": [{"metadata": each}]}
        for n, each in enumerate(metadata, 1)
    ]
    (conversation,) = read_notebook(json.dumps({"cells": cells})).conversations
    return conversation.records


def test_a_turn_comes_back_but_for_what_braces_put_in(conversations):
    metadata = turn_metadata(ANSWER, plan(ASK, conversations))
    assert restored(metadata) == (replace(ANSWER, input="Sum {df}"),)
    assert "SECRET" not in json.dumps(metadata)
    assert "canary" not in json.dumps(metadata)


def test_what_differs_from_the_usual_is_kept(conversations):
    conversations.append(ANSWER)
    first = turn_metadata(ANSWER, plan(ASK, Conversations()))
    odd = replace(
        ANSWER, key="k2", parent="k1", response_id="resp_2", previous_response_id="", text="Shown",
        stored=False, status="stopped", cell=CellKey("c2"), input="Sum {df}",
    )  # fmt: skip
    second = turn_metadata(odd, plan(ASK, conversations))
    assert restored(first, second)[1] == odd


def test_the_usual_takes_no_room(conversations):
    said = turn_metadata(ANSWER, plan(ASK, conversations))[METADATA_KEY]
    assert not {"text", "stored", "previous_response_id", "parent", "input"} & set(said)
