"""The notebooks of the project run from top to bottom, answered by the offline demo."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.fixture
def offline(monkeypatch, tmp_path):
    for name in ("DASHSCOPE_API_KEY", "DASHSCOPE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("QWEN_MAGIC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    assert "QWEN_MAGIC_ENDPOINT" not in os.environ
    return tmp_path


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path, offline):
    notebook = nbformat.read(path, 4)
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={
        "metadata": {"path": str(offline)},
    })  # fmt: skip
    client.execute()
    turns = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "qwen_magic" in output.get("metadata", {})
    ]
    assert len(turns) >= 7
    for output in turns:
        assert set(output.data) == {"text/html", "text/markdown", "text/plain"}
        assert output.metadata["qwen_magic"]["status"] == "completed"
        assert "ffline demo" in output.data["text/plain"]
    figures = "".join(output.data["text/html"] for output in turns).count("data:image/png;base64,")
    assert figures >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_without_outputs(path):
    for cell in nbformat.read(path, 4).cells:
        assert not cell.get("outputs")
        assert not cell.get("execution_count")
