"""From a question to the exact request."""

from dataclasses import replace
from typing import Annotated, Literal

import pytest

from qwen_magic.conversation.chain import CellKey, Turn
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.endpoints import DASHSCOPE, Capabilities, Endpoint, find_endpoint
from qwen_magic.errors import ConversationError, MissingKeyError, UsageError
from qwen_magic.session.keywords import read_ask
from qwen_magic.session.plan import Ask, check_key, plan
from qwen_magic.tools.answer_schema import Schema

HOME = Endpoint("home", "https://home.example/v1", DASHSCOPE, "DASHSCOPE_API_KEY", "k")
ASK = Ask(prompt="Hi", input="Hi", model="qwen3-max", endpoint=HOME, chat="main")


def turn(key, parent=None, status="completed", host="home.example", **more):
    more = {"text": f"answer {key}", "input": f"question {key}", **more}
    return Turn(key, "main", status, parent, f"resp_{key}", host=host, **more)


@pytest.fixture
def conversations():
    return Conversations()


def test_nothing_is_sent_that_was_not_asked_for(conversations):
    body = plan(ASK, conversations).request.body()
    assert body == {"model": "qwen3-max", "input": "Hi", "stream": True}


def test_everything_that_was_asked_for_is_sent(conversations):
    ask = replace(
        ASK, think=True, effort="low", system="Be terse.", tools=({"type": "web_search"},),
        extra={"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 64},
    )  # fmt: skip
    assert plan(ask, conversations).request.body() == {
        "model": "qwen3-max",
        "input": "Hi",
        "instructions": "Be terse.",
        "tools": [{"type": "web_search"}],
        "enable_thinking": True,
        "reasoning": {"effort": "low"},
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 64,
        "stream": True,
    }


def test_a_turn_continues_after_the_head(conversations):
    conversations.append(turn("a"))
    made = plan(ASK, conversations)
    assert made.request.previous_response_id == "resp_a"
    assert (made.number, made.parent.key) == (2, "a")


def test_a_cell_that_runs_again_is_numbered_among_its_siblings(conversations):
    cell = CellKey("c")
    conversations.append(turn("a", cell=cell))
    made = plan(replace(ASK, cell=cell), conversations)
    assert (made.sibling, made.parent, made.number) == ((2, 2), None, 1)
    assert made.request.previous_response_id == ""


def test_after_a_stopped_turn_its_text_is_told(conversations):
    conversations.append(turn("a"))
    conversations.append(turn("b", "a", status="stopped"))
    made = plan(replace(ASK, after="resp_b"), conversations)
    assert made.request.previous_response_id == "resp_a"
    assert made.request.input == (
        {"role": "user", "content": "question b"},
        {"role": "assistant", "content": "answer b"},
        {"role": "user", "content": "Hi"},
    )


def test_outside_any_conversation(conversations):
    conversations.append(turn("a"))
    made = plan(replace(ASK, history=False), conversations)
    assert (made.chat, made.request.previous_response_id) == ("", "")


def test_a_fresh_conversation_does_not_switch(conversations):
    conversations.append(turn("a"))
    made = plan(replace(ASK, new=True), conversations)
    assert made.chat == "chat-2"
    assert conversations.current == "main"


def test_another_host_is_refused(conversations):
    conversations.append(turn("a", host="elsewhere.example"))
    with pytest.raises(ConversationError, match=r"elsewhere\.example"):
        plan(ASK, conversations)


def test_needed_tools_are_added_and_said(conversations):
    made = plan(replace(ASK, tools=({"type": "web_extractor"},)), conversations)
    assert [t["type"] for t in made.request.tools] == ["web_search", "web_extractor"]
    assert made.request.enable_thinking is True
    assert len(made.added) == 2
    with pytest.raises(UsageError, match="thinking"):
        plan(replace(ASK, tools=({"type": "code_interpreter"},), think=False), conversations)


def test_openai_gets_its_own_forms(conversations):
    openai = find_endpoint("openai", {"OPENAI_API_KEY": "k"})
    tools = ({"type": "code_interpreter"},)
    body = plan(
        replace(ASK, endpoint=openai, tools=tools, think=True), conversations
    ).request.body()
    assert body["tools"] == [{"type": "code_interpreter", "container": {"type": "auto"}}]
    assert body["include"] == ["code_interpreter_call.outputs"]
    assert "enable_thinking" not in body


def test_a_missing_key_says_how_to_set_one_and_how_to_do_without():
    with pytest.raises(MissingKeyError) as failed:
        check_key(find_endpoint("singapore", {}))
    assert "%qwen_key" in str(failed.value)
    assert "%qwen_demo on" in str(failed.value)
    check_key(find_endpoint("ollama", {}))


TEMPLATE_OFF = {"chat_template_kwargs": {"enable_thinking": False}}
TEMPLATE_ON = {"chat_template_kwargs": {"enable_thinking": True}}


@pytest.mark.parametrize(
    ("name", "asked", "sent"),
    [
        ("singapore", {"think": False}, {"enable_thinking": False}),
        ("demo", {"think": True}, {"enable_thinking": True}),
        ("http://127.0.0.1:7/v1", {"think": False}, {"enable_thinking": False}),
        ("openai", {"think": False}, {"reasoning": {"effort": "none"}}),
        ("openai", {"think": True}, {"reasoning": {"effort": "medium"}}),
        ("openai", {"think": True, "effort": "high"}, {"reasoning": {"effort": "high"}}),
        ("openrouter", {"think": False}, {"reasoning": {"effort": "none"}}),
        ("ollama", {"think": False}, {"reasoning": {"effort": "none"}}),
        ("lmstudio", {"think": False}, {"reasoning": {"effort": "none"}}),
        ("vllm", {"think": False}, TEMPLATE_OFF),
        ("sglang", {"think": True}, TEMPLATE_ON),
        ("llama.cpp", {"think": False}, TEMPLATE_OFF),
        ("llama.cpp", {"effort": "none"}, {"reasoning": {"effort": "none"}, **TEMPLATE_OFF}),
        ("llama.cpp", {}, {}),
        ("transformers", {"think": False}, {}),
    ],
)
def test_each_server_is_told_whether_to_think_in_its_own_words(conversations, name, asked, sent):
    endpoint = find_endpoint(name, {}, key="k")
    body = plan(replace(ASK, endpoint=endpoint, **asked), conversations).request.body()
    assert body == {"model": "qwen3-max", "input": "Hi", "stream": True, **sent}


def test_what_has_no_effect_is_said(conversations):
    made = plan(replace(ASK, endpoint=find_endpoint("transformers"), think=False), conversations)
    assert made.notes == ("--no-think has no effect: transformers has no switch for thinking",)
    deaf = replace(HOME, capabilities=Capabilities(ignores=frozenset({"temperature", "text"})))
    made = plan(replace(ASK, endpoint=deaf, extra={"temperature": 1.0}), conversations)
    assert made.notes == ("--temperature has no effect: home ignores it",)
    assert made.request.body()["temperature"] == 1.0


def test_a_parameter_that_the_server_rejects_is_left_out_and_said(conversations):
    transformers = find_endpoint("transformers")
    made = plan(replace(ASK, endpoint=transformers, effort="low"), conversations)
    assert "reasoning" not in made.request.body()
    assert made.added == ("without reasoning (transformers serve has no such parameter)",)
    assert plan(replace(ASK, endpoint=transformers), conversations).added == ()


def test_no_image_goes_to_a_server_that_takes_none(conversations):
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}
    given = ({"role": "user", "content": [image]},)
    plan(replace(ASK, input=given), conversations)
    with pytest.raises(UsageError, match="takes no images"):
        plan(replace(ASK, input=given, endpoint=find_endpoint("transformers")), conversations)


def test_a_budget_for_thinking_is_thinking(conversations):
    made = plan(replace(ASK, effort=2000), conversations)
    assert made.request.body()["thinking_budget"] == 2000
    assert made.request.body()["enable_thinking"] is True
    assert made.added == ("thinking (for its budget of 2,000 tokens)",)
    body = plan(replace(ASK, effort="0"), conversations).request.body()
    assert (body["thinking_budget"], "enable_thinking" in body) == (0, False)
    openai = find_endpoint("openai", {})
    made = plan(replace(ASK, effort="2000", endpoint=openai), conversations)
    assert "thinking_budget" not in made.request.body()
    assert made.added == ("without thinking_budget (not for OpenAI: use --effort low, medium or "
                          "high)",)  # fmt: skip


@pytest.mark.parametrize("level", ["none", "minimal", "low", "medium", "high", "xhigh", "max", "x"])
def test_no_level_is_refused_here(conversations, level):
    for model in ("qwen3.7-max", "qwen-plus", "qwen3.8-max"):
        body = plan(replace(ASK, model=model, effort=level), conversations).request.body()
        assert body["reasoning"] == {"effort": level}


def test_a_retired_name_is_said_to_be_retired(conversations):
    made = plan(replace(ASK, model="qwen-turbo"), conversations)
    assert "qwen-turbo was retired on 10 October 2026" in made.notes[0]
    elsewhere = Endpoint("vllm", "http://127.0.0.1:8000/v1")
    assert not plan(replace(ASK, model="qwen-turbo", endpoint=elsewhere), conversations).notes


@pytest.mark.parametrize(
    ("name", "tools", "sent"),
    [
        ("openai", (), "text"),
        ("llama.cpp", (), "response_format"),
        ("llama.cpp", ({"type": "function", "name": "f"},), ""),  # it would call none
        ("singapore", (), ""),
    ],
)
def test_a_schema_goes_where_the_server_reads_it(name, tools, sent):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    ask = replace(ASK, endpoint=find_endpoint(name, {}), tools=tools).asking_for(Schema.of(schema))
    assert [key for key in ask.extra if key in ("text", "response_format")] == [sent] * bool(sent)
    assert '"a"' in ask.input  # the prompt says it in any case
    if sent == "response_format":
        assert ask.extra[sent]["json_schema"]["schema"] == schema


def test_a_files_keys_are_masked_as_all_that_is_sent(tmp_path):
    (tmp_path / "run.py").write_text('call("sk-abcdefgh12345678abcd")\napi_key = "very1secret23"\n')
    asked = {"files": [tmp_path / "run.py"]}
    place = {"endpoint": HOME, "model": "m", "chat": "main"}
    sent = str(read_ask("Look", asked, **place).input)
    assert "very1secret23" not in sent
    assert "sk-abcdefgh" not in sent
    assert "masked" in sent
    assert "very1secret23" in str(read_ask("Look", {**asked, "allow_secrets": True}, **place).input)


def test_keys_in_what_tells_of_functions_and_types_are_masked():
    key = "sk-abcdefgh12345678abcd"
    told = f"Use {key}."
    typed = {"type": "object", "properties": {"a": {"type": "string", "description": told}}}

    def look(mode: Annotated[str, told] = key) -> str:
        return mode

    look.__doc__ = told
    look.__annotations__["mode"] = Literal[key, "b"]
    place = {"endpoint": find_endpoint("openai", {}, key="k-of-the-endpoint"), "model": "m"}
    for asked, count in (({}, 0), ({"allow_secrets": True}, 1)):
        ask = read_ask("Look", {"tools": [look], "schema": typed, **asked}, chat="main", **place)
        for sent in (ask.input, ask.tools, ask.extra):
            assert (key in str(sent)) == bool(count)
