"""The console command."""

import subprocess
import sys

import pytest

from qwen_magic import __version__, cli


def test_the_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert __version__ in capsys.readouterr().out


def test_the_bundled_notebooks_are_there():
    assert (cli.bundled_notebooks() / cli.NOTEBOOK).exists()


def test_the_demo_opens_jupyterlab_on_a_copy_answered_offline(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(subprocess, "call", lambda *args, **more: called.append((args, more)) or 0)
    assert cli.main(["demo", "--folder", str(tmp_path / "demo"), "--no-browser"]) == 0
    ((command,), more) = called[0]
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={tmp_path / 'demo'}" in command
    assert "--no-browser" in command
    copied = {str(f.relative_to(tmp_path / "demo")) for f in (tmp_path / "demo").rglob("*.*")}
    assert {"quickstart.ipynb", "data_analysis.ipynb", "data/planets.csv"} <= copied
    assert more["env"]["QWEN_MAGIC_ENDPOINT"] == "demo"


def test_a_notebook_that_was_changed_is_not_overwritten(tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "call", lambda *args, **more: 0)
    notebook = tmp_path / "quickstart.ipynb"
    notebook.write_text("mine")
    cli.main(["demo", "--folder", str(tmp_path), "--no-browser"])
    assert notebook.read_text() == "mine"


def test_without_jupyterlab_it_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    assert cli.main(["demo", "--folder", str(tmp_path)]) == 1
    assert "pip install" in capsys.readouterr().err
