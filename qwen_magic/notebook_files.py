"""What the console command does with notebook files: the package's own are copied, one is run and
its answers recorded, one is given out without its answers."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from qwen_magic.errors import UsageError, reason_of

_COPIED: Final = ("*.ipynb", "data/*")  # of the notebooks' folder
# What may be a file's name in a cell: a string, the target of a link, a word behind @; in one of
# code also any word with a dot, a module, a prompt.
_NAMED: Final = re.compile(r"""["']([^"'\n]+)["']|\]\(<?([^)\s>]+)|@([\w./-]+)""")
_IN_CODE: Final = re.compile(
    r"([\w/-]+(?:\.[\w/-]+)+)|^[ \t]*(?:import|from)[ \t]+([\w.]+)|^%qwen_prompt[ \t]+(.*)", re.M
)
_OF_ENDING: Final = re.compile(r"\.(?!ipynb$)\w+$")


def copy_notebooks(folder: Path) -> None:
    """Put the notebooks, without outputs and recordings, and their data into `folder`; what is
    there stays as it is. Raises `UsageError` where it cannot be written."""
    source = bundled_notebooks()
    try:
        for file in (file for pattern in _COPIED for file in source.glob(pattern)):
            copied = folder / file.relative_to(source)
            copied.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(copied):  # also a link that leads nowhere yet
                continue
            if file.suffix == ".ipynb":
                _nbformat().write(_without_outputs(_read_notebook(file)), copied)
            else:
                shutil.copyfile(file, copied)
    except OSError as error:
        raise UsageError(
            f"The notebooks cannot be put into {folder}.", why=reason_of(error)
        ) from None


def bundled_notebooks() -> Path:
    """The notebooks' folder: in the package where it is installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "notebooks"
    return installed if installed.exists() else package.parent / "notebooks"


def record_notebook(path: Path, *, inplace: bool) -> str:
    """Run the notebook at `path` and write its recording beside it, under its name; `inplace`: and
    its outputs into it. Where a cell fails that is not marked for it, nothing is written. What
    came of it, in a sentence. Raises `UsageError`."""
    if find_spec("nbclient") is None or find_spec("ipykernel") is None:
        raise UsageError(
            "nbclient is not installed here.", hint='pip install "qwen-magic[lab]" installs it.'
        )
    from jupyter_client.kernelspec import NoSuchKernel
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    notebook = _read_notebook(path)
    recording = path.with_suffix(".jsonl")
    part = path.with_name(f".{path.stem}.recording")
    part.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "QWEN_MAGIC_RECORD": str(part.absolute()),
        "QWEN_MAGIC_KEEP": "False",  # a lesson begins with nothing before it
    }
    resources = {"metadata": {"path": str(path.parent)}}
    try:
        NotebookClient(notebook, timeout=None, resources=resources).execute(env=environment)
        if not part.exists():
            raise UsageError(f"{path} asked nothing, so that there is nothing to record.")
        os.replace(part, recording)
    except NoSuchKernel as error:
        raise UsageError(f"{path} wants a kernel that is not here: {error.name}.") from None
    except (CellExecutionError, DeadKernelError) as error:
        raise UsageError(f"{path} was not recorded: a cell failed.", why=str(error)) from error
    finally:
        part.unlink(missing_ok=True)
    if inplace:
        _nbformat().write(notebook, path)
    lines = recording.read_text("utf-8").count("\n") - 1
    return f"{recording}: {lines} exchanges. Give it out beside {path.name}."


def hand_out(path: Path, folder: Path | None = None) -> str:
    """Copy the notebook at `path` into a new folder, for others to work through: without outputs
    and without cells that are tagged `solution`; with the recording beside it and the files of its
    folder that it names. Hidden files and `mcp.json` may hold keys, and stay. What came of it, in
    a sentence. Raises `UsageError`."""
    notebook = _read_notebook(path)
    folder = folder or path.with_name(f"{path.stem}-handout")
    if os.path.exists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already.", hint="Name a new folder.")
    tagged = [cell for cell in notebook.cells if "solution" in cell.metadata.get("tags", ())]
    notebook.cells = [cell for cell in notebook.cells if cell not in tagged]
    _without_outputs(notebook)
    named = _named_files(notebook.cells, path.parent)
    recording = path.with_suffix(".jsonl")
    recorded = _may_go(recording, path.parent)
    files = [*([recording] if recorded else []), *named]
    try:
        for file in files:
            copied = folder / file.relative_to(path.parent)
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copied)
        folder.mkdir(parents=True, exist_ok=True)
        _nbformat().write(notebook, folder / path.name)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written.", why=reason_of(error)) from None
    without = f" {len(tagged)} cells tagged solution were left out." if tagged else ""
    if recorded and any("%%qwen" in cell.source for cell in tagged):
        without += " The recording still holds what they asked, with the answers."
    along = ", ".join(str(file.relative_to(path.parent)) for file in files) or "no file"
    return f"{folder / path.name}: without answers; along with it {along}.{without}"


def _without_outputs(notebook: Any) -> Any:
    """The notebook itself, its outputs gone."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
    return notebook


def _named_files(cells: Iterable[Any], folder: Path) -> list[Path]:
    """The files in `folder` that cells name: in a string, alone or below a folder that is named
    too, or with stars; by a link, an option or a prompt (`-f notes.pdf`, `Use data/x.csv.`), as a
    module or as a prompt file (`@tutor`, `%qwen_prompt tutor`). A notebook is named by a string or
    a link alone: it may be the one with the solutions."""
    names: dict[str, None] = {}
    for cell in cells:
        for match in _NAMED.finditer(cell.source):
            word = next(filter(None, match.groups()))
            names |= dict.fromkeys((word, unquote(word), f"{word}.md", f"prompts/{word}.md"))
        for match in _IN_CODE.finditer(cell.source) if cell.cell_type == "code" else ():
            word, module, prompt = (each or "" for each in match.groups())
            names |= dict.fromkeys((f"{module.replace('.', '/')}.py", word))
            for each in prompt.split():
                names |= dict.fromkeys((f"{each}.md", f"prompts/{each}.md"))
            if word.endswith(".ipynb"):
                del names[word]
    places = [folder, *(folder / name for name in names if _is_folder(folder / name))]
    found = (path for place in places for name in names for path in _matching(place, name))
    return list(dict.fromkeys(path for path in found if _may_go(path, folder)))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # no path at all
        return False


def _matching(folder: Path, name: str) -> Iterable[Path]:
    """What a name stands for in a folder; one with stars, files of one ending."""
    if "*" not in name:
        return [folder / name.removeprefix("./")]
    if name.startswith("/") or "**" in name or not _OF_ENDING.search(name):
        return []
    return sorted(folder.glob(name))


def _may_go(path: Path, folder: Path) -> bool:
    """Whether it is a file inside `folder`, not by a link or a way up, that may hold no keys."""
    try:
        inside = path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):  # no path at all
        return False
    parts = path.parts[len(folder.parts) :]
    return inside and not any(
        part.startswith(".") or part.casefold() == "mcp.json" for part in parts
    )


def _read_notebook(path: Path) -> Any:
    """Raises `UsageError`."""
    try:
        if path.suffix == ".ipynb":
            return _nbformat().read(path, 4)
    except Exception as error:  # of many kinds, by what is wrong with it
        raise UsageError(
            f"{path} cannot be read.", why=reason_of(error).partition("\n")[0]
        ) from None
    raise UsageError(f"{path} is no notebook.")


def _nbformat() -> Any:
    """Its functions have no types. Raises `UsageError` where it is not installed."""
    try:
        return import_module("nbformat")
    except ImportError:
        raise UsageError(
            "nbformat is not installed here.", hint='pip install "qwen-magic[lab]" installs it.'
        ) from None
