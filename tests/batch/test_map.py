"""`Qwen.map` against the demo server, over real sockets."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from demo_server import demo_server, most_at_once, wait_for_requests

from qwen_magic import Qwen
from qwen_magic.batch.map import MapSettings, run_map
from qwen_magic.batch.rows import MapResult, read_rows
from qwen_magic.batch.scheduler import RateLimiter
from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.scope import STORE_NAME
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.endpoints import find_endpoint
from qwen_magic.errors import (
    AuthenticationError,
    ConnectionFailedError,
    MissingKeyError,
    QuotaError,
    RateLimitError,
    ServerError,
    UsageError,
)
from qwen_magic.protocol.request import input_items
from qwen_magic.session.host_facts import Catalogues

ROOT = Path(__file__).parents[2]
COUNT = 500
FAILING = range(7, COUNT, 20)  # 5 %


def prompt(number):
    return f"My name is Row{number}" + ("\ndemo: error 500" if number in FAILING else "")


PROMPTS = [prompt(number) for number in range(COUNT)]


@pytest.fixture
def server():
    with demo_server() as demo:
        yield demo


@pytest.fixture
def qwen(server):
    with Qwen(endpoint=server.base_url) as asked:
        yield asked


def rows_asked(server):
    """The rows' numbers out of the server's log, in the order of arrival."""
    return [int(re.search(r"Row(\d+)", r.body["input"])[1]) for r in server.requests]


def right(table, number):
    """Whether row `number` has what it must have."""
    row = table[number]
    if number in FAILING:
        return row.answer is None and isinstance(row.error, ServerError)
    return row.error is None and row.text.startswith(f"Hello, Row{number}!")


def test_many_prompts_of_which_some_fail(qwen, server):
    table = qwen.map(PROMPTS[:100], concurrency=20, progress=False)
    assert all(right(table, number) for number in range(100)), "in order"
    assert (len(table), table.answered, table.failed) == (100, 95, 5)
    assert sorted(rows_asked(server)) == list(range(100)), "each was asked once"
    assert table.usage.total_tokens == sum(a.usage.total_tokens for a in table.answers if a)
    assert not qwen.chat().turns, "outside any conversation"
    assert "previous_response_id" not in {name for r in server.requests for name in r.body}


@pytest.mark.parametrize("limit", [1, 8])
def test_never_more_at_once_than_allowed(qwen, server, limit):
    server.set(delay=0.01)
    qwen.map([f"My name is Row{n}" for n in range(4 * limit)], concurrency=limit, progress=False)
    wait_for_requests(server, lambda records: all(r.ended_at for r in records))
    assert most_at_once(server.requests) == limit


KILLED = """
import json, sys
from qwen_magic import Qwen
Qwen(endpoint=sys.argv[1]).map(json.load(sys.stdin), resume=sys.argv[2], progress=False)
"""


@contextmanager
def mapping(server, path):
    """A process of its own that maps the prompts; it is killed here at the latest."""
    command = [sys.executable, "-c", KILLED, server.base_url, str(path)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, text=True) as process:
        try:
            process.stdin.write(json.dumps(PROMPTS))
            process.stdin.close()
            yield
        finally:
            process.kill()


def test_killed_in_the_middle_and_called_again(qwen, server, tmp_path):
    path = tmp_path / "rows.sqlite3"
    with mapping(server, path):
        wait_for_requests(server, lambda records: len(records) > COUNT // 3, 60)
    reached = len(server.requests)
    assert COUNT // 3 < reached < COUNT, "killed in the middle"

    table = qwen.map(PROMPTS, concurrency=20, resume=path, progress=False)
    assert all(right(table, number) for number in range(COUNT)), "in order"
    asked = Counter(rows_asked(server))
    again = {number for number, times in asked.items() if times > 1} - set(FAILING)
    assert len(again) <= 8, "only what was on its way is asked again"
    assert max(asked.values()) <= 2
    assert sum(asked[n] for n in asked if n not in FAILING) == table.answered + len(again)
    assert table.reused >= reached - len(again) - len(FAILING) - 8

    asked = len(server.requests)
    third = qwen.map(PROMPTS, concurrency=20, resume=path, progress=False)
    assert third.texts == table.texts
    assert len(server.requests) == asked + len(FAILING), "only what failed is asked again"


def test_the_same_prompt_twice_is_asked_twice_and_kept_twice(qwen, server, tmp_path):
    for reused in (0, 3):
        table = qwen.map(["one", "one", "two"], resume=tmp_path / "r.sqlite3", progress=False)
        assert (table.answered, table.reused) == (3, reused)
    assert len(server.requests) == 3
    assert table[0].answer.id != table[1].answer.id


def test_other_options_are_other_requests(qwen, server, tmp_path):
    path = tmp_path / "r.sqlite3"
    for options in ({}, {"model": "other"}, {"temperature": 0.5}, {}):
        qwen.map(["one"], resume=path, progress=False, **options)
    assert [r.body.get("model") for r in server.requests][1:] == ["other", qwen.model]


def interrupt_once(server, enough):
    """Send this process a Ctrl-C as soon as the server has seen `enough`."""

    def watch():
        wait_for_requests(server, enough, 120)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_an_interrupt_closes_every_stream_and_keeps_what_is_done(qwen, server, tmp_path):
    slow = [f"Write at length, Row{n}\ndemo: delay 0.2" for n in range(20)]
    prompts = [*PROMPTS[:5], *slow]
    path = tmp_path / "r.sqlite3"
    watcher = interrupt_once(
        server, lambda rs: len(rs) >= 9 and sum(r.events > 3 and not r.ended_at for r in rs) >= 4
    )
    with pytest.raises(KeyboardInterrupt):
        qwen.map(prompts, concurrency=4, resume=path, progress=False)
    watcher.join()
    wait_for_requests(server, lambda records: all(r.ended_at for r in records))
    closed = [str(r.body["input"]) for r in server.requests if r.closed_at]
    assert len(server.requests) == 9
    assert len(closed) == 4
    assert all("Write at length" in prompt for prompt in closed)
    assert [row.answer is not None for row in qwen.mapped] == [True] * 5 + [False] * 20
    assert qwen.mapped.failed == 0, "what was stopped has not failed"
    assert not [t for t in threading.enumerate() if t.name == "qwen-map"]

    again = qwen.map(PROMPTS[:5], resume=path, progress=False)
    assert again.reused == 5
    assert len(server.requests) == 9


def test_rate_limits_that_the_client_gets_over(qwen, server):
    prompts = [f"My name is Row{n}\ndemo: error 429, fail first 2, retry after 0" for n in range(6)]
    table = qwen.map(prompts, concurrency=3, progress=False)
    assert table.answered == 6
    assert sorted(rows_asked(server)) == sorted([*range(6)] * 3)


def test_nothing_else_is_begun_while_the_client_waits_to_ask_again(qwen, server):
    waiting = "My name is Row0\ndemo: error 429, fail first 1, retry after 0.4"
    others = [f"My name is Row{n}" for n in range(1, 20)]
    table = qwen.map([waiting, *others], concurrency=2, progress=False)
    assert table.answered == 20
    order = rows_asked(server)
    assert order.index(0, 1) < 10, "though there was time for more"


def run(qwen, prompts, limiter):
    """A map with a rate limiter of our own."""
    rows = read_rows(prompts)
    plans = [qwen._plan(row.prompt, {}) for row in rows]
    table = MapResult(rows, plans)
    run_map(qwen._session, plans, table, MapSettings(), limiter=limiter)
    return table


class Counted(RateLimiter):
    """A rate limiter that counts what it is told."""

    told = 0

    def refused(self, begun_at, now):
        self.told += 1
        super().refused(begun_at, now)


def test_rate_limits_that_the_client_gives_up_slow_the_map_down(qwen, server):
    prompts = [f"My name is Row{n}\ndemo: error 429, fail first 4, retry after 0" for n in range(8)]
    pace = Counted(8, base=0.0)
    table = run(qwen, prompts, pace)
    assert table.answered == 8
    assert sorted(rows_asked(server)) == sorted([*range(8)] * 5), "3 attempts, then 2"
    assert pace.told == 8
    assert pace.allowed(float("inf")) < 8


class TooLarge(BaseHTTPRequestHandler):
    """Refuses each request as one that no waiting makes smaller."""

    def do_POST(self):
        self.server.asked += 1
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"error": {"code": "rate_limit_exceeded", "message": "Request too large for x"}}'
        self.send_response(429)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_request_that_is_too_large_is_not_asked_again():
    with HTTPServer(("127.0.0.1", 0), TooLarge) as refusing:
        refusing.asked = 0
        thread = threading.Thread(target=refusing.serve_forever, args=(0.02,))
        thread.start()
        try:
            with Qwen(endpoint=f"http://127.0.0.1:{refusing.server_port}/v1") as qwen:
                table = run(qwen, ["one"], RateLimiter(2, base=0.0))
        finally:
            refusing.shutdown()
            thread.join()
    assert isinstance(table[0].error, RateLimitError)
    assert refusing.asked == 1


def test_a_rate_limit_without_end_is_the_rows_error(qwen, server):
    prompts = ["My name is Row0\ndemo: error 429, retry after 0", "My name is Row1"]
    table = run(qwen, prompts, RateLimiter(2, base=0.0))
    assert isinstance(table[0].error, RateLimitError)
    assert table[1].text.startswith("Hello, Row1!")
    assert rows_asked(server).count(0) == 5 * 3


def test_a_used_up_quota_ends_the_map(qwen, server, tmp_path):
    path = tmp_path / "r.sqlite3"
    prompts = [f"My name is Row{n}" for n in range(40)]
    broken = [*prompts[:10], "My name is Row10\ndemo: error 429-quota", *prompts[11:]]
    with pytest.raises(QuotaError, match=r"ended early: 40 rows: \d+ answered, 1 failed") as told:
        qwen.map(broken, concurrency=2, resume=path, progress=False)
    assert "asks only the rest" in told.value.hint
    assert isinstance(qwen.mapped[10].error, QuotaError)
    (refused,) = (record for record in server.requests if "Row10" in str(record.body))
    after = [record for record in server.requests if record.time > refused.ended_at]
    assert len(after) <= 2, "nothing was begun after it but what was on its way"
    done = qwen.mapped.answered
    assert qwen.map(prompts, resume=path, progress=False).reused == done


def test_a_wrong_key_is_tried_as_often_as_prompts_run_at_once(server):
    server.key = "sk-right-0123456789"
    with Qwen(endpoint=server.base_url, api_key="sk-canary-0123456789") as qwen:
        with pytest.raises(AuthenticationError) as failed:
            qwen.map(PROMPTS, concurrency=4, progress=False)
        assert "canary" not in str(failed.value) + repr(vars(failed.value)) + repr(qwen.mapped)
    assert len(server.requests) <= 4


def test_no_key_at_all(monkeypatch):
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    with Qwen(endpoint="singapore") as qwen, pytest.raises(MissingKeyError):
        qwen.map(["one"], progress=False)


def test_no_server(server):
    url = server.base_url
    server.close()
    with Qwen(endpoint=url) as qwen:
        table = qwen.map(["one"], progress=False)
    assert isinstance(table[0].error, ConnectionFailedError)


def test_called_where_an_event_loop_runs(qwen):
    async def cell():
        return qwen.map(["My name is Row0"], progress=False)

    assert asyncio.run(cell()).texts[0].startswith("Hello, Row0!")


def test_a_frame_with_a_template(qwen, server):
    pandas = pytest.importorskip("pandas")
    data = pandas.DataFrame({"name": ["Ada", "Alan"], "answer": [1, 2]}, index=["x", "y"])
    table = qwen.map(data, template="My name is {name}", progress=False)
    frame = table.to_frame()
    assert list(frame.columns) == [
        "name", "answer", "answer_", "status", "error", "input_tokens", "output_tokens", "seconds",
    ]  # fmt: skip
    assert list(frame.index) == ["x", "y"]
    assert [text.split("!")[0] for text in frame["answer_"]] == ["Hello, Ada", "Hello, Alan"]


def test_objects_by_a_schema_also_from_the_file(qwen, server, tmp_path):
    pandas = pytest.importorskip("pandas")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    data = pandas.DataFrame({"said": ["7", "8", '"x"']})
    for reused in (0, 3):
        table = qwen.map(
            data, template='Say {{"a": {said}}}', schema=schema, resume=tmp_path / "r.sqlite3",
            progress=False,
        )  # fmt: skip
        assert table.parsed == [{"a": 7}, {"a": 8}, None]
        assert (table.answered, table.failed, table.reused) == (2, 1, reused)
        assert "no JSON in the answer" in str(table.errors[2]), "the demo invents none"
        assert table.texts[2] is not None, "what was paid for is there"
        frame = table.to_frame()
        assert list(frame["parsed"]) == [{"a": 7}, {"a": 8}, None]
        assert list(frame["status"]) == ["completed", "completed", "failed"]
    assert len(server.requests) == 5, "the one that did not fit was asked for twice more"


NUMBER = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def test_an_object_that_does_not_fit_is_asked_for_again(qwen, server):
    (row,) = qwen.map(["Say a number late"], schema=NUMBER, progress=False)
    assert row.answer.parsed == {"a": 9}
    _first, second = server.requests
    assert second.body["previous_response_id"], "it goes on with the first answer"
    assert "later" not in row.text


def test_rows_that_failed_are_asked_again_after_the_others(qwen, server):
    failing = "My name is Row0\ndemo: error 400, fail first 1"
    prompts = [failing, *(f"My name is Row{n}" for n in range(1, 4))]
    table = qwen.map(prompts, concurrency=1, retry_errors=1, progress=False)
    assert (table.answered, table.failed) == (4, 0)
    assert rows_asked(server) == [0, 1, 2, 3, 0]
    lost = qwen.map(["My name is Row9\ndemo: error 400"], retry_errors=2, progress=False)
    assert (lost.failed, rows_asked(server).count(9)) == (1, 3)


def test_kept_answers_that_do_not_fit_are_asked_for_again_only_with_retries(qwen, server, tmp_path):
    def asked(**options):
        before, path = len(server.requests), tmp_path / "r.sqlite3"
        qwen.map(['Say {"a": "x"}'], schema=NUMBER, resume=path, progress=False, **options)
        return len(server.requests) - before

    assert [asked(), asked(), asked(retry_errors=1), asked()] == [3, 0, 6, 0]


def rows(region: str) -> list[dict]:
    """The largest sales of a region."""
    return [{"product": "tea", "sold": 12}]


SALES = ["What did EMEA sell most of?", "What did APAC sell most of?"]


def test_functions_run_by_a_policy_and_never_by_a_question(server):
    verdicts = {"EMEA": "once", "APAC": "no"}
    asked = []

    def decide(question):
        asked.append(question.name)
        return verdicts[json.loads(question.arguments)["region"]]

    def outputs(**policy):
        with Qwen(endpoint=server.base_url, **policy) as qwen:
            table = qwen.map(SALES, tools=[rows], progress=False)
        return ["tea" in row.answer.tool_calls[0].output for row in table]

    assert outputs(unattended="allow") == [True, True]
    assert not asked
    assert outputs(approve=decide) == [True, False]
    assert asked == ["rows", "rows"]
    with pytest.raises(UsageError, match="each call of rows"):
        outputs()


def test_money_by_the_price_list_that_a_notebook_asked_for(server, monkeypatch, tmp_path, capsys):
    pytest.importorskip("tqdm")
    monkeypatch.setenv("QWEN_MAGIC_HOME", str(tmp_path))
    with Qwen(endpoint=server.base_url) as qwen:
        assert qwen.map(PROMPTS[:1], progress=False).cost is None
        capabilities = find_endpoint("demo", {}).capabilities
        endpoint = replace(find_endpoint(server.base_url, {}), capabilities=capabilities)
        catalogue = Catalogues(Conversations(SqliteStore(tmp_path / STORE_NAME)))
        catalogue.ask(qwen._session.client, endpoint)
    with Qwen(endpoint=server.base_url) as qwen:
        table = qwen.map(PROMPTS[:3], concurrency=1, resume="kept")
        again = qwen.map(PROMPTS[:3], resume="kept")
    assert table.cost.amount > 0
    assert table.cost.amount == pytest.approx(sum(row.cost.amount for row in table))
    assert table.spent == table.cost == table.expected_cost
    assert (again.cost, again.spent.amount) == (table.cost, 0)
    assert "cost=" in capsys.readouterr().err
    assert str(table.cost) in repr(table)


def test_no_frame_without_pandas(qwen, monkeypatch):
    table = qwen.map(["one"], progress=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="needs pandas"):
        table.to_frame()


def test_messages_tools_and_figures_are_kept(qwen, server, tmp_path):
    path = tmp_path / "r.sqlite3"
    talk = [{"role": "user", "content": "Plot sin(x)"}]
    first, again = (
        qwen.map([talk], resume=path, progress=False, tools="code_interpreter") for _ in range(2)
    )
    assert first[0].answer.figures[0].startswith(b"\x89PNG")
    assert again.reused == 1
    for name in ("text", "reasoning", "items", "figures", "usage", "id", "status", "model"):
        assert getattr(again[0].answer, name) == getattr(first[0].answer, name), name
    assert server.requests[0].body["input"] == input_items(talk)


def test_no_key_in_the_file(server, tmp_path):
    path = tmp_path / "r.sqlite3"
    tool = {
        "type": "mcp",
        "server_label": "x",
        "server_url": "https://tools.invalid/",
        "headers": {"Authorization": "Bearer canary"},
    }
    with Qwen(endpoint=server.base_url, api_key="sk-canary-0123456789") as qwen:
        qwen.map(["one"], resume=path, progress=False, tools=[tool])
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"resp_" in written
    assert b"canary" not in written
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["chat", "new", "after", "history", "carry"])
def test_options_of_a_conversation_are_refused(qwen, name):
    with pytest.raises(UsageError, match=name):
        qwen.map(["one"], **{name: "x"})


@pytest.mark.parametrize("concurrency", [0, -1, 2.5, True])
def test_a_concurrency_that_is_none(qwen, concurrency):
    with pytest.raises(UsageError, match="whole number"):
        qwen.map(["one"], concurrency=concurrency)


def test_no_prompts(qwen, server):
    table = qwen.map([], progress=False)
    assert len(table) == 0
    assert not server.requests


def test_the_bar(qwen, capsys):
    pytest.importorskip("tqdm")
    qwen.map(PROMPTS[5:8], concurrency=1)
    assert "3/3" in (said := capsys.readouterr().err)
    assert "failed=1" in said


def test_a_line_where_there_is_no_tqdm(qwen, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    qwen.map(PROMPTS[5:8])
    assert capsys.readouterr().err.startswith("3 rows: 2 answered, 1 failed; ")
