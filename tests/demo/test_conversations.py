"""Responses are kept, joined, deleted and forgotten as the service does it."""

import httpx2
import pytest
from demo_server import wait_for_requests

from qwen_magic.demo import DemoServer


def not_found(id):
    return {"code": "InvalidParameter", "message": f"Not found previous_response_id: {id}"}


def error_of(reply):
    error = reply.json()
    assert error.pop("request_id") == reply.headers["x-request-id"]
    return error


def test_the_chain_remembers_a_name(client):
    first = client.ask("My name is John")
    answer = client.ask("Do you remember my name?", previous_response_id=first["id"])
    assert answer["output"][0]["content"][0]["text"].startswith("Yes, John!")
    assert answer["previous_response_id"] == first["id"]
    assert "have not told me" in client.say("Do you remember my name?")


def test_each_turn_sees_the_whole_chain(client, server):
    first = client.ask("My name is John")
    second = client.ask("hello", previous_response_id=first["id"])
    third = client.ask("What is my name?", previous_response_id=second["id"])
    assert "Yes, John!" in third["output"][0]["content"][0]["text"]
    roles = [item.get("role") for item in server.requests[-1].context]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    assert third["usage"]["input_tokens"] > first["usage"]["input_tokens"]


def test_two_turns_may_continue_the_same_one(client):
    root = client.ask("My name is John")
    client.ask("My name is Ada", previous_response_id=root["id"])
    again = client.say("What is my name?", previous_response_id=root["id"])
    assert again.startswith("Yes, John!")


def test_unknown_unstored_and_failed_ids_are_not_found(client):
    unstored = client.ask("My name is John", store=False)["id"]
    failed = client.ask("demo: error failed")["id"]
    for id in ("resp_unknown", unstored, failed):
        reply = client.post("What is my name?", previous_response_id=id)
        assert reply.status_code == 400
        assert error_of(reply) == not_found(id)


def test_a_stopped_stream_is_not_kept(client, server):
    body = {"model": "m", "input": "tour\ndemo: delay 0.01", "stream": True}
    with client.http.stream("POST", "/responses", json=body) as reply:
        next(reply.iter_bytes())
    records = wait_for_requests(server, lambda records: records[-1].closed_at)
    id = records[-1].response_id
    assert client.http.get(f"/responses/{id}").status_code == 404


def test_get_and_delete(client):
    first = client.ask("My name is John")
    path = f"/responses/{first['id']}"
    assert client.http.get(path).json() == first
    assert client.http.delete(path).json() == {"id": first["id"], "deleted": True}
    assert client.http.get(path).status_code == 404
    assert client.http.delete(path).status_code == 404
    assert client.post(previous_response_id=first["id"]).status_code == 400


def test_a_deleted_turn_stays_part_of_those_that_follow_it(client):
    first = client.ask("My name is John")
    second = client.ask("Hello", previous_response_id=first["id"])
    client.http.delete(f"/responses/{first['id']}")
    answer = client.say("What is my name?", previous_response_id=second["id"])
    assert answer.startswith("Yes, John!")


def test_forgetting_at_once(client, server):
    first = client.ask("My name is John")
    server.forget()
    assert client.post(previous_response_id=first["id"]).status_code == 400


def test_forgetting_after_two_turns(serve):
    client = serve(chain="forgets", forget_after=2)
    first = client.ask("My name is John")
    second = client.ask("Hello", previous_response_id=first["id"])
    reply = client.post("What is my name?", previous_response_id=second["id"])
    assert error_of(reply) == not_found(second["id"])
    assert client.post(previous_response_id=first["id"]).status_code == 200


def test_refusing_ids_as_llama_cpp_does(serve):
    client = serve(chain="refuses")
    first = client.ask("My name is John")
    reply = client.post("What is my name?", previous_response_id=first["id"])
    assert reply.status_code == 400
    message = "llama.cpp does not support 'previous_response_id'."
    assert reply.json()["error"]["message"] == message


def test_ignoring_ids_without_a_word(serve):
    client = serve(chain="ignores")
    first = client.ask("My name is John")
    answer = client.ask("What is my name?", previous_response_id=first["id"])
    assert answer["previous_response_id"] is None
    assert "have not told me" in answer["output"][0]["content"][0]["text"]


def test_a_transcript_does_in_place_of_an_id(client):
    transcript = [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": "My name is John"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Hello, John!"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "What is my name?"}]},
    ]
    assert client.say(transcript).startswith("Yes, John!")
    assert client.say([*transcript[:1], *transcript[3:]]).startswith("No:")


def test_an_answer_at_the_token_limit_goes_on(client):
    whole = client.say("tour")
    cut = client.ask("tour", max_output_tokens=40)
    assert cut["status"] == "incomplete"
    assert cut["incomplete_details"] == {"reason": "max_output_tokens"}
    begun = cut["output"][0]["content"][0]["text"]
    assert 100 < len(begun) <= 160
    rest = client.say("Continue, please!", previous_response_id=cut["id"])
    assert begun + rest == whole
    assert "nothing to go on with" in client.say("continue")


def test_a_stream_at_the_token_limit_ends_incomplete(client):
    last = client.frames("tour", max_output_tokens=16)[-1]
    assert last.event == "response.incomplete"
    assert last.payload["response"]["status"] == "incomplete"


def test_old_responses_make_room(client, monkeypatch):
    monkeypatch.setattr("qwen_magic.demo.player.MOST_KEPT", 3)
    first = client.ask("My name is John")["id"]
    for _ in range(3):
        client.ask("Hello")
    assert client.post(previous_response_id=first).status_code == 400


@pytest.mark.parametrize(
    "prefix", ["/compatible-mode/v1", "/api/v2/apps/protocols/compatible-mode/v1", "/v1"]
)
def test_all_three_paths(server, prefix):
    body = {"model": "m", "input": "Hello"}
    assert httpx2.post(f"{server.url}{prefix}/responses", json=body).json()["status"] == "completed"
    models = httpx2.get(f"{server.url}{prefix}/models").json()
    assert [model["id"] for model in models["data"]] == ["demo"]


def test_wrong_paths_and_methods(server, client):
    wrong = httpx2.post(f"{server.url}/nowhere", json={})
    assert wrong.status_code == 404
    assert error_of(wrong) == {"code": "Not Found", "message": "Not support"}
    assert client.http.get("/nowhere").status_code == 404
    listing = client.http.get("/responses")
    assert listing.status_code == 405
    assert error_of(listing) == {"code": "Method Not Allowed", "message": "Method Not Allowed"}


def test_a_catalogue_stands_beside_the_base_url():
    with DemoServer(key="k", delay=0) as server:
        url = f"{server.url}/api/v1/models"
        assert httpx2.get(url).status_code == 401
        page = httpx2.get(url, headers={"Authorization": "Bearer k"}).json()["output"]
        assert page["total"] == len(page["models"])
        prices = [row for model in page["models"] for tier in model["prices"]
                  for row in tier["prices"]]  # fmt: skip
        assert {row["price_unit"] for row in prices} == {"XTS/1M tokens"}
