"""What a server can do is found out by asking it, and printed as the row to paste."""

import pytest
from able_server import able_server

import qwen_magic.endpoints as endpoints
from qwen_magic.client import Client
from qwen_magic.endpoints import Endpoint
from qwen_magic.errors import ConnectionFailedError
from qwen_magic.session.server_probe import ServerProbe, model_names, row


@pytest.fixture
def client():
    client = Client()
    yield client
    client.close()


@pytest.mark.parametrize(
    ("abilities", "expected"),
    [
        ({}, {"keeps_ids": "yes", "thinking": "enable_thinking", "images": True}),
        ({"names": False, "switch": "effort"}, {"keeps_ids": "yes", "thinking": "effort"}),
        ({"keeps": False, "switch": "chat_template_kwargs"},
         {"keeps_ids": "no", "thinking": "chat_template_kwargs"}),
        ({"switch": ""}, {"thinking": ""}),
        ({"formats": False, "images": False}, {"ignores": ["text"], "images": False}),
        ({"rejects": {"previous_response_id": "we do not support 'previous_response_id'."}},
         {"keeps_ids": "no", "rejects": []}),
        ({"switch": "effort",
          "rejects": {"enable_thinking": "Unknown parameter: 'enable_thinking'.",
                      "text": "Unsupported fields in the request: {'text'}"}},
         {"thinking": "effort", "rejects": ["enable_thinking", "text"], "ignores": []}),
        ({"rejects": {"tools": "Unsupported parameter: tools"}}, {"rejects": ["tools"]}),
    ],
)  # fmt: skip
def test_what_a_server_can_do(client, abilities, expected):
    with able_server(**abilities) as server:
        probe = ServerProbe(client, Endpoint("there", server.url), "tiny")
        assert len(list(probe.lines())) == 6
        assert len(server.bodies) <= 8
    assert {name: probe.found[name] for name in expected} == expected


def test_a_model_that_does_not_think_tells_no_switch(client):
    with able_server(switch=None) as server:
        probe = ServerProbe(client, Endpoint("there", server.url), "tiny")
        assert "not known" in dict(probe.lines())["Thinking"]
    assert "thinking" not in probe.found


def test_a_server_that_is_not_there(client):
    probe = ServerProbe(client, Endpoint("there", "http://127.0.0.1:9/v1"), "tiny")
    with pytest.raises(ConnectionFailedError):
        list(probe.lines())


def test_the_models_that_a_server_lists(client):
    with able_server(models=["a", "b/c:free"]) as server:
        assert model_names(client, Endpoint("there", server.url)) == ["a", "b/c:free"]


@pytest.mark.parametrize("endpoint", endpoints.TABLE, ids=lambda row: row.name)
def test_a_row_reads_back_as_it_was(endpoint):
    (again,) = eval(f"({row(endpoint)})", vars(endpoints))
    assert again == endpoint
    assert again.capabilities == endpoint.capabilities
    assert (again.key_variable, again.key_optional) == (
        endpoint.key_variable,
        endpoint.key_optional,
    )


def test_no_key_is_in_a_row():
    assert "secret" not in row(Endpoint("there", "https://there.example/v1", key="secret"))
