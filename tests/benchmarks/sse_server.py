"""A server of the Responses API that costs next to nothing and tells when it sent what.

The model's name says how it answers: `paced(rate=100, deltas=300)` is `rate=100,deltas=300,…`, the
name of a model whose answers come so. It runs in a process of its own, so that the reader's CPU
time is the reader's alone, and writes each event as one chunk of its own, framed as DashScope does.

Where no `kind` of text is asked for, each delta is a word that says when it was written
(`t12.3456`, on `time.monotonic`, which all processes of a machine share): who shows it can
subtract. The events behind the last delta go with it.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from corpora import deltas as pieces_of
from corpora import document

ITEM = "msg_16db29d6-c1d3-47d7-9177-0fba81964xxx"
STAMP = re.compile(r"t(\d+\.\d{4})")


def paced(**how: Any) -> str:
    """The model that answers so. `rate`: events a second, 0 for as fast as can be; `deltas`: how
    many, or `kind` and `size` of a text."""
    return ",".join(f"{name}={value}" for name, value in how.items())


class Server:
    """A running one. `url`: its base URL."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"

    def arrivals(self) -> list[float]:
        """When each question was there whole, on `time.monotonic`."""
        with urllib.request.urlopen(f"{self.url}/log", timeout=10) as reply:
            return json.loads(reply.read())


@contextmanager
def sse_server() -> Iterator[Server]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(sender,), daemon=True)
    process.start()
    try:
        yield Server(receiver.recv())
    finally:
        process.terminate()
        process.join()


def events(how: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The payloads of one answer."""
    response: dict[str, Any] = {"id": f"resp_{time.monotonic_ns()}", "object": "response"}
    item = {"id": ITEM, "type": "message", "role": "assistant", "content": []}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": None}
    place = {"item_id": ITEM, "output_index": 0, "content_index": 0}
    for name, status in (("created", "queued"), ("in_progress", "in_progress")):
        yield {"type": f"response.{name}", "response": {**response, "status": status}}
    added = {**item, "status": "in_progress"}
    yield {"type": "response.output_item.added", "item": added, "output_index": 0}
    yield {"type": "response.content_part.added", "part": part, **place}
    text = ""
    if "kind" in how:
        pieces: Iterator[str] = pieces_of(document(how["kind"], int(how["size"])))
    else:
        pieces = (f"t{time.monotonic():.4f} " for _ in range(int(how["deltas"])))
    for delta in pieces:
        text += delta
        yield {"type": "response.output_text.delta", "delta": delta, "logprobs": [], **place}
    part = {**part, "text": text}
    yield {"type": "response.output_text.done", "text": text, **place}
    yield {"type": "response.content_part.done", "part": part, **place}
    item |= {"status": "completed", "content": [part]}
    yield {"type": "response.output_item.done", "item": item, "output_index": 0}
    usage = {"input_tokens": 9, "output_tokens": len(text) // 4, "total_tokens": len(text) // 4 + 9}
    usage |= {"input_tokens_details": {"cached_tokens": 0}}
    whole = {**response, "status": "completed", "model": "bench", "output": [item], "usage": usage}
    yield {"type": "response.completed", "response": whole}


def frames(how: dict[str, str]) -> Iterator[bytes]:
    """The bytes of each event in a stream. A paced event is made when it is asked for."""
    for number, event in enumerate(events(how)):
        data = json.dumps({**event, "sequence_number": number}, separators=(",", ":"))
        frame = f"id:{number + 1}\nevent:{event['type']}\n:HTTP_STATUS/200\ndata:{data}\n\n"
        yield frame.encode()


def _serve(sender: Connection) -> None:
    asyncio.run(_run(sender))


async def _run(sender: Connection) -> None:
    arrivals: list[float] = []

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                length = re.search(r"content-length: *(\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1]) if length else 0)
                if head.startswith("POST"):
                    arrivals.append(time.monotonic())
                    await _answer(writer, json.loads(body)["model"])
                else:
                    _reply(writer, json.dumps(arrivals).encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(exchange, "127.0.0.1", 0)
    sender.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _reply(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def _answer(writer: asyncio.StreamWriter, model: str) -> None:
    how = dict(pair.split("=") for pair in model.split(","))
    rate = float(how.get("rate", 0))
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    due = time.monotonic()
    stream = frames(how)
    paced_events = 4 + int(how.get("deltas", 0)) if rate else 0
    for number in count():
        if number < paced_events:
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        frame = next(stream, None)
        if frame is None or writer.transport.is_closing():
            break
        writer.write(b"%x\r\n%s\r\n" % (len(frame), frame))
        if not rate:
            await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()
