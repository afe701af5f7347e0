"""Names, calls, the summary, what a lesson needs, schemas; and that there is no lesson."""

import json

import pytest

from qwen_magic.demo.rules import told_name

F = {
    "type": "function",
    "name": "f",
    "parameters": {"type": "object", "properties": {"a": {}, "b": {}}},
}
G = {**F, "name": "g"}
TOOLS = [F, G]


def calls_of(response):
    return [
        f"{item['name']}({item['arguments']})"
        for item in response["output"]
        if item["type"] == "function_call"
    ]


def send(client, response, outputs=("done",), **body):
    """The next response, after each call has given an output."""
    calls = [item for item in response["output"] if item["type"] == "function_call"]
    outputs = [*outputs, *outputs[-1:] * len(calls)]
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": output}
        for item, output in zip(calls, outputs, strict=False)
    ]
    return client.ask(results, **{"tools": TOOLS, "previous_response_id": response["id"], **body})


def text_of(response):
    return response["output"][-1]["content"][0]["text"]


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("My name is John.", "John"),
        ("my name is  ada lovelace", "ada lovelace"),
        ("Hello! I am called J. R. R. Tolkien", "J. R. R. Tolkien"),
        ("I’m called Zoë O'Brien-Smith!", "Zoë O'Brien-Smith"),
        ("My name is Владимир", "Владимир"),
        ("我叫李雷。", "李雷"),
        ("我的名字是 约翰", "约翰"),
        ("My name is *John*", "*John*"),
        ("My name is John and I like tea", ""),
        ("My name is John. Tell me a joke", ""),
        ("My name is what?", ""),
        ("I am tired", ""),
        ("我叫什么名字？", ""),
    ],
)
def test_a_name_that_is_told(prompt, name):
    assert told_name(prompt) == name


@pytest.mark.parametrize(
    "asked", ["What's my name?", "who am i", "Do you remember my name?", "我叫什么名字？"]
)
def test_a_name_is_remembered_along_the_chain(client, asked):
    told = client.ask("My name is Grace. What is the weather on Mars?")
    between = client.ask("Hello", previous_response_id=told["id"])
    assert "Yes, Grace!" in client.say(asked, previous_response_id=between["id"])
    assert "have not told me" in client.say(asked)


@pytest.mark.parametrize(
    ("prompt", "rounds"),
    [
        ("call f(a=1) and g(b=2)", [['f({"a": 1})', 'g({"b": 2})']]),
        ("call f(a=1) then g(b=[2])", [['f({"a": 1})'], ['g({"b": [2]})']]),
        ("Please call `f(1, b='x)')`.", [['f({"a": 1, "b": "x)"})']]),
        ('call f({"a": {"x": None}, "b": True})', [['f({"a": {"x": null}, "b": true})']]),
        ("call f(a=1), f(a=1) and f(a=-2)", [['f({"a": 1})', 'f({"a": -2})']]),
        ("call f(a='then g(b=1)')", [['f({"a": "then g(b=1)"})']]),
        ("call f()\n```\ng(b=1)\n```", [["f({})"]]),
    ],
)  # fmt: skip
def test_a_prompt_that_calls(client, prompt, rounds):
    response = client.ask(prompt, tools=TOOLS)
    for calls in rounds:
        assert calls_of(response) == calls
        response = send(client, response)
    assert not calls_of(response)
    assert text_of(response).count(" gave:\n\n```\ndone\n```") == sum(map(len, rounds))


def test_calls_without_end(client):
    response = client.ask("call f(a=1) again and again", tools=TOOLS)
    for _ in range(5):
        assert calls_of(response) == ['f({"a": 1})']
        response = send(client, response)
    last = send(client, response, tool_choice="none", tools=TOOLS)
    assert not calls_of(last)
    assert "`f(a=1)` gave:" in text_of(last)


@pytest.mark.parametrize(
    "prompt",
    [
        "call f(a=x)",
        "call f(a=open('/etc/passwd').read())",
        "call f(*[1])",
        "call f(**{})",
        "call f(1, 2, 3)",
        "call f(a=1",
    ],
)
def test_arguments_that_are_no_literals(client, prompt):
    response = client.ask(prompt, tools=TOOLS)
    assert not calls_of(response)
    assert "I cannot read the arguments" in text_of(response)


def test_a_function_that_is_not_offered_and_one_that_is_only_named(client):
    assert "add `-t h`" in client.say("call h(a=1)", tools=TOOLS)
    assert not calls_of(client.ask("What does f(a=1) give?", tools=TOOLS))


def test_failed_and_refused_calls_are_told_as_what_they_are(client):
    response = client.ask("call f(a=1)", tools=TOOLS)
    failed = text_of(send(client, response, ["Error: ValueError: no"]))
    assert "`f(a=1)` failed:\n\n```\nError: ValueError: no\n```" in failed
    refused = text_of(send(client, response, ["Not run: refused"]))
    assert "`f(a=1)` gave:\n\n```\nNot run: refused\n```" in refused


ORBIT = "How long is a year at 414 million km? Use orbit and its double."
ORBIT_TOOLS = [{**F, "name": "orbit"}, {**F, "name": "double"}]


def test_a_lesson_that_calls(client):
    first = client.ask(ORBIT, tools=ORBIT_TOOLS)
    assert calls_of(first) == ['orbit({"distance": 414})', 'double({"x": 1})']
    second = send(client, first, ['{"days": 1683.5, "name": "x"}', "2"], tools=ORBIT_TOOLS)
    assert "1,683.5 days; half: 2; in all 2, 2 calls, 1683.5." in text_of(second)


def test_a_lesson_whose_call_was_refused_tells_so(client):
    first = client.ask(ORBIT, tools=ORBIT_TOOLS)
    second = send(client, first, ["Not run: refused"], tools=ORBIT_TOOLS)
    assert "`orbit(distance=414)` gave:\n\n```\nNot run: refused" in text_of(second)


def schema(*required):
    asked = {"type": "object", "properties": {"days": {}}, "required": list(required)}
    lead = "Give the answer as JSON: one value, that is valid for this JSON Schema."
    return f"{lead}\n\n```json\n{json.dumps(asked)}\n```"


def test_a_schema_where_the_lesson_gives_the_object(client):
    first = client.ask(f"{ORBIT}\n\n{schema('days')}", tools=ORBIT_TOOLS)
    second = send(client, first, ['{"days": 5, "name": "```"}', "2"], tools=ORBIT_TOOLS)
    block = text_of(second).split("```json\n")[1].split("\n```")[0]
    assert json.loads(block) == {"days": 5, "name": "```"}


def test_a_schema_that_no_lesson_fits(client):
    for prompt in ("Hello", "My name is John"):
        said = client.say(f"{prompt}\n\n{schema()}")
        assert "no JSON in this answer" in said
        assert "{" not in said
    first = client.ask(f"{ORBIT}\n\n{schema('mass')}", tools=ORBIT_TOOLS)
    second = send(client, first, ['{"days": 5, "name": "x"}', "2"], tools=ORBIT_TOOLS)
    assert "no JSON" in text_of(second)
    form = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}
    assert "no JSON" in client.say("Hello", text=form)


def test_a_lesson_that_follows_another(client):
    search = {"tools": [{"type": "web_search"}]}
    first = client.ask("Search for it", **search)
    assert "It says that" in client.say("What does it say?", previous_response_id=first["id"])
    between = client.ask("Hello", previous_response_id=first["id"])
    for before in ({}, {"previous_response_id": between["id"]}):
        assert "has no lesson for this prompt" in client.say("What does it say?", **before)
    told = [
        {"role": "user", "content": "Search for it"},
        {"role": "assistant", "content": "It is there."},
        {"role": "user", "content": "What does it say?"},
    ]
    assert "It says that" in client.say(told)


def test_a_tool_that_is_not_offered_is_one_sentence(client, server):
    for body in ({}, {"tools": [{"type": "code_interpreter"}], "tool_choice": "none"}):
        response = client.ask("Draw a line", **body)
        assert "add `-t code_interpreter`, and ask again" in text_of(response)
        assert [item["type"] for item in response["output"]] == ["message"]
    assert server.requests[-1].lesson == "line"


def test_a_run_out_of_sight_where_the_tool_is_not_offered(client):
    response = client.ask("Multiply 1,200 by -2.5")
    assert "1200 times -2.5 is **-3,000.0**" in text_of(response)
    assert [item["type"] for item in response["output"]] == ["message"]
    seen = client.ask("Multiply 3 by 4", tools=[{"type": "code_interpreter"}])
    assert [item["type"] for item in seen["output"]] == ["code_interpreter_call", "message"]


def test_a_picture_is_no_part_of_a_lesson_that_needs_none(client):
    parts = [
        {"type": "input_text", "text": "Hello"},
        {"type": "input_image", "image_url": "data:,"},
    ]
    assert "no lesson" in client.say([{"role": "user", "content": parts}])


def test_the_summary_of_compact(client):
    from qwen_magic.magics import conversations

    first = client.ask("My name is John")
    second = client.ask("Multiply 3 by 4", previous_response_id=first["id"])
    prompt = conversations._SUMMARIZE
    said = client.say(prompt, previous_response_id=second["id"])
    for part in ("Asked: My name is John", "Asked: Multiply 3 by 4", "3 times 4 is **12**"):
        assert part in said
    assert said.count("Offline demo") == 1
    told = [
        {
            "role": "user",
            "content": "This is where our earlier conversation stands. Go on from it.",
        },
        {"role": "assistant", "content": said},
        {"role": "user", "content": "What is my name?"},
    ]
    assert "Yes, John!" in client.say(told)


def test_without_a_lesson_three_are_named(client, server):
    said = client.say("Fit a line to the variance of the moon")
    assert said.count("`") >= 6
    assert "no language model behind it" in said
    assert server.requests[-1].lesson == ""


@pytest.mark.parametrize(
    "prompt",
    [
        "```python\nopen('/tmp/qwen-demo-was-here', 'w')\n```",
        "Hello\n```python\nimport os; os.system('touch /tmp/qwen-demo-was-here')\n```",
        "Read /etc/passwd and tell me what is in it",
        "Multiply __import__('os').getpid() by 4",
        "Search, then compute the mean of open('/tmp/qwen-demo-was-here','w'), 3",
        "Sum it:\n\"__import__('os').getpid()\",b\n1,2",
        "{{len(outputs)}} {{given}}",
    ],
)
def test_no_code_out_of_a_prompt_is_run(client, server, prompt):
    from pathlib import Path

    response = client.ask(prompt, tools=[{"type": "code_interpreter"}, {"type": "web_search"}])
    assert [item["type"] for item in response["output"]] == ["message"]
    assert "has no lesson for this prompt" in text_of(response)
    assert server.requests[-1].lesson == ""
    assert not Path("/tmp/qwen-demo-was-here").exists()
