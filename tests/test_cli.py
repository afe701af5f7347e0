"""The console command."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import nbformat
import psutil
import pytest

from qwen_magic import __version__, cli
from qwen_magic.notebook_files import bundled_notebooks, copy_notebooks
from qwen_magic.session.endpoint_keys import local_weights
from tests.support.real_jupyter import wait_until


@pytest.fixture
def ran(monkeypatch):
    """What the command would have run, and in which environment."""
    called = []
    monkeypatch.setattr(cli, "_run_jupyter", lambda *given: called.append(given) or 0)
    return called


def test_the_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert __version__ in capsys.readouterr().out


def test_the_bundled_notebooks_are_there():
    assert (bundled_notebooks() / cli.NOTEBOOK).exists()


def test_the_demo_opens_jupyterlab_on_a_copy_answered_offline(tmp_path, ran):
    assert cli.main(["demo", str(tmp_path / "demo"), "--no-browser"]) == 0
    ((command, environment),) = ran
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={tmp_path / 'demo'}" in command
    assert "--no-browser" in command
    copied = {str(f.relative_to(tmp_path / "demo")) for f in (tmp_path / "demo").rglob("*.*")}
    assert {"quickstart.ipynb", "data_analysis.ipynb", "data/planets.csv"} <= copied
    assert environment["QWEN_MAGIC_ENDPOINT"] == "demo"
    assert not list((tmp_path / "demo").rglob("*.jsonl")), "the demo answers, no recording"
    notebook = nbformat.read(tmp_path / "demo" / "quickstart.ipynb", 4)
    assert not any(cell.get("outputs") for cell in notebook.cells)


def test_a_notebook_that_was_changed_is_not_overwritten(tmp_path, ran):
    notebook = tmp_path / "quickstart.ipynb"
    notebook.write_text("mine")
    assert cli.main(["demo", str(tmp_path)]) == 0
    assert notebook.read_text() == "mine"


def test_what_is_missing_is_said_and_nothing_is_begun(tmp_path, ran, monkeypatch, capsys):
    monkeypatch.setenv("QWEN_MAGIC_HOME", str(tmp_path / "home"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["demo", str(tmp_path / "a"), "--port", str(port)]) == 1
        assert "--port" in capsys.readouterr().err
    assert cli.main(["demo", str(tmp_path / "a"), "--port", "70000"]) == 1
    assert cli.main(["demo", str(tmp_path / "a"), "--local"]) == 1
    assert "%qwen_local qwen" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert cli.main(["demo", str(tmp_path / "file")]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    assert cli.main(["demo", str(tmp_path / "a")]) == 1
    assert "pip install" in capsys.readouterr().err
    assert not ran
    assert not (tmp_path / "a").exists()


def test_the_local_model_answers_where_it_was_fetched(tmp_path, ran, monkeypatch):
    monkeypatch.setenv("QWEN_MAGIC_HOME", str(tmp_path))
    monkeypatch.setattr(cli, "find_spec", lambda name: True)
    weights = local_weights(os.environ)
    weights.parent.mkdir()
    weights.touch()
    assert cli.main(["demo", str(tmp_path / "demo"), "--local"]) == 0
    ((_, environment),) = ran
    assert environment["QWEN_MAGIC_ENDPOINT"] == "local"
    assert environment["QWEN_MAGIC_MODEL"] == weights.stem


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_a_signal_ends_jupyterlab_with_it(tmp_path):
    port = free_port()
    program = "import sys; from qwen_magic.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "demo", str(tmp_path), "--no-browser"]
    with subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/login"), timeout=60)
        (server,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not server.is_running()


def notebook_of(*cells):
    return nbformat.v4.new_notebook(cells=list(cells))


def test_a_handout_has_the_questions_and_what_they_need_but_no_answers(tmp_path, capsys):
    folder = tmp_path / "lesson"
    for name in ("data/t.csv", "notes.md", ".env", "mcp.json", "unnamed.csv", "lesson.jsonl",
                 "prompts/rules.md", "picture.png", "../outside.txt", "a b.png", "helper.py",
                 "data/prose.csv", "data/below.csv", "more/1.tsv", "more/2.tsv", "more/3.txt",
                 "prompts/asked.md", "solutions.ipynb", "solved.py"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    output = nbformat.v4.new_output("stream", text="The answer is 42")
    cells = [
        nbformat.v4.new_markdown_cell("![a picture](picture.png) ![b](https://x.invalid/y.png) "
                                      "![c](a%20b.png) The solutions: solved.py, solutions.ipynb."),
        nbformat.v4.new_code_cell(
            "open('data/t.csv'), open('.env'), open('mcp.json'), open('../outside.txt'), "
            f"'{'字' * 300}', '\0'",
            outputs=[output], execution_count=3,
        ),
        nbformat.v4.new_code_cell("%%qwen -f notes.md -s @rules\nWhy? See data/prose.csv.",
                                  outputs=[output]),
        nbformat.v4.new_code_cell("import helper\nPath('data') / 'below.csv', glob('more/*.tsv'), "
                                  "glob('*'), 'solutions', '**/*.py'\n# as in solutions.ipynb"),
        nbformat.v4.new_code_cell("%qwen_prompt asked field=1"),
        nbformat.v4.new_code_cell("%%qwen\nIs it 42?", metadata={"tags": ["solution"]}),
    ]  # fmt: skip
    nbformat.write(notebook_of(*cells), folder / "lesson.ipynb")
    assert cli.main(["handout", str(folder / "lesson.ipynb"), str(tmp_path / "out")]) == 0
    assert "recording still holds" in capsys.readouterr().out
    given = {str(f.relative_to(tmp_path / "out")) for f in (tmp_path / "out").rglob("*.*")}
    assert given == {
        "lesson.ipynb", "lesson.jsonl", "data/t.csv", "notes.md", "prompts/rules.md", "picture.png",
        "a b.png", "helper.py", "data/prose.csv", "data/below.csv", "more/1.tsv", "more/2.tsv",
        "prompts/asked.md",
    }  # fmt: skip
    copy = nbformat.read(tmp_path / "out" / "lesson.ipynb", 4)
    assert [cell.source for cell in copy.cells] == [cell.source for cell in cells[:5]]
    assert " 42" not in (tmp_path / "out" / "lesson.ipynb").read_text()


def test_a_handout_follows_no_link_out_of_its_folder(tmp_path):
    """Somebody who gave the folder may have put them there."""
    secret, folder = tmp_path / "id_rsa", tmp_path / "lesson"
    secret.write_text("PRIVATE")
    (folder / "data").mkdir(parents=True)
    for name in ("lesson.jsonl", "notes.md", "data/x.csv"):
        (folder / name).symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    (folder / "MCP.json").write_text("PRIVATE")
    cell = nbformat.v4.new_code_cell("'notes.md' 'data/*.csv' 'up/id_rsa' 'up' '*' 'MCP.json'")
    nbformat.write(notebook_of(cell), folder / "lesson.ipynb")
    assert cli.main(["handout", str(folder / "lesson.ipynb"), str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["lesson.ipynb"]


def test_what_a_terminal_would_obey_is_spelled_out(tmp_path, capsys):
    """In what was typed, and in names of somebody's files."""
    (tmp_path / "x\x1b]0;y\x07.csv").touch()
    cell = nbformat.v4.new_code_cell("'x\x1b]0;y\x07.csv'")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "lesson.ipynb")
    assert cli.main(["handout", str(tmp_path / "lesson.ipynb")]) == 0
    with pytest.raises(SystemExit):
        cli.main(["ask", "--x\x1b]0;y\x07"])
    said = capsys.readouterr()
    for words in (said.out, said.err):
        assert "x\\x1b]0;y\\x07" in words
        assert "\x1b" not in words


def test_the_demo_writes_through_no_link(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "quickstart.ipynb").symlink_to(tmp_path / "elsewhere")
    copy_notebooks(tmp_path / "here")
    assert not (tmp_path / "elsewhere").exists()


def test_what_cannot_be_handed_out_is_said(tmp_path, capsys):
    (tmp_path / "bad.ipynb").write_text("{")
    nbformat.write(notebook_of(), tmp_path / "good.ipynb")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    for given in (["bad.ipynb"], ["none.ipynb"], ["full"], ["good.ipynb", "full"]):
        assert cli.main(["handout", *(str(tmp_path / each) for each in given)]) == 1
        assert given[-1] in capsys.readouterr().err
