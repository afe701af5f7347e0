"""`qwen-magic ask` and the other magics in a shell, against the demo server over a real socket."""

import errno
import io
import json
import os
import pty
import signal
import subprocess
import sys

import nbformat
import pytest
from demo_server import asked, demo_server, wait_for_requests
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from real_kernel import PYTHONS, Kernel
from worded_server import ended, said, worded_server

from qwen_magic import cli
from qwen_magic.options import OPTIONS, options_of

COMMAND = [sys.executable, "-c", "import sys; from qwen_magic.cli import main; sys.exit(main())"]


@pytest.fixture
def server():
    with demo_server() as demo:
        yield demo


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, server):
    """The working folder of a shell, with what its environment says."""
    for name in [name for name in os.environ if name.startswith(("QWEN_MAGIC_", "DASHSCOPE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("QWEN_MAGIC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QWEN_MAGIC_ENDPOINT", server.base_url)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command here, with something on its stdin: status, stdout, stderr."""

    def ran(*words, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = cli.main(list(map(str, words)))
        return status, *capsys.readouterr()

    return ran


def test_a_chat_goes_on_by_its_name(run, server):
    status, out, err = run("ask", "-c", "john", "My", "name is John")
    assert (status, err) == (0, "")
    assert out.startswith("Hello, John!")
    assert out.endswith("\n")
    assert "turn" not in out, "the text alone"
    status, out, err = run("ask", "Do you remember", "-c", "john", "--think", "my name?")
    assert (status, out.startswith("Yes, John!")) == (0, True)
    assert "john was found with 1 turn" in err
    first, second = asked(server)
    assert second.body["input"] == "Do you remember my name?"
    assert second.body["previous_response_id"] == first.response_id
    assert second.body["enable_thinking"] is True
    assert "Yes, John!" not in run("ask", "Do you remember my name?")[1], "that is another one"
    assert run("history", "john")[1].startswith("john · 2 turns")
    assert "john" in run("chats")[1]


def test_what_is_piped_in_joins_the_prompt_as_a_body_does(run, server):
    run("ask", "Explain", "this:", stdin=b"\n  x = 1\n\n")
    run("ask", "-", stdin="\ufeffgrüß dich".encode())
    run("ask", "--", "-v", "means what?")
    inputs = [record.body["input"] for record in asked(server)]
    assert inputs == ["Explain this:\n  x = 1", "grüß dich", "-v means what?"]


def test_what_is_piped_in_as_a_file(run, server, folder):
    (folder / "a,b.txt").write_text("from a file")
    status, *_ = run("ask", "-f", "-", "-f", "a,b.txt", "Sum up", stdin=b"from stdin {x}")
    said = asked(server)[0].body["input"]
    assert (status, "from stdin {x}" in said, "from a file" in said) == (0, True, True)


def test_a_figure_is_no_text_and_is_saved(run, tmp_path):
    status, out, err = run("ask", "-t", "code_interpreter", "Plot sin(x)")
    (figure,) = (tmp_path / "home" / "figures").iterdir()
    assert (status, figure.read_bytes()[:4]) == (0, b"\x89PNG")
    assert figure.name in err
    assert figure.name not in out


def test_an_answer_as_json(run):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    with open("s.json", "w") as file:
        json.dump(schema, file)
    with worded_server(lambda body, n: ended(n, said('{"a": 5}'))) as server:
        words = ("--endpoint", server.url, "--no-history")
        status, out, _ = run("ask", "--json", *words, "--schema", "s.json", "x")
        told = json.loads(out)
        assert (status, told["parsed"], told["status"]) == (0, {"a": 5}, "completed")
        assert (told["text"], told["error"], told["model"]) == ('{"a": 5}', None, "m")
        _, out, _ = run("ask", "--json", *words, "--compare", "a,b", "x")
        assert [each["text"] for each in json.loads(out)] == ['{"a": 5}'] * 2
        server.answer = lambda body, n: (400, {"error": {"message": "no such thing"}})
        status, out, err = run("ask", "--json", *words, "x")
        assert (status, json.loads(out)["error"]["why"]) == (1, "no such thing")
        assert "no such thing" in err


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("ask",), 2, "There is no prompt"),
        (("ask", "--top-p", "7", "x"), 2, "--top-p takes"),
        (("ask", "--think", "--no-think", "x"), 2, "contradict"),
        (("ask", "--new", "-c", "a", "x"), 2, "contradict"),
        (("ask", "--endpoint", "http://127.0.0.1:9/v1", "x"), 1, "refused the connection"),
        (("ask", "--endpoint", "singapore", "x"), 1, "Set DASHSCOPE_API_KEY"),
        (("ask", "a sk-0123456789abcdefghij b"), 1, "--allow-secrets"),
        (("ask", "--notebook", "none.ipynb", "x"), 1, "There is no notebook none.ipynb"),
        (("ask", "--schema", "none.json", "x"), 1, "none.json cannot be read"),
        (("history", "nobody"), 1, "qwen-magic chats lists them"),
        (("export", "x.txt"), 1, "neither in .md nor in .json"),
        (("record", "none.ipynb"), 1, "No such file or directory"),
    ],
)
def test_what_is_wrong_is_told_in_short_words(run, words, status, told):
    found, out, err = run(*words)
    assert (found, out) == (status, "")
    assert told in err
    assert len(err.splitlines()) <= 3
    assert not any(
        word in err for word in ("[Errno", "%config", "%qwen_chat", "%%qwen", "cell", "kernel")
    )


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["ask", "--bg", "x"], ""),
        (["ask", "-m"], ""),
        (["ask", "--modle", "m", "x"], "--model"),
        (["doctor", "--notbook=a"], "--notebook"),
        (["aks"], "ask"),
        ([], ""),
    ],
)
def test_what_cannot_be_typed(run, words, near, capsys):
    with pytest.raises(SystemExit) as left:
        run(*words)
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert (f"did you mean {near}?" in told) == bool(near)
    assert len(told.splitlines()) == 1


def test_options_stand_behind_the_command(run, capsys):
    for words in (["--endpoint", "demo", "ask", "x"], ["--notebook", "a.ipynb", "history"]):
        with pytest.raises(SystemExit) as left:
            run(*words)
        assert left.value.code == 2
        assert "behind the command" in capsys.readouterr().err


def test_a_key_is_asked_for_where_somebody_can_type_it(run):
    status, out, err = run("key", "--endpoint", "singapore", stdin=b"sk-0123456789abcdefghij")
    assert (status, out, "DASHSCOPE_API_KEY" in err) == (1, "", True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="nothing is always full here")
def test_a_full_disk_is_no_fault_of_ours(server):
    for words in (("ask", "hello"), ("ask", "--json", "hello"), ("models",)):
        with (
            open("/dev/full", "w") as full,
            started(*words, stdout=full, stderr=subprocess.PIPE) as process,
        ):
            assert process.wait(30) == 1
            told = process.stderr.read().decode()
        assert os.strerror(errno.ENOSPC) in told
        assert "In qwen_magic" not in told


def test_a_dry_run_sends_nothing(run, server):
    status, out, _ = run("ask", "--dry-run", "-s", "@tutor", "What is {x}?")
    assert (status, asked(server)) == (0, [])
    assert "What is {x}?" in out


def test_the_cells_of_a_notebook_go_along(run, server, folder):
    cells = [new_markdown_cell("# Rainfall"), new_code_cell("mm = [3, 4]")]
    nbformat.write(new_notebook(cells=cells), folder / "rain.ipynb")
    assert run("ask", "-n", "all", "--notebook", "rain.ipynb", "What is it about?")[0] == 0
    (request,) = asked(server)
    told = json.dumps(request.body["input"])
    assert "# Rainfall" in told
    assert "mm = [3, 4]" in told
    status, _, err = run("ask", "-n", "all", "What is it about?")
    assert (status, "--notebook FILE" in err) == (1, True)


def test_conversations_go_out_and_settings_come_in(run, server, folder, monkeypatch, tmp_path):
    (tmp_path / "ipython" / "profile_default").mkdir(parents=True)
    configuration = tmp_path / "ipython" / "profile_default" / "ipython_config.py"
    configuration.write_text("c = get_config()\nc.QwenMagics.model = 'of-the-profile'\n")
    run("ask", "My name is John")
    machine_readable = configuration.with_suffix(".json")
    machine_readable.write_text('{"QwenMagics": {"temperature": 0.25}}')
    monkeypatch.setenv("QWEN_MAGIC_TOP_P", "0.5")
    run("ask", "hello", "-e", "low")
    first, second = asked(server)
    assert (first.body["model"], second.body["top_p"]) == ("of-the-profile", 0.5)
    assert second.body["temperature"] == 0.25
    assert run("export", "out file.md")[0] == 0
    assert "My name is John" in (folder / "out file.md").read_text()
    configuration.write_text("QwenMagics (")
    status, _, err = run("ask", "hello")
    assert (status, str(configuration) in err) == (0, True)
    monkeypatch.setenv("QWEN_MAGIC_TOP_P", "much")
    assert run("ask", "hello")[0] == 1


def test_the_doctor(run, tmp_path):
    status, out, _ = run("doctor", "-m", "m")
    assert status == 0
    assert f"✓ Store: Kept in {tmp_path / 'home' / 'conversations.sqlite3'}" in out
    assert "✓ Round trip" in out
    status, out, _ = run("doctor", "--endpoint", "singapore")
    assert (status, "✗ Key: not set. qwen-magic key" in out) == (1, True)


def test_help_loads_nothing_heavy_and_tells_the_options_of_the_table():
    program = (
        "import sys\nfrom qwen_magic.cli import main\n"
        "try: main(['ask', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'IPython', 'httpx2', 'traitlets', 'asyncio', 'sqlite3', 'markdown_it'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for option in options_of("ask"):
        assert option.long in done.stdout
    assert len(options_of("ask")) < len(OPTIONS)


def started(*words, **streams):
    """The command in a process of its own."""
    return subprocess.Popen([*COMMAND, *words], stdin=subprocess.DEVNULL, **streams)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupt_keeps_what_came(run, server, number, status):
    server.set(delay=0.02)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started("ask", "write at length", **pipes) as process:
        wait_for_requests(server, lambda records: records and records[-1].events > 30, 30)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert out.startswith(b"# A long answer")
    assert err.decode().startswith("Stopped after")
    assert "Traceback" not in err.decode()
    wait_for_requests(server, lambda records: records[-1].closed_at is not None)
    assert "stopped" in run("history")[1]


def test_a_reader_who_goes_away(server):
    server.set(delay=0.01)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started("ask", "write at length", **pipes) as process:
        process.stdout.read(20)
        process.stdout.close()
        assert process.wait(20) == 141
        assert process.stderr.read() == b""
    wait_for_requests(server, lambda records: records[-1].closed_at is not None)


def test_what_writes_in_the_words_of_a_shell_outlives_what_it_writes_to():
    """Python 3.13 tells it when an object like that cannot be closed."""
    out = io.StringIO()
    writer = cli._ShellWriter(out)
    out.close()
    writer.close()


def test_on_a_terminal_it_is_told_what_the_answer_cost(server):
    ours, theirs = pty.openpty()
    with started("ask", "My name is John", stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        assert process.wait(30) == 0
        shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "Hello, John!" in shown
    assert "main, turn" in shown.replace("\xa0", " ")


@pytest.mark.kernel
def test_from_notebook_to_shell_and_back(run, server, tmp_path, folder):
    notebook = folder / "john.ipynb"
    notebook.write_text("{}")
    kernel = Kernel(
        PYTHONS["this"],
        {**os.environ, "JPY_SESSION_NAME": str(notebook), "QWEN_MAGIC_WARM_UP": "false"},
    )
    try:
        kernel.ok("%load_ext qwen_magic")
        kernel.ok("%%qwen\nMy name is John", "c1")
        words = ("ask", "--notebook", "john.ipynb", "Do you remember my name?")
        assert run(*words)[1].startswith("Yes, John!")
        kernel.ok("%%qwen\nDo you remember it?", "c2")
        ids = [record.response_id for record in asked(server)]
        assert [each.body.get("previous_response_id") for each in asked(server)[1:]] == ids[:2]
        shown = kernel.ok("%qwen_history").displays[0][1]["text/plain"]
        assert shown.startswith("main · 3 turns")
    finally:
        kernel.close()
