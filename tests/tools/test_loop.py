"""Functions that the model calls: the loop with a real server, its limits, what may run."""

import asyncio
import dataclasses
import json
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from demo_server import asked, demo_server
from hostile_server import function_call, hostile_server, message
from matplotlib.figure import Figure

from qwen_magic import CallLimits, Qwen, tool
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.protocol.events import ResponseEnded


@pytest.fixture
def server():
    with demo_server() as demo:
        yield demo


@pytest.fixture
def ran():
    return []


@pytest.fixture
def tools(ran):
    def rows(where: str, limit: int = 2) -> list[str]:
        """Rows that match."""
        ran.append(("rows", where, limit))
        return [where] * limit

    def boom(x: int) -> int:
        """Always fails."""
        ran.append(("boom", x))
        raise KeyError(f"no {x}")

    async def later(x: int) -> int:
        """Doubles, in a while."""
        await asyncio.sleep(0.01)
        ran.append(("later", x))
        return 2 * x

    def big() -> str:
        """Gives a lot."""
        return "x" * 300_000

    def count_up(n: int) -> int:
        """One more."""
        ran.append(("count_up", n))
        return n + 1

    return {each.__name__: each for each in (rows, boom, later, big, count_up)}


def qwen_of(server, **options):
    return Qwen(endpoint=server.base_url, **{"approve": lambda question: "once", **options})


def outputs(record):
    given = record.body["input"]
    return [item["output"] for item in given if item.get("type") == "function_call_output"]


def test_a_call_is_run_and_its_result_sent_back(server, tools, ran):
    with qwen_of(server) as qwen:
        answer = qwen.ask("call rows(where='a', limit=3)", tools=[tools["rows"]])
        assert ran == [("rows", "a", 3)]
        first, second = asked(server)
        assert second.body["previous_response_id"] == first.response_id
        assert outputs(second) == ['["a", "a", "a"]']
        assert second.body["tools"] == first.body["tools"]
        assert '["a", "a", "a"]' in answer.text
        [call] = answer.tool_calls
        assert (call.name, call.output) == ("rows", '["a", "a", "a"]')
        [turn] = qwen.chat().turns
        assert (turn.response_id, turn.previous_response_id) == (second.response_id, "")
        assert [item["type"] for item in turn.items] == [
            "function_call", "function_call_output", "message",
        ]  # fmt: skip
        qwen.ask("hello")
        assert asked(server)[-1].body["previous_response_id"] == second.response_id


def test_parallel_calls_and_what_is_wrong_with_some(server, tools, ran):
    offered = [tools[name] for name in ("rows", "boom", "later")]
    with qwen_of(server) as qwen:
        prompt = "call boom(x=1) and later(x=21) and rows(where=5, limit='many')"
        answer = qwen.ask(prompt, tools=offered)
    assert ran == [("boom", 1), ("later", 21)]
    told = outputs(asked(server)[-1])
    assert told[:2] == ["Error: KeyError: 'no 1'", "42"]
    assert told[2].startswith("Error: The arguments of rows do not fit.")
    assert "limit" in told[2]
    assert [call.failed for call in answer.tool_calls] == [True, False, True]
    assert answer.usage.input_tokens > 0


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("rows", '{"where": ', "Error: The arguments of rows are not JSON."),
        ("no_such", {}, "Error: there is no function 'no_such'; there are: rows"),
        ("rows", {"where": "x" * 500_000}, "Error: not run: its 500,013 characters"),
    ],
)
def test_calls_that_cannot_be_made_ask_nobody(tools, ran, name, arguments, told):
    questions = []
    with hostile_server() as server:
        server.say([function_call(name, arguments)], [message("So be it.")])
        with Qwen(endpoint=server.url, approve=questions.append) as qwen:
            answer = qwen.ask("Which rows?", tools=[tools["rows"]])
        [output] = [item["output"] for item in server.seen[-1]["input"] if "output" in item]
    assert (ran, questions, answer.status) == ([], [], "completed")
    assert output.startswith(told)


def test_rounds_follow_one_another(server, tools, ran):
    offered = [tools["rows"], tools["later"]]
    with qwen_of(server) as qwen:
        answer = qwen.ask("call later(x=1) then rows(where='b')", tools=offered)
    assert ran == [("later", 1), ("rows", "b", 2)]
    assert len(asked(server)) == 3
    assert [call.output for call in answer.tool_calls] == ["2", '["b", "b"]']


def test_an_endless_loop_ends_with_an_answer(server, tools, ran):
    with qwen_of(server, limits=CallLimits(rounds=3)) as qwen:
        prompt = "call count_up(n=1) again and again"
        answer = qwen.ask(prompt, tools=[tools["count_up"]])
    assert len(ran) == 3
    assert answer.status == "completed"
    last = asked(server)[-1]
    assert last.body["tool_choice"] == "none"
    assert outputs(last) == [
        "Error: not run: the limit of 3 rounds of calls is reached; answer now"
    ]
    assert all("tool_choice" not in each.body for each in asked(server)[:-1])


def test_the_time_of_functions_is_limited(server, ran):
    def slow() -> str:
        """Never ends by itself."""
        while True:
            time.sleep(0.01)

    async def never() -> str:
        """Waits for ever."""
        await asyncio.Event().wait()

    for function in (slow, never):
        with qwen_of(server, limits=CallLimits(seconds=0.2)) as qwen:
            answer = qwen.ask(f"call {function.__name__}()", tools=[function])
        [call] = answer.tool_calls
        assert call.output.endswith("not finished after 0.2 s, and ended")
        assert asked(server)[-1].body["tool_choice"] == "none"


def test_a_large_result_is_cut(server, tools):
    with qwen_of(server) as qwen:
        qwen.ask("call big()", tools=[tools["big"]])
    [sent] = outputs(asked(server)[-1])
    assert 100_000 <= len(sent) < 100_200
    assert sent.endswith("(cut: the first 100,000 bytes of more; ask for less at a time)")


@pytest.mark.parametrize(
    ("verdicts", "runs", "questions"),
    [
        (["once", "once"], 2, 2),
        (["once", "no"], 1, 2),
        (["always"], 2, 1),
        (["never"], 0, 1),
        (["no", "always"], 1, 2),
    ],
)
def test_verdicts_last_as_they_say(server, tools, ran, verdicts, runs, questions):
    left = list(verdicts)
    heard = []

    def approve(question):
        heard.append((question.name, json.loads(question.arguments), question.chat))
        return left.pop(0)

    with qwen_of(server, approve=approve) as qwen:
        for where in ("a", "b"):
            qwen.ask(f"call rows(where='{where}')", tools=[tools["rows"]])
        assert len(ran) == runs
        assert len(heard) == questions
        assert heard[0] == ("rows", {"where": "a"}, "main")
        left[:] = ["no", "no"]
        qwen.ask("call rows(where='c')", tools=[tools["rows"]], chat="other")
        assert heard[-1][2] == "other", "an answer holds in its own conversation only"


@pytest.mark.parametrize(("verdict", "runs"), [("always", 2), ("never", 0)])
def test_outside_any_conversation_a_verdict_lasts_for_the_answer(server, tools, ran, verdict, runs):
    heard = []
    prompt = "call rows(where='a') and rows(where='b')"
    with qwen_of(server, approve=lambda question: heard.append(question) or verdict) as qwen:
        for asked_so_far in (1, 2):
            qwen.ask(prompt, tools=[tools["rows"]], history=False)
            assert len(heard) == asked_so_far
    assert len(ran) == 2 * runs
    assert heard[0].words[verdict].endswith("for this answer")


def test_a_budget_ends_the_rounds(server, tools, ran):
    with qwen_of(server) as qwen:
        qwen._session.spending.budget = 60
        with pytest.raises(QwenError, match="token budget is used up"):
            qwen.ask("call count_up(n=1) again and again", tools=[tools["count_up"]])
    assert 1 <= len(ran) < 10


def test_functions_that_ask_themselves(server, ran):
    """A call inside of a call, each with its own time."""

    def inner() -> str:
        """Answers."""
        return "in"

    def outer() -> str:
        """Asks the model."""
        answer = qwen.ask("call inner()", tools=[inner], chat="inside")
        return answer.tool_calls[0].output

    before = signal.getitimer(signal.ITIMER_REAL)[0], signal.getsignal(signal.SIGALRM)
    with qwen_of(server, limits=CallLimits(seconds=5.0)) as qwen:
        answer = qwen.ask("call outer()", tools=[outer])
    assert answer.tool_calls[0].output == "in"
    assert signal.getsignal(signal.SIGALRM) is before[1]
    assert before[0] - 60 < signal.getitimer(signal.ITIMER_REAL)[0] <= before[0]


def test_another_function_of_the_same_name_is_asked_about(server, ran):
    heard = []

    def made(body):
        space = {"ran": ran}
        exec(f"def act(n: int) -> str:\n    'Acts.'\n    ran.append({body!r})", space)
        return space["act"]

    with qwen_of(server, approve=lambda question: heard.append(1) or "always") as qwen:
        for body in ("a", "a", "b"):
            qwen.ask("call act(n=1)", tools=[made(body)])
    assert ran == ["a", "a", "b"]
    assert len(heard) == 2, "the same text again is the same function"


def test_failures_that_would_end_more_than_a_function(server, ran):
    class SulkyError(Exception):
        def __str__(self):
            raise ValueError

    class Proxy:
        @property
        def __class__(self):
            raise LookupError("nothing is bound")

    async def quits() -> str:
        """Ends the process."""
        raise SystemExit(3)

    def sulks() -> str:
        """Raises what cannot be told."""
        raise SulkyError

    def proxies() -> object:
        """Gives what cannot be looked at."""
        return Proxy()

    def stops() -> str:
        """As a generator does."""
        raise StopIteration

    with qwen_of(server) as qwen:
        told = []
        for function in (quits, sulks, proxies, stops):
            answer = qwen.ask(f"call {function.__name__}()", tools=[function])
            told.append(answer.tool_calls[0].output)
    assert told[0] == "Error: RuntimeError: SystemExit: 3"
    assert told[1] == "Error: SulkyError"
    assert told[3].startswith("Error: StopIteration")
    assert len(asked(server)) == 8


def test_an_awaitable_of_a_plain_function_where_nesting_is_forbidden(server, tools):
    def later(x: int) -> object:
        """A plain function that gives an awaitable."""
        return tools["later"](x)

    with qwen_of(server, may_nest=False) as qwen:

        async def blocking():
            return qwen.ask("call later(x=4)", tools=[later])

        answer = asyncio.run(blocking())
    assert "asynchronous" in answer.tool_calls[0].output
    assert not hasattr(asyncio, "_nest_patched")


def test_a_function_that_swallows_the_end_of_its_time(server):
    def stubborn() -> str:
        """Tries again and again."""
        while True:
            try:
                time.sleep(0.05)
            except OSError:
                tries.append(1)
                if len(tries) > 1:
                    raise

    tries = []
    with qwen_of(server, limits=CallLimits(seconds=0.1)) as qwen:
        answer = qwen.ask("call stubborn()", tools=[stubborn])
    assert answer.tool_calls[0].output.endswith("and ended")


def test_time_without_end(server, tools):
    with qwen_of(server, limits=CallLimits(seconds=float("inf"))) as qwen:
        answer = qwen.ask("call count_up(n=1)", tools=[tools["count_up"]])
    assert answer.tool_calls[0].output == "2"


def test_a_stream_that_is_left_between_two_responses_is_stopped(server, tools, ran):
    with qwen_of(server) as qwen:
        for event in qwen.stream("call rows(where='a')", tools=[tools["rows"]]):
            if isinstance(event, ResponseEnded):
                break
        assert ran == []
        assert qwen.chat().turns == ()
        qwen.ask("hello")
    assert "previous_response_id" not in asked(server)[-1].body


def test_an_interrupt_in_a_task_of_its_own_ends_no_loop(server):
    def interrupts() -> str:
        """As ■ does while it runs."""
        raise KeyboardInterrupt

    with qwen_of(server) as qwen:

        async def others():
            await asyncio.gather(qwen.aask("call interrupts()", tools=[interrupts]))

        with pytest.raises((KeyboardInterrupt, asyncio.CancelledError)):
            asyncio.run(others())
        assert qwen.ask("hello").status == "completed"


def test_what_nobody_sees_is_said_on_stderr(server, tools, capsys):
    with qwen_of(server, approve=lambda question: None) as qwen:
        qwen.ask("call rows(where='a') and rows(where='b')", tools=[tools["rows"]])
    said = capsys.readouterr().err
    assert said.count("rows was not run: nobody could be asked") == 1


def test_nobody_to_ask(server, tools, ran):
    with qwen_of(server, approve=lambda question: None) as qwen:
        answer = qwen.ask("call rows(where='a')", tools=[tools["rows"]])
    assert ran == []
    assert answer.tool_calls[0].refused
    assert outputs(asked(server)[-1]) == [
        "Error: not allowed: nobody is there to allow this call of rows"
    ]
    with qwen_of(server, approve=lambda question: None, unattended="allow") as qwen:
        qwen.ask("call rows(where='a')", tools=[tools["rows"]])
    assert ran == [("rows", "a", 2)]


@pytest.mark.parametrize("chain", ["forgets", "refuses", "ignores"])
def test_a_server_without_memory_is_told_what_was_called(server, tools, ran, chain):
    server.set(chain=chain, forget_after=1)
    with qwen_of(server) as qwen:
        qwen.ask("My name is John")
        answer = qwen.ask("call rows(where='a')", tools=[tools["rows"]])
        assert ran == [("rows", "a", 2)], "run once, however often the model was asked"
        assert '["a", "a"]' in answer.text
        types = [item.get("role", item["type"]) for item in asked(server)[-1].body["input"]]
        assert types == ["user", "assistant", "user", "function_call", "function_call_output"]
        again = qwen.ask("Do you remember my name?")
    assert "Yes, John!" in again.text


def test_stop_while_a_function_runs(server):
    """Here by closing the session from another thread, as an unload does."""
    started = threading.Event()

    async def never() -> str:
        """Waits for ever."""
        started.set()
        await asyncio.Event().wait()

    with qwen_of(server) as qwen:

        async def cancelled():
            task = asyncio.ensure_future(qwen.aask("call never()", tools=[never]))
            while not started.is_set():
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancelled())
        assert len(asked(server)) == 1
        assert qwen.chat().turns == (), "a stopped turn is no head"
        answer = qwen.ask("hello")
        assert answer.status == "completed"
        assert asked(server)[-1].body.get("previous_response_id") is None


def test_a_call_that_is_interrupted_ends_the_turn(server):
    def interrupts() -> str:
        """As ■ does while it runs."""
        raise KeyboardInterrupt

    with qwen_of(server) as qwen:
        with pytest.raises(KeyboardInterrupt):
            qwen.ask("call interrupts()", tools=[interrupts])
        assert qwen.ask("hello").status == "completed"


def test_a_function_of_a_bare_dict_is_left_to_its_owner(server, tools, ran):
    given = {"type": "function", "name": "mine", "parameters": {"type": "object"}}
    with qwen_of(server) as qwen:
        answer = qwen.ask("call mine() and rows(where='a')", tools=[given, tools["rows"]])
    assert ran == []
    assert [call.output for call in answer.tool_calls] == [None, None]
    assert len(asked(server)) == 1


def test_streams_answer_calls_too(server, tools, ran):
    with qwen_of(server) as qwen:
        kinds = [
            type(e).__name__ for e in qwen.stream("call rows(where='a')", tools=[tools["rows"]])
        ]
    assert kinds.count("ResponseEnded") == 2
    assert ran == [("rows", "a", 2)]


def test_an_asynchronous_caller(server, tools, ran):
    with qwen_of(server) as qwen:
        answer = asyncio.run(qwen.aask("call later(x=4)", tools=[tools["later"]]))
    assert (ran, answer.tool_calls[0].output) == ([("later", 4)], "8")


def test_where_nesting_is_forbidden_nothing_is_sent(server, tools):
    with qwen_of(server, may_nest=False) as qwen:

        async def blocking():
            qwen.ask("call later(x=4)", tools=[tools["later"]])

        with pytest.raises(UsageError, match="later is asynchronous"):
            asyncio.run(blocking())
        assert asked(server) == []
        assert qwen.ask("call later(x=4)", tools=[tools["later"]]).tool_calls[0].output == "8"


def test_objects_are_built_only_after_the_word(server, ran):
    @dataclasses.dataclass
    class Tea:
        leaf: str

        def __post_init__(self):
            ran.append(self.leaf)

    @tool
    def buy(tea: Tea) -> str:
        """Buys it."""
        return tea.leaf

    prompt = 'call buy(tea={"leaf": "green"})'
    with qwen_of(server, approve=lambda question: "no") as qwen:
        qwen.ask(prompt, tools=[buy])
    assert ran == []
    with qwen_of(server) as qwen:
        qwen.ask(prompt, tools=[buy])
    assert ran == ["green"]


class CallsForEver(BaseHTTPRequestHandler):
    """A server that heeds no `tool_choice`: every answer is one more call."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        call = {"type": "function_call", "id": "f", "call_id": "c", "name": "count_up",
                "arguments": '{"n": 1}', "status": "completed"}  # fmt: skip
        given = {"id": "r", "object": "response", "status": "completed", "output": [call]}
        body = json.dumps(given).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


def test_a_model_that_calls_on_after_the_last_round_fails(tools, ran):
    with HTTPServer(("127.0.0.1", 0), CallsForEver) as endless:
        thread = threading.Thread(target=endless.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{endless.server_port}/v1"
        qwen = Qwen(endpoint=url, approve=lambda question: "once", limits=CallLimits(rounds=2))
        with qwen, pytest.raises(QwenError, match="called functions again after 2 rounds"):
            qwen.ask("go", tools=[tools["count_up"]])
        endless.shutdown()
        thread.join()
    assert len(ran) == 2


def test_generators_are_run_to_their_end(server):
    closed = []

    def rows(n: int):
        """Yields rows."""
        yield from range(n)

    async def arows(n: int):
        """Yields rows, asynchronously."""
        for i in range(n):
            await asyncio.sleep(0)
            yield {"i": i}

    async def endless():
        """Never ends."""
        try:
            while True:
                await asyncio.sleep(0.01)
                yield 1
        finally:
            closed.append(1)

    async def later(n: int):
        """Gives one later."""
        return arows(n)

    def output(qwen, prompt, function):
        return qwen.ask(prompt, tools=[function]).tool_calls[0].output

    with qwen_of(server) as qwen:
        assert output(qwen, "call rows(n=3)", rows) == "[0, 1, 2]"
        assert output(qwen, "call arows(n=2)", arows) == '[{"i": 0}, {"i": 1}]'
        assert output(qwen, "call later(n=1)", later) == '[{"i": 0}]'
    with qwen_of(server, limits=CallLimits(seconds=0.3)) as qwen:
        text = output(qwen, "call endless()", endless)
        assert text.startswith("[1, 1")
        assert "not finished after 0.3 s" in text
    assert closed == [1]


def test_always_does_not_hold_for_another_object(server, ran):
    """The same method, bound to another object, is asked about again; so is what has changed."""

    class Database:
        def __init__(self, host):
            self.host = host

        def query(self, n: int) -> str:
            """Queries."""
            ran.append(self.host)
            return self.host

    asked_about = []

    def approve(question):
        asked_about.append(question.is_other)
        return "always"

    staging = Database("staging")
    with qwen_of(server, approve=approve) as qwen:
        for database in (staging, staging, Database("PRODUCTION")):
            qwen.ask("call query(n=1)", tools=[database.query])
        assert asked_about == [False, True]
        qwen.ask("call query(n=1)", tools=[staging.query])
        staging.host = "PRODUCTION"
        qwen.ask("call query(n=1)", tools=[staging.query])
    assert asked_about == [False, True, True, True]


@pytest.mark.parametrize(
    ("model", "mask", "sees"),
    [("qwen3.6-plus", (), True), ("qwen3-max", (), False), ("qwen3.6-plus", ("email",), False)],
)
def test_a_figure_is_shown_to_a_model_that_sees(server, model, mask, sees):
    def plot(title: str):
        """Draws."""
        figure = Figure(figsize=(1, 1))
        figure.subplots().set_title(title)
        return {"figure": figure, "again": figure}

    with qwen_of(server, model=model, limits=CallLimits(mask=mask)) as qwen:
        answer = qwen.ask("call plot(title='Speed')", tools=[plot])
    call = answer.tool_calls[0]
    assert "title: Speed" in call.output
    assert len(call.figures) == 1  # the reader sees it
    assert "data:image" not in json.dumps(answer.metadata)
    output, *shown = asked(server)[-1].body["input"]
    assert output["type"] == "function_call_output"
    assert len(shown) == sees
    for one in shown:
        told, image = one["content"]
        assert told["text"].startswith("What plot returned")
        assert image["image_url"].startswith("data:image/png;base64,")
