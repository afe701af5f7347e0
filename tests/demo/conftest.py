"""A real server on a real socket, and a plain reader of its streams."""

import json
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from qwen_magic.demo import DemoServer

LESSONS = Path(__file__).with_name("lessons")


@dataclass
class Frame:
    """One event of a stream as it came: the raw lines, and the payload."""

    raw: str
    id: int
    event: str
    payload: dict


def read_frames(text):
    return [read_frame(raw) for raw in text.split("\n\n") if raw]


def read_frame(raw):
    lines = raw.split("\n")
    number, event, status, data = lines
    assert status == ":HTTP_STATUS/200"
    return Frame(
        raw,
        int(number.removeprefix("id:")),
        event.removeprefix("event:"),
        json.loads(data.removeprefix("data:")),
    )


class Client:
    """Asks one server."""

    def __init__(self, server):
        self.server = server
        self.http = httpx2.Client(base_url=server.base_url, timeout=30, verify=False)

    def post(self, input="Hello", **body):
        return self.http.post("/responses", json={"model": "any", "input": input, **body})

    def ask(self, input="Hello", **body):
        reply = self.post(input, **body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def say(self, input="Hello", **body):
        """The text of the answer."""
        return text_of(self.ask(input, **body))

    def frames(self, input="Hello", **body):
        reply = self.post(input, stream=True, **body)
        assert reply.headers["content-type"] == "text/event-stream;charset=UTF-8", reply.text
        return read_frames(reply.text)


def text_of(response):
    messages = [item for item in response["output"] if item["type"] == "message"]
    return "\n".join(part["text"] for item in messages for part in item["content"])


@pytest.fixture(scope="module")
def server():
    with DemoServer(key="", delay=0, lessons=LESSONS) as server:
        yield server


@pytest.fixture
def client(server):
    client = Client(server)
    yield client
    client.http.close()


@pytest.fixture
def serve():
    """Starts a server with other switches, and gives its client."""
    clients = []

    def start(**options):
        client = Client(
            DemoServer(**{"key": "", "delay": 0, "lessons": LESSONS, **options}).start()
        )
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.http.close()
        client.server.close()
