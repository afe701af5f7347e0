"""A scripted server on a real socket: it sends what a test wrote down, and notes what it saw."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from qwen_magic.client import Backoff, Client, Stream
from qwen_magic.client.engine import Engine
from qwen_magic.client.reader import Received
from qwen_magic.endpoints import DASHSCOPE, Endpoint
from qwen_magic.protocol.request import ResponseRequest

RESET = object()  # end the connection by a TCP reset
HOLD = object()  # send nothing more until the client has gone


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ScriptedServer:
    """Answers the n-th request with the n-th script, the last one ever after.

    A script is a list of bytes to send, seconds to wait, `RESET` and `HOLD`.
    """

    scripts: list[list[object]]
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    left_at: float = 0.0
    open: int = 0
    connections: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _accepted: list[tuple[Any, asyncio.Task[None]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(5)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        assert not self._thread.is_alive()

    def _serve(self, ready: threading.Event) -> None:
        loop = self._loop
        server = loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        loop.run_forever()
        server.close()
        loop.run_until_complete(self._end())
        loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer, _task in self._accepted:
            writer.transport.abort()
        await asyncio.sleep(0)  # aborted transports close

    def _accept(self, reader: Any, writer: Any) -> None:
        """Note it before its task runs: one cancelled before its first step closes nothing."""
        task = asyncio.ensure_future(self._connection(reader, writer))
        self._accepted.append((writer, task))

    async def _connection(self, reader: Any, writer: Any) -> None:
        self.open += 1
        self.connections += 1
        number = self.connections
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self.left_at = time.monotonic()
            self.left.set()
            writer.transport.abort()

    async def _exchange(self, reader: Any, writer: Any, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        pairs = (line.split(":", 1) for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.seen.append(Seen(method, path, headers, body, number))
        script = self.scripts[min(len(self.seen), len(self.scripts)) - 1]
        gone = asyncio.ensure_future(reader.read(1))
        gone.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            for step in script:
                if step is RESET:
                    option = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(1, 13, option)  # SO_LINGER
                    return False
                if step is HOLD or isinstance(step, float):
                    await asyncio.wait({gone}, timeout=None if step is HOLD else step)
                    if gone.done():
                        return False
                else:
                    writer.write(step)
                    await writer.drain()
        finally:
            if not gone.done():
                gone.cancel()
                await asyncio.wait({gone})
        return bool(script) and isinstance(script[-1], bytes) and b"keep" in self._options(script)

    @staticmethod
    def _options(script: list[object]) -> bytes:
        return b"keep" if b"keep-alive" in bytes(script[0]) else b""  # type: ignore[call-overload]


class Wire:
    """Bytes as servers send them."""

    RESET = RESET
    HOLD = HOLD
    STREAM = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=UTF-8\r\n"
        b"X-Request-Id: req-head\r\nConnection: close\r\n\r\n"
    )

    @staticmethod
    def reply(status: int, body: object = b"", **headers: str) -> bytes:
        """A whole reply with its length; headers by Python names (`retry_after="1"`)."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-type": "application/json", "connection": "close"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\n{lines}\r\n".encode() + raw

    @staticmethod
    def event(payload: dict[str, Any]) -> bytes:
        """One event in DashScope's framing."""
        number, kind = payload.get("sequence_number", 0) + 1, payload["type"]
        data = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        return f"id:{number}\nevent:{kind}\n:HTTP_STATUS/200\ndata:{data}\n\n".encode()

    @classmethod
    def created(cls) -> bytes:
        response = {"id": "resp_1", "object": "response", "status": "queued", "model": ""}
        return cls.event({"type": "response.created", "response": response}) + cls.event(
            {"type": "response.in_progress", "response": response | {"status": "in_progress"}}
        )

    @classmethod
    def delta(cls, text: str) -> bytes:
        return cls.event(
            {
                "type": "response.output_text.delta",
                "delta": text,
                "item_id": "msg_1",
                "output_index": 0,
                "content_index": 0,
            }
        )

    @classmethod
    def completed(cls) -> bytes:
        return cls.event({"type": "response.completed", "response": cls.response("completed")})

    @classmethod
    def failed(cls, code: str, message: str) -> bytes:
        response = cls.response("failed", error={"code": code, "message": message}, output=[])
        return cls.event({"type": "response.failed", "response": response})

    @staticmethod
    def response(status: str, **fields: object) -> dict[str, Any]:
        content = [{"type": "output_text", "text": "Hello", "annotations": []}]
        item = {"id": "msg_1", "type": "message", "role": "assistant", "content": content}
        base = {"id": "resp_1", "object": "response", "model": "qwen3-max", "created_at": 1}
        return base | {"status": status, "output": [item], "error": None} | fields

    @classmethod
    def answer(cls, *texts: str) -> bytes:
        """A whole streamed answer of these deltas."""
        deltas = b"".join(cls.delta(text) for text in texts)
        return cls.STREAM + cls.created() + deltas + cls.completed()


@pytest.fixture
def wire() -> type[Wire]:
    return Wire


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """`serve(script, …)` starts a server with a script for each request."""
    servers: list[ScriptedServer] = []

    def start(*scripts: list[object] | bytes) -> ScriptedServer:
        server = ScriptedServer([[s] if isinstance(s, bytes) else s for s in scripts])
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    assert engine.close()


@pytest.fixture
def pauses() -> list[float]:
    """The pauses before further attempts, which are not waited for."""
    return []


@pytest.fixture
def client(engine: Engine, pauses: list[float]) -> Iterator[Client]:
    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    client = Client(engine, backoff=Backoff(random=lambda: 0.5), sleep=sleep)
    yield client
    assert client.close()
    assert client.live == 0


@pytest.fixture
def ask(client: Client) -> Callable[..., Stream]:
    """`ask(server)` begins to ask a scripted server, or a URL."""

    def begin(
        server: ScriptedServer | str, key: str = "sk-secret-1234567", **options: Any
    ) -> Stream:
        url = server if isinstance(server, str) else server.url
        endpoint = Endpoint("singapore", url, DASHSCOPE, "DASHSCOPE_API_KEY", key)
        return client.stream(ResponseRequest("qwen3-max", "Hi"), endpoint, **options)

    return begin


@pytest.fixture
def whole(ask: Callable[..., Stream]) -> Callable[..., tuple[list[Received], Stream]]:
    """`whole(server)` asks, and waits for the end: the events, and the stream."""

    def run(server: ScriptedServer | str, **options: Any) -> tuple[list[Received], Stream]:
        stream = ask(server, **options)
        assert stream.wait(10)
        events, ended = stream.drain()
        assert ended
        return events, stream

    return run
