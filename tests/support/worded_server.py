"""A small server on a real socket that answers with whatever a test's function says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]
# Events of a stream; bytes of one; or a status with a JSON body.
Reply: TypeAlias = list[JSON] | bytes | tuple[int, JSON]


class WordedServer(ThreadingHTTPServer):
    """`answer(body, n)` gives the reply to the nth request, from 0."""

    daemon_threads = True

    def __init__(self, answer: Callable[[JSON, int], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.answer = answer
        self.bodies: list[JSON] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Exchange(BaseHTTPRequestHandler):
    server: WordedServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        reply = self.server.answer(body, len(self.server.bodies) - 1)
        if isinstance(reply, tuple):
            return self._send(reply[0], "application/json", json.dumps(reply[1]).encode())
        stream = reply if isinstance(reply, bytes) else streamed(*reply)
        return self._send(200, "text/event-stream", stream)

    def do_GET(self) -> None:
        self._send(404, "application/json", b'{"detail": "Not Found"}')

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def worded_server(answer: Callable[[JSON, int], Reply]) -> Iterator[WordedServer]:
    server = WordedServer(answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def streamed(*events: JSON) -> bytes:
    """Events as a stream has them."""
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def said(text: str) -> JSON:
    """A message of the model."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_0", "role": "assistant", "content": content}


def called(name: str, arguments: str, call_id: str = "call_0", **more: object) -> JSON:
    item = {"type": "function_call", "name": name, "arguments": arguments, "call_id": call_id}
    return {**item, "status": "completed", **more}


def ended(n: int, *output: JSON, status: str = "completed", **more: object) -> list[JSON]:
    """The events of an answer with these items."""
    done = [{"type": "response.output_item.done", "item": item} for item in output]
    response = {"id": f"resp_{n}aa", "model": "m", "status": status, "output": list(output)}
    return [*done, {"type": f"response.{status}", "response": {**response, **more}}]
