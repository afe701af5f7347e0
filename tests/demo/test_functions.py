"""Function tools over several rounds, and calls that are wrong on purpose."""

import json

import pytest

from qwen_magic.demo.intents.functions import read_arguments

X = {"name": "f", "parameters": {"type": "object", "properties": {"x": {}, "y": {}}}}
F = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}
G = {**F, "name": "g", "parameters": {"type": "object", "properties": {"b": {}}}}
TOOLS = [F, G]


def calls_of(response):
    return [
        f"{item['name']}({item['arguments']})"
        for item in response["output"]
        if item["type"] == "function_call"
    ]


def send_results(client, response, output="done", **body):
    """The next response, after each call has given `output`."""
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": output}
        for item in response["output"]
        if item["type"] == "function_call"
    ]
    previous = response["id"]
    return client.ask(results, tools=TOOLS, previous_response_id=previous, **body)


@pytest.mark.parametrize(
    ("prompt", "rounds"),
    [
        ("call f(a=1) and g(b=2)", [["f", "g"]]),
        ("call f(a=1) then g(b=2)", [["f"], ["g"]]),
        ("Call f(a=1), and after that f(a=2) and g(b=3)", [["f"], ["f", "g"]]),
        ("f(a=1), f(a=1) and f(a=2)", [["f", "f"]]),
        ("First f with a=1, then g with b=2.", [["f"], ["g"]]),
        ('f(a="then g")', [["f"]]),
        ("What does f give?", [["f"]]),
    ],
)
def test_rounds(client, prompt, rounds):
    response = client.ask(prompt, tools=TOOLS)
    seen = []
    while calls_of(response):
        seen.append([call[0] for call in calls_of(response)])
        response = send_results(client, response)
    assert seen == rounds
    text = response["output"][-1]["content"][0]["text"]
    assert text.count("gave:") == sum(map(len, rounds))


def test_the_arguments_of_each_round(client):
    first = client.ask("call f(a=1) then g with b=[2]", tools=TOOLS)
    assert calls_of(first) == ['f({"a": 1})']
    assert calls_of(send_results(client, first)) == ['g({"b": [2]})']


@pytest.mark.parametrize(
    "prompt",
    [
        "call f(a=1) again and again",
        "keep calling f(a=1)",
        "f(a=1) for ever",
        "call f(a=1) forever",
        "f(a=1) without end",
    ],
)
def test_without_end(client, prompt):
    response = client.ask(prompt, tools=TOOLS)
    for _ in range(12):
        assert calls_of(response) == ['f({"a": 1})']
        response = send_results(client, response)


def test_without_end_ends_where_no_calls_are_allowed(client):
    response = client.ask("keep calling f(a=1)", tools=TOOLS)
    last = send_results(client, response, tool_choice="none")
    assert not calls_of(last)
    assert "gave:" in last["output"][-1]["content"][0]["text"]


def test_failed_and_refused_calls_are_told_as_what_they_are(client):
    response = client.ask("call f(a=1)", tools=TOOLS)
    text = send_results(client, response, "Error: ValueError: no")["output"][0]["content"][0][
        "text"
    ]
    assert "`f(a=1)` failed:\n\n```\nError: ValueError: no\n```" in text
    refusal = "The user did not allow this call."
    text = send_results(client, response, refusal)["output"][0]["content"][0]["text"]
    assert f"`f(a=1)` gave:\n\n```\n{refusal}\n```" in text


@pytest.mark.parametrize("prompt", ["call f(a=1)", "hello"])
def test_bad_arguments(client, prompt):
    response = client.ask(f"{prompt}\ndemo: bad arguments", tools=TOOLS)
    (call,) = response["output"]
    assert (call["name"], call["arguments"]) == ("f", '{"where": ')
    with pytest.raises(json.JSONDecodeError):
        json.loads(call["arguments"])
    last = send_results(client, response, "Error: the arguments are no JSON")
    assert "failed:" in last["output"][-1]["content"][0]["text"]


@pytest.mark.parametrize("prompt", ["call f(a=1)", "hello"])
def test_an_unknown_function(client, prompt):
    response = client.ask(f"{prompt}\ndemo: unknown function", tools=TOOLS)
    (call,) = response["output"]
    assert call["name"] == "no_such_function"
    assert not calls_of(send_results(client, response, "Error: there is none"))
    without = client.ask(f"{prompt}\ndemo: unknown function")
    assert not calls_of(without), "only where functions were offered"


def test_names_in_a_description_of_data_are_not_called(client):
    pytest.importorskip("pandas")
    import pandas as pd

    from qwen_magic.context.dataframe.describing import describe_data

    described = describe_data("f", pd.DataFrame({"g": [1]})).text
    assert not calls_of(client.ask(f"How many rows?\n\n{described}", tools=TOOLS))


FENCED = '```json\n{"type": "object"}\n```'


@pytest.mark.parametrize(
    ("after", "arguments"),
    [
        (" with x=5.", {"x": 5}),
        (f"(x=5)?\n\n{FENCED}", {"x": 5}),
        (f" with x=5.\n\n{FENCED}", {"x": 5}),
        (f"(5, 6)\n\n{FENCED}", {"x": 5, "y": 6}),
        (f"\n\n{FENCED}", {}),
        (f"?\n\n{FENCED}", {}),
        (f" and tell me.\n```\nx = 5\n```\n{FENCED}", {}),
        (' {"x": 5}', {"x": 5}),
        (' with {"x": 5}, please', {"x": 5}),
        (' with the arguments: {"x": {"a": 1}}', {"x": {"a": 1}}),
        ('` with `{"x": 5}`', {"x": 5}),
        (', using this JSON: {"x": 5}', {"x": 5}),
        ('({"x": "a)"})', {"x": "a)"}),
        ('(x=5), not {"x": 6}', {"x": 5}),
        (' with x=5, not {"x": 6}', {"x": 5}),
        ('(x={"a": 1}, y=2)', {"x": {"a": 1}, "y": 2}),
        (". Then show {1, 2}", {}),
        (' {"x": ', {}),
    ],
)
def test_arguments_stand_right_behind_the_name(after, arguments):
    assert read_arguments(after, X) == arguments


def test_a_schema_below_the_prompt_is_no_argument(client):
    from qwen_magic.tools.answer_schema import Schema

    wish = Schema.of({"type": "object", "properties": {"f": {}, "a": {}}}, "wish").prompt()
    assert calls_of(client.ask(f"call f(a=1)?\n\n{wish}", tools=TOOLS)) == ['f({"a": 1})']
    assert calls_of(client.ask(f"What does f give?\n\n{wish}", tools=TOOLS)) == ["f({})"]
    assert not calls_of(client.ask(f"Hello\n\n{wish}", tools=TOOLS))
