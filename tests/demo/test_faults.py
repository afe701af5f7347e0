"""Every documented error comes when it is asked for."""

import json

import httpx2
import pytest
from demo_server import wait_for_requests

from qwen_magic.demo.turn import FAULTS

OF_KIND = {
    kind: [name for name, fault in FAULTS.items() if fault.kind == kind]
    for kind in ("http", "body", "failed", "event", "stream")
}


@pytest.mark.parametrize("name", OF_KIND["http"])
def test_http_errors(client, name):
    reply = client.post(f"Hello\ndemo: error {name}", stream=True)
    fault, body = FAULTS[name], reply.json()
    assert reply.status_code == fault.status
    assert body["request_id"] == reply.headers["x-request-id"]
    assert (body["code"], body["message"]) == (fault.code, fault.message)


@pytest.mark.parametrize("name", OF_KIND["body"])
def test_other_bodies(client, name):
    reply = client.post(f"demo: error {name}", stream=True)
    assert reply.status_code == FAULTS[name].status
    assert reply.text == FAULTS[name].message
    assert (name == "redirect") == ("location" in reply.headers)


@pytest.mark.parametrize("name", OF_KIND["failed"])
def test_failed_with_http_200(client, name):
    failed = client.ask(f"demo: error {name}")
    (frame,) = client.frames(f"demo: error {name}")
    expected = {"message": FAULTS[name].message, "code": FAULTS[name].code}
    assert frame.event == "response.failed"
    assert frame.payload["sequence_number"] == 0
    for response in (failed, frame.payload["response"]):
        assert (response["status"], response["model"], response["output"]) == ("failed", "", [])
        assert response["error"] == expected


def test_errors_that_are_no_response_events(client):
    named = client.post("demo: error error-event", stream=True).text
    assert named.startswith('event:error\ndata:{"type":"error","code":"server_error"')
    plain = client.post("demo: error error-data", stream=True).text
    assert json.loads(plain.removeprefix("data: "))["error"]["code"] == "server_error"


def stream_until_it_breaks(client, prompt):
    received = ""
    with client.http.stream(
        "POST", "/responses", json={"model": "m", "input": prompt, "stream": True}
    ) as reply:
        try:
            for text in reply.iter_text():
                received += text
        except httpx2.TransportError as error:
            return received, error
    return received, None


def test_a_stream_cut_without_a_terminal_event(client):
    received, error = stream_until_it_breaks(client, "tour\ndemo: error cut, after 7")
    assert error is None
    assert received.count("event:response.output_text.delta") == 7
    assert "response.output_text.done" not in received


def test_a_reset_in_mid_stream(client):
    received, error = stream_until_it_breaks(client, "tour\ndemo: error reset-mid")
    assert received.count("event:response.output_text.delta") <= 5
    assert isinstance(error, httpx2.ReadError)


def test_a_reset_before_any_byte(client):
    with pytest.raises(httpx2.ReadError):
        client.post("demo: error reset")


@pytest.mark.parametrize("name", ["silence", "silence-mid"])
def test_silence(client, server, name):
    with pytest.raises(httpx2.ReadTimeout):
        client.http.post(
            "/responses",
            json={"model": "m", "input": f"tour\ndemo: error {name}", "stream": True},
            timeout=0.2,
        )
    record = wait_for_requests(server, lambda records: records[-1].closed_at)[-1]
    assert record.status == (0 if name == "silence" else 200)


@pytest.mark.parametrize("name", ["failed-late", "moderation-late"])
def test_failed_after_partial_text(client, name):
    last = client.frames(f"tour\ndemo: error {name}")[-1]
    assert last.event == "response.failed"
    assert last.payload["response"]["error"]["code"] == FAULTS[name].code
    assert last.payload["response"]["output"][0]["content"][0]["text"]


@pytest.mark.parametrize(
    ("name", "event"),
    [("incomplete", "response.incomplete"), ("incomplete-inside", "response.completed")],
)
def test_incomplete_on_request(client, name, event):
    frames = client.frames(f"tour\ndemo: error {name}, after 3")
    response = frames[-1].payload["response"]
    assert frames[-1].event == event
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert client.say("continue", previous_response_id=response["id"])


def test_a_fault_in_mid_stream_strikes_a_short_answer_too(client):
    frames = client.frames("hello\ndemo: error failed-late, after 3600")
    assert frames[-1].event == "response.failed"


@pytest.mark.parametrize("name", [n for n in OF_KIND["stream"] if not n.startswith("silence")])
def test_a_fault_in_mid_stream_without_a_stream(client, name):
    if name in ("cut", "reset-mid"):
        with pytest.raises(httpx2.ReadError):
            client.post(f"tour\ndemo: error {name}")
    else:
        status = "incomplete" if name.startswith("incomplete") else "failed"
        assert client.ask(f"tour\ndemo: error {name}")["status"] == status


def test_the_first_requests_fail_then_it_works(serve):
    client = serve(error="503", fail_first=2)
    assert [client.post().status_code for _ in range(3)] == [503, 503, 200]
    client.server.set(error="500", fail_first=1)
    assert [client.post().status_code for _ in range(2)] == [500, 200]


def test_a_prompt_fails_as_often_as_it_says(client):
    prompts = ["Hello\ndemo: error 429, fail first 2", "Hi\ndemo: error 500, fail first 1"]
    statuses = [[client.post(p).status_code for _ in range(3)] for p in prompts]
    assert statuses == [[429, 429, 200], [500, 200, 200]]


def test_retry_after(client):
    assert "retry-after" not in client.post("demo: error 429").headers
    assert client.post("demo: error 429-retry-after").headers["retry-after"] == "1"
    assert client.post("demo: error 503, retry after 7").headers["retry-after"] == "7"


def test_commands_are_no_part_of_the_prompt(client):
    assert client.say("Hello\ndemo: delay 0") == client.say("Hello")


def test_a_fault_of_the_demo_itself_is_told(client, server, monkeypatch):
    def broken(turn, lessons, signs):
        raise RuntimeError("a defect")

    monkeypatch.setattr("qwen_magic.demo.player.answer", broken)
    reply = client.post()
    assert reply.status_code == 500
    assert "RuntimeError: a defect" in reply.json()["message"]
