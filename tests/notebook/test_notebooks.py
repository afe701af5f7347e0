"""The notebooks of the project run from top to bottom, answered by the offline demo."""

import copy
import functools
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest
from fuzz import IS_HEAVY
from nbclient import NotebookClient

from qwen_magic.conversation.archive.checked import Node
from qwen_magic.conversation.archive.metadata import read_metadata
from qwen_magic.document.extract import code_blocks, tables

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@dataclass(frozen=True)
class Shown:
    """What a notebook must show. `fails`: the cells that fail on purpose, with their exceptions;
    `runs`, `searches`: calls of the built-in tools; `calls`: of the notebook's own functions."""

    turns: int
    figures: int
    runs: int
    searches: int = 0
    calls: tuple[tuple[str, dict], ...] = ()
    fails: dict[str, str] = field(default_factory=dict)


SHOWN = {
    "quickstart": Shown(turns=8, figures=2, runs=5, searches=1),
    "teaching_demo": Shown(turns=9, figures=1, runs=1),
    "data_analysis": Shown(
        turns=8,
        figures=1,
        runs=2,
        calls=(("predict_orbit", {"distance": 414}), ("predict_orbit", {"distance": 10150})),
        fails={"data-28": "TypeError"},
    ),
}


TIMES = 3 if IS_HEAVY else 2


class PageClient(NotebookClient):
    """Sends the id of each cell, as pages do; of one that was run before with its own."""

    def __init__(self, notebook, **options):
        super().__init__(notebook, on_cell_start=self.name_cell, **options)

    def name_cell(self, cell, cell_index):
        self.kc.session.metadata = {"cellId": cell.id.partition("-again")[0]}


@pytest.fixture(scope="module")
def run_again(tmp_path_factory):
    """Runs a notebook several times without a restart, in a folder with nothing but its data. Gives
    it with the outputs of each time."""

    @functools.cache
    def ran(path):
        folder = tmp_path_factory.mktemp(path.stem)
        shutil.copytree(FOLDER / "data", folder / "data")
        with pytest.MonkeyPatch.context() as patch:
            for name in ("DASHSCOPE_API_KEY", "DASHSCOPE_BASE_URL"):
                patch.delenv(name, raising=False)
            patch.setenv("IPYTHONDIR", str(folder / "ipython"))
            patch.setenv("QWEN_MAGIC_HOME", str(folder / "home"))
            patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
            patch.setenv("QWEN_DEMO_DELAY", "0")
            patch.setenv("QWEN_MAGIC_UNATTENDED", "allow")
            assert "QWEN_MAGIC_ENDPOINT" not in os.environ
            notebook = nbformat.read(path, 4)
            once = notebook.cells
            notebook.cells = [
                nbformat.from_dict({**copy.deepcopy(cell), "id": cell.id + time * "-again"})
                for time in range(TIMES)
                for cell in once
            ]
            resources = {"metadata": {"path": str(folder)}}
            # It raises where a cell fails that is not marked for it.
            PageClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
        times = [copy.copy(notebook) for _ in range(TIMES)]
        for time, each in enumerate(times):
            each.cells = notebook.cells[time * len(once) : (time + 1) * len(once)]
        return times

    return ran


@pytest.fixture
def run(run_again):
    return lambda path: run_again(path)[0]


@pytest.fixture
def analysis(run):
    return run(FOLDER / "data_analysis.ipynb")


def turns(notebook):
    """The outputs that are answers, by the id of their cell."""
    return {
        cell.id: output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "qwen_magic" in output.get("metadata", {})
    }


def items(output, kind):
    return [i for i in turn_of(output).items if i["type"] == kind]


def turn_of(output):
    """The turn that an output tells."""
    said = output.metadata["qwen_magic"]
    node = Node({**said, "chat": said["chat"] or "none"}, "output")
    return read_metadata(node, 0, output.data["text/markdown"]).turn


def place(output):
    """The conversation of a turn, and its number there."""
    said = output.metadata["qwen_magic"]
    return said["chat"], said["number"]


def answer_text(output):
    return turn_of(output).text


def cell(notebook, name):
    return next(each for each in notebook.cells if each.id == name)


def printed(notebook, name):
    outputs = cell(notebook, name).outputs
    return "".join(each.get("text") or each.data["text/plain"] for each in outputs)


def planets():
    pandas = pytest.importorskip("pandas")
    return pandas.read_csv(FOLDER / "data" / "planets.csv", index_col="planet")


def test_every_notebook_is_expected():
    assert {path.stem for path in NOTEBOOKS} == set(SHOWN)


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestFromTopToBottom:
    def test_every_turn_is_answered_by_the_demo(self, path, run):
        answers = turns(run(path)).values()
        assert len(answers) == SHOWN[path.stem].turns
        for output in answers:
            assert set(output.data) == {"text/html", "text/markdown", "text/plain"}
            assert output.metadata["qwen_magic"]["status"] == "completed"
            assert "ffline demo" in output.data["text/plain"], "the footer says who answered"
            assert "has no lesson" not in answer_text(output)

    def test_run_again_it_gives_the_same_answers_in_the_same_conversations(self, path, run_again):
        first, *others = map(turns, run_again(path))
        for time, again in enumerate(others, 1):
            assert [id + time * "-again" for id in first] == list(again)
            for before, after in zip(first.values(), again.values(), strict=True):
                assert answer_text(before) == answer_text(after)
                assert place(before) == place(after)

    def test_it_leaves_no_widget_behind(self, path, run):
        notebook = run(path)
        assert "widgets" not in notebook.metadata
        kinds = {
            kind
            for each in notebook.cells
            for o in each.get("outputs", ())
            for kind in o.get("data", ())
        }
        assert not [kind for kind in kinds if "widget" in kind]

    def test_figures_are_embedded(self, path, run):
        html = "".join(output.data["text/html"] for output in turns(run(path)).values())
        assert html.count("data:image/png;base64,") == SHOWN[path.stem].figures

    def test_tools_were_used(self, path, run):
        answers, shown = turns(run(path)).values(), SHOWN[path.stem]
        runs = [i for each in answers for i in items(each, "code_interpreter_call")]
        searches = [i for each in answers for i in items(each, "web_search_call")]
        assert (len(runs), len(searches)) == (shown.runs, shown.searches)

    def test_functions_were_called(self, path, run):
        calls = [
            (call["name"], json.loads(call["arguments"]))
            for output in turns(run(path)).values()
            for call in items(output, "function_call")
        ]
        assert tuple(calls) == SHOWN[path.stem].calls

    def test_only_what_should_fail_fails(self, path, run):
        failed = {
            cell.id: output.ename
            for cell in run(path).cells
            for output in cell.get("outputs", ())
            if output.output_type == "error"
        }
        assert failed == SHOWN[path.stem].fails

    def test_nothing_is_complained_of(self, path, run):
        outputs = [o for each in run(path).cells for o in each.get("outputs", ())]
        assert not [o.text for o in outputs if o.get("name") == "stderr"]


@pytest.mark.kernel
class TestDataAnalysis:
    def test_the_dry_run_shows_what_then_is_sent(self, analysis):
        (output,) = cell(analysis, "data-05").outputs
        shown = output.data["text/plain"]
        assert "'pressure': float64, 4 missing" in shown
        assert "nothing was sent" in shown
        (about,) = re.findall(r"^data planets .*  (\S.+)$", shown, re.MULTILINE)
        assert "9 rows, 11 columns; schema sent" in about
        assert about in turns(analysis)["data-07"].data["text/plain"]

    def test_the_advised_code_is_that_of_the_cell_below(self, analysis):
        (advised,) = code_blocks(answer_text(turns(analysis)["data-07"]))
        assert advised.code.strip() == cell(analysis, "data-10").source
        assert printed(analysis, "data-08").strip() == advised.code.strip()
        assert printed(analysis, "data-10") == str(planets().groupby("kind")["density"].mean())

    def test_the_rebuilt_table_gives_the_right_means(self, analysis):
        (table,) = tables(answer_text(turns(analysis)["data-12"]))
        expected = planets().groupby("kind")[["density", "gravity"]].mean()
        assert table["kind"].tolist() == expected.index.tolist()
        for column in expected:
            assert table[column].tolist() == pytest.approx(expected[column].tolist())

    def test_the_function_ran_here_on_the_notebooks_data(self, analysis):
        for name, distance in (("data-23", 414), ("data-25", 10150)):
            (result,) = items(turns(analysis)[name], "function_call_output")
            assert json.loads(result["output"]) == {"distance": distance, "days": days(distance)}
            (told,) = code_blocks(answer_text(turns(analysis)[name]))
            assert json.loads(told.code) == json.loads(result["output"])

    def test_the_object_is_what_the_function_gave(self, analysis):
        assert f"Orbit(distance=10150.0, days={days(10150)})" in printed(analysis, "data-26")

    def test_the_picture_arrived(self, analysis):
        assert "Your picture arrived" in answer_text(turns(analysis)["data-38"])

    def test_the_evaluation_finds_the_better_prompt_and_its_last_run(self, run_again):
        for time, notebook in enumerate(run_again(FOLDER / "data_analysis.ipynb")):
            (output,) = cell(notebook, "data-40" + time * "-again").outputs
            shown = output.data["text/plain"]
            assert re.findall(r"(\d+) of (\d+)", shown) == [("0", "12"), ("12", "12")]
            assert ("0 cases changed since" in shown.replace("\u00a0", " ")) == bool(time)
            assert "background-color" in output.data["text/html"]

    def test_the_mended_cell_runs(self, analysis, capsys):
        (mended,) = code_blocks(answer_text(turns(analysis)["data-30"]))
        exec(mended.code, {"planets": planets()})
        assert capsys.readouterr().out == "Worlds with rings: 4\n"

    def test_the_usage_counts_every_turn(self, analysis):
        total = printed(analysis, "data-32").splitlines()[-1].split()
        assert total[:2] == ["total", "7"]
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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_without_outputs(path):
    for cell in nbformat.read(path, 4).cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")
