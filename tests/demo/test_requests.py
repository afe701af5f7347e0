"""What is wrong with a request is said in the service's words."""

import httpx2
import pytest
from demo_server import wait_for_requests

from qwen_magic.demo import DemoServer

NESTED = {"type": "function", "function": {"name": "f", "parameters": {}}}

WRONG = [
    ({"model": ""}, "[400] missing_required_parameter: Missing required parameter: 'model'."),
    ({"input": None}, "[400] missing_required_parameter: Missing required parameter: 'input'."),
    (
        {"max_output_tokens": 1},
        "Invalid 'max_output_tokens': must be greater than or equal to 16, got 1.",
    ),
    (
        {"temperature": 5},
        "Invalid 'temperature': 5. Expected a value between [0,2), but got 5 instead.",
    ),
    ({"store": "NOT_A_BOOL"}, "Invalid 'store': NOT_A_BOOL. Must be a boolean."),
    (
        {"previous_response_id": "resp_1", "conversation": "conv_1"},
        "Mutually exclusive parameters: Ensure you are only providing one of: "
        "previous_response_id or conversation.",
    ),
    (
        {"input": [{"type": "reasoning"}]},
        "Invalid 'summary': summary is required and must be a list for reasoning.",
    ),
    ({"model": "unknown-model"}, "Unsupported model: 'unknown-model'"),
    ({"model": "no-such-thing"}, "Unsupported model: 'no-such-thing'"),
    (
        {"tools": [NESTED]},
        "[400] missing_required_parameter: Missing required parameter: 'tools[0].name'.",
    ),
]


@pytest.mark.parametrize(("body", "message"), WRONG, ids=[next(iter(body)) for body, _ in WRONG])
def test_wrong_values(client, body, message):
    reply = client.http.post("/responses", json={"model": "m", "input": "Hello", **body})
    assert reply.status_code == 400
    assert reply.json()["message"] == message
    assert set(reply.json()) == {"request_id", "code", "message"}


@pytest.mark.parametrize(
    "body",
    [
        {"reasoning": {"effort": "enormous"}},
        {"top_p": 0},
        {"tools": "web_search"},
        {"tool_choice": "perhaps"},
        {"tool_choice": "required", "tools": []},
        {"input": [{"role": "robot", "content": "x"}]},
        {"input": [{"type": "function_call_output", "call_id": "call_1", "output": "x"}]},
        {"stream": "yes"},
        {"input": "demo: dance"},
        {"input": "demo: colour red"},
        {"input": "demo: error no-such-error"},
        {"input": "demo: delay often"},
    ],
    ids=str,
)
def test_other_wrong_values(client, body):
    reply = client.http.post("/responses", json={"model": "m", "input": "Hello", **body})
    assert reply.status_code == 400
    assert reply.json()["code"] == "InvalidParameter"


def test_unknown_parameters_and_tools_are_ignored(client):
    answer = client.ask("Hello", tools=[{"type": "bogus_tool_xyz"}], metadata={"a": "b"}, user="u")
    assert answer["status"] == "completed"
    assert answer["metadata"] == {"a": "b"}


@pytest.mark.parametrize("model", ["qwen3-max", "qwen9-anything"])
def test_any_model_is_answered_by_demo(client, model):
    answer = client.http.post("/responses", json={"model": model, "input": "Hello"}).json()
    assert answer["model"] == "demo"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null"])
def test_a_body_that_is_no_object(client, body):
    assert client.http.post("/responses", content=body).status_code == 400


def test_a_chunked_body(client):
    parts = iter([b'{"model":"m","inp', b'ut":"My name is John"}'])
    assert "John" in client.http.post("/responses", content=parts).text


def test_the_key(serve):
    client = serve(key="sk-right")
    assert client.post().json()["message"] == "No API-key provided."
    for key, status in (("sk-wrong", 401), ("sk-right", 200)):
        headers = {"Authorization": f"Bearer {key}"}
        reply = client.http.post("/responses", json={"model": "m", "input": "x"}, headers=headers)
        assert reply.status_code == status
    assert [record.key for record in client.server.requests] == ["none", "wrong", "right"]
    assert [record.status for record in client.server.requests] == [401, 401, 200]
    wrong = client.http.get("/models", headers={"Authorization": "Bearer sk-wrong"})
    assert wrong.json()["code"] == "InvalidApiKey"
    assert wrong.json()["message"] == "Invalid API-key provided."


def test_no_key_is_logged(client):
    tool = {"type": "mcp", "server_label": "x", "headers": {"Authorization": "Bearer sk-mcp"}}
    headers = {"Authorization": "Bearer sk-secret", "X-Api-Key": "sk-other", "X-Kept": "yes"}
    body = {"model": "m", "input": "Hello", "tools": [tool]}
    client.http.post("/responses", json=body, headers=headers)
    wait_for_requests(client.server, lambda records: records[-1].ended_at is not None)
    record = client.server.requests[-1]
    assert "sk-" not in repr(record)
    assert record.headers["x-kept"] == "yes"
    assert record.body["input"] == "Hello"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://localhost:8888"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "[::1"}, 403),
    ],
)
def test_only_this_machine_is_answered(client, headers, status):
    assert client.http.get("/models", headers=headers).status_code == status


def test_it_listens_on_loopback_only(server):
    assert server._socket.getsockname()[0] == "127.0.0.1"


def test_one_connection_serves_many_requests(client):
    ports = set()
    for stream in (True, False, True):
        reply = client.post(stream=stream)
        ports.add(reply.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(ports) == 1


def test_a_taken_port_is_an_error(server):
    with pytest.raises(OSError, match="in use"):
        DemoServer(server.port)


def test_several_servers_at_once(serve):
    clients = [serve(), serve(), serve()]
    first = clients[0].ask("My name is John")
    assert clients[1].post(previous_response_id=first["id"]).status_code == 400
    assert len({client.server.port for client in clients}) == 3


@pytest.mark.parametrize(
    "bad",
    [
        b"NONSENSE\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_bytes_that_are_no_http(server, bad):
    import socket

    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(bad)
        assert raw.recv(100).startswith(b"HTTP/1.1 400 ")


def test_http_1_0_gets_a_stream_without_chunks(server):
    import socket

    body = b'{"model":"m","input":"My name is John","stream":true}'
    head = b"POST /v1/responses HTTP/1.0\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(head + body)
        received = b"".join(iter(lambda: raw.recv(65536), b""))
    assert b"\r\n\r\nid:1\nevent:response.created\n" in received
    assert b"event:response.completed\n" in received


def test_the_answer_is_dated_by_a_known_client(client):
    assert isinstance(client.http, httpx2.Client)
    assert isinstance(client.ask()["created_at"], int)
