"""The console command: `qwen-magic demo` opens JupyterLab on the quickstart, answered offline."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from qwen_magic import __version__

NOTEBOOK: Final = "quickstart.ipynb"
_COPIED: Final = ("*.ipynb", "data/*")  # of the notebooks' folder


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status."""
    parser = argparse.ArgumentParser(prog="qwen-magic", description="Talk to Qwen from notebooks.")
    parser.add_argument("--version", action="version", version=f"qwen-magic {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo", help="open JupyterLab on the quickstart notebook, answered by the offline demo"
    )
    demo.add_argument(
        "--folder",
        type=Path,
        default=Path("qwen-magic-demo"),
        help="where the notebooks are put (default: %(default)s)",
    )
    demo.add_argument("--no-browser", action="store_true", help="only start the server")
    demo.add_argument("--port", type=int, help="the server's port")
    given = parser.parse_args(argv)
    return open_demo(given.folder, browser=not given.no_browser, port=given.port)


def open_demo(folder: Path, *, browser: bool, port: int | None) -> int:
    """Put the notebooks into `folder`, but for those that are there, and run JupyterLab on the
    quickstart."""
    if find_spec("jupyterlab") is None:
        print(
            'JupyterLab is not installed here. Install it with: pip install "qwen-magic[lab]"',
            file=sys.stderr,
        )
        return 1
    copy_notebooks(folder)
    print(
        f"Opening {folder / NOTEBOOK}, answered by the offline demo. Stop the server with Ctrl-C."
    )
    command = [
        *(sys.executable, "-m", "jupyterlab"),
        f"--ServerApp.root_dir={folder.absolute()}",
        # Also the address that is printed leads to the notebook.
        f"--LabApp.default_url=/lab/tree/{NOTEBOOK}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # in a container one is often nobody else
    if not browser:
        command.append("--no-browser")
    if port is not None:
        command.append(f"--port={port}")
    environment = {**os.environ, "QWEN_MAGIC_ENDPOINT": "demo"}
    return subprocess.call(command, env=environment)


def copy_notebooks(folder: Path) -> None:
    """Put the notebooks and their data into `folder`; what is there stays as it is."""
    source = bundled_notebooks()
    for file in (file for pattern in _COPIED for file in source.glob(pattern)):
        copied = folder / file.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        if not copied.exists():
            shutil.copyfile(file, copied)


def bundled_notebooks() -> Path:
    """The notebooks' folder: in the package where it is installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "notebooks"
    return installed if installed.exists() else package.parent / "notebooks"
