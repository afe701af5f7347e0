"""A lesson that is recorded in a kernel, and replayed in another one where there is no server."""

import json
import os
import re
from typing import ClassVar

import nbformat
import pytest
from canaries import CANARIES
from demo_server import asked, demo_server
from nbclient import NotebookClient
from real_kernel import PYTHONS, Kernel

from qwen_magic import cli

pytestmark = pytest.mark.kernel

TYPED = "sk-0a1b2c3d4e5f6a7b8c9d0e1f"  # in the prompt itself
SETUP = """
import os, pandas as pd
from qwen_magic import Qwen, tool
frame = pd.DataFrame({"user": ["Ann"], "password": [os.environ.get("FRAME", "another")]})
mcp = {"type": "mcp", "server_label": "birds", "server_url": "https://example.org/mcp",
       "headers": {"X-Birds": os.environ.get("HEADER", "none here")}}

@tool
def rows(where: str) -> dict:
    "Gives what it has."
    return {"where": where, "process": os.getpid()}  # another one each time

os.getpid()
"""
CELLS = {
    "figures": "%%qwen -t code_interpreter\nplots",
    "continues": "%%qwen\nWhat did I ask?",
    "function": "%%qwen -t rows\ncall rows(where='a')",
    "frame": "%%qwen -d frame --no-history\nDescribe it",
    "header": "%%qwen -t mcp --no-history\nHello",
    "key": f"%%qwen --no-history --allow-secrets\nIs {TYPED} right?",
    "models": "%qwen_models",
    "dry run": "%%qwen --dry-run\nAnother one?",
    "python": "print(Qwen().ask('Hello', history=False).text)",
    "fails": "%%qwen\nHello\ndemo: error 400",
    "usage": "%qwen_usage",
    "chats": "%qwen_chat",
}
TIMES = re.compile(r" · (?:<span class=\"qm-fact\">)?[\d.]+\ss\b(?:</span>)?")


def environ(folder, **more):
    (folder / "ipython").mkdir(parents=True)
    kept = {name: value for name, value in os.environ.items() if "DASHSCOPE" not in name}
    return kept | {
        "IPYTHONDIR": str(folder / "ipython"),
        "QWEN_MAGIC_HOME": str(folder / "home"),
        "QWEN_MAGIC_UNATTENDED": "allow",
        **more,
    }


class Lesson:
    """A kernel in which the cells are run."""

    processes: ClassVar = []

    def __init__(self, folder, env, first):
        self.kernel = Kernel(PYTHONS["this"], env)
        self.kernel.ok(f"%cd -q {folder}")
        self.kernel.ok("%load_ext qwen_magic")
        self.kernel.ok(first)
        self.processes.append(self.kernel.ok(SETUP).result["text/plain"])

    def play(self):
        return {name: self.shown(self.kernel.run(cell, name)) for name, cell in CELLS.items()}

    def shown(self, ran):
        """What a cell shows in the end, without times and ids of our own."""
        final = ran.final if ran.displays else {}
        told = [ran.status, ran.stdout, ran.stderr, *ran.traceback, *final.values()]
        plain = TIMES.sub("", "\n".join(told))
        for process in self.processes:  # also of the teacher's, whom the recorded answer quotes
            plain = plain.replace(process, "PROCESS")
        # The variable of a key is that of who asks.
        return re.sub(r"qm-id-\w+|Cell In ?\[\d+\]|just now|\w*API_KEY", "", plain)


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """The lesson's folder, and what was shown when it was recorded and when it was replayed."""
    folder = tmp_path_factory.mktemp("lesson")
    with demo_server(key=CANARIES["key"]) as server:
        recorder = Lesson(
            folder,
            environ(
                folder / "teacher",
                DASHSCOPE_BASE_URL=server.base_url,
                DASHSCOPE_API_KEY=CANARIES["key"],
                FRAME=CANARIES["frame"],
                HEADER=CANARIES["header"],
            ),
            "%qwen_record lesson.jsonl",
        )
        recorded = recorder.play()
        recorder.kernel.close()
    student = Lesson(
        folder, environ(folder / "student"), "%qwen_replay lesson.jsonl --speed instant"
    )
    replayed = student.play()
    yield folder, recorded, replayed, student.kernel
    student.kernel.close()


def test_without_a_server_it_shows_the_same(played):
    _, recorded, replayed, _ = played
    for name, shown in replayed.items():
        assert re.sub(r"recorded \d+ \w+ \d+, ", "", shown) == recorded[name], name
    for name in ("figures", "continues", "function", "frame", "header", "key"):
        assert re.search(r"recorded \d+ [A-Z]\w\w \d{4}, ", replayed[name]), name


def test_no_key_is_in_the_recording(played):
    text = (played[0] / "lesson.jsonl").read_text("utf-8")
    exchanges = [json.loads(line) for line in text.splitlines()[1:]]
    assert any(each["request"]["body"].get("tools", [{}])[0].get("headers") for each in exchanges
               if "body" in each["request"])  # fmt: skip
    for value in (TYPED, *CANARIES.values()):
        assert value not in text


def test_how_a_recorded_turn_went(played):
    kernel = played[3]
    shown = kernel.ok("%qwen_trace 3").final
    assert "How turn 3 of main went" in shown["text/plain"]
    assert "calls rows" in shown["text/plain"]
    assert "data:image/svg+xml" in shown["text/html"]
    assert kernel.run("%qwen_trace nowhere:3").status == "error"


def test_how_the_questions_of_a_recording_went(played):
    kernel = played[3]
    listed = kernel.ok("%qwen_trace lesson.jsonl").final["text/plain"]
    places = {line.split()[1]: line.split()[0] for line in listed.splitlines()[1:-1]}
    place = places["call"]  # `call rows(where='a')`
    shown = kernel.ok(f"%qwen_trace lesson.jsonl {place}").final["text/plain"]
    assert f"question {place} of lesson.jsonl" in shown
    assert "calls rows" in shown, "with the request that sent back what the function gave"
    assert kernel.run("%qwen_trace lesson.jsonl 99").status == "error"
    assert kernel.run("%qwen_trace 3 4").status == "error"


def test_a_changed_question_says_what_differs(played):
    kernel = played[3]
    ran = kernel.run("%%qwen --no-history\nDescribe them", "another")
    assert ran.status == "error"
    told = "".join(ran.traceback)
    assert "NotRecordedError" in told
    assert "lesson.jsonl" in told
    assert "--missing live" in told


def test_damaged_files_and_words_are_refused(played):
    folder, _, _, kernel = played
    (folder / "cut.jsonl").write_text((folder / "lesson.jsonl").read_text("utf-8")[:-20])
    (folder / "data.jsonl").write_text('{"id": 1}\n')
    lines = len((folder / "lesson.jsonl").read_text("utf-8").splitlines())
    for line, said in {
        "cut.jsonl": f"line {lines}",
        "data.jsonl": "no recording",
        "nowhere.jsonl": "cannot be read",
        "lesson.jsonl --speed never": "instant",
        "lesson.jsonl --missing never": "ask, live or fail",
    }.items():
        ran = kernel.run(f"%qwen_replay {line}")
        assert ran.status == "error", line
        assert said in "".join(ran.traceback), line
    assert kernel.run("%qwen_record data.jsonl").status == "error"


def test_a_notebook_with_its_recording_runs_anywhere(tmp_path, monkeypatch):
    for name, value in environ(tmp_path / "teacher", QWEN_DEMO_DELAY="0").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    path = tmp_path / "lesson.ipynb"
    cells = ["%load_ext qwen_magic", "%%qwen\nWhat is a prime number?", "%%qwen\nAnd then?"]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    nbformat.write(made, path)
    with demo_server() as server:
        monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
        assert cli.main(["record", str(path), "--inplace"]) == 0
        assert len(asked(server)) == 2
    monkeypatch.delenv("DASHSCOPE_BASE_URL")
    recorded = nbformat.read(path, 4)
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for before, after in list(zip(recorded.cells, notebook.cells, strict=True))[1:]:
        (old,), (new,) = before.outputs, after.outputs
        assert re.search(r"recorded \d+ \w+ \d+, demo", new.data["text/plain"])
        plain = re.sub(r"recorded \d+ \w+ \d+, ", "", new.data["text/plain"])
        assert TIMES.sub("", plain) == TIMES.sub("", old.data["text/plain"])
    assert not list(tmp_path.glob(".lesson*"))


def test_a_notebook_that_fails_is_not_recorded(tmp_path, capsys):
    path = tmp_path / "lesson.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), path)
    assert cli.main(["record", str(path)]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.jsonl"))
    assert cli.main(["record", str(tmp_path / "none.ipynb")]) == 1
