"""A conversation goes on whatever the server does with response ids."""

import pytest
from demo_server import asked, demo_server

from qwen_magic import Qwen
from qwen_magic.errors import ConnectionLostError
from qwen_magic.session.recovery import Recovery

TALK = (
    "My name is John",
    "hello",
    "Do you remember my name?",
    "hello again",
    "Do you remember my name?",
)


@pytest.fixture
def server():
    with demo_server() as demo:
        yield demo


def said(record):
    """The conversation as the server saw it: who said what."""
    return [
        (item["role"], item["content"] if isinstance(item["content"], str) else _text(item))
        for item in record.context
        if item.get("role") in ("user", "assistant")
    ]


def _text(item):
    return "".join(part["text"] for part in item["content"])


def talk(server, **switches):
    server.set(**switches)
    with Qwen(endpoint=server.base_url) as qwen:
        answers = [qwen.ask(prompt) for prompt in TALK]
        return answers, qwen.chat().turns


@pytest.mark.parametrize("chain", ["keeps", "forgets", "refuses", "ignores"])
def test_a_server_sees_the_same_conversation_in_every_mode(server, chain):
    answers, turns = talk(server, chain=chain)
    assert "John" in answers[2].text
    assert "John" in answers[4].text
    assert len(turns) == len(TALK)
    expected = []
    for prompt, answer in zip(TALK, answers, strict=True):
        expected += [("user", prompt), ("assistant", answer.text)]
    assert said(asked(server)[-1]) == expected[:-1]


@pytest.mark.parametrize(("chain", "requests"), [("keeps", 5), ("refuses", 6), ("ignores", 6)])
def test_what_a_host_does_is_remembered(server, chain, requests):
    talk(server, chain=chain)
    assert len(asked(server)) == requests


def test_a_memory_that_was_wiped_is_healed_once(server):
    with Qwen(endpoint=server.base_url) as qwen:
        qwen.ask("My name is John")
        server.forget()
        answer = qwen.ask("Do you remember my name?")
    assert "Yes, John!" in answer.text
    assert [r.status for r in asked(server)] == [200, 400, 200]
    healed = asked(server)[-1].body
    assert "previous_response_id" not in healed
    assert [item["role"] for item in healed["input"]] == ["user", "assistant", "user"]


def test_after_an_id_has_expired_the_chain_goes_on_by_ids(server, monkeypatch):
    """A server that keeps answers for a week, and has lost an old one."""
    with Qwen(endpoint=server.base_url) as qwen:
        monkeypatch.setattr("qwen_magic.session.recovery.RECENT", 0.0)
        qwen.ask("My name is John")
        server.forget()
        healed = qwen.ask("hello")
        answer = qwen.ask("Do you remember my name?")
    assert "Yes, John!" in answer.text
    assert asked(server)[-1].body["previous_response_id"] == healed.id
    assert len(asked(server)) == 4


def test_a_healed_turn_is_recorded_once(server):
    with Qwen(endpoint=server.base_url) as qwen:
        qwen.ask("My name is John")
        server.set(chain="ignores")
        qwen.ask("Do you remember my name?")
        assert [turn.prompt for turn in qwen.chat().turns] == [
            "My name is John", "Do you remember my name?",
        ]  # fmt: skip


def test_a_heal_that_fails_is_an_error_not_a_loop(server):
    with Qwen(endpoint=server.base_url) as qwen:
        qwen.ask("My name is John")
        server.set(error="not-found-previous")
        with pytest.raises(Exception, match="does not know"):
            qwen.ask("Do you remember my name?")
    assert len(asked(server)) == 3


@pytest.mark.parametrize("fault", ["cut", "reset-mid", "silence-mid"])
@pytest.mark.parametrize("after", [0, 7, 3600])
def test_an_answer_whose_connection_broke_is_fetched_and_paid_once(server, fault, after):
    with Qwen(endpoint=server.base_url) as qwen:
        broken = f"My name is John\ndemo: error {fault}, after {after}"
        answer = qwen.ask(broken, timeout=0.3 if fault == "silence-mid" else 20)
        assert answer.status == "completed"
        assert answer.id == answer.raw["id"] == qwen.chat().turns[0].response_id
        assert "Yes, John!" in qwen.ask("Do you remember my name?").text
    methods = [record.method for record in server.requests]
    assert methods[0] == methods[-1] == "POST"
    assert set(methods[1:-1]) == {"GET"}, "asked again only for what is kept"
    assert asked(server)[-1].body["previous_response_id"] == answer.id


@pytest.mark.parametrize("kept", [[], None, "Bye"], ids=str)
def test_what_a_server_keeps_must_be_the_whole_of_what_came(server, monkeypatch, kept):
    given_out = Recovery._given_out

    def another(steps, id):
        found = yield from given_out(steps, id)
        message = {"type": "message", "content": [{"type": "output_text", "text": kept}]}
        return {**found, "output": [message] if isinstance(kept, str) else kept}

    monkeypatch.setattr(Recovery, "_given_out", another)
    with Qwen(endpoint=server.base_url) as qwen:
        with pytest.raises(ConnectionLostError):
            qwen.ask("write at length\ndemo: error reset-mid, after 40")
        (lost,) = qwen._session.conversations.chain("main").turns.values()
    assert lost.status == "failed"
    assert len(lost.text) > 80


def test_what_came_of_an_answer_that_no_server_keeps_is_kept(server):
    with Qwen(endpoint=server.base_url) as qwen:
        with pytest.raises(ConnectionLostError) as failed:
            qwen.ask("write at length\ndemo: error cut, after 40, chain ignores")
        assert "Run the cell again" in failed.value.hint
        (turn,) = qwen._session.conversations.chain("main").turns.values()
    assert turn.status == "failed"
    assert len(turn.text) > 80
    assert len(asked(server)) == 1


def test_nothing_of_a_conversation_goes_to_another_host(server):
    canary = "Canary-7c1f"
    with demo_server() as other, Qwen(endpoint=server.base_url) as qwen:
        qwen.ask(f"My name is {canary}")
        qwen._endpoint = other.base_url
        with pytest.raises(Exception, match="--carry"):
            qwen.ask("Do you remember my name?")
        assert canary not in str([(r.headers, r.body) for r in other.requests])
        assert not other.requests
        assert canary in qwen.ask("Do you remember my name?", carry=True).text
        assert canary in str(other.requests[-1].body)
