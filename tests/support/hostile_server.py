"""A server that means harm: it speaks the protocol, and says whatever a test tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = dict[str, Any]


class HostileServer(ThreadingHTTPServer):
    """Streams to each request the next of `replies`, the last one ever after.

    A reply is a list of output items. `model` and `id` are what it calls itself and its answers;
    `tools` names a tool in its bill; `extra` are events that it sends besides; `error` makes it
    fail in mid-stream with that message.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.seen: list[JSON] = []
        self.pause = 0.0  # seconds before each item
        self.say([])

    def say(
        self, *replies: list[JSON], model: str = "m", id: str = "r", extra: tuple[JSON, ...] = (),
        tools: str = "", error: str = "",
    ) -> None:  # fmt: skip
        """Answer so from now on."""
        self.replies = [list(reply) for reply in replies]
        self.model, self.id, self.tools, self.extra, self.error = model, id, tools, extra, error
        self.seen.clear()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def events(self, body: JSON) -> Iterator[JSON]:
        items = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        id, before = f"{self.id}{len(self.seen)}", body.get("previous_response_id")
        for event in events_of(
            items,
            self.model,
            id,
            extra=self.extra,
            tools=self.tools,
            error=self.error,
            before=before,
        ):
            if event["type"] == "response.output_item.added":
                time.sleep(self.pause)
            yield event


def events_of(
    items: list[JSON], model: str = "m", id: str = "r", *, extra: tuple[JSON, ...] = (),
    tools: str = "", error: str = "", before: str | None = None, piece: int = 11,
) -> Iterator[JSON]:  # fmt: skip
    """A response with these items as it streams, its texts in pieces of so many characters; for the
    rest see `HostileServer`."""
    own = {"id": id, "object": "response", "model": model, "previous_response_id": before}
    yield {"type": "response.created", "response": {**own, "status": "queued", "output": []}}
    yield from extra
    for place, item in enumerate(items):
        yield {"type": "response.output_item.added", "output_index": place, "item": item}
        for kind, text in _deltas(item, piece):
            at = {"item_id": item["id"], "output_index": place, "content_index": 0}
            yield {"type": kind, "delta": text, **at}
        yield {"type": "response.output_item.done", "output_index": place, "item": item}
    if error:
        failed = {"code": error, "message": error}
        ended = {**own, "status": "failed", "output": [], "error": failed}
        yield {"type": "response.failed", "response": ended}
        return
    used = {"input_tokens": 1, "output_tokens": 1, "x_tools": {tools: {"count": 1}}}
    ended = {**own, "status": "completed", "output": items, "usage": used if tools else None}
    yield {"type": "response.completed", "response": ended}


class _Exchange(BaseHTTPRequestHandler):
    server: HostileServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.seen.append(body)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for number, event in enumerate(self.server.events(body)):
            data = json.dumps({**event, "sequence_number": number})
            self.wfile.write(f"event:{event['type']}\ndata:{data}\n\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _deltas(item: JSON, size: int) -> Iterator[tuple[str, str]]:
    """The pieces that an item's text comes in: what is half there must be harmless too."""
    kinds = {"message": "output_text", "reasoning": "reasoning_text"}
    if item["type"] in kinds:
        (part,) = item.get("content") or item.get("summary")
        for start in range(0, len(part.get("text", "")), size):
            yield f"response.{kinds[item['type']]}.delta", part["text"][start : start + size]


def message(text: str, id: str = "m1") -> JSON:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": id, "type": "message", "role": "assistant", "status": "completed",
            "content": content}  # fmt: skip


def reasoning(text: str) -> JSON:
    return {"id": "t1", "type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}


def item(kind: str, **fields: object) -> JSON:
    """Any other item, done."""
    return {"id": f"i-{kind}", "type": kind, "status": "completed", **fields}


def function_call(name: str, arguments: JSON | str) -> JSON:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return item("function_call", name=name, arguments=text, call_id=f"call-{name}")


@contextmanager
def hostile_server() -> Iterator[HostileServer]:
    server = HostileServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
