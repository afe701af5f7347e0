"""Where conversations are kept, and to what they belong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

STORE_NAME: Final = "conversations.sqlite3"
HOME_VARIABLE: Final = "QWEN_MAGIC_HOME"

# VS Code names its session for a notebook on a Jupyter server `sales-jvsc-<uuid>.ipynb`.
_VSC_SESSION: Final = re.compile(r"-jvsc-[0-9a-f-]+(?=\.ipynb$)")


def data_folder(environ: Mapping[str, str]) -> Path:
    """`QWEN_MAGIC_HOME`, else the platform's folder for a user's data. Not made here."""
    home = environ.get(HOME_VARIABLE, "").strip()
    if home:
        return Path(home).expanduser().absolute()
    import platformdirs  # here, since most sessions that only load the extension never need it

    return platformdirs.user_data_path("qwen_magic", appauthor=False)


def config_folder(environ: Mapping[str, str]) -> Path:
    """`QWEN_MAGIC_HOME`, else the platform's folder for what a user has set. Not made here."""
    if environ.get(HOME_VARIABLE, "").strip():
        return data_folder(environ)
    import platformdirs

    return platformdirs.user_config_path("qwen_magic", appauthor=False)


def notebook_scope(environ: Mapping[str, str], folder: Path, *, vscode_notebook: str = "") -> str:
    """The notebook that this kernel runs for, as an absolute path; else the working folder.

    - VS Code puts the notebook's path into the namespace, as `__vsc_ipynb_file__`.
    - jupyter_server 2 sets `JPY_SESSION_NAME` when it starts a kernel: the folder of the session's
      path joined with its name, which is the notebook's path; for a console its title in that
      folder, which is no file; the path within the server's root, where no name was given.
    """
    for said in (vscode_notebook, environ.get("JPY_SESSION_NAME", "")):
        notebook = _notebook(said, folder)
        if notebook is not None:
            return str(notebook)
    return str(folder.absolute())


def _notebook(said: str, folder: Path) -> Path | None:
    """The notebook's path, where what was said names one.

    A file of another kind may be opened as a notebook (jupytext), and a kernel may run where it
    cannot see the file: either of the ending and the file is enough.
    """
    if not said or "\0" in said:
        return None
    path = Path(_VSC_SESSION.sub("", said))
    if not path.is_absolute():  # within the server's root, which a kernel is not told
        path = folder.absolute() / path.name
        return path if path.is_file() else None
    return path if path.suffix == ".ipynb" or path.is_file() else None
