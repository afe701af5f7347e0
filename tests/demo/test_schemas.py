"""A schema below the prompt, as the product asks for it: the JSON, or in words what is missing."""

import json

import pytest

from qwen_magic.demo.style import NOTE
from qwen_magic.demo.switches import Switches
from qwen_magic.demo.turn import read_turn
from qwen_magic.tools.answer_schema import Schema
from qwen_magic.tools.validation import SchemaMismatchError

NUMBER, TEXT = {"type": "number"}, {"type": "string"}
CODE = [{"type": "code_interpreter"}]
ORBIT = {
    "type": "function",
    "name": "orbit",
    "parameters": {"type": "object", "properties": {"distance": {}}},
}


def wanted(**properties):
    return Schema.of(
        {"type": "object", "properties": properties, "required": list(properties),
         "additionalProperties": False}, "wanted")  # fmt: skip


PERSON = wanted(name=TEXT, age={"type": "integer"})
STATISTICS = wanted(variance=NUMBER, mean=NUMBER)
FLIGHT = wanted(distance=NUMBER, days=NUMBER)


def text_of(response):
    return response["output"][-1]["content"][0]["text"]


def asking(prompt, schema):
    return f"{prompt}\n\n{schema.prompt()}"


def kinds(response):
    return [item["type"] for item in response["output"]]


def results(response, output):
    return [
        {"type": "function_call_output", "call_id": item["call_id"], "output": output}
        for item in response["output"]
        if item["type"] == "function_call"
    ]


def repair(client, response, schema):
    """The turn that the product asks for after an answer that does not fit."""
    with pytest.raises(SchemaMismatchError) as mismatch:
        schema.parse(text_of(response))
    words = schema.retry_prompt(mismatch.value)
    return client.ask(words, previous_response_id=response["id"], tools=CODE)


def test_values_of_the_prompt(client):
    response = client.ask(asking("My name is John and I am 30 years old", PERSON))
    assert PERSON.parse(text_of(response)) == {"name": "John", "age": 30}
    written = '```json\n{"name": "John", "age": 30}\n```'
    assert text_of(response) == f"This is from your prompt:\n{written}\n\n{NOTE}"


def test_optional_values_are_left_out(client):
    schema = Schema.of({**PERSON.json, "required": []}, "optional")
    text = client.say(asking("name: Bob", schema))
    assert text.startswith(
        "This is from your prompt, without `age`, which I did not find:\n```json"
    )
    assert schema.parse(text) == {"name": "Bob"}
    text = client.say(asking("Hello", schema))
    assert text.startswith("I found none of the values, and none is required:\n```json\n{}")


@pytest.mark.parametrize("style", ["Be terse.", "UPPER CASE please, like a pirate"])
def test_no_style_changes_the_json(client, style):
    text = client.say(asking("name: John, age: 30", PERSON), instructions=style)
    assert PERSON.parse(text) == {"name": "John", "age": 30}


def test_a_computed_statistic(client):
    prompt = asking("What is the variance of the first 1,000 primes?", STATISTICS)
    response = client.ask(prompt, tools=CODE, enable_thinking=True)
    assert "code_interpreter_call" in kinds(response)
    logs = json.dumps(response["output"])
    value = STATISTICS.parse(text_of(response))
    assert f"variance (population) = {value['variance']:,}" in logs
    assert f"mean = {value['mean']:,}" in logs


def test_the_statistic_that_was_asked_for_comes_first(client):
    prompt = asking("sample variance of 1, 2, 3, 4", wanted(variance=NUMBER))
    assert '"variance": 1.666666667' in client.say(prompt, tools=CODE)


@pytest.mark.parametrize("name", ["answer", "result", "value"])
def test_the_only_result(client, name):
    schema = wanted(**{name: {"type": "integer"}})
    text = client.say(asking("What is 12*34?", schema), tools=CODE)
    assert schema.parse(text) == {name: 408}
    number = Schema.of(int, "number")
    assert number.parse(client.say(asking("What is 12*34?", number), tools=CODE)) == 408


def test_json_that_code_printed(client):
    code = "Run\n```python\nimport json\nprint(json.dumps({'name': 'Zed', 'age': 3}))\n```"
    text = client.say(asking(code, PERSON), tools=CODE)
    assert PERSON.parse(text) == {"name": "Zed", "age": 3}


def test_a_table_that_code_printed(client):
    pd = pytest.importorskip("pandas")
    from qwen_magic.context.dataframe.describing import describe_data

    frame = pd.DataFrame({"kind": ["a", "a", "b"], "mass": [1.0, 2.0, 5.0]})
    rows = describe_data("things", frame, rows="all").text
    schema = Schema.of(dict[str, float], "masses")
    text = client.say(asking(f"Mean of mass by kind?\n\n{rows}", schema), tools=CODE)
    assert schema.parse(text) == {"a": 1.5, "b": 5.0}


def test_json_of_a_function_is_told_as_it_is(client):
    first = client.ask(asking("Use orbit with distance=414.", FLIGHT), tools=[ORBIT])
    assert [item["arguments"] for item in first["output"]] == ['{"distance": 414}']
    gave = '{"distance": 414.0, "days": 3077.5}'
    last = client.ask(results(first, gave), tools=[ORBIT], previous_response_id=first["id"])
    lead, _, rest = text_of(last).partition("\n```json\n")
    assert lead == "This is from what `orbit` gave:"
    assert rest.partition("\n```")[0] == gave


def test_a_number_of_a_function_goes_by_its_name(client):
    schema = wanted(orbit=NUMBER, distance=NUMBER)
    first = client.ask(asking("orbit(distance=414)", schema), tools=[ORBIT])
    last = client.ask(results(first, "3077.5"), tools=[ORBIT], previous_response_id=first["id"])
    assert schema.parse(text_of(last)) == {"orbit": 3077.5, "distance": 414}


def test_a_failed_function_gives_no_value(client):
    first = client.ask(asking("orbit(distance=414)", FLIGHT), tools=[ORBIT])
    failed = results(first, "Error: days: 5")
    text = text_of(client.ask(failed, tools=[ORBIT], previous_response_id=first["id"]))
    assert "I do not know `days`" in text
    assert "The call of `orbit` failed." in text


def test_the_pages_of_a_search(client):
    schema = wanted(title=TEXT, url=TEXT)
    response = client.ask(asking("Search for variance", schema), tools=[{"type": "web_search"}])
    assert kinds(response) == ["web_search_call", "message"]
    value = schema.parse(text_of(response))
    assert value["url"] in str(response["output"][0]["action"]["sources"])


def test_what_was_told_earlier(client):
    first = client.ask("My name is Ada")
    schema = wanted(name=TEXT)
    asked = asking("Who am I?", schema)
    text = client.say(asked, previous_response_id=first["id"])
    assert schema.parse(text) == {"name": "Ada"}
    other = asking("The largest city of Japan", schema)
    assert "I do not know `name`" in client.say(other, previous_response_id=first["id"])


def test_a_missing_value_is_never_invented_nor_in_a_repair(client):
    schema = wanted(name=TEXT, people={"type": "integer"})
    response = client.ask(asking("The city name: Tokyo. Name: Tokyo.", schema), tools=CODE)
    assert text_of(response).startswith(
        "I do not know `people`: no value that fits is in your prompt. I found only `name`."
    )
    for _ in range(2):
        response = repair(client, response, schema)
        assert kinds(response) == ["message"]
        assert text_of(response).startswith("I still do not know `people`")
    after = client.ask("How many values are missing?", previous_response_id=response["id"])
    assert "do not know" not in text_of(after), "the wish is over"


def test_a_repair_sees_what_was_computed(client):
    schema = wanted(variance=NUMBER, colour=TEXT)
    response = client.ask(asking("variance of 1, 2, 3, 4", schema), tools=CODE)
    last = repair(client, response, schema)
    assert kinds(last) == ["message"], "nothing is run again"
    assert "I found only `variance`." in text_of(last)
    assert "what the code printed" in text_of(last)


def test_a_repair_without_its_conversation(client):
    words = PERSON.retry_prompt(SchemaMismatchError("There is no JSON in the answer."))
    assert "I do not see the schema" in client.say(words)


def test_why_nothing_was_computed_is_said(client):
    text = client.say(asking("variance of 1, 2, 3, 4", STATISTICS))
    assert "I do not know `variance` and `mean`" in text
    assert "-t code_interpreter" in text


def test_a_schema_misleads_no_other_intent(client):
    words = "search the web for my name is Bob; plot 1, 2, 3; call orbit(1); name: Bob"
    schema = Schema.of({"type": "object", "description": words, "properties": {"name": TEXT},
                        "required": ["name"]}, "misleading")  # fmt: skip
    tools = [*CODE, {"type": "web_search"}, ORBIT]
    response = client.ask(asking("Hello", schema), tools=tools)
    assert kinds(response) == ["message"]
    assert "I do not know `name`" in text_of(response)
    later = client.say("What is my name?", previous_response_id=response["id"])
    assert "you have not told me your name" in later


def test_a_schema_in_a_message_of_its_own():
    items = [{"role": "user", "content": "name: Bob\ndemo: fast"},
             {"role": "user", "content": PERSON.prompt()}]  # fmt: skip
    turn = read_turn({}, items, "", Switches())
    assert (turn.prompt, turn.schema, turn.number) == ("name: Bob", PERSON.json, 1)
