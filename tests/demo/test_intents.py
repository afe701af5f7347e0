"""What the demo understands, and what it says."""

import pytest

from qwen_magic.demo import intents
from qwen_magic.demo.intents import chosen
from qwen_magic.demo.intents.memory import facts
from qwen_magic.demo.turn import Turn, Utterance


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ("My name is John", {"name": "John"}),
        ("my name is john.", {"name": "John"}),
        ("Hi, I'm Ada!", {"name": "Ada"}),
        ("I'm tired", {}),
        ("Call me Ishmael", {"name": "Ishmael"}),
        ("My name is Mary Ann and I like tea", {"name": "Mary Ann"}),
        ("My favorite colour is green", {"favourite colour": "green"}),
        ("my lucky number is 7", {"lucky number": "7"}),
        ("Remember the number 42", {"the number 42": ""}),
        ("Is my name John?", {}),
        ("What is my name?", {}),
        ("The sky is blue", {}),
    ],
)
def test_what_is_taken_for_a_fact(told, known):
    assert facts([told]) == known


def test_the_newest_word_counts():
    assert facts(["My name is John", "My name is Ada"]) == {"name": "Ada"}


@pytest.mark.parametrize(
    ("told", "asked", "answer"),
    [
        ("My name is John", "Do you remember my name?", "Yes, John!"),
        ("My name is John", "Who am I?", "Yes, John!"),
        ("My name is John", "what's my name again?", "Yes, John!"),
        ("My favorite food is soup", "What is my favourite food?", "**soup**"),
        ("My lucky number is 7", "Do you still know my lucky number?", "**7**"),
        ("Remember the number 42", "What numbers did I tell you?", "the number 42"),
        ("Hello", "What do you know about me?", "nothing to remember"),
    ],
)
def test_what_was_told_is_told_again(client, told, asked, answer):
    first = client.ask(told)
    assert answer in client.say(asked, previous_response_id=first["id"])


FAMILIES = {
    "Show me what you can do": "tour",
    "Give me the tour": "tour",
    "Do you remember my name?": "memory",
    "Search for primes": "web",
    "What is the variance of the first 1,000 primes? Show the plot.": "code",
    "Plot sin(x)/x from -20 to 20": "code",
    "Plot the population of France": "chat",
    "Roll two dice 1000 times": "code",
    "Compute the mean of 3, 1 and 4": "code",
    "I paid 3, 1 and 4 euros": "chat",
    "What is 12*34?": "code",
    "What is love?": "chat",
    "Explain\n```python\nprint(1)\n```": "chat",
    "Run\n```python\nprint(1)\n```": "code",
    "continue": "chat",
    "": "chat",
}


@pytest.mark.parametrize(("prompt", "family"), FAMILIES.items())
def test_the_family_of_a_prompt(prompt, family):
    (intent,) = chosen(Turn(prompt))
    assert intent.work.__module__ == f"{intents.__name__}.{family}"


def test_a_search_and_a_computation_join():
    prompt = "Search for what variance is and compute the variance of 1, 2, 3"
    modules = [intent.work.__module__.rpartition(".")[2] for intent in chosen(Turn(prompt))]
    assert modules == ["web", "code"]


def test_the_number_of_a_turn():
    history = (Utterance("user", "a"), Utterance("assistant", "b"), Utterance("user", "c"))
    assert Turn("d", history).number == 3


@pytest.mark.parametrize("prompt", [*FAMILIES, "My name is John", "thanks", "who are you?", "你好"])
def test_every_answer_says_what_it_is(client, prompt):
    if prompt:
        assert "Offline demo" in client.say(prompt)


@pytest.mark.parametrize(
    ("instructions", "holds"),
    [
        ("Answer in UPPER CASE.", "HELLO! I AM"),
        ("lowercase only", "hello! i am"),
        ("Talk like a pirate", "Arrr! Hello!"),
        ("Think of the whales", "can follow only simple ones"),
    ],
)
@pytest.mark.parametrize("role", ["instructions", "system", "developer"])
def test_instructions_are_followed_where_they_are_simple(client, instructions, holds, role):
    if role == "instructions":
        assert holds in client.say("Hello", instructions=instructions)
    else:
        items = [{"role": role, "content": instructions}, {"role": "user", "content": "Hello"}]
        assert holds in client.say(items)


def test_terse_is_short_and_still_honest(client):
    text = client.say("Hello", instructions="Be terse.")
    assert len(text) < 160
    assert "Offline demo" in text


def test_thinking_is_shown_only_when_on(client):
    def kinds(**body):
        return [item["type"] for item in client.ask("tour", **body)["output"]]

    assert kinds() == ["message"]
    assert kinds(enable_thinking=True) == ["reasoning", "message"]
    assert kinds(reasoning={"effort": "low"}) == ["reasoning", "message"]
    assert kinds(enable_thinking=True, reasoning={"effort": "none"}) == ["message"]


def test_thinking_is_counted(client):
    usage = client.ask("tour", enable_thinking=True)["usage"]
    assert 0 < usage["output_tokens_details"]["reasoning_tokens"] < usage["output_tokens"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert "x_tools" not in usage


@pytest.mark.parametrize(
    ("prompt", "option"),
    [("Search for primes", "-t web_search"), ("Compute 3*4", "-t code_interpreter")],
)
def test_a_tool_that_was_not_offered_is_named_and_not_used(client, prompt, option):
    for body in ({}, {"tools": [{"type": option.split()[1]}], "tool_choice": "none"}):
        response = client.ask(prompt, **body)
        assert [item["type"] for item in response["output"]] == ["message"]
        assert option in response["output"][0]["content"][0]["text"]


def test_a_picture_is_said_not_to_be_seen(client):
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    text = {"type": "input_text", "text": "What is love?"}
    assert "cannot see" in client.say([{"role": "user", "content": [text, image]}])


FUNCTION = {
    "type": "function",
    "name": "rows",
    "parameters": {"type": "object", "properties": {"where": {}, "limit": {}}},
}


@pytest.mark.parametrize(
    ("prompt", "arguments"),
    [
        ("Call rows(where='a > 1', limit=2)", '{"where": "a > 1", "limit": 2}'),
        ('rows {"where": "x", "limit": [1]}', '{"where": "x", "limit": [1]}'),
        ("Use rows with where=all and limit: 3, other=4.", '{"where": "all", "limit": 3}'),
        ('rows("a", 5)', '{"where": "a", "limit": 5}'),
        ("What does rows give?", "{}"),
    ],
)
def test_a_named_function_is_called(client, prompt, arguments):
    (call,) = client.ask(prompt, tools=[FUNCTION])["output"]
    assert (call["name"], call["arguments"]) == ("rows", arguments)


def test_two_functions_named_are_two_calls(client):
    tools = [FUNCTION, {**FUNCTION, "name": "columns"}]
    output = client.ask("Call columns() and rows()", tools=tools)["output"]
    assert [item["name"] for item in output] == ["columns", "rows"]
    assert len({item["call_id"] for item in output}) == 2


def test_a_function_is_not_called_unless_named(client):
    assert client.ask("Hello, many arrows", tools=[FUNCTION])["output"][0]["type"] == "message"
