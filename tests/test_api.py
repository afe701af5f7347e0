"""`Qwen` in a script: against the demo server, over a real socket."""

import asyncio
import gc
import os
import pickle
import threading
import time
import weakref

import pytest
from demo_server import demo_server, wait_for_requests
from fuzz import IS_HEAVY

from qwen_magic import Answer, Qwen
from qwen_magic.errors import AuthenticationError, QwenError, UsageError
from qwen_magic.protocol.events import TextDelta
from qwen_magic.protocol.request import input_items

KEY = "sk-canary-0123456789"


@pytest.fixture
def server():
    with demo_server() as demo:
        yield demo


@pytest.fixture
def qwen(server):
    with Qwen(endpoint=server.base_url) as asked:
        yield asked


def test_a_conversation(qwen, server):
    first = qwen.ask("My name is John")
    second = qwen.ask("Do you remember my name?")
    assert "Yes, John!" in second.text
    assert server.requests[-1].body["previous_response_id"] == first.id
    assert [turn.prompt for turn in qwen.chat("main").turns] == [
        "My name is John", "Do you remember my name?",
    ]  # fmt: skip


def test_conversations_do_not_mix(qwen, server):
    qwen.chat("one").ask("My name is John")
    assert "John" not in qwen.chat("two").ask("Do you remember my name?").text


@pytest.mark.parametrize("word", ["k", "none", "Ollama", "lm-studio"])
def test_a_word_in_the_place_of_a_key_is_none(word, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", word)
    with demo_server(key=word) as server, Qwen(endpoint=server.base_url, api_key=word) as asked:
        answer = asked.ask(f"My name is {word}")
    assert f"Hello, {word}!" in answer.text
    assert answer.status == "completed"


def test_message_arrays(qwen, server):
    talk = [
        {"role": "system", "content": "Answer in upper case"},
        {"role": "user", "content": "Hi"},
    ]
    qwen.ask(talk)
    assert server.requests[-1].body["input"] == input_items(talk)


def test_the_events_of_a_stream(qwen):
    text = "".join(e.delta for e in qwen.stream("My name is John") if isinstance(e, TextDelta))
    assert text.startswith("Hello, John!")
    assert qwen.chat().turns[-1].text == text


def test_leaving_a_stream_early_stops_it(qwen, server):
    server.set(delay=0.02)
    for event in qwen.stream("write at length"):
        if isinstance(event, TextDelta):
            break
    wait_for_requests(server, lambda records: records[-1].closed_at is not None)
    assert not qwen.chat().turns, "a stopped turn is no head"


def test_async(qwen):
    async def both():
        return await asyncio.gather(
            qwen.aask("My name is John", chat="a"), qwen.aask("My name is Ada", chat="b")
        )

    john, ada = asyncio.run(both())
    assert "John" in john.text
    assert "Ada" in ada.text


def test_cancelling_closes_the_connection(qwen, server):
    server.set(delay=0.05)

    async def cancelled():
        task = asyncio.ensure_future(qwen.aask("write at length"))
        while not server.requests or server.requests[-1].events < 5:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    wait_for_requests(server, lambda records: records[-1].closed_at is not None)


def test_tools_by_name_and_as_dicts(qwen, server):
    answer = qwen.ask("mean of 1, 2, 3, 6", tools=["code_interpreter", {"type": "web_search"}])
    assert [tool["type"] for tool in server.requests[-1].body["tools"]] == [
        "code_interpreter", "web_search",
    ]  # fmt: skip
    assert any("mean" in getattr(call, "code", "") for call in answer.tool_calls)
    assert answer.usage.tools["code_interpreter"] == 1


def test_figures_are_fetched(qwen):
    answer = qwen.ask("Plot sin(x)", tools="code_interpreter")
    assert [figure[:4] for figure in answer.figures] == [b"\x89PNG"]
    shown, _ = answer._repr_mimebundle_()
    assert "data:image/png;base64," in shown["text/html"]


def test_sources(qwen):
    answer = qwen.ask("Search for something", tools=["web_search"])
    assert answer.sources
    assert answer.sources[0].url.startswith("https://demo.invalid/")


def test_an_answer_is_a_value(qwen):
    answer = qwen.ask("My name is John")
    assert isinstance(answer, Answer)
    assert str(answer) == answer.text
    assert pickle.loads(pickle.dumps(answer)) == answer
    assert answer.raw["id"] == answer.id
    data, metadata = answer._repr_mimebundle_()
    assert data["text/markdown"] == answer.text
    assert metadata["qwen_magic"]["response_id"] == answer.id


def test_a_wrong_key(server):
    server.key = "sk-right-0123456789"
    with Qwen(endpoint=server.base_url, api_key=KEY) as qwen:
        with pytest.raises(AuthenticationError) as failed:
            qwen.ask("hello")
        assert "canary" not in str(failed.value) + repr(failed.value) + repr(vars(failed.value))


@pytest.mark.parametrize("prompt", [None, 5, "", b"Hi", [], {"role": "user", "content": "Hi"}])
def test_what_is_no_prompt_is_said_and_not_sent(prompt, qwen, server):
    with pytest.raises(UsageError):
        qwen.ask(prompt)
    assert not server.requests


def test_what_cannot_be_is_said_at_once(qwen):
    with pytest.raises(UsageError, match="nosuch"):
        Qwen(endpoint="nosuch")
    with pytest.raises(UsageError, match="asker"):
        pickle.dumps(qwen)
    with pytest.raises(TypeError) as caught:
        Qwen(modle="x")
    assert not hasattr(caught.value, "__notes__"), "no fault of ours"
    assert "http" not in repr(qwen.chat("a")), "which may have a password"


def test_an_unknown_option_is_named(qwen):
    with pytest.raises(UsageError, match="temprature"):
        qwen.ask("hello", temprature=1)


def test_closing_leaves_no_thread_behind(server):
    def ours():  # not those of the demo server, one a connection
        return {t.name for t in threading.enumerate() if "_serve" not in t.name}

    before = ours()
    with Qwen(endpoint=server.base_url) as qwen:
        qwen.ask("hello")
    assert ours() <= before


def test_data_goes_along_by_name(qwen, server):
    qwen.ask("Sum them.", data={"prices": [1, 2, 3]})
    said = server.requests[-1].body["input"]
    assert said.startswith("Sum them.")
    assert "prices" in said
    assert "[1, 2, 3]" in said


def test_an_object_is_asked_for_and_repaired_twice(qwen, server):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    with pytest.raises(QwenError):
        qwen.ask("hello", schema=schema)
    assert len(server.requests) == 3
    assert "integer" in str(server.requests[0].body["input"])


def test_those_that_are_dropped_leave_nothing_open(server, monkeypatch):
    monkeypatch.setenv("QWEN_DEMO_DELAY", "0")
    for url in (server.base_url, "demo"):
        with Qwen(endpoint=url) as qwen:  # what a first one opens for good is no leak
            qwen.ask("hello")
        before = opened()
        for _ in range(1000 if IS_HEAVY else 3):
            assert Qwen(endpoint=url).ask("hello").text
        until = time.monotonic() + 20
        while (now := opened()) > before and time.monotonic() < until:
            time.sleep(0.05)
        assert now <= before


async def _half(qwen):
    async for _ in qwen.astream("write at length"):
        break


@pytest.mark.parametrize(
    "ask",
    [
        lambda qwen: qwen.ask("hello"),
        lambda qwen: asyncio.run(qwen.aask("hello")),
        lambda qwen: next(qwen.stream("write at length")),
        lambda qwen: asyncio.run(_half(qwen)),
        lambda qwen: qwen.map(["hello", "hello"], progress=False),
    ],
)
def test_one_that_is_dropped_waits_for_no_collector(server, ask):
    qwen = Qwen(endpoint=server.base_url)
    gc.disable()
    try:
        ask(qwen)
        session = weakref.ref(qwen._session)
        del qwen
        until = time.monotonic() + 20
        while session() is not None and time.monotonic() < until:  # another thread has it yet
            time.sleep(0.01)
        assert session() is None
    finally:
        gc.enable()


def opened():
    """How many threads and descriptors there are, of what anything still refers to."""
    gc.collect()
    return threading.active_count() + len(os.listdir("/proc/self/fd"))
