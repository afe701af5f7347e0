"""Loading imports next to nothing; whatever is asked of a magic then finds the real one."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from terminal_window import Window

import qwen_magic
from qwen_magic.errors import UsageError
from qwen_magic.magics.base import shortened

SCRIPT = """
import os, sys
os.environ["QWEN_MAGIC_WARM_UP"] = "False"
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = {kind: set(names) for kind, names in shell.magics_manager.magics.items()}
names, known = set(shell.user_ns), set(sys.modules)
shell.run_line_magic("load_ext", "qwen_magic")
new = sorted(name for name in set(sys.modules) - known if name.startswith("qwen_magic."))
print(*new)
"""


def out_of(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_loading_imports_three_files() -> None:
    (imported,) = out_of("")
    assert {each.removeprefix("qwen_magic.") for each in imported.split()} == {
        *("frontends", "frontends.kernel", "magics", "magics.extension", "magics.transformer"),
    }


def test_a_question_is_sent_before_what_shows_its_answer_is_imported() -> None:
    _, shown = out_of("""
import qwen_magic.client
import qwen_magic.magics.asking
new = set(sys.modules) - known
print(*(name for name in sorted(new) if name.startswith(("qwen_magic.doc", "markdown_it"))))
""")
    words = ("document", "document.footer", "document.words")
    assert shown.split() == [f"qwen_magic.{name}" for name in words]


def test_what_is_asked_finds_the_real_one() -> None:
    _, listed, doc, whole, model, made, end = out_of("""
find = shell.find_line_magic
print(*sorted(set(shell.magics_manager.magics["line"]) - before["line"]))
print(find("qwen_undo").__doc__.splitlines()[0])
print("--think" in shell.find_cell_magic("qwen").__doc__)
assert shell.run_cell("%config QwenMagics.model = 'other'").success
print(shell._qwen_magic.magics.model)
print(type(find("qwen_undo").__self__).__name__)
print(shell.check_complete("%%qwen")[0], shell.check_complete("%qwen who's there?")[0])
""")
    assert "qwen_fix" in listed.split()
    assert "qwen_history" in listed.split()
    assert doc
    assert (whole, model, made) == ("True", "other", "ConversationMagics")
    assert end == "incomplete complete", "whether Enter ends the cell"


def test_every_line_magic_shows_its_help() -> None:
    *_, told = out_of("""
from contextlib import redirect_stdout
from io import StringIO
told = {}
for name in sorted(set(shell.magics_manager.magics["line"]) - before["line"]):
    for typed in ("-h", " --help "):
        with redirect_stdout(StringIO()) as said:
            shell.run_line_magic(name, typed)
        text = said.getvalue()
        told[name, typed] = name in text and text[0].isupper() | (text[0] == "%")
print([each for each, is_help in told.items() if not is_help])
""")
    assert told == "[]"


def test_unloading_leaves_nothing() -> None:
    _, clean = out_of("""
shell.run_cell("%config QwenMagics.model = 'other'")
shell.find_line_magic("qwen_undo").__doc__
shell.run_line_magic("unload_ext", "qwen_magic")
after = {kind: set(names) for kind, names in shell.magics_manager.magics.items()}
left = [each for each in shell.configurables if type(each).__module__.startswith("qwen_magic")]
print(after == before, left, set(shell.user_ns) - names)
""")
    assert clean == "True [] set()"


def test_a_python_without_threads_is_told_as_such() -> None:
    """As Pyodide's, in JupyterLite, refuses each."""
    (*shown, raised) = out_of("""
import threading
def refuse(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
ran = shell.run_cell("%reload_ext qwen_magic")
assert not ran.success and shell.find_line_magic("qwen") is None
import qwen_magic
try:
    qwen_magic.Qwen()
except qwen_magic.QwenError as error:
    print(str(error) == str(ran.error_in_exec))
""")[1:]
    assert (len(shown), raised) == (3, "True")
    assert "JupyterLite" in "".join(shown)


def test_without_ipython_the_python_api_is_named() -> None:
    with pytest.raises(UsageError, match="Qwen"):
        qwen_magic.load_ipython_extension(None)


def test_an_error_is_cut_at_words_in_a_terminal_alone(monkeypatch):
    why = "a word and another " * 8
    for out, count in ((Window(), 3), (io.StringIO(), 2)):
        error = shortened(UsageError("Short.", why=why.strip()))
        monkeypatch.setattr(sys, "stdout", out)
        told = "\n".join(error._render_traceback_())
        monkeypatch.undo()
        assert len(told.split("\n")) == count
        assert " ".join(told.split()) == f"UsageError: Short. {why.strip()}"
