"""Reading a stream: CPU per event, over a real socket and without one, as ratios to `json.loads`
and to the openai SDK.

The stream is some 3,350 text deltas (40 KB of Markdown) in DashScope's framing.
"""

from __future__ import annotations

import asyncio
import json
import warnings

from .goals import Figure, Figures, benchmark, cpu, without
from .sse_server import frames, paced, sse_server

KIND = {"kind": "mixed", "size": "40000"}


@benchmark(1, "parse", "reading a stream")
def parse(quick: bool) -> Figures:
    runs = 3 if quick else 9
    sent = list(frames(KIND))
    payloads = [frame.split(b"data:")[1].decode() for frame in sent]
    bare = cpu(lambda: [json.loads(each) for each in payloads], runs)
    yield Figure("`json.loads` alone", bare / len(sent) * 1e6, "µs an event")
    yield from _decoding(sent, bare, runs)
    with sse_server() as server:
        yield from _over_a_socket(server.url, bare, runs)


def _decoding(sent: list[bytes], bare: float, runs: int) -> Figures:
    from qwen_magic.protocol.body import EventDecoder
    from qwen_magic.protocol.state import ResponseState

    body = b"".join(sent)
    chunks = [body[at : at + 4096] for at in range(0, len(body), 4096)]

    def ours() -> None:
        decoder, state = EventDecoder(), ResponseState()
        for chunk in chunks:
            for event in decoder.feed(chunk):
                state.apply(event)
        assert state.terminal

    yield Figure("bytes to state, no socket", cpu(ours, runs) / bare, "× json.loads")


def _over_a_socket(url: str, bare: float, runs: int) -> Figures:
    model = paced(**KIND)
    ours = _ours(url, model, runs)
    yield Figure("over a socket", ours / bare, "× json.loads", at_most=6)
    yield Figure("httpx2 alone, over a socket", _httpx2(url, model, runs) / bare, "× json.loads")
    for name, module, read in (
        ("httpx and httpx-sse", "httpx_sse", _httpx_sse),
        ("chatlas", "chatlas", _chatlas),
    ):
        missing = list(without(f"{name}, over a socket", module))
        yield from missing
        if not missing:
            yield Figure(f"{name}, over a socket", read(url, model, runs) / bare, "× json.loads")
    missing = list(without("of the openai SDK", "openai"))
    yield from missing
    if not missing:
        openai = _openai(url, model, runs)
        yield Figure("the openai SDK, over a socket", openai / bare, "× json.loads")
        yield Figure("over a socket, of the openai SDK", ours / openai, "×", at_most=0.2)


def _ours(url: str, model: str, runs: int) -> float:
    from qwen_magic.client import Client
    from qwen_magic.endpoints import Endpoint
    from qwen_magic.protocol.request import ResponseRequest
    from qwen_magic.protocol.state import ResponseState

    client = Client()
    endpoint = Endpoint("bench", url, key="sk-0123456789abcdef")

    def read() -> None:
        state = ResponseState()
        for batch in client.stream(ResponseRequest(model, "x"), endpoint).batches_sync():
            for received in batch:
                state.apply(received.event, received.at)
        assert state.terminal
        assert len(state.text) > 39_000

    read()
    took = cpu(read, runs)
    client.close()
    return took


def _httpx2(url: str, model: str, runs: int) -> float:
    import httpx2

    async def read(client: httpx2.AsyncClient) -> None:
        async with client.stream("POST", f"{url}/responses", json={"model": model}) as response:
            async for _chunk in response.aiter_bytes():
                pass

    with asyncio.Runner() as runner:
        client = httpx2.AsyncClient()
        runner.run(read(client))
        took = cpu(lambda: runner.run(read(client)), runs)
        runner.run(client.aclose())
    return took


def _httpx_sse(url: str, model: str, runs: int) -> float:
    import httpx
    import httpx_sse

    with httpx.Client() as client:

        def read() -> None:
            text = ""
            asked = {"json": {"model": model}}
            with httpx_sse.connect_sse(client, "POST", f"{url}/responses", **asked) as source:
                for event in source.iter_sse():
                    payload = json.loads(event.data)
                    if payload["type"] == "response.output_text.delta":
                        text += payload["delta"]
            assert len(text) > 39_000

        read()
        return cpu(read, runs)


def _chatlas(url: str, model: str, runs: int) -> float:
    import chatlas

    def read() -> None:
        with warnings.catch_warnings():  # that most servers have no Responses API: this one has
            warnings.simplefilter("ignore", UserWarning)
            chat = chatlas.ChatOpenAI(model=model, base_url=url, api_key="sk-0123456789abcdef")
        assert len("".join(chat.stream("x", echo="none"))) > 39_000

    read()
    return cpu(read, min(runs, 4))


def _openai(url: str, model: str, runs: int) -> float:
    import openai

    client = openai.OpenAI(base_url=url, api_key="sk-0123456789abcdef")

    def read() -> None:
        text = ""
        for event in client.responses.create(model=model, input="x", stream=True):
            if event.type == "response.output_text.delta":
                text += event.delta
        assert len(text) > 39_000

    read()
    took = cpu(read, min(runs, 4))
    client.close()
    return took
