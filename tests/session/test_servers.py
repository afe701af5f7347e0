"""Conversations with servers that insist on something, each in its own words."""

from __future__ import annotations

import json

import pytest
from request_types import check_body
from worded_server import called, ended, said, streamed, worded_server

from qwen_magic import Qwen
from qwen_magic.errors import NotFoundError, QwenError

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf"
    "c0f01f00050001ff5689d2b60000000049454e44ae426082"
)
NO_IDS = (400, {"error": {"message": "This server does not support 'previous_response_id'."}})


def refused(words, **more):
    return 400, {"error": {"message": words, "type": "invalid_request_error", **more}}


# What servers insist on: the words of a refusal, or "".


def llama_cpp(body):
    for item in items(body):
        if item.get("role") == "assistant" and item.get("type") != "message":
            return "Cannot determine type of 'item'"
        if item.get("role") == "assistant" and not isinstance(item["content"], list):
            return "Expected an array of content"
    return ""


def vllm(body):
    return check_body(body)


def empty_without_type(body):
    return "empty" if any("type" not in item for item in items(body)) else ""


def parses_arguments(body):
    for item in items(body):
        if item["type"] == "function_call":
            try:
                json.loads(item["arguments"])
            except ValueError:
                return "Failed to parse tool call arguments as JSON"
    return ""


def own_ids_only(body):
    for item in items(body):
        if item["type"] == "function_call" and "id" in item:
            return f"Item '{item['id']}' was provided without its required 'reasoning' item"
        if item["type"] == "reasoning":
            return "Item 'rs_1' was provided without its required following item"
        if item.get("role") == "assistant" and not item["id"].startswith("msg_"):
            return "Expected an ID that begins with 'msg'"
    ids = [item["id"] for item in items(body) if "id" in item]
    return "Duplicate item" if len(set(ids)) < len(ids) else ""


def pairs_calls(body):
    calls = [each["call_id"] for each in items(body) if each["type"] == "function_call"]
    outputs = [each["call_id"] for each in items(body) if each["type"] == "function_call_output"]
    return "" if calls == outputs else "No tool output found for function call."


RULES = [llama_cpp, vllm, empty_without_type, parses_arguments, own_ids_only, pairs_calls]


def items(body):
    return [] if isinstance(body["input"], str) else body["input"]


def strict(answer):
    """A server that keeps no ids and insists on everything at once."""

    def reply(body, n):
        if body.get("previous_response_id"):
            return NO_IDS
        faults = [fault for rule in RULES if (fault := rule(body))]
        return refused("; ".join(faults)) if faults else answer(body, n)

    return reply


def price(fruit: str) -> str:
    """The price of a fruit."""
    return f"{fruit}: 2"


def answers(body, n):
    return ended(n, said(f"answer {n}"))


def test_what_is_told_instead_of_an_id_is_what_the_strictest_server_takes():
    with worded_server(strict(answers)) as server, Qwen(endpoint=server.url, model="m") as qwen:
        qwen.ask("one")
        qwen.ask("two", system="Be brief")
        qwen.ask("three", images=[PNG])
        qwen.ask([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}])
        last = qwen.ask("four", after="2")
    assert last.text.startswith("answer")
    roles = [item.get("role") for item in server.bodies[-1]["input"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]


def test_message_arrays_are_what_the_strictest_server_takes():
    call = {"id": "call_9", "type": "function", "function": {"name": "f", "arguments": "{"}}
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    sharp = {"type": "image_url", "image_url": {"url": "https://a.example/b", "detail": "high"}}
    talk = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "u"}, image, sharp]},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, "b"]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_9", "content": [{"type": "text", "text": "7"}]},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "v"},
    ]
    with worded_server(strict(answers)) as server, Qwen(endpoint=server.url, model="m") as qwen:
        qwen.ask(talk)
    sent = server.bodies[0]["input"]
    assert [part.get("detail") for part in sent[1]["content"]] == [None, "auto", "high"]
    assert sent[3] == {"type": "function_call", "call_id": "call_9", "name": "f", "arguments": "{}"}
    assert sent[4] == {"type": "function_call_output", "call_id": "call_9", "output": "7"}


@pytest.mark.parametrize("arguments", ['{"fruit": "fig"}', "{", "", "null", '{"fruit": NaN}'])
def test_calls_are_told_in_the_strictest_form(arguments):
    def answer(body, n):
        if not any(each["type"] == "function_call_output" for each in items(body)):
            thought = {"type": "reasoning", "id": "rs_1", "summary": []}
            return ended(n, thought, called("price", arguments, id="msg_7f3a"))
        return ended(n, said("done"))

    with (
        worded_server(strict(answer)) as server,
        Qwen(endpoint=server.url, model="m", approve=lambda question: "once") as qwen,
    ):
        assert qwen.ask("price?", tools=[price]).text == "done"
        qwen.ask("thanks")
    sent = server.bodies[2]["input"]
    assert json.loads(sent[1]["arguments"]) == ({"fruit": "fig"} if "fig" in arguments else {})
    assert sent[2]["output"].startswith("fig: 2" if "fig" in arguments else "Error: ")


UNKNOWN = {
    "vllm": (404, {"error": {"message": "Response with id '{}' not found.", "code": 404}}),
    "flat": (404, {"object": "error", "message": "Response with id '{}' not found."}),
    "detail": (404, {"detail": "Response with id {} not found"}),
    "code": (404, {"error": {"code": "not_found_error", "message": "response {} was not found"}}),
    "other words": (400, {"error": {"message": "Je ne connais pas {}"}}),
    "keys": (422, {"detail": "Unexpected keys in the request: ['previous_response_id']"}),
    "in the stream": [{"type": "error", "error": {"message": "History node '{}' not found"}}],
    "failed": [{"type": "response.failed", "response": {"status": "failed", "output": [],
                "error": {"message": "400: Invalid value: Response with id {} not found"}}}],
}  # fmt: skip


@pytest.mark.parametrize("words", UNKNOWN)
def test_an_unknown_id_heals_in_any_words(words):
    def answer(body, n):
        previous = body.get("previous_response_id")
        if previous:
            told = json.loads(json.dumps(UNKNOWN[words]).replace("{}", previous))
            return told if isinstance(told[0], dict) else tuple(told)
        return ended(n, said(f"answer {n}"))

    with worded_server(answer) as server, Qwen(endpoint=server.url, model="m") as qwen:
        qwen.ask("one")
        assert qwen.ask("two").text == "answer 2"
        assert qwen.ask("three").text == "answer 3", "what the host does is remembered"
    assert len(server.bodies) == 4


def test_a_wrong_path_in_a_later_turn_says_so():
    def answer(body, n):
        return (404, {"detail": "Not Found"}) if n else ended(n, said("Hi"))

    with worded_server(answer) as server, Qwen(endpoint=server.url, model="m") as qwen:
        qwen.ask("one")
        with pytest.raises(NotFoundError, match="nothing at this path"):
            qwen.ask("two")
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "words",
    [
        "No tool call found for function call output with call_id call_0.",
        "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
        "not_found_error: the requested resource was not found",
    ],
)
def test_an_output_without_its_call_heals_and_runs_nothing_again(words):
    ran = []

    def price(fruit: str) -> str:
        """The price."""
        ran.append(fruit)
        return "2"

    def answer(body, n):
        kinds = {each["type"] for each in items(body)}
        if "function_call_output" not in kinds:
            return ended(n, called("price", '{"fruit": "fig"}'))
        if "function_call" not in kinds:
            return (404 if "resource" in words else 400), {"error": {"message": words}}
        return ended(n, said("done"))

    with (
        worded_server(answer) as server,
        Qwen(endpoint=server.url, model="m", approve=lambda question: "once") as qwen,
    ):
        assert qwen.ask("price?", tools=[price]).text == "done"
    assert (ran, len(server.bodies)) == (["fig"], 3)


THEIRS = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
CUSTOM = {"type": "custom", "name": "sql"}


def keeps_calls(item):
    """A server that keeps ids, and refuses whatever leaves a call unanswered. It calls first."""
    is_open = {}

    def answer(body, n):
        previous = body.get("previous_response_id")
        given = {each.get("call_id") for each in items(body) if "output" in each["type"]}
        known = {each.get("call_id") for each in items(body) if each["type"].endswith("call")}
        if is_open.get(previous, set()) - given:
            return refused("No tool output found for function call call_0.")
        if given - known - is_open.get(previous, set()):
            return refused("No tool call found for function call output.")
        if n == 0:
            is_open[f"resp_{n}aa"] = {item["call_id"]}
            return ended(n, item)
        return ended(n, said(f"answer {n}"), previous_response_id=previous)

    return answer


CALLS = {
    "function": (THEIRS, called("look", "{}"), "function_call_output"),
    "custom": (CUSTOM, {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_0",
                        "name": "sql", "input": "SELECT 1"}, "custom_tool_call_output"),
}  # fmt: skip


@pytest.mark.parametrize("kind", CALLS)
@pytest.mark.parametrize("form", ["item", "chat"])
def test_a_call_that_is_left_to_the_caller_can_be_answered(kind, form):
    tool, item, output = CALLS[kind]
    given = {"type": output, "call_id": "call_0", "output": "42"}
    if form == "chat":
        if kind == "custom":
            pytest.skip("Chat Completions have no custom tools")
        given = {"role": "tool", "tool_call_id": "call_0", "content": "42"}
    with worded_server(keeps_calls(item)) as server, Qwen(endpoint=server.url, model="m") as qwen:
        asked = qwen.ask("look it up", tools=[tool])
        assert [call.call_id for call in asked.tool_calls] == ["call_0"]
        assert qwen.ask([given]).text == "answer 1"
        assert qwen.ask("and then?").text == "answer 2"
    assert server.bodies[1]["previous_response_id"] == asked.id
    assert server.bodies[1]["input"] == [{"type": output, "call_id": "call_0", "output": "42"}]
    assert server.bodies[2]["previous_response_id"] == "resp_1aa"


@pytest.mark.parametrize("kind", CALLS)
def test_an_unanswered_call_blocks_nothing(kind):
    tool, item, _ = CALLS[kind]
    with worded_server(keeps_calls(item)) as server, Qwen(endpoint=server.url, model="m") as qwen:
        qwen.ask("look it up", tools=[tool])
        assert qwen.ask("never mind").text == "answer 1"
        assert qwen.ask("hello?").text == "answer 2"
    assert [item["role"] for item in server.bodies[1]["input"]] == ["user", "user"]
    assert server.bodies[2]["previous_response_id"] == "resp_1aa"


@pytest.mark.parametrize("kind", CALLS)
def test_a_call_is_answered_on_a_server_without_ids(kind):
    tool, item, output = CALLS[kind]

    def answer(body, n):
        return ended(n, item) if n == 0 else ended(n, said(f"answer {n}"))

    with (
        worded_server(strict(answer)) as server,
        Qwen(endpoint=server.url, model="m") as qwen,
    ):
        qwen.ask("look it up", tools=[tool])
        assert qwen.ask([{"type": output, "call_id": "call_0", "output": "42"}]).text == "answer 2"
        assert qwen.ask("and then?").text == "answer 3"
    for body in server.bodies[2:]:
        kinds = [each["type"] for each in body["input"]]
        assert kinds[:3] == ["message", item["type"], output]


def test_a_call_and_nothing_but_done_is_run():
    def answer(body, n):
        if any(each["type"] == "function_call_output" for each in items(body)):
            return ended(n, said("done"))
        first = {"type": "response.created", "response": {"id": "resp_0"}}
        done = {"type": "response.output_item.done", "item": called("price", '{"fruit": "fig"}')}
        return streamed(first, done) + b"data: [DONE]\n\n"

    with (
        worded_server(answer) as server,
        Qwen(endpoint=server.url, model="m", approve=lambda question: "once") as qwen,
    ):
        assert qwen.ask("price?", tools=[price]).text == "done"
    assert server.bodies[1]["input"][-1]["output"] == "fig: 2"


def test_a_call_that_the_server_ran_itself_is_shown_and_not_answered():
    output = {"type": "function_call_output", "id": "fo_1", "call_id": "call_0", "output": "7"}

    def answer(body, n):
        return ended(n, called("price", '{"fruit": "fig"}'), output, said("7 it is."))

    with (
        worded_server(answer) as server,
        Qwen(endpoint=server.url, model="m", approve=lambda question: "once") as qwen,
    ):
        answered = qwen.ask("price?", tools=[price])
    assert (answered.text, len(server.bodies)) == ("7 it is.", 1)
    assert [call.output for call in answered.tool_calls] == ["7"]


THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "4, I"}]}


@pytest.mark.parametrize("status", ["completed", "incomplete"])
def test_an_answer_of_thinking_alone_can_be_continued(status):
    def answer(body, n):
        if n == 0:
            return ended(n, THOUGHT, status=status)
        return ended(n, said("4"), previous_response_id=body.get("previous_response_id"))

    with worded_server(answer) as server, Qwen(endpoint=server.url, model="m") as qwen:
        first = qwen.ask("2 + 2?")
        assert (first.text, first.reasoning, first.status) == ("", "4, I", status)
        assert qwen.ask("continue").text == "4"
    sent = server.bodies[1]
    assert "previous_response_id" not in sent
    texts = [item["content"][0]["text"] for item in sent["input"]]
    assert texts[0] == "2 + 2?"
    assert texts[1].endswith("4, I")
    assert texts[2] == "continue"


def test_a_server_without_ids_at_all():
    def answer(body, n):
        return [{"type": "response.completed", "response": {"output": [said(f"answer {n}")]}}]

    with worded_server(answer) as server, Qwen(endpoint=server.url, model="m") as qwen:
        qwen.ask("one")
        qwen.ask("two")
    assert [item["role"] for item in server.bodies[1]["input"]] == ["user", "assistant", "user"]


def test_a_heal_that_does_not_help_is_told_as_it_is():
    def answer(body, n):
        if n == 0:
            return ended(n, said("Hi"))
        return refused(f"Response with id {body.get('previous_response_id', 'resp_0aa')} not found")

    with worded_server(answer) as server, Qwen(endpoint=server.url, model="m") as qwen:
        qwen.ask("one")
        with pytest.raises(QwenError):
            qwen.ask("two")
    assert len(server.bodies) == 3
