"""MCP servers as tools: real ones, over stdio and HTTP, written with the official SDK."""

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from demo_server import asked, demo_server

from qwen_magic import CallLimits, Qwen
from qwen_magic.client import Client
from qwen_magic.errors import UsageError
from qwen_magic.masking import log_without_keys
from qwen_magic.tools.execution import ainvoke, invoke
from qwen_magic.tools.loop import Invoke
from qwen_magic.tools.mcp import ToolServerError, ToolServers
from qwen_magic.tools.mcp_format import read_servers, reference_value
from qwen_magic.tools.policy import ToolPolicy
from qwen_magic.tools.selection import resolve_tools

pytest.importorskip("mcp")

PROGRAM = str(Path(__file__).parents[1] / "support/mcp_server.py")
KEY = "hunter2-and-more"
OUTLINE = {"command": sys.executable, "args": [PROGRAM], "env": {"SERVICE_KEY": KEY}}


def write(folder, servers, **more):
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": servers, **more}))


class Asker:
    """Answers questions, and keeps them."""

    def __init__(self, says="once"):
        self.says, self.asked = says, []

    def __call__(self, question):
        self.asked.append(question)
        return self.says


class Running:
    """The servers of one folder, on an engine of their own."""

    def __init__(self, folder, says="once"):
        self.folder, self.client = folder, Client()
        self.asker, self.policy = Asker(says), ToolPolicy()
        self.policy.prompt = self.asker
        self.servers = ToolServers(self.client.submit, self.policy, (folder, folder / "user"))

    def tool(self, name, server="tests"):
        [tool] = self.servers.offer(f"mcp:{server}/{name}").tools
        return tool

    def call(self, name, *, server="tests", seconds=30, watch=lambda: False, mask=(), **arguments):
        call = Invoke(
            self.tool(name, server),
            json.dumps(arguments),
            seconds,
            CallLimits(mask=mask),
            sees=True,
        )
        return invoke(call, watch, may_nest=False, warn=pytest.fail)

    def close(self):
        self.servers.close()
        self.client.close()


@pytest.fixture(scope="module")
def http_address():
    with subprocess.Popen(
        [sys.executable, PROGRAM, "http"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "SERVICE_KEY": KEY},
    ) as process:
        yield process.stdout.readline().strip()
        process.kill()


@pytest.fixture(scope="module")
def running(http_address, tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    web = {"type": "http", "url": http_address, "headers": {"Authorization": f"Bearer {KEY}"}}
    write(folder, {"tests": OUTLINE, "web": web})
    made = Running(folder)
    yield made
    made.close()


@pytest.fixture
def fresh(tmp_path):
    write(tmp_path, {"tests": OUTLINE})
    made = Running(tmp_path)
    yield made
    made.close()


def gone(pid, seconds=10.0):
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("server", ["tests", "web"])
def test_what_a_server_gives(running, server):
    names = [tool.name for tool in running.servers.offer(f"mcp:{server}").tools]
    assert names[0] == f"{server}__add"
    assert f"{server}__say_it" in names  # the tool of that name, not "say.it"
    assert len(set(names)) == len(names)

    def text(name, **arguments):
        result = running.call(name, server=server, **arguments)
        assert result.status == "completed"
        return result.text

    assert text("add", a=2) == "3"
    assert text("add", a="2", b=5) == "7"  # mended as for functions
    assert text("say.it", text="hi") == "hi"
    assert text("say_it", text="hi") == "hihi"
    assert json.loads(text("rows")) == {"rows": [{"city": "Bern", "secret_column": 1}]}
    assert "Bern" in text("rows", mask=("secret_column",))
    assert '"secret_column": 1' not in text("rows", mask=("secret_column",))
    assert text("environment") == "[masked] None"  # neither its key nor the kernel's
    long = text("megabytes", count=3)
    assert len(long) < 101_000
    assert "cut" in long[-100:]
    picture = running.call("picture", server=server)
    assert picture.images[0].startswith("data:image/png;base64,")
    assert "image/png" in picture.text
    wrong = running.call("add", server=server, a="x")
    assert (wrong.status, KEY in wrong.text) == ("failed", False)
    failed = running.call("fails", server=server)
    assert failed.status == "failed"
    assert KEY not in failed.text


def test_its_library_logs_no_keys(running):
    """A server repeats them in what cannot be read, which an error tells."""
    assert running.servers.offer("mcp:tests").tools
    names = [name for name in logging.root.manager.loggerDict if name.startswith("mcp.client.")]
    assert names
    for name in names:
        assert log_without_keys in logging.getLogger(name).filters, name


@pytest.mark.parametrize("server", ["tests", "web"])
def test_a_slow_tool_ends_in_its_time_and_when_stopped(running, server):
    late = running.call("slow", server=server, seconds=0.2, for_seconds=60)
    assert "OutOfTimeError" in late.text
    began = time.monotonic()
    stopped = running.call("slow", server=server, watch=lambda: True, for_seconds=60)
    assert "StoppedError" in stopped.text
    assert time.monotonic() - began < 10
    assert running.call("add", server=server, a=1).text == "2"  # it goes on


async def _awaited(running):
    tool = running.tool("slow")
    call = Invoke(tool, '{"for_seconds": 0}', 30, CallLimits())
    return await ainvoke(call, lambda: False)


def test_a_caller_that_awaits(running):
    import asyncio

    assert asyncio.run(_awaited(running)).text == "at last"


def test_tools_are_listed_anew(running):
    known = running.servers.offer("mcp:web").tools
    assert running.servers.offer("mcp:web").tools == known
    assert running.servers.offer("mcp:web").tools[0] is known[0]
    running.call("grow", server="web")
    assert running.tool("grown", "web").name == "web__grown"
    offered = resolve_tools(["mcp:web", "mcp:web/add"], {}, running.servers.offer)
    assert len(offered.functions) == len(known) + 1  # each once
    with pytest.raises(UsageError, match="grown"):
        running.tool("grow_n", "web")


def test_each_program_is_asked_about_once_with_what_it_is_given(running):
    running.servers.offer("mcp:tests")
    [question] = [each for each in running.asker.asked if each.name == "mcp:tests"]
    assert PROGRAM in question.call
    assert "SERVICE_KEY" in question.text
    assert str(running.folder) in question.text
    told = "".join(map(str, (question, question.text, question.call, question.title)))
    assert KEY not in told
    for each in running.asker.asked:
        assert KEY not in each.text + each.arguments


def test_states_and_names(running):
    running.servers.offer("mcp:tests")
    states = {name: (about, state) for name, about, state in running.servers.states()}
    assert states["mcp:tests"][1] == "running"
    assert "add" in states["mcp:tests"][0]
    assert {"mcp:tests", "mcp:web", "mcp:tests/add"} <= set(running.servers.names())
    assert KEY not in str(states)


def test_a_crash_in_the_middle_of_a_call(fresh):
    fresh.servers.offer("mcp:tests")
    crash = fresh.tool("crash")
    pid = int(fresh.call("pid").text)
    result = invoke(
        Invoke(crash, "{}", 30, CallLimits()), lambda: False, may_nest=False, warn=pytest.fail
    )
    assert result.status == "failed"
    assert "about to crash" in result.text  # its last line
    assert KEY not in result.text
    assert gone(pid)
    assert len(fresh.asker.asked) == 1
    fresh.asker.says = "always"
    assert int(fresh.call("pid").text) != pid  # started again, after another question
    assert len(fresh.asker.asked) == 2
    assert invoke(
        Invoke(fresh.tool("crash"), "{}", 30, CallLimits()),
        lambda: False,
        may_nest=False,
        warn=pytest.fail,
    ).text.startswith("Error: The MCP server tests ended")
    fresh.servers.offer("mcp:tests")
    assert len(fresh.asker.asked) == 2  # always

    write(fresh.folder, {"tests": {**OUTLINE, "env": {"SERVICE_KEY": "another one"}}})
    pid = int(fresh.call("pid").text)
    assert len(fresh.asker.asked) == 3
    assert fresh.asker.asked[-1].is_other
    fresh.close()
    assert gone(pid)


def test_one_that_will_not_end(tmp_path):
    write(tmp_path, {"tests": {**OUTLINE, "args": [PROGRAM, "stubborn"]}})
    running = Running(tmp_path)
    pid = int(running.call("pid").text)
    running.close()
    assert gone(pid, 0.5)


@pytest.mark.parametrize("says", ["no", "never", None])
def test_refused(fresh, says):
    fresh.asker.says = says
    for _ in range(2):
        offered = fresh.servers.offer("mcp:tests")
        assert offered.tools == ()
        assert offered.note.startswith("mcp:tests was not started")
    assert len(fresh.asker.asked) == (1 if says == "never" else 2)
    assert fresh.servers.forget() == (1 if says == "never" else 0)
    assert [state for *_, state in fresh.servers.states()] == ["not started"]


def test_a_dry_look_starts_and_asks_nothing(fresh):
    assert "does not run" in fresh.servers.offer("mcp:tests", start=False).note
    assert fresh.asker.asked == []


@pytest.mark.parametrize(
    ("server", "error", "told"),
    [
        ({**OUTLINE, "args": [PROGRAM, "broken"]}, ToolServerError, "cannot start"),
        ({"command": "no-such-program"}, UsageError, "not installed"),
        ({"command": sys.executable, "cwd": "/no/such/folder"}, ToolServerError, "folder"),
        ({"url": "http://127.0.0.1:9/mcp"}, ToolServerError, "could not be started"),
        ({"url": "http://example.org/mcp", "headers": {"A": KEY}}, UsageError, "plain http"),
        ({"url": "file:///etc/passwd"}, UsageError, "none of HTTP"),
        ({"command": "x", "args": ["${env:NO_SUCH_NAME}"]}, UsageError, "NO_SUCH_NAME"),
        ({"command": "x", "env": {"A": "${input:k}"}}, UsageError, "input k"),
    ],
)
def test_what_cannot_be_started(tmp_path, server, error, told):
    write(tmp_path, {"tests": server})
    running = Running(tmp_path)
    with pytest.raises(error) as caught:
        running.servers.offer("mcp:tests")
    running.close()
    assert told in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_start_that_is_interrupted(tmp_path):
    write(tmp_path, {"tests": {"command": "sleep", "args": ["60"]}})
    running = Running(tmp_path)
    timer = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        running.servers.offer("mcp:tests")
    timer.join()
    assert [state for *_, state in running.servers.states()] == ["failed"]
    running.close()


# Whole questions ---------------------------------------------------------------------------------


def test_a_question_with_a_server(fresh, monkeypatch):
    monkeypatch.chdir(fresh.folder)
    says = Asker()
    with demo_server() as server, Qwen(endpoint=server.base_url, approve=says) as qwen:
        answer = qwen.ask("call tests__add(a=2, b=3)", tools=["mcp:tests"])
        [call] = answer.tool_calls
        assert (call.name, call.output) == ("tests__add", "5")
        first, second = asked(server)
        assert second.body["input"][0]["output"] == "5"
        assert [question.name for question in says.asked] == ["mcp:tests", "tests__add"]
        assert says.asked[1].title == "Run tests__add on tests?"
        assert KEY not in json.dumps([first.body, second.body])

        says.says = "no"
        refused = qwen.ask("call tests__add(a=2, b=3)", tools="mcp:tests")
        assert refused.tool_calls[0].output_status == "refused"
        assert asked(server)[-1].body["tools"] == first.body["tools"]


def test_a_session_that_is_dropped_ends_its_servers(fresh, monkeypatch):
    monkeypatch.chdir(fresh.folder)
    with demo_server() as server:
        qwen = Qwen(endpoint=server.base_url, approve=Asker())
        answer = qwen.ask("call tests__pid()", tools=["mcp:tests"])
        pid = int(answer.tool_calls[0].output)
        kept = answer.tool_calls
        del qwen
        gc.collect()
        assert gone(pid, 10)
        assert kept


def test_a_tool_dict_of_that_type_goes_to_the_service():
    maps = {"type": "mcp", "server_label": "maps", "server_url": "https://example.org"}
    assert resolve_tools(["maps"], {"maps": maps}, pytest.fail).definitions == (maps,)


# mcp.json ----------------------------------------------------------------------------------------


def test_the_files_of_others(tmp_path):
    user = tmp_path / "user"
    user.mkdir()
    (tmp_path / "mcp.json").write_text(
        """{
          // VS Code
          "inputs": [{"type": "promptString", "id": "k", "description": "Key", "password": true},],
          "servers": {
            "web": {"type": "http", "url": "https://a.b/mcp",
                    "headers": {"X": "Bearer ${input:k}"}},
            "files": {"type": "stdio", "command": "npx", "args": ["-y", "s", "${workspaceFolder}"],
                      "envFile": "${workspaceFolder}/.env", "env": {"B": "http://x//y"}}, /* all */
          },
        }"""
    )
    (tmp_path / ".env").write_text("# a comment\nexport A='1 2'\nB=3\n")
    write(user, {"files": {"command": "other"}, "off": {"command": "x", "disabled": True}})
    found = read_servers([tmp_path, user])
    assert list(found) == ["web", "files"]
    assert found["files"].env == {"A": "1 2", "B": "http://x//y"}
    assert found["files"].shown == "npx -y s '${workspaceFolder}'"
    filled, secrets = found["web"].filled(lambda name: {"input:k": KEY}[name])
    assert filled.headers == {"X": f"Bearer {KEY}"}
    assert {KEY, f"Bearer {KEY}"} <= set(secrets)
    assert found["web"].passed == ("X=${input:k}",)
    assert found["files"].passed == ("A=1 2", "B=http://x//y")


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("env:A", "1"),
        ("A", "1"),
        ("B:-two", "two"),
        ("A:-two", "1"),
        ("B", None),
        ("workspaceFolder", "/work"),
    ],
)
def test_references(reference, value):
    assert reference_value(reference, Path("/work"), {"A": "1"}) == value


@pytest.mark.parametrize(
    "text", ["{", f'{{"mcpServers": {{"a": {{"env": {{"K": "{KEY}"', "[" * 9999]
)
def test_a_file_that_is_none_says_so_without_its_values(tmp_path, text):
    (tmp_path / "mcp.json").write_text(text)
    with pytest.raises(UsageError, match=r"mcp\.json") as caught:
        read_servers([tmp_path])
    assert KEY not in repr(caught.value) + str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("given", [[], {"mcpServers": 3}, {"servers": {"a": None, "b": []}}])
def test_odd_files_name_nothing(tmp_path, given):
    (tmp_path / "mcp.json").write_text(json.dumps(given))
    assert read_servers([tmp_path]) == {}


def test_what_looks_secret_in_a_command_is_not_shown(tmp_path):
    write(tmp_path, {"a": {"command": "x", "args": ["--api-key=sk-abcdef123456", "-v"]}})
    shown = read_servers([tmp_path])["a"].shown
    assert "abcdef" not in shown
    assert shown.startswith("x ")
    assert shown.endswith("-v")
