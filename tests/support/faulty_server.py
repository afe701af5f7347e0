"""A server that keeps conversations, and fails in the way that a test asks of its next answer."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = dict[str, Any]
WORDS = tuple(f"word{number} " for number in range(6))
TEXT = "".join(WORDS)


@dataclass(frozen=True)
class Fault:
    """How one answer fails. `at`: before that frame of it; `kind`:

    - `close`, `reset`, `hold`: the connection ends there, is broken, says nothing more;
    - `malformed`, `page`, `twice`, `missing`, `late`: that frame is no JSON, a page of a proxy
      stands before it, it comes twice, never, or after the next one;
    - `slow`: time passes before every frame;
    - `endless`: a line there does not end;
    - `status`: turned away with that `status`, `times` times;
    - `type`: the stream is said to be a page;
    - `plain`: one JSON object in place of the stream; `none`: nothing fails.
    """

    kind: str = "none"
    at: int = 0
    status: int = 429
    times: int = 1


@dataclass
class Served:
    """What became of one question: its body, and the words of the answer that went out."""

    body: JSON
    id: str = ""
    text: str = ""
    begun: bool = False  # any of the output went out: it is paid


class FaultyServer(ThreadingHTTPServer):
    """`gives`: whether `GET responses/{id}` gives out what is kept; `unready`: how often it says
    first that the answer is still being written."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.fault = Fault()
        self.gives, self.unready = True, 0
        self.served: list[Served] = []
        self.kept: dict[str, JSON] = {}
        self.refused = 0  # by `status`, of the newest question
        self.ending = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def fail(self, fault: Fault) -> None:
        """The questions from now on fail so."""
        self.fault, self.refused = fault, 0
        self.served.clear()

    def handle_error(self, request: object, client_address: object) -> None:
        """The client has gone: no word about it."""


def frames(id: str, previous: str | None) -> tuple[list[JSON], JSON]:
    """The events of an answer, and the response as it is at the end."""
    own = {"id": id, "object": "response", "model": "m", "previous_response_id": previous}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": TEXT, "annotations": []}]}  # fmt: skip
    usage = {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11}
    whole = {**own, "status": "completed", "output": [item], "usage": usage}
    began = {**own, "status": "in_progress", "output": []}
    events = [
        {"type": "response.created", "response": began},
        {"type": "response.in_progress", "response": began},
        {"type": "response.output_item.added", "output_index": 0,
         "item": {**item, "status": "in_progress", "content": []}},
        *({"type": "response.output_text.delta", "delta": word, **place} for word in WORDS),
        {"type": "response.output_text.done", "text": TEXT, **place},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]  # fmt: skip
    return [{**event, "sequence_number": n} for n, event in enumerate(events)], whole


FRAMES = len(frames("", None)[0])
FIRST_OUTPUT, LAST = 2, FRAMES - 1  # frames


class _Exchange(BaseHTTPRequestHandler):
    server: FaultyServer

    def do_GET(self) -> None:
        id = self.path.rpartition("/")[2]
        if not self.server.gives or id not in self.server.kept:
            return self._reply(404, {"error": {"message": f"No {id}.", "code": "NotFound"}})
        self.server.unready -= 1
        is_ready = self.server.unready < 0
        return self._reply(
            200, self.server.kept[id] if is_ready else {"id": id, "status": "queued"}
        )

    def do_POST(self) -> None:
        server, fault = self.server, self.server.fault
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        served = Served(body)
        server.served.append(served)
        if fault.kind == "status" and server.refused < fault.times:
            server.refused += 1
            return self._reply(fault.status, {"error": {"message": "Not now.", "code": "busy"}})
        previous = body.get("previous_response_id")
        if previous and previous not in server.kept:
            said = f"Not found previous_response_id: {previous}"
            return self._reply(400, {"error": {"message": said, "code": "InvalidParameter"}})
        served.id = f"resp_{len(server.kept)}_{time.monotonic_ns()}"
        events, whole = frames(served.id, previous)
        server.kept[served.id] = whole
        if fault.kind == "plain":
            served.begun, served.text = True, TEXT
            return self._reply(200, whole)
        kind = "text/html" if fault.kind == "type" else "text/event-stream"
        self._head(200, {"content-type": kind, "connection": "close"})
        return self._stream(_faulty(events, fault), fault, served)

    def _stream(self, events: list[JSON | bytes], fault: Fault, served: Served) -> None:
        for number, event in enumerate(events):
            if number == fault.at and fault.kind in ("close", "reset", "hold"):
                return self._break(fault.kind)
            if fault.kind == "slow":
                time.sleep(0.004)
            data = event if isinstance(event, bytes) else f"data: {json.dumps(event)}\n\n".encode()
            if isinstance(event, dict) and event["type"].endswith((".added", ".delta")):
                served.begun = True  # before it is read
            self.wfile.write(data)
            is_new = not number or event is not events[number - 1]
            if is_new and isinstance(event, dict) and event["type"].endswith(".delta"):
                served.text += event["delta"]
        return None

    def _break(self, kind: str) -> None:
        if kind == "hold":
            self.connection.settimeout(10)
            self.connection.recv(1)  # until the client has gone
        elif kind == "reset":
            option = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
        self.close_connection = True

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _reply(self, status: int, body: JSON) -> None:
        content = json.dumps(body).encode()
        given = {"content-type": "application/json", "content-length": str(len(content))}
        self._head(status, given)
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _faulty(events: list[JSON], fault: Fault) -> list[JSON | bytes]:
    made: list[JSON | bytes] = list(events)
    at = min(fault.at, LAST)
    match fault.kind:
        case "malformed":
            made[at] = b'data: {"type": "response.outp\n\n'
        case "page":
            made.insert(at, b"<html><title>Bad Gateway</title></html>\n\n")
        case "twice":
            made.insert(at, made[at])
        case "missing":
            del made[at]
        case "late" if at < LAST:
            made[at], made[at + 1] = made[at + 1], made[at]
        case "endless":
            made[at:] = [b"data: " + b"x" * 300_000]
    return made


@contextmanager
def faulty_server() -> Iterator[FaultyServer]:
    server = FaultyServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
