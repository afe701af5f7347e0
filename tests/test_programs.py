"""`Qwen` in programs: async, in threads, in a web server's handlers, in forked workers, watched."""

import asyncio
import io
import logging
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager, contextmanager

import pytest
from demo_server import asked, demo_server, most_at_once, wait_for_requests
from typed_use import asked as typed_asked
from typed_use import awritten, written
from worded_server import called, ended, said, worded_server

from qwen_magic import Qwen
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.protocol.events import TextDelta

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
def server():
    with demo_server() as demo:
        yield demo


def test_a_program_that_the_type_checker_read(server):
    with Qwen(endpoint=server.base_url) as qwen:
        text, status = written(qwen, "My name is John")
    assert (text.startswith("Hello, John!"), status) == (True, "completed")
    assert asyncio.run(awritten(server.base_url, "My name is Ada")).startswith("Hello, Ada!")
    assert typed_asked(server.base_url, "hello") > 0


def test_a_stream_of_events_that_is_left_early(server):
    server.set(delay=0.02)

    async def left():
        async with Qwen(endpoint=server.base_url) as qwen:
            async with aclosing(qwen.astream("write at length")) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        break
            assert not qwen.chat().turns, "a stopped turn is no head"

            async def read():
                async for _ in qwen.astream("write at length"):
                    pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(UsageError):
                qwen.astream("hello", nothing=1)

    asyncio.run(left())
    wait_for_requests(server, lambda records: all(each.closed_at for each in asked(server)))


def test_a_stream_whose_server_fails():
    async def failing(url):
        async with Qwen(endpoint=url) as qwen:
            with pytest.raises(QwenError, match="no such thing"):
                async for _ in qwen.astream("hello"):
                    pass

    with worded_server(lambda body, n: (400, {"error": {"message": "no such thing"}})) as server:
        asyncio.run(failing(server.url))


def test_one_object_for_many_threads(server):
    names = [f"N{number}" for number in range(24)]

    def talk(name):
        qwen.ask(f"My name is {name}", chat=name)
        return qwen.ask("Do you remember my name?", chat=name).text

    with Qwen(endpoint=server.base_url) as qwen, ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(talk, names))
        list(pool.map(qwen.ask, ["hello"] * len(names)))  # all in one conversation
        assert len(qwen._session.conversations.chain("main").turns) == len(names)
    assert [name in text for name, text in zip(names, answers, strict=True)] == [True] * len(names)


@contextmanager
def served(app):
    """A web application on a real socket; its address."""
    import uvicorn

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # or the first are refused until uvicorn does
        config = uvicorn.Config(app, log_level="error", lifespan="on")
        web = uvicorn.Server(config)
        thread = threading.Thread(target=web.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            web.should_exit = True
            thread.join()


def test_fifty_streams_at_once_in_handlers_of_fastapi(server):
    import fastapi
    import httpx2
    from fastapi.responses import StreamingResponse

    many, opened = 50, {}

    @asynccontextmanager
    async def life(app):
        async with Qwen(endpoint=server.base_url) as opened["qwen"]:
            yield

    app = fastapi.FastAPI(lifespan=life)

    @app.get("/ask")
    async def ask(prompt: str, chat: str):
        async def text():
            async for event in opened["qwen"].astream(prompt, chat=chat):
                if isinstance(event, TextDelta):
                    yield event.delta

        return StreamingResponse(text(), media_type="text/plain")

    @app.get("/in_a_thread")
    def in_a_thread(prompt: str, chat: str) -> str:
        return opened["qwen"].ask(prompt, chat=chat).text

    async def everybody(url):
        names = [f"N{number}" for number in range(many)]
        limits = httpx2.Limits(max_connections=many)
        async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits) as client:

            async def said(path, prompt, name):
                query = {"prompt": prompt.format(name), "chat": name}
                reply = await client.get(path, params=query)
                assert reply.status_code == 200
                return reply.text

            for path, prompt in (
                ("/ask", "My name is {}"),
                ("/in_a_thread", "Do you remember my name?"),
            ):
                texts = await asyncio.gather(*(said(path, prompt, name) for name in names))
                assert all(f"{n}!" in text for n, text in zip(names, texts, strict=True))
            query = {"prompt": "write at length", "chat": "left"}
            async with client.stream("GET", "/ask", params=query) as reply:
                async for _ in reply.aiter_bytes():
                    break  # who goes away takes the stream along

    server.set(delay=0.05)
    with served(app) as url:
        asyncio.run(everybody(url))
        wait_for_requests(server, lambda records: records[-1].closed_at, 10)
    assert most_at_once(asked(server)[:many]) > many / 2, "at once, on however busy a machine"


def test_a_forked_worker_asks_over_connections_of_its_own(server):
    with Qwen(endpoint=server.base_url) as qwen:
        qwen.ask("My name is John")
        stream = qwen.stream("hello", chat="open")
        next(stream)  # a connection that the child must leave alone
        fork = multiprocessing.get_context("fork")
        ours, theirs = fork.Pipe()

        def work():
            theirs.send(qwen.ask("Do you remember my name?").text)

        worker = fork.Process(target=work)
        worker.start()
        assert ours.poll(30)
        assert ours.recv().startswith("Yes, John!")
        worker.join(30)
        assert worker.exitcode == 0
        assert "".join(each.delta for each in stream if isinstance(each, TextDelta))
        assert qwen.ask("Do you remember my name?").text.startswith("Yes, John!")
        ours.close()
        theirs.close()


PYTEST = """
import pytest
from qwen_magic import Qwen

@pytest.fixture(scope="module")
def qwen():
    with Qwen(endpoint={url!r}) as made:
        yield made

def test_it(qwen):
    assert qwen.ask("hello").text

async def talk():
    return await Qwen(endpoint={url!r}).aask("hello")  # dropped

def test_dropped():
    import asyncio
    assert asyncio.run(talk()).text
"""


def test_a_users_tests_see_no_warning(server, tmp_path):
    (tmp_path / "test_it.py").write_text(PYTEST.format(url=server.base_url))
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert "2 passed" in done.stdout, done.stdout
    assert "warning" not in done.stdout


LEFT = """
from qwen_magic import Qwen
qwen = Qwen(endpoint={url!r})
events = qwen.stream("write at length")
next(events)
"""


def test_a_stream_that_is_left_at_the_end_of_a_program_says_nothing(server):
    program = [sys.executable, "-c", LEFT.format(url=server.base_url)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- settings


@pytest.fixture
def environment(monkeypatch, server):
    for name in [name for name in os.environ if name.startswith(("QWEN_MAGIC_", "DASHSCOPE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QWEN_MAGIC_ENDPOINT", server.base_url)
    return monkeypatch


def test_settings_of_the_environment(environment, server):
    environment.setenv("QWEN_MAGIC_MODEL", "of-the-environment")
    environment.setenv("QWEN_MAGIC_TOP_P", "0.5")
    environment.setenv("QWEN_MAGIC_EFFORT", "high")
    environment.setenv("QWEN_MAGIC_SYSTEM", "@tutor")
    environment.setenv("QWEN_MAGIC_TOOLS", "web_search")
    with Qwen() as qwen:
        qwen.ask("hello")
        qwen.ask("hello", think=False, top_p=1.0, system="Be terse", tools=[], model="m")
        qwen.map(["hello"], progress=False)
    first, second, third = (record.body for record in asked(server))
    assert (first["model"], first["top_p"]) == ("of-the-environment", 0.5)
    assert first["reasoning"] == {"effort": "high"}
    assert first["instructions"].startswith("You")
    assert [tool["type"] for tool in first["tools"]] == ["web_search"]
    assert (second["model"], second["top_p"], second["instructions"]) == ("m", 1.0, "Be terse")
    assert "reasoning" not in second, "what was said goes before a setting"
    assert "tools" not in second
    assert third["tools"] == first["tools"]
    environment.setenv("QWEN_MAGIC_TOP_P", "much")
    with pytest.raises(UsageError, match="QWEN_MAGIC_TOP_P"):
        Qwen()


# --- what is told


@pytest.fixture
def log():
    """What the logger of the package says at some level."""
    logger, written = logging.getLogger("qwen_magic"), io.StringIO()
    handler = logging.StreamHandler(written)
    logger.addHandler(handler)
    yield lambda level: logger.setLevel(level) or written
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING"])
def test_the_log(log, level):
    written = log(level)
    answers = {0: ended(0, said("Hello")), 1: (400, {"error": {"message": f"SECRET {KEY}"}})}
    with (
        worded_server(lambda body, n: answers[n]) as server,
        Qwen("m-1", endpoint=server.url, api_key=KEY) as qwen,
    ):
        qwen.ask("PROMPT", system="PROMPT", data={"PROMPT": "PROMPT"})
        with pytest.raises(QwenError):
            qwen.ask("PROMPT")
    told = written.getvalue()
    assert "canary" not in told
    assert "Hello" not in told
    assert ("PROMPT" in told) == (level == "DEBUG")
    assert ("asking m-1" in told) == (level != "WARNING")
    assert "InvalidRequestError" in told


def test_spans_by_the_conventions_and_nothing_that_was_said(monkeypatch):
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    ours = trace.get_tracer("ours")

    def look(word: str) -> str:
        """Look a word up."""
        with ours.start_as_current_span("inside"):
            return "RESULT"

    usage = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    answers = [
        ended(0, called("look", '{"word": "ARGUMENT"}'), usage=usage),
        ended(1, said("ANSWER"), usage=usage, previous_response_id="resp_0aa"),
        (500, {"error": {"message": "down"}}),
    ]
    with (
        worded_server(lambda body, n: answers[min(n, 2)]) as server,
        Qwen(
            "m-1", endpoint=server.url, unattended="allow", approve=lambda question: "once"
        ) as qwen,
        ours.start_as_current_span("request"),
    ):
        qwen.ask("PROMPT", tools=[look], temperature=0.5)
        qwen._session._client._backoff = type("", (), {"pause": lambda *given: 0.0})()
        with pytest.raises(QwenError):
            asyncio.run(qwen.aask("PROMPT", chat="other"))
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
        server.answer = lambda body, n: ended(9, said("ANSWER"))
        qwen.ask(f"PROMPT {KEY}", chat="captured", allow_secrets=True)
        port = int(server.url.split(":")[2].split("/")[0])
    spans = {}
    for span in kept.get_finished_spans():
        spans.setdefault(span.name, []).append(span)
    provider.shutdown()  # later tests make no more spans
    assert set(spans) == {"chat m-1", "execute_tool look", "inside", "request"}
    first, second, failed, captured = spans["chat m-1"]
    assert "PROMPT [key]" in captured.attributes["gen_ai.input.messages"]
    assert "ANSWER" in captured.attributes["gen_ai.output.messages"]
    (run,), (inside,), (request,) = spans["execute_tool look"], spans["inside"], spans["request"]
    assert inside.parent.span_id == run.context.span_id
    for span in (first, second, failed, run):
        assert span.parent.span_id == request.context.span_id
    assert dict(first.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": f"127.0.0.1:{port}",
        "gen_ai.request.model": "m-1",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.output.type": "text",
        "gen_ai.conversation.id": "main",
        "gen_ai.response.id": "resp_0aa",
        "gen_ai.response.model": "m",
        "gen_ai.response.finish_reasons": ("completed",),
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "server.address": "127.0.0.1",
        "server.port": port,
    }
    assert first.kind is trace.SpanKind.CLIENT
    assert second.attributes["gen_ai.response.id"] == "resp_1aa"
    assert run.attributes["gen_ai.tool.call.id"] == "call_0"
    assert failed.attributes["error.type"] == "ServerError"
    assert not failed.status.is_ok
    others = [span for each in spans.values() for span in each if span is not captured]
    everything = "".join(span.to_json() for span in others)
    for said_words in ("PROMPT", "ARGUMENT", "RESULT", "ANSWER"):
        assert said_words not in everything
