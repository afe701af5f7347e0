"""A parameter that a server refuses: left out where nobody asked for it, else named."""

import pytest
from able_server import able_server

from qwen_magic import Qwen
from qwen_magic.client.error_map import refused_parameter
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import APIError, InvalidRequestError
from qwen_magic.session.plan import Ask

BODY = {"model": "m", "input": "Hi", "text": {}, "tools": [], "reasoning": {}, "enable_thinking": 1}
SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}


@pytest.mark.parametrize(
    ("words", "parameter"),
    [
        ("Unknown parameter: 'enable_thinking'.", "enable_thinking"),
        ("Unrecognized request argument supplied: enable_thinking", "enable_thinking"),
        ("Unsupported fields in the request: {'text'}", "text"),
        ("Unexpected keys in the request: {'reasoning'}", "reasoning"),
        ('json: unknown field "text"', "text"),
        ("text: Extra inputs are not permitted", "text"),
        ("body.text: Extra inputs are not permitted", "text"),
        (
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            "reasoning",
        ),
        ("Unsupported parameter: tools", "tools"),
        ("The parameter `enable_thinking` is not allowed here", "enable_thinking"),
        ("enable_thinking is not supported by this model", "enable_thinking"),
        ("Unsupported parameter: 'stream'", ""),
        ("Unknown parameter: 'something_else'.", ""),
        ("Unsupported model: 'x'", ""),
        ("Input text data may contain inappropriate content.", ""),
        ("Invalid 'reasoning': 5. Expected an object.", ""),
    ],
)
def test_which_parameter_is_meant(words, parameter):
    assert refused_parameter(InvalidRequestError("No.", why=words, status=400), BODY) == parameter


def test_a_failing_server_refuses_nothing():
    assert refused_parameter(APIError("No.", why="Unknown 'text'", status=500), BODY) == ""
    assert refused_parameter(None, BODY) == ""


@pytest.mark.parametrize(
    ("parameter", "asked", "option"),
    [
        ("enable_thinking", {}, ""),
        ("enable_thinking", {"think": False}, "--no-think"),
        ("reasoning", {"think": True}, "--think"),
        ("reasoning", {"think": False, "effort": "none"}, "--effort"),
        ("temperature", {"extra": {"temperature": 1.0}}, "--temperature"),
        ("text", {"extra": {"text": {}}}, ""),
        ("instructions", {"system": "Be terse."}, "--system"),
    ],
)
def test_who_asked_for_it(parameter, asked, option):
    endpoint = Endpoint("x", "http://127.0.0.1:9/v1")
    ask = Ask(prompt="", input="", model="m", endpoint=endpoint, chat="main", **asked)
    assert ask.option_behind(parameter) == option


def test_a_convenience_is_left_out_once_and_that_is_remembered():
    with able_server(rejects={"text": "Unknown parameter: 'text'."}) as server:
        with Qwen(model="tiny", endpoint=server.url) as qwen:
            first = qwen.ask("A word?", schema=SCHEMA)
            qwen.ask("Another?", schema=SCHEMA)
        texts = ["text" in body for body in server.bodies]
    assert texts == [True, False, False]
    assert first.parsed == {"word": "red"}


def test_what_was_asked_for_is_not_dropped_but_named():
    with able_server(rejects={"temperature": "Unsupported parameter: 'temperature'"}) as server:
        with Qwen(model="tiny", endpoint=server.url) as qwen:
            with pytest.raises(InvalidRequestError, match="--temperature"):
                qwen.ask("Hi", temperature=0.5)
            assert qwen.ask("Hi").text == "red"
        assert len(server.bodies) == 2
