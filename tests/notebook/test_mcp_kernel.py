"""MCP servers in a real kernel: asked about, refused, stopped, and none left behind."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from demo_server import asked
from fuzz import patience
from real_jupyter import wait_until
from real_kernel import Kernel, fresh_environ

pytest.importorskip("mcp")
pytestmark = pytest.mark.kernel

PROGRAM = str(Path(__file__).parents[1] / "support/mcp_server.py")
KEY = "hunter2-and-more"


@pytest.fixture
def kernel(server, tmp_path):
    """A kernel whose user has an `mcp.json`."""
    entry = {"command": sys.executable, "args": [PROGRAM], "env": {"SERVICE_KEY": KEY}}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"tests": entry}}))
    environ = fresh_environ(tmp_path / "ipython") | {"QWEN_MAGIC_HOME": str(tmp_path)}
    made = Kernel(sys.executable, environ)
    made.ok(f"%load_ext qwen_magic\n%config QwenMagics.endpoint = '{server.base_url}'")
    yield made
    if made.client.channels_running:
        made.close()


def answered(kernel, cell, *words):
    """What became of a cell whose questions get these words; and the questions."""
    message, questions = kernel.send(cell, stdin=True), []
    for word in words:
        questions.append(kernel.client.get_stdin_msg(timeout=60)["content"]["prompt"])
        kernel.client.input(word)
    return kernel.collect(message), questions


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def pid_of(kernel):
    ran, _ = answered(kernel, "%%qwen -t mcp:tests -o answer\ncall tests__pid()", "y")
    assert ran.status == "ok", ran.traceback
    return int(kernel.ok("int(answer.tool_calls[0].output)").result["text/plain"])


def test_asked_refused_stopped_and_ended_with_the_kernel(kernel, server):
    assert "mcp:tests" in kernel.complete("%%qwen -t mcp:")
    assert "not started" in kernel.ok("%qwen_tools").displays[0][1]["text/plain"]
    dry = kernel.ok("%%qwen -t mcp:tests --dry-run\nhello")
    assert "mcp:tests does not run" in dry.final["text/plain"]

    ran, [question] = answered(kernel, "%%qwen -t mcp:tests\nhello", "n")
    assert "in this kernel" in question
    assert "Start mcp:tests?" in ran.stdout
    assert PROGRAM in ran.stdout
    assert "SERVICE_KEY" in ran.stdout
    assert "mcp:tests was not started: you refused it" in ran.final["text/plain"]
    assert "tools" not in asked(server)[-1].body

    cell = "%%qwen -t mcp:tests\ncall tests__add(a=20, b=22)"
    ran, _ = answered(kernel, cell, "always", "always")
    assert "Run tests__add on tests?" in ran.stdout
    assert "42" in ran.final["text/plain"]
    assert kernel.ok(cell).stdout == ""  # nothing is asked any more
    assert "running" in kernel.ok("%qwen_tools").displays[0][1]["text/plain"]
    assert "mcp:tests/add" in kernel.complete("%%qwen -t mcp:tests/a")

    slow = "-t mcp:tests\ncall tests__slow(for_seconds=60)"
    for magic in ("%%qwen", "%%time\n%%qwen"):
        message = kernel.send(f"{magic} {slow}", stdin=True)
        kernel.client.get_stdin_msg(timeout=60)
        kernel.client.input("y")
        time.sleep(0.5)
        pressed = time.monotonic()
        kernel.interrupt()
        assert kernel.collect(message).status == "error"
        assert time.monotonic() - pressed < patience(10)
    ran, _ = answered(kernel, "%%qwen -t mcp:tests\ncall tests__crash()", "y")
    assert "ended before it answered" in ran.final["text/plain"]
    assert KEY not in json.dumps([ran.displays, ran.stdout, ran.stderr])
    assert ran.stderr == ""

    pid = pid_of(kernel)  # started again without a question
    assert not is_gone(pid)
    assert KEY not in json.dumps([record.body for record in asked(server)])
    kernel.close()
    assert is_gone(pid)


def test_a_server_ends_though_its_kernel_is_killed(kernel):
    answered(kernel, "%%qwen -t mcp:tests\nhello", "y")
    pid = pid_of(kernel)
    kernel.manager.signal_kernel(signal.SIGKILL)
    wait_until(lambda: is_gone(pid), what="the server's end")
