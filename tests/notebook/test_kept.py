"""Conversations that outlive their kernel, and the magics about them, in real kernels."""

import itertools
import json
import os
import re
import signal
import sqlite3
import time

import pytest
from demo_server import asked, demo_server
from fuzz import patience
from real_jupyter import wait_until
from real_kernel import PYTHONS, Kernel, fresh_environ

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """Kernels that no test uses now, by their Python."""
    kernels = {python: [] for python in PYTHONS}
    yield kernels
    for kernel in itertools.chain(*kernels.values()):
        kernel.close()


@pytest.fixture
def start(tmp_path, server, idle):
    """Starts kernels for notebooks of one user: each call gives another process, in which the
    extension was not loaded since an earlier test."""
    started = []

    def start_one(notebook="john.ipynb", python="this", **environ):
        new = fresh_environ(tmp_path / "ipython")
        kernel = idle[python].pop() if idle[python] else Kernel(PYTHONS[python], new)
        started.append((python, kernel))
        environ = {
            "QWEN_MAGIC_KEEP": "True",
            "QWEN_MAGIC_HOME": str(tmp_path / "home"),
            "QWEN_MAGIC_ENDPOINT": server.base_url,
            "JPY_SESSION_NAME": str(tmp_path / notebook),
            "DASHSCOPE_API_KEY": "",
            "DASHSCOPE_BASE_URL": "",
            **environ,
        }
        kernel.ok(f"import os\nos.environ.update({environ!r})\n%load_ext qwen_magic")
        return kernel

    yield start_one
    for python, kernel in started:
        if kernel.manager.is_alive():
            kernel.ok("%unload_ext qwen_magic\nget_ipython().config.pop('QwenMagics', None);")
            kernel.forget()
            idle[python].append(kernel)
        else:
            kernel.close()


def test_a_conversation_goes_on_after_a_restart(start, server):
    start().ok("%%qwen\nMy name is John", "c1")
    again = start()
    ran = again.ok("%%qwen\nDo you remember my name?", "c2")
    assert "Yes, John!" in ran.final["text/plain"]
    assert "main was found with 1 turn; --new begins afresh" in ran.final["text/plain"]
    assert asked(server)[-1].body["previous_response_id"] == asked(server)[0].response_id
    ran = again.ok("%%qwen\nhello", "c3")
    assert "was found" not in ran.final["text/plain"], "said once"


def test_it_heals_where_the_server_has_forgotten(start, server):
    start().ok("%%qwen\nMy name is John")
    server.forget()
    ran = start().ok("%%qwen\nDo you remember my name?")
    assert "Yes, John!" in ran.final["text/plain"]
    assert "1 turn was sent again as text" in ran.final["text/plain"]


def test_conversations_belong_to_their_notebook(start, server):
    start("one.ipynb").ok("%%qwen\nMy name is John")
    start("two.ipynb").ok("%%qwen\nDo you remember my name?")
    assert "previous_response_id" not in asked(server)[-1].body


def test_a_rerun_after_a_restart_is_a_sibling(start, server):
    start().ok("%%qwen\nMy name is John", "c1")
    ran = start().ok("%%qwen\nMy name is Ada", "c1")
    assert "previous_response_id" not in asked(server)[-1].body
    assert "2 of 2" in ran.final["text/plain"] or "2/2" in ran.final["text/plain"]


def test_a_kernel_killed_in_mid_answer_loses_at_most_a_second(start, server, tmp_path):
    server.set(delay=0.02)
    kernel = start()
    kernel.send("%%qwen\nwrite at length")
    wait_until(lambda: asked(server) and asked(server)[-1].events > 120, 30, "streaming")
    sent = asked(server)[-1].events
    time.sleep(1.3)
    os.kill(kernel.manager.provisioner.pid, signal.SIGKILL)
    server.set(delay=0.0)
    again = start()
    listed = again.ok("%qwen_history").displays[0][1]["text/plain"]
    assert "stopped" in listed
    again.ok(
        "magics = get_ipython().magics_manager.registry['QwenMagics']\n"
        "conversations = magics.asker.session.conversations"
    )
    text = again.ok("print([*conversations.chain('main').turns.values()][0].text)").stdout
    streamed = "".join(_deltas(server, sent))
    assert len(text) >= len(streamed) * 0.9, "what was on the screen a second before is kept"
    assert text.startswith("# A long answer")

    file = tmp_path / "home" / "conversations.sqlite3"
    assert f"Store: Kept in {file}" in again.ok("%qwen_doctor").stdout
    file.unlink()
    ran = again.ok("%%qwen\nhello")
    assert f"{file} was deleted" in ran.stderr
    listed = again.ok("%qwen_history").displays[0][1]
    assert all(f"{file} was deleted" in listed[form] for form in ("text/plain", "text/html"))
    assert "✗ Store: " in again.ok("%qwen_doctor").stdout


def _deltas(server, events):
    """About the text of the first `events` events of the long answer."""
    with demo_server() as other:
        import httpx2

        body = {"model": "m", "input": "write at length", "stream": True}
        reply = httpx2.post(other.base_url + "/responses", json=body)
        data = [line[5:] for line in reply.text.splitlines() if line.startswith("data:")]
        for event in map(json.loads, data[:events]):
            yield event.get("delta", "")


def test_two_kernels_write_at_once(start, tmp_path):
    kernels = [start("shared.ipynb") for _ in range(2)]
    sent = [
        kernel.send(f"for n in range(15):\n    %qwen --quiet -c chat-{name} hello {{n}}")
        for name, kernel in zip("ab", kernels, strict=True)
    ]
    for kernel, message in zip(kernels, sent, strict=True):
        ran = kernel.collect(message)
        assert ran.status == "ok", ran.traceback
        assert not ran.stderr
    with sqlite3.connect(tmp_path / "home" / "conversations.sqlite3") as database:
        (count,) = database.execute("SELECT count(*) FROM turns").fetchone()
    database.close()
    assert count == 30


def test_a_store_that_cannot_be_used_is_said_and_work_goes_on(start, tmp_path, server):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "conversations.sqlite3").write_bytes(b"no database at all" * 100)
    kernel = start()
    ran = kernel.ok("%%qwen\nMy name is John")
    assert "conversations.sqlite3" in ran.stderr
    assert "memory" in ran.stderr
    assert "Yes, John!" in kernel.ok("%%qwen\nDo you remember my name?").final["text/plain"]


def test_no_key_is_kept(start, tmp_path, server):
    key = "sk-canary0123456789abcdef"
    server.key = key
    kernel = start(
        DASHSCOPE_API_KEY=key, DASHSCOPE_BASE_URL=server.base_url, QWEN_MAGIC_ENDPOINT=""
    )
    kernel.ok("%%qwen\nMy name is John")
    assert asked(server)[-1].key == "right"
    for file in (tmp_path / "home").iterdir():
        assert b"canary" not in file.read_bytes()


def test_forks_steps_back_and_picks(start, server):
    kernel = start()
    kernel.ok("%%qwen\nMy name is John", "c1")
    kernel.ok("%%qwen\nhello", "c2")
    assert "turn 1 of main" in kernel.ok("%qwen_fork side --after 1").stdout
    kernel.ok("%%qwen\nDo you remember my name?", "c3")
    assert asked(server)[-1].body["previous_response_id"] == asked(server)[0].response_id
    kernel.ok("%qwen_chat main")
    assert "after turn 1 “My name is John”" in kernel.ok("%qwen_undo").stdout
    kernel.ok("%%qwen\nanother way", "c4")
    assert asked(server)[-1].body["previous_response_id"] == asked(server)[0].response_id
    kernel.ok(f"%qwen_pick {asked(server)[1].response_id}")
    kernel.ok("%%qwen\nback again", "c5")
    assert asked(server)[-1].body["previous_response_id"] == asked(server)[1].response_id
    history = kernel.ok("%qwen_history").displays[0][1]
    assert "another way" in history["text/plain"]
    assert "back again" in history["text/html"]
    assert "begins the conversation" in kernel.ok("%qwen_undo 3").stdout
    ran = kernel.run("%qwen_undo 3")
    assert "before the first turn" in "".join(ran.traceback)
    fork = start().ok("%%qwen -c side\nDo you remember my name?")
    assert "Yes, John!" in fork.final["text/plain"], "a fork outlives its kernel"


def test_a_cell_keeps_its_place(start, server):
    """The same cells three times, the third in a new kernel: the same conversations each time."""
    cells = {
        "a": "%%qwen\nMy name is John",
        "b": "%%qwen\nDo you remember my name?",
        "fork": "%qwen_fork side",
        "c": "%%qwen\nWhat is my name?",
        "stats": "%qwen_chat stats",
        "d": "for _ in range(2):\n    %qwen hello",
        "new": "%qwen_new",
        "e": "%%qwen\nhello",
        "f": "%%qwen --new\nhello",
        "g": "%qwen -c main hello\n%qwen hello",
        "short": "%qwen_fork short --compact",
        "h": "%%qwen\nhello",
    }
    places = {
        "a": ["main 1"], "b": ["main 2"], "c": ["side 3"], "d": ["stats 1", "stats 2"],
        "e": ["chat-2 1"], "f": ["chat-3 1"], "g": ["main 3", "chat-2 2"], "h": ["short 2"],
    }  # fmt: skip

    def run_all(kernel):
        ran = {id: kernel.ok(cell, id) for id, cell in cells.items()}
        assert {id: _places(each) for id, each in ran.items() if id in places} == places
        assert "John" in ran["b"].final["text/markdown"] + ran["c"].final["text/markdown"]
        return ran

    kernel = start()
    run_all(kernel)
    again = run_all(kernel)
    assert "in main, as before" in again["a"].final["text/plain"]
    assert "as before" not in again["d"].final["text/plain"]
    other = start()
    assert "in stats, as before" in other.ok(cells["d"], "d").final["text/plain"]
    run_all(other)

    assert _places(other.ok("%%qwen -c moved\nhello", "e")) == ["moved 1"]
    assert _places(other.ok("%%qwen\nhello", "e")) == ["moved 1"]
    assert _places(other.ok("%qwen hello\n%qwen a line more", "e")) == ["moved 1", "moved 2"]
    assert "8 conversations" not in other.ok("%qwen_chat").displays[0][1]["text/plain"]
    aside = other.ok("%qwen_reset").stdout
    assert aside.startswith("7 conversations set aside")
    assert "main~1" not in other.ok("%qwen_chat").displays[0][1]["text/plain"]
    assert "main~1 (set aside)" in other.ok("%qwen_chat --all").displays[0][1]["text/plain"]
    run_all(other)
    assert "main-2 (3 turns)" in other.ok("%qwen_chat main~1").stdout
    assert _places(other.ok("%%qwen\nhello", "typed")) == ["main-2 4"]


def test_a_cell_whose_conversation_is_held_elsewhere(start, server):
    kernel = start()
    kernel.ok("%%qwen\nMy name is John", "a")
    kernel.ok("%%qwen\nhello", "b")
    with demo_server() as other:
        kernel.ok(f'%config QwenMagics.endpoint = "{other.base_url}"')
        kernel.ok("%qwen_chat there")
        said = "".join(kernel.run("%%qwen\nhello", "b").traceback)
        assert "--carry" in said
        assert "-c NAME" in said
        assert not other.requests
        assert _places(kernel.ok("%%qwen -c there\nhello", "b")) == ["there 1"]


def test_a_cell_that_was_never_answered_has_no_place(start, server):
    kernel = start()
    kernel.run("%%qwen\nhello\ndemo: error 400", "a")
    kernel.ok("%qwen_chat stats")
    assert _places(kernel.ok("%%qwen\nhello", "a")) == ["stats 1"]


def _places(ran):
    """The conversation and the number of each turn, as the footers say."""
    texts = {transient.get("display_id", n): data["text/plain"]
             for n, (transient, data, _metadata) in enumerate(ran.displays)}  # fmt: skip
    found = (
        re.search(r"(?:^|· )(?:in )?([\w-]+)(?:, as before)?, turn\s(\d+)", t, re.M)
        for t in texts.values()
    )
    return [f"{each[1]} {each[2]}" for each in found]


def test_a_fork_from_a_summary(start, server):
    kernel = start()
    kernel.ok("%%qwen\nMy name is John")
    assert "a summary of main" in kernel.ok("%qwen_fork short --compact").stdout
    kernel.ok("%%qwen\nhello")
    body = asked(server)[-1].body
    assert "previous_response_id" not in body
    assert [item["role"] for item in body["input"]] == ["user", "assistant", "user"]
    assert "earlier conversation" in body["input"][0]["content"][0]["text"]


def test_export_import_and_restore(start, server, tmp_path):
    kernel = start()
    kernel.ok("%%qwen\nMy name is John", "c1")
    kernel.ok(f"%qwen_export {tmp_path / 'talk.json'}")
    kernel.ok(f"%qwen_export {tmp_path / 'talk.md'} main")
    assert "My name is John" in (tmp_path / "talk.md").read_text()
    other = start("other.ipynb")
    assert "main" in other.ok(f"%qwen_import {tmp_path / 'talk.json'}").stdout
    assert "Yes, John!" in other.ok("%%qwen\nDo you remember my name?").final["text/plain"]
    ran = other.run(f"%qwen_import {tmp_path / 'nothing.json'}")
    assert "cannot be read" in "".join(ran.traceback)
    (tmp_path / "bad.json").write_text('{"format": "something else"}')
    ran = other.run(f"%qwen_import {tmp_path / 'bad.json'}")
    assert "format" in "".join(ran.traceback)
    ran = other.run("%qwen_export talk.txt")
    assert ".json" in "".join(ran.traceback)


def test_a_notebook_alone_restores_its_conversation(start, server, tmp_path):
    import nbformat

    kernel = start()
    cells = []
    for number, prompt in enumerate(["My name is John", "hello"]):
        ran = kernel.ok(f"%%qwen\n{prompt}", f"cell-{number}")
        _transient, data, metadata = ran.displays[-1]
        cell = nbformat.v4.new_code_cell(
            f"%%qwen\n{prompt}",
            outputs=[nbformat.v4.new_output("display_data", data, metadata=metadata)],
        )
        cell.id = f"cell-{number}"
        cells.append(cell)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "sent.ipynb")
    server.forget()
    other = start("elsewhere.ipynb", QWEN_MAGIC_HOME=str(tmp_path / "other-home"))
    assert "main" in other.ok(f"%qwen_restore {tmp_path / 'sent.ipynb'}").stdout
    assert "Yes, John!" in other.ok("%%qwen\nDo you remember my name?").final["text/plain"]


def test_usage_and_budget(start, server):
    kernel = start()
    kernel.ok("%%qwen\nMy name is John")
    table = kernel.ok("%qwen_usage").displays[0][1]["text/plain"]
    assert "total" in table
    assert "day" in kernel.ok("%qwen_usage day").displays[0][1]["text/plain"]
    used = int(kernel.ok("_usage = %qwen hello\n_usage.usage.total_tokens").result["text/plain"])
    kernel.ok(f"%config QwenMagics.budget = {10 * used}")
    kernel.ok("%%qwen\nhello")
    kernel.ok("%config QwenMagics.budget = 1")
    before = len(asked(server))
    ran = kernel.run("%%qwen\nhello")
    assert "budget is used up" in "".join(ran.traceback)
    assert len(asked(server)) == before


def test_money_is_told_once_the_list_of_models_was_asked_for(start, server):
    kernel = start()
    kernel.ok("%qwen_demo on")
    dry = "%%qwen --dry-run\nhello"
    assert "XTS" not in kernel.ok(dry).displays[0][1]["text/plain"]
    kernel.ok("%config QwenMagics.budget = '2 XTS'")
    ran = kernel.run("%%qwen\nhello")
    assert "%qwen_models asks for them" in "".join(ran.traceback)
    assert "1.00\u00a0XTS" in kernel.ok("%qwen_models").displays[0][1]["text/plain"]
    assert "about XTS" in kernel.ok(dry).displays[0][1]["text/plain"]
    kernel.ok("%%qwen\nhello")
    told = kernel.ok("%qwen_usage").displays[0][1]["text/plain"]
    assert "of the budget's 2.00\u00a0XTS are used" in told
    kernel.ok("%config QwenMagics.budget = '2 USD'")
    ran = kernel.run("%%qwen\nhello")
    assert "budget is in USD, and demo bills in XTS" in "".join(ran.traceback)
    assert not [record for record in server.requests if record.path.startswith("/api/v1")]


def test_the_window_is_shown_past_half(start, server):
    kernel = start()
    kernel.ok("%config QwenMagics.windows = {'small': 40}")
    ran = kernel.ok("%%qwen -m small\nMy name is John and I like long sentences a lot")
    assert "full" in ran.final["text/plain"]
    ran = kernel.ok("%%qwen -m unknown --new\nMy name is John")
    assert "full" not in ran.final["text/plain"]


@pytest.mark.parametrize("python", PYTHONS)
def test_answers_in_the_background(start, server, python):
    server.set(delay=0.02)
    kernel = start(python=python)
    began = time.monotonic()
    first = kernel.ok("%%qwen --bg -o first\nMy name is John")
    assert time.monotonic() - began < patience(3)
    assert len(first.displays) == 1
    kernel.ok("%%qwen --bg -o second\nDo you remember my name?")
    kernel.ok("%%qwen --bg -o other -c apart\nhello")
    third = kernel.ok("%%qwen\nWhat is my name?")
    assert "John" in third.final["text/plain"], "it waited for those before"
    # By their words: answers that run at once reach the server in any order.
    a, b = (
        next(r for r in asked(server) if r.body["input"].startswith(words))
        for words in ("My name", "Do you")
    )
    assert b.body["previous_response_id"] == a.response_id
    kernel.ok("import asyncio\nwhile 'other' not in globals(): await asyncio.sleep(0.05)")
    assert kernel.ok("first.status, second.status, other.status").result["text/plain"] == (
        "('completed', 'completed', 'completed')"
    )


def test_a_waiting_answer_has_one_clock(start, server):
    """Its footer and its `seconds` count from when it was asked, the wait included."""
    server.set(delay=0.02)
    kernel = start()
    kernel.ok("%%qwen --bg\nMy name is John")
    message = kernel.send("%%qwen --bg -o second\nhello")
    shown = kernel.display_of(message, lambda data: "turn 2" in data.get("text/plain", ""))
    kernel.ok("import asyncio\nwhile 'second' not in globals(): await asyncio.sleep(0.05)")
    seconds = float(kernel.ok("second.seconds").result["text/plain"])
    assert seconds > 0.5
    assert f"{seconds:.1f}" in shown["text/plain"]


def test_an_error_in_the_background_appears_in_its_output(start, server):
    kernel = start()
    message = kernel.send("%%qwen --bg\nhello\ndemo: error 401, delay 0.1")
    shown = kernel.display_of(message, lambda data: "key" in data.get("text/plain", ""))
    assert "qm-is-error" in shown["text/html"]


def test_what_waits_in_the_background_fails_in_its_output(start, server):
    server.set(delay=0.02)
    kernel = start()
    kernel.ok("%%qwen --bg\nMy name is John")
    message = kernel.send("%%qwen --bg --after 9\nhello")
    shown = kernel.display_of(message, lambda data: "no turn 9" in data.get("text/plain", ""))
    assert "qm-is-error" in shown["text/html"]


def test_the_synchronous_call_refuses_to_wait(start, server):
    server.set(delay=0.05)
    kernel = start()
    kernel.ok("%%qwen --bg\nwrite at length")
    ran = kernel.run("for _ in range(1):\n    %qwen hello")
    assert "background" in "".join(ran.traceback)


def test_a_missing_key_fails_the_cell_of_a_background_question(start):
    kernel = start(QWEN_MAGIC_ENDPOINT="singapore")
    ran = kernel.run("%%qwen --bg\nhello")
    assert "%qwen_key" in "".join(ran.traceback)
    assert not ran.displays
