"""The founding document's stream and responses, over a real socket."""

from pathlib import Path

import pytest

from qwen_magic.protocol.items import Reasoning, WebExtractorCall, WebSearchCall
from qwen_magic.protocol.state import ResponseState

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture
def state_of(whole):
    """The final state of what a server sends."""

    def received(server):
        events, stream = whole(server)
        assert stream.error is None
        state = ResponseState()
        for each in events:
            state.apply(each.event, each.at)
        return state

    return received


def test_the_text_stream(serve, wire, state_of):
    frames = (DATA / "streams" / "dashscope_text.sse").read_bytes()
    state = state_of(serve([wire.STREAM + frames]))
    assert state.id == "47a71e7d-868c-4204-9693-ef8ff9058xxx"
    assert state.text == (
        "Artificial intelligence (Artificial Intelligence, or AI for short) fields, "
        "and is profoundly changing our lives and work."
    )
    usage = state.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (37, 166, 203)


def test_the_response_with_tools_as_json(serve, wire, state_of):
    body = (DATA / "bodies" / "builtin_tools.json").read_bytes()
    state = state_of(serve(wire.reply(200, body, content_type="application/json")))
    thought, search, _thought, page, _message = state.items
    assert isinstance(thought, Reasoning)
    assert isinstance(search, WebSearchCall)
    assert len(search.sources) == 2
    assert isinstance(page, WebExtractorCall)
    assert page.goal.startswith("Extract key information")
    assert page.urls == ("https://cn.aliyun.com/",)
    assert page.output.startswith("Qwen LLM")
    assert state.usage.tools == {"web_extractor": 1, "web_search": 1}
