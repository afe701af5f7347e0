"""The official client streams, chains and reads errors against the server."""

import openai
import pytest


@pytest.fixture
def qwen(server):
    with openai.OpenAI(
        api_key=server.key or "sk-any", base_url=server.base_url, max_retries=0
    ) as client:
        yield client


def test_one_answer(qwen):
    response = qwen.responses.create(model="qwen3-max", input="My name is John")
    assert response.output_text.startswith("Hello, John!")
    assert response.status == "completed"
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_a_chain_in_streams(qwen):
    first = qwen.responses.create(model="qwen3-max", input="My name is John")
    events = list(
        qwen.responses.create(
            model="qwen3-max",
            input="Do you remember my name?",
            previous_response_id=first.id,
            stream=True,
        )
    )
    assert [events[0].type, events[1].type] == ["response.created", "response.in_progress"]
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text.startswith("Yes, John!")
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == text
    assert events[-1].response.previous_response_id == first.id


def test_the_stream_helper_with_thinking_and_tools(qwen):
    with qwen.responses.stream(
        model="qwen3-max",
        input="Search, then compute the mean of 3, 1, 4",
        tools=[{"type": "web_search"}, {"type": "code_interpreter"}],
        extra_body={"enable_thinking": True},
    ) as stream:
        kinds = [event.type for event in stream]
        response = stream.get_final_response()
    assert "response.reasoning_text.delta" in kinds
    assert "response.web_search_call.searching" in kinds
    assert "response.code_interpreter_call.interpreting" in kinds
    assert [item.type for item in response.output if item.type != "reasoning"] == [
        "web_search_call",
        "code_interpreter_call",
        "message",
    ]


def test_retrieve_delete_and_models(qwen):
    response = qwen.responses.create(model="qwen3-max", input="Hello")
    assert qwen.responses.retrieve(response.id).output_text == response.output_text
    assert [model.id for model in qwen.models.list()] == ["demo"]
    qwen.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        qwen.responses.retrieve(response.id)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("400", openai.BadRequestError),
        ("401", openai.AuthenticationError),
        ("403", openai.PermissionDeniedError),
        ("404", openai.NotFoundError),
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
    ],
)
def test_errors(qwen, name, kind):
    with pytest.raises(kind) as caught:
        qwen.responses.create(model="m", input=f"demo: error {name}", stream=True)
    assert caught.value.request_id
    assert caught.value.body["code"]


def test_an_unknown_id(qwen):
    with pytest.raises(openai.BadRequestError, match="Not found previous_response_id: resp_x"):
        qwen.responses.create(model="m", input="Hello", previous_response_id="resp_x")


def test_failed_as_the_first_event(qwen):
    (event,) = qwen.responses.create(model="m", input="demo: error rate-limit-200", stream=True)
    assert event.type == "response.failed"
    assert "rate limit exceeded" in event.response.error.message


def test_a_function_call_and_its_output(qwen):
    tool = {
        "type": "function",
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {}, "b": {}}},
    }
    asked = qwen.responses.create(model="m", input="Call add(a=2, b=3)", tools=[tool])
    (call,) = asked.output
    assert (call.type, call.name, call.arguments) == ("function_call", "add", '{"a": 2, "b": 3}')
    told = qwen.responses.create(
        model="m",
        previous_response_id=asked.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "5"}],
        tools=[tool],
    )
    assert "`add(a=2, b=3)` gave" in told.output_text
    assert "\n5\n" in told.output_text
