"""Where conversations are kept, and to what they belong."""

from pathlib import Path

import pytest

from qwen_magic.conversation.scope import data_folder, notebook_scope


def test_the_variable_comes_before_the_platforms_folder(tmp_path):
    assert data_folder({"QWEN_MAGIC_HOME": str(tmp_path)}) == tmp_path
    default = data_folder({"QWEN_MAGIC_HOME": " "})
    assert default.is_absolute()
    assert default.name == "qwen_magic"


def test_a_home_may_begin_with_a_tilde():
    assert data_folder({"QWEN_MAGIC_HOME": "~/kept"}) == Path.home() / "kept"


def test_the_notebook_that_jupyter_server_names(tmp_path):
    named = str(tmp_path / "sub" / "sales.ipynb")
    assert notebook_scope({"JPY_SESSION_NAME": named}, tmp_path) == named


def test_a_file_of_another_kind_that_is_opened_as_a_notebook(tmp_path):
    script = tmp_path / "sales.py"
    script.write_text("# %%")
    assert notebook_scope({"JPY_SESSION_NAME": str(script)}, tmp_path) == str(script)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Console 1",  # the title of a console, in a folder (below) or alone
        "sub/sales.ipynb",  # within a root that is not known, and not here
        "console-1-3f0e",
        "bad\0name.ipynb",
    ],
)
def test_else_the_working_folder(tmp_path, said):
    assert notebook_scope({"JPY_SESSION_NAME": said}, tmp_path) == str(tmp_path)
    assert notebook_scope({}, tmp_path) == str(tmp_path)


def test_a_console_is_no_notebook(tmp_path):
    titled = str(tmp_path / "Console 1")
    assert notebook_scope({"JPY_SESSION_NAME": titled}, tmp_path) == str(tmp_path)


def test_a_path_within_the_servers_root_is_found_beside_the_kernel(tmp_path):
    (tmp_path / "sales.ipynb").write_text("{}")
    found = notebook_scope({"JPY_SESSION_NAME": "sub/sales.ipynb"}, tmp_path)
    assert found == str(tmp_path / "sales.ipynb")


def test_vs_code_knows_better_than_its_session(tmp_path):
    session = str(tmp_path / "sales-jvsc-3f0e2b1c-77aa-4e0b-9d5f-5b8f0c9a1d2e.ipynb")
    environ = {"JPY_SESSION_NAME": session}
    assert notebook_scope(environ, tmp_path) == str(tmp_path / "sales.ipynb")
    own = str(tmp_path / "own.ipynb")
    assert notebook_scope(environ, tmp_path, vscode_notebook=own) == own
