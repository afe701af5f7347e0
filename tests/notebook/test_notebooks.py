"""The notebooks of the project: each from its recording, as it is committed, and from the demo.

    python tests/notebook/test_notebooks.py [NAME …]

records them anew, answered by the demo, and writes the outputs that they have when replayed.
"""

import copy
import difflib
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import papermill
import pytest
from nbclient import NotebookClient

from qwen_magic.conversation.archive import PlacedValue
from qwen_magic.conversation.archive.notebook import read_metadata
from qwen_magic.document.extract import code_blocks, tables

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST = 700_000  # bytes of a recording, or of a notebook with its outputs
# What stands for a network that goes away: from here on nothing of this process gets through.
CUT = """
import socket

def _cut(*given):
    raise OSError("the network is cut")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = _cut
"""


def environ(folder, **more):
    """The environment of a kernel that has no key, and nothing from before. `folder` is its home:
    a path in it is shown as `~`."""
    kept = {name: value for name, value in os.environ.items() if "DASHSCOPE" not in name}
    return kept | {
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "HOME": str(folder),
        "QWEN_MAGIC_HOME": str(folder / ".local" / "share" / "qwen_magic"),
        "QWEN_MAGIC_UNATTENDED": "allow",
        **more,
    }


def put(path, folder, *endings):
    """A notebook's files with these endings, and the data, in a folder of their own."""
    shutil.copytree(FOLDER / "data", folder / "data")
    for ending in endings:
        shutil.copy(path.with_suffix(ending), folder)
    return folder / path.name


class PageClient(NotebookClient):
    """Sends the id of each cell, as pages do; of one that was run before with its own."""

    def __init__(self, notebook, folder, cut_at=None):
        resources = {"metadata": {"path": str(folder)}}
        options = {"timeout": 120, "kernel_name": "python3", "record_timing": False}
        super().__init__(notebook, on_cell_start=self.begin_cell, resources=resources, **options)
        self.cut_at = cut_at

    def begin_cell(self, cell, cell_index):
        if cell_index == self.cut_at:
            self.kc.execute(CUT, silent=True)
        self.kc.session.metadata = {"cellId": cell.id.partition("-again")[0]}


def executed(path, *, is_cut=False, **more):
    """The notebook at `path`, run from top to bottom; `is_cut`: in its middle the network goes
    away. It raises where a cell fails that is not marked for it."""
    notebook = nbformat.read(path, 4)
    middle = len(notebook.cells) // 2 if is_cut else None
    PageClient(notebook, path.parent, middle).execute(env=environ(path.parent, **more))
    return notebook


def make_brisk(recording):
    """Take out the wait before an answer that is longer than half a second: no server's, but that
    of the kernel, which imports what its first answer needs."""
    header, *lines = recording.read_text("utf-8").splitlines()
    exchanges = [json.loads(line) for line in lines]
    for exchange in exchanges:
        late = max(0, exchange["stream"][0][0] - 500)
        exchange["stream"] = [[at - late, piece] for at, piece in exchange["stream"]]
    told = [json.dumps(each, ensure_ascii=False, separators=(",", ":")) for each in exchanges]
    recording.write_text("\n".join([header, *told, ""]), "utf-8")


def record(path):
    """Record the notebook at `path` anew, and write the outputs that it has when it is replayed."""
    with tempfile.TemporaryDirectory() as folder:
        copied = put(path, Path(folder), ".ipynb")
        program = "import sys; from qwen_magic.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", program, "record", str(copied)]
        apart = {"QWEN_MAGIC_HOME": str(copied.parent / "apart")}
        subprocess.run(command, env=environ(copied.parent, **apart), check=True)
        recording = copied.with_suffix(".jsonl")
        make_brisk(recording)
        kept, notebook = nbformat.read(path, 4), executed(copied)
        for old, new in zip(kept.cells, notebook.cells, strict=True):
            if old.cell_type == "code":
                old.outputs, old.execution_count = new.outputs, new.execution_count
        nbformat.write(kept, path)
        shutil.copyfile(recording, path.with_suffix(".jsonl"))


# What two runs of a notebook may differ in: our own ids, times, the sum over a text with them.
_VARY = re.compile(
    r"(?:qm-id-|\b)(?P<id>[0-9a-f]{12})(?:[0-9a-f]{20})?\b"
    r'|(?: · )?(?:<span class=\\"qm-fact\\">)?\b[\d.,]+[\u00a0 ](?:s|ms|min)\b(?:</span>)?'
    r'|"(?:created_at|seconds|crc32)": [\d.]+,?'
)


def joined(outputs):
    """Printed text in one piece, as a page shows it: a busy kernel may send a line in two."""
    made = []
    for output in outputs:
        if made and output.get("name") and made[-1].get("name") == output["name"]:
            made[-1] = {**made[-1], "text": made[-1]["text"] + output["text"]}
        else:
            made.append(output)
    return made


def told(notebook):
    """What the notebook shows, in lines that can be compared: ids are numbered, times left out, and
    the style of a page, which says nothing."""
    seen = {}

    def varying(match):
        return f"ID {seen.setdefault(match['id'], len(seen))}" if match["id"] else ""

    lines = []
    for cell in notebook.cells:
        for output in joined(cell.get("outputs", ())):
            output = {**output, "execution_count": None}
            if output["output_type"] == "error":  # Python's own words, by its version
                output["traceback"] = []
            text = json.dumps(output, indent=1, ensure_ascii=False, sort_keys=True)
            text = re.sub(r"<style>.*?</style>", "", text)
            text = re.sub(r"base64,[\w+/=]{99,}|\"[\w+/=]{99,}(?:\\n)?\"", _digest, text)
            text = re.sub(r"\\n|(?<=>)(?=<)", "\n", _VARY.sub(varying, text))
            # A table's columns are as wide as its times.
            lines += [f"{cell.id}: {re.sub(' +', ' ', line)}" for line in text.splitlines()]
    return lines


def _digest(match):
    return hashlib.sha256(match[0].replace("\\n", "").encode()).hexdigest()[:16]


def differences(committed, now):
    """How two runs of a notebook differ, to be read; empty where they do not."""
    found = difflib.unified_diff(told(committed), told(now), "committed", "now", n=1, lineterm="")
    return "\n".join(line[:300] for line in list(found)[:60])


@pytest.fixture(scope="module")
def committed():
    return functools.cache(lambda name: nbformat.read(FOLDER / f"{name}.ipynb", 4))


@pytest.fixture(scope="module")
def from_the_demo(tmp_path_factory):
    """Runs a notebook several times without a restart, answered by the demo. Gives it with the
    outputs of each time."""

    from fuzz import IS_HEAVY

    count = 3 if IS_HEAVY else 2

    @functools.cache
    def ran(path):
        copied = put(path, tmp_path_factory.mktemp(path.stem), ".ipynb")
        notebook = nbformat.read(copied, 4)
        once = notebook.cells
        notebook.cells = [
            nbformat.from_dict({**copy.deepcopy(cell), "id": cell.id + time * "-again"})
            for time in range(count)
            for cell in once
        ]
        nbformat.write(notebook, copied)
        notebook = executed(copied, QWEN_DEMO_DELAY="0")
        times = [copy.copy(notebook) for _ in range(count)]
        for time, each in enumerate(times):
            each.cells = notebook.cells[time * len(once) : (time + 1) * len(once)]
        return times

    return ran


def turns(notebook):
    """The outputs that are answers, by the id of their cell."""
    return {
        cell.id.partition("-again")[0]: output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "qwen_magic" in output.get("metadata", {})
    }


def turn_of(output):
    """The turn that an output tells."""
    said = output.metadata["qwen_magic"]
    node = PlacedValue({**said, "chat": said["chat"] or "none"}, "output")
    return read_metadata(node, 0, output.data["text/markdown"]).turn


def items(output, kind=""):
    return [item for item in turn_of(output).items if kind in item["type"]]


def answered(output):
    """What an answer is, whoever gave it, and whenever."""
    said, turn = output.metadata["qwen_magic"], turn_of(output)
    steps = [(i["type"], i.get("code"), i.get("arguments"), i.get("output")) for i in turn.items]
    return said["chat"], said["number"], turn.prompt, turn.status, turn.text, steps


def cell(notebook, name):
    return next(each for each in notebook.cells if each.id == name)


def printed(notebook, name):
    outputs = cell(notebook, name).outputs
    return "".join(each.get("text") or each.data["text/plain"] for each in outputs)


def planets():
    pandas = pytest.importorskip("pandas")
    return pandas.read_csv(FOLDER / "data" / "planets.csv", index_col="planet")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestANotebook:
    @pytest.mark.kernel
    def test_from_its_recording_it_shows_what_is_committed(self, path, committed, tmp_path):
        """The network is cut in its middle."""
        copied = put(path, tmp_path, ".ipynb", ".jsonl")
        now = executed(copied, is_cut=True)
        if drift := differences(committed(path.stem), now):
            remedy = f"python tests/notebook/test_notebooks.py {path.stem} records it anew"
            pytest.fail(
                f"{path.name} shows what is not committed; {remedy}.\n{drift}", pytrace=False
            )

    @pytest.mark.kernel
    def test_from_the_demo_it_is_answered_alike_each_time(self, path, committed, from_the_demo):
        expected = {name: answered(output) for name, output in turns(committed(path.stem)).items()}
        for notebook in from_the_demo(path):
            assert {name: answered(each) for name, each in turns(notebook).items()} == expected
            for output in turns(notebook).values():
                assert "recorded" in output.data["text/plain"] or (
                    "ffline demo" in output.data["text/plain"]
                ), "the footer says who answered"

    def test_what_is_committed_is_whole_and_small(self, path, committed):
        notebook = committed(path.stem)
        assert max(path.stat().st_size, path.with_suffix(".jsonl").stat().st_size) < MOST
        assert "widgets" not in notebook.metadata
        for each in notebook.cells:
            outputs = each.get("outputs", ())
            fails = "raises-exception" in each.metadata.get("tags", ())
            assert fails == any(output.output_type == "error" for output in outputs)
            assert not [output.text for output in outputs if output.get("name") == "stderr"]
        for output in turns(notebook).values():
            assert set(output.data) == {"text/html", "text/markdown", "text/plain"}
            assert "recorded" in output.data["text/plain"]
            assert turn_of(output).status == "completed"
            assert "has no lesson" not in turn_of(output).text


@pytest.mark.kernel
def test_by_papermill_the_lesson_shows_what_is_committed(committed, tmp_path, monkeypatch):
    """But for the places of cells, which it does not tell."""

    def placeless(notebook):
        link = r'<a (class=\\"qm-ask\\".*?) href=\\".*?\\"(.*?)</a>'
        unlinked = re.sub(link, r"<span \1\2</span>", nbformat.writes(notebook))
        notebook = nbformat.reads(unlinked, 4)
        for each in notebook.cells:
            for output in each.get("outputs", ()):
                output.get("metadata", {}).get("qwen_magic", {}).pop("cell", None)
        return notebook

    copied = put(FOLDER / "teaching_demo.ipynb", tmp_path, ".ipynb", ".jsonl")
    for name, value in environ(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    now = papermill.execute_notebook(
        copied, tmp_path / "ran.ipynb", cwd=tmp_path, kernel_name="python3", progress_bar=False
    )
    drift = differences(placeless(committed("teaching_demo")), placeless(now))
    assert not drift, drift


@pytest.fixture
def analysis(committed):
    return committed("data_analysis")


class TestDataAnalysis:
    """What it shows is true: it is compared with the data."""

    def test_the_dry_run_shows_what_then_is_sent(self, analysis):
        (output,) = cell(analysis, "data-05").outputs
        shown = output.data["text/plain"]
        assert "'pressure': float64, 4 missing" in shown
        assert "nothing was sent" in shown
        (about,) = re.findall(r"^data planets .*  (\S.+)$", shown, re.MULTILINE)
        assert "9 rows, 11 columns; schema sent" in about
        assert about in turns(analysis)["data-07"].data["text/plain"]

    def test_the_advised_code_is_that_of_the_cell_below(self, analysis):
        (advised,) = code_blocks(turn_of(turns(analysis)["data-07"]).text)
        assert advised.code.strip() == cell(analysis, "data-10").source
        assert printed(analysis, "data-08").strip() == advised.code.strip()
        assert printed(analysis, "data-10") == str(planets().groupby("kind")["density"].mean())

    def test_the_rebuilt_table_gives_the_right_means(self, analysis):
        (table,) = tables(turn_of(turns(analysis)["data-12"]).text)
        expected = planets().groupby("kind")[["density", "gravity"]].mean()
        assert table["kind"].tolist() == expected.index.tolist()
        for column in expected:
            assert table[column].tolist() == pytest.approx(expected[column].tolist())

    def test_the_function_ran_here_on_the_notebooks_data(self, analysis):
        for name, distance in (("data-23", 414), ("data-25", 10150)):
            (result,) = items(turns(analysis)[name], "function_call_output")
            assert json.loads(result["output"]) == {"distance": distance, "days": days(distance)}
            (told,) = code_blocks(turn_of(turns(analysis)[name]).text)
            assert json.loads(told.code) == json.loads(result["output"])

    def test_the_object_is_what_the_function_gave(self, analysis):
        assert f"Orbit(distance=10150.0, days={days(10150)})" in printed(analysis, "data-26")

    def test_the_picture_arrived(self, analysis):
        assert "Your picture arrived" in turn_of(turns(analysis)["data-38"]).text

    def test_the_evaluation_finds_the_better_prompt(self, analysis):
        (output,) = cell(analysis, "data-40").outputs
        assert re.findall(r"(\d+) of (\d+)", output.data["text/plain"]) == [
            ("0", "12"),
            ("12", "12"),
        ]
        assert "background-color" in output.data["text/html"]

    @pytest.mark.kernel
    def test_run_again_the_evaluation_is_compared_with_its_last_run(self, from_the_demo):
        _, again, *_ = from_the_demo(FOLDER / "data_analysis.ipynb")
        shown = printed(again, "data-40-again").replace("\u00a0", " ")
        assert "0 cases changed since" in shown

    def test_the_mended_cell_runs(self, analysis, capsys):
        (mended,) = code_blocks(turn_of(turns(analysis)["data-30"]).text)
        exec(mended.code, {"planets": planets()})
        assert capsys.readouterr().out == "Worlds with rings: 4\n"

    def test_the_usage_counts_every_turn(self, analysis):
        total = printed(analysis, "data-32").splitlines()[-1].split()
        assert total[:2] == ["total", "8"]
        assert total[-4:] == ["2", "code_interpreter,", "2", "predict_orbit"]


def days(distance):
    """A year at that distance, by the same line through the logarithms, in other words."""
    import numpy

    x, y = numpy.log(planets()["distance"]), numpy.log(planets()["period"])
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    return round(float(numpy.exp(y.mean() + slope * (numpy.log(distance) - x.mean()))), 1)


def test_the_planets_obey_physics():
    """A mistyped number would show: mass, size and gravity agree, and so do distance and year."""
    table = planets()
    radius, mass = table["diameter"] * 500.0, table["mass"] * 1e24
    volume = 4 / 3 * 3.14159 * radius**3
    years = (table["distance"] / 149.6) ** 1.5
    assert (mass / volume / table["density"]).between(0.9, 1.01).all()
    assert (6.674e-11 * mass / radius**2 / table["gravity"]).between(0.87, 1.17).all()
    assert (years * 365.25 / table["period"]).between(0.995, 1.015).all()


if __name__ == "__main__":
    for each in NOTEBOOKS:
        if each.stem in (sys.argv[1:] or [each.stem]):
            record(each)
