"""Files of the user: where conversations are kept and to what they belong; texts that are read and
written whole."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from qwen_magic.errors import UsageError, reason_of

STORE_NAME: Final = "conversations.sqlite3"
LARGEST: Final = 256 * 1024 * 1024  # bytes of a file; a notebook with many figures is large
# Nor is a pipe waited for that nobody reads.
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
HOME_VARIABLE: Final = "QWEN_MAGIC_HOME"

# VS Code names its session for a notebook on a Jupyter server `sales-jvsc-<uuid>.ipynb`.
_VSC_SESSION: Final = re.compile(r"-jvsc-[0-9a-f-]+(?=\.ipynb$)")


def data_folder(environ: Mapping[str, str]) -> Path:
    """`QWEN_MAGIC_HOME`, else the platform's folder for user data. Not created here."""
    home = environ.get(HOME_VARIABLE, "").strip()
    if home:
        return Path(home).expanduser().absolute()
    import platformdirs  # here, since most sessions that only load the extension never need it

    return platformdirs.user_data_path("qwen_magic", appauthor=False)


def config_folder(environ: Mapping[str, str]) -> Path:
    """`QWEN_MAGIC_HOME`, else the platform's folder for user configuration. Not created here."""
    if environ.get(HOME_VARIABLE, "").strip():
        return data_folder(environ)
    import platformdirs

    return platformdirs.user_config_path("qwen_magic", appauthor=False)


def prompt_folders(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The folders with prompt files, the notebook's own first."""
    return Path(), Path("prompts"), config_folder(environ) / "prompts"


def from_home(path: Path) -> str:
    """A path with `~` for the user's home, as notebooks are shared."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)


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


def read_text(path: Path) -> str:
    """Read a UTF-8 text file. Raises `UsageError`."""
    try:
        if path.exists() and not path.is_file():  # to open a pipe may wait for ever
            raise ValueError("it is no file")
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} has more than {LARGEST // 1024**2} MiB.")
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text.") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read.", why=reason_of(error)) from error


def write_text(path: Path, text: str) -> None:
    """Write a file for the user alone, atomically. Raises `UsageError`.

    A link at `path` is replaced, not followed: somebody else may have put it there.
    """
    made = ""
    try:
        file, made = mkstemp(dir=path.parent, prefix=f".{path.name}-")  # of mode 0600
        with os.fdopen(file, "w", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
        os.replace(made, path)
    except (OSError, ValueError) as error:
        if made:
            Path(made).unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written.", why=reason_of(error)) from error


def append_text(path: Path, text: str) -> None:
    """The same at the end of a file of ours, and of nobody else: never where a link leads, into a
    pipe, or into a file that another user put there, who could read it."""
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINK
        with os.fdopen(os.open(path, flags, 0o600), "a", encoding="utf-8", newline="\n") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise ValueError("it is no file, or has another name too")
            if found.st_uid != getattr(os, "getuid", lambda: found.st_uid)():
                raise ValueError("it is another user's")
            if found.st_mode & 0o077 and hasattr(os, "fchmod"):
                os.fchmod(opened.fileno(), found.st_mode & 0o700)
            opened.write(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be written.", why=reason_of(error)) from error
