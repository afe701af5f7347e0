"""Notebooks that a program runs with nobody there, as papermill, nbclient and `jupyter execute` do:
each gives what a browser would."""

import nbformat
import papermill
import pytest
from demo_server import asked
from papermill.exceptions import PapermillExecutionError

pytestmark = pytest.mark.kernel

SETUP = "%load_ext qwen_magic"
DEFAULTS = "name = 'John'\nmore = {'country': 'Peru'}"
BUNDLE = {"text/html", "text/markdown", "text/plain"}


@pytest.fixture
def run(tmp_path, server, monkeypatch):
    """Runs cells as a notebook of one user's folder; gives the outputs of each."""
    for name in ("DASHSCOPE_API_KEY", "DASHSCOPE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QWEN_MAGIC_KEEP", "false")
    monkeypatch.setenv("QWEN_MAGIC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("QWEN_MAGIC_ENDPOINT", server.base_url)

    def run_cells(*cells, **parameters):
        defaults = nbformat.v4.new_code_cell(DEFAULTS, metadata={"tags": ["parameters"]})
        made = [defaults, *(nbformat.v4.new_code_cell(cell) for cell in (SETUP, *cells))]
        nbformat.write(nbformat.v4.new_notebook(cells=made), tmp_path / "given.ipynb")
        notebook = papermill.execute_notebook(
            tmp_path / "given.ipynb",
            tmp_path / "ran.ipynb",
            parameters,
            cwd=tmp_path,
            kernel_name="python3",
            language="python",
            progress_bar=False,
        )
        return [cell.outputs for cell in notebook.cells[-len(cells) :]]

    return run_cells


def test_a_run_depends_on_its_parameters_and_on_no_run_before(run, server):
    for name, country, capital in (("Ada", "France", "Paris"), ("Grace", "Italy", "Rome")):
        (told, again, last) = run(
            "%%qwen\nMy name is {name}",
            "%%qwen\nDo you remember my name?",
            '%%qwen\nWhat is the capital of {more["country"]}?',
            name=name,
            more={"country": country},
        )
        for (output,) in (told, again, last):
            assert set(output.data) == BUNDLE
        assert f"Yes, {name}!" in again[0].data["text/plain"]
        assert f"The capital of {country} is **{capital}**" in last[0].data["text/plain"]
        first, second, third = asked(server)[-3:]
        assert "previous_response_id" not in first.body
        assert second.body["previous_response_id"] == first.response_id
        assert third.body["previous_response_id"] == second.response_id


@pytest.mark.parametrize(
    ("cell", "error"),
    {
        "%%qwen\nhello\ndemo: error 401": "AuthenticationError",
        "%%qwen --modle x\nhello": "OptionError",
    }.items(),
)
def test_an_error_fails_the_run_with_its_few_lines(run, cell, error):
    with pytest.raises(PapermillExecutionError) as raised:
        run(cell, "assert False")
    assert (raised.value.ename, raised.value.exec_count) == (error, 3)
    assert len(raised.value.traceback) <= 3
