"""The mapped function travels, the key does not."""

import gc
import pickle
import threading

import pytest
from demo_server import demo_server
from real_jupyter import wait_until

from qwen_magic import Qwen
from qwen_magic.errors import AuthenticationError, UsageError

KEY = "sk-canary-0123456789"
SECRET_TOOL = {
    "type": "mcp",
    "server_label": "x",
    "server_url": "https://tools.invalid/",
    "headers": {"Authorization": "Bearer canary"},
}


@pytest.fixture
def server():
    with demo_server(key=KEY) as demo:
        yield demo


def test_it_carries_its_settings(server, monkeypatch):
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    with Qwen(model="qwen-plus") as qwen:
        asker = qwen.asker(system="upper case", temperature=0.5)
        travelled = pickle.loads(pickle.dumps(asker))
    assert [travelled(f"My name is {name}").status for name in ("Ada", "Alan")] == ["completed"] * 2
    body = server.requests[-1].body
    assert (body["model"], body["instructions"], body["temperature"]) == (
        "qwen-plus", "upper case", 0.5,
    )  # fmt: skip
    assert "previous_response_id" not in body
    assert server.requests[-1].key == "right"


def test_it_carries_no_key(server, monkeypatch):
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    monkeypatch.delenv("DASHSCOPE_BASE_URL", raising=False)
    with Qwen(endpoint=server.base_url + "?key=canary", api_key=KEY) as qwen:
        assert qwen.ask("My name is Ada").text.startswith("Hello")
        asker = qwen.asker(tools=["web_search"])
        pickled = pickle.dumps(asker)
    assert b"canary" not in pickled
    assert "canary" not in repr(asker)
    with pytest.raises(AuthenticationError):
        pickle.loads(pickled)("My name is Ada")

    def is_gone():
        gc.collect()  # the exception's frames held the other one, with its connections
        return "qwen-engine" not in {t.name for t in threading.enumerate()}

    wait_until(is_gone, 5)


def test_a_tool_with_a_secret_stays_here(server):
    with (
        Qwen(endpoint=server.base_url) as qwen,
        pytest.raises(UsageError, match="cannot travel"),
    ):
        qwen.asker(tools=["web_search", SECRET_TOOL])


@pytest.mark.parametrize("options", [{"chat": "x"}, {"temprature": 1}, {"tools": "nonsense"}])
def test_a_wrong_option_is_told_at_once(server, options):
    with Qwen(endpoint=server.base_url) as qwen, pytest.raises(UsageError):
        qwen.asker(**options)


def test_on_dask(server, monkeypatch):
    """Workers in processes of their own, each with the key of its own environment."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    cluster = distributed.LocalCluster(
        host="127.0.0.1",
        n_workers=2,
        threads_per_worker=2,
        processes=True,
        dashboard_address="127.0.0.1:0",  # None would mean the usual port, which may be taken
        worker_dashboard_address="127.0.0.1:0",
    )
    with Qwen() as qwen, cluster, distributed.Client(cluster) as dask:
        futures = dask.map(qwen.asker(), [f"My name is Row{n}" for n in range(12)], pure=False)
        answers = dask.gather(futures)
    assert [a.text.split("!")[0] for a in answers] == [f"Hello, Row{n}" for n in range(12)]
    assert len(server.requests) == 12
    assert {record.key for record in server.requests} == {"right"}
