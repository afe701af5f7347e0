"""A real Jupyter server with real kernels, driven through a real browser.

The kernel under test is this interpreter's; QWEN_MAGIC_OTHER_PYTHON may name another interpreter
(one with another ipykernel), which the same tests then run on too.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
from fuzz import IS_HEAVY, patience

ROOT = Path(__file__).parents[2]
LABEXTENSION = ROOT / "qwen_magic" / "frontends" / "labextension"
OTHER_PYTHON = os.environ.get("QWEN_MAGIC_OTHER_PYTHON", "")
# A front end, and the kernel that it is tried with: two pairs have each part once. The others are
# tried where QWEN_MAGIC_EVERY_PAIR is set (`.ci/heavy`).
PAIRS = [
    pair
    for pair, is_usual in {
        ("lab", "this"): True,
        ("notebook", "other"): True,
        ("notebook", "this"): not OTHER_PYTHON,
        ("lab", "other"): False,
    }.items()
    if (is_usual or IS_HEAVY) and ("other" not in pair or OTHER_PYTHON)
]
# For what depends little on them: one pair, of which another test may take the other.
FIRST_PAIR = PAIRS if IS_HEAVY else PAIRS[:1]
OTHER_PAIR = PAIRS if IS_HEAVY else PAIRS[1:]


# Errors that JupyterLab and Notebook 7.6 raise by themselves when a page opens.
_NOTEBOOKS_OWN = (
    "Cannot read properties of undefined (reading 'schema')",
    "Command 'filebrowser:open-path' not registered.",
    # React's, when JupyterLab takes a toolbar away that it still draws (once in hundreds of runs).
    "Failed to execute 'removeChild' on 'Node': "
    "The node to be removed is not a child of this node.",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, timeout=30.0, what="it"):
    """The first truthy value of `condition`; fails after `timeout` seconds, or more on a busy
    machine. `what`: the words of that, or what gives them then."""
    timeout = patience(timeout)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what() if callable(what) else what} did not happen in {timeout:.0f} s")


class Jupyter:
    """A running Jupyter server over one folder, with JupyterLab and Notebook 7."""

    def __init__(self, folder: Path, *, policy: str = "") -> None:
        """`policy`: the Content-Security-Policy of every reply, as a site may set it."""
        headers = {"headers": {"Content-Security-Policy": policy}} if policy else {}
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._write_kernels(folder / "share" / "kernels")
        # The one that stands here: an editable install has a copy, as it was when it was made.
        shutil.copytree(LABEXTENSION, folder / "share" / "labextensions" / "qwen_magic")
        environment = {
            **os.environ,
            "JUPYTER_PATH": str(folder / "share"),
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "IPYTHONDIR": str(folder / "ipython"),
            "QWEN_MAGIC_HOME": str(folder / "qwen"),
        }
        for name in ("DASHSCOPE_API_KEY", "DASHSCOPE_BASE_URL"):
            environment.pop(name, None)
        (folder / "work").mkdir()
        settings = folder / "config" / "lab" / "user-settings" / "@jupyterlab"
        self._write_settings(settings)
        self._log = (folder / "server.log").open("wb")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *(f"--port={self.port}", "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="),
                f"--ServerApp.root_dir={folder / 'work'}",
                "--ServerApp.disable_check_xsrf=True",
                "--LabApp.expose_app_in_browser=True",
                "--JupyterNotebookApp.expose_app_in_browser=True",
                "--LabApp.news_url=",
                f"--ServerApp.tornado_settings={headers!r}",
            ],
            cwd=folder / "work",
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        wait_until(self._answers, 60, "the start of the Jupyter server")

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/status", timeout=2) as reply:
                return reply.status == 200
        except OSError:
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            return False

    def _write_kernels(self, kernels: Path) -> None:
        for name, python in (("this", sys.executable), ("other", OTHER_PYTHON)):
            if python:
                (kernels / name).mkdir(parents=True)
                spec = {
                    "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                    "display_name": name,
                    "language": "python",
                }
                (kernels / name / "kernel.json").write_text(json.dumps(spec))

    def _write_settings(self, settings: Path) -> None:
        settings.mkdir(parents=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False}
        path = settings / "apputils-extension"
        path.mkdir()
        (path / "notification.jupyterlab-settings").write_text(json.dumps(quiet))

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def write(self, name: str, cells: list[str], kernel: str = "this") -> Path:
        """A new notebook of code cells in the server's folder."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
        )
        path = self.folder / "work" / name
        nbformat.write(notebook, path)
        return path

    def read(self, name: str):
        return nbformat.read(self.folder / "work" / name, 4)


class Page:
    """One notebook, open in JupyterLab (`lab`) or Notebook 7 (`notebook`)."""

    _WIDGET = "window.jupyterapp?.shell?.currentWidget"  # none while a page loads

    def __init__(
        self, jupyter: Jupyter, tab, front: str, name: str, *, kernel=True, viewport=(1200, 1400)
    ) -> None:
        self.jupyter = jupyter
        self.name = name
        self.front = front
        self.page = tab
        tab.set_viewport_size({"width": viewport[0], "height": viewport[1]})
        self.errors: list[str] = []
        self.page.on("pageerror", self._note_error)
        if self.front == "lab" and self._lab_is_loaded():
            self._open_in_loaded_lab()
        else:
            self.open(kernel=kernel)
            return
        if kernel:
            self.wait_for_kernel()

    def _lab_is_loaded(self) -> bool:
        return self.page.evaluate("() => Boolean(window.jupyterapp?.shell?.add)")

    def _open_in_loaded_lab(self) -> None:
        """As a double click in the file browser does: seconds less than loading JupyterLab."""
        self.page.evaluate(
            "path => {window.jupyterapp.commands.execute('docmanager:open', {path})}", self.name
        )
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=patience(60_000))

    def _note_error(self, error) -> None:
        stack = error.stack or str(error)
        # Each command goes through steps.js, which is no part of a fault in it.
        ours = [line for line in stack.split("\n") if "commands.execute" not in line]
        if str(error) not in _NOTEBOOKS_OWN or "qwen_magic" in "\n".join(ours):
            self.errors.append(stack)

    def open(self, *, kernel=True) -> None:
        path = f"lab/tree/{self.name}?reset" if self.front == "lab" else f"notebooks/{self.name}"
        self.page.goto(f"{self.jupyter.url}/{path}")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=patience(60_000))
        if kernel:
            self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        self.page.wait_for_function(
            f"() => {self._WIDGET}?.context?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=patience(60_000),
        )

    def run(self, index: int, *, wait=True, timeout=60.0) -> None:
        """Run one cell as Shift-Enter does."""
        self.page.evaluate(
            f"""async index => {{
                const notebook = {self._WIDGET}.content;
                notebook.activeCellIndex = index;
                notebook.deselectAll();
                window.jupyterapp.commands.execute('notebook:run-cell');
            }}""",
            index,
        )
        if wait:
            self.wait_for_cell(index, timeout)

    def be_busy(self, seconds: float) -> None:
        """Let the page do nothing else for so long, as a loaded machine does."""
        self.page.evaluate("until => {while (Date.now() < until);}", (time.time() + seconds) * 1000)

    def run_all(self) -> None:
        self.page.evaluate("() => {window.jupyterapp.commands.execute('notebook:run-all-cells')}")

    def prompt(self, index: int) -> str:
        """The cell's execution count, `*` while it runs."""
        return self.page.evaluate(
            f"""index => {{
                const cell = {self._WIDGET}.content.widgets[index];
                return cell.promptNode?.textContent
                    ?? cell.node.querySelector('.jp-InputPrompt').textContent;
            }}""",
            index,
        )

    def wait_for_cell(self, index: int, timeout=60.0) -> None:
        time.sleep(0.1)
        wait_until(
            lambda: any(c.isdigit() for c in self.prompt(index)),
            timeout,
            f"the end of cell {index}",
        )

    def interrupt(self) -> None:
        """The ■ of the toolbar."""
        self.page.evaluate(
            f"() => {self._WIDGET}.context.sessionContext.session.kernel.interrupt()"
        )

    def kill_kernel(self) -> None:
        """End the kernel as a crash would, behind the page's back."""
        self.page.evaluate(f"() => {self._WIDGET}.context.sessionContext.shutdown()")

    def sigkill_kernel(self) -> None:
        """End the kernel's process."""
        id = self.page.evaluate(f"() => {self._WIDGET}.context.sessionContext.session.kernel.id")
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes()
            except OSError:
                continue
            if f"kernel-{id}.json".encode() in command:
                os.kill(int(path.parent.name), signal.SIGKILL)

    def scroll_to(self, top: int) -> None:
        """Scroll the notebook; 0 is its top."""
        scroller = f"{self._WIDGET}.node.querySelector('.jp-WindowedPanel-outer')"
        self.page.evaluate(f"top => {{{scroller}.scrollTo({{top}})}}", top)

    def restart_kernel(self) -> None:
        """The toolbar's restart, without its question."""
        self.page.evaluate(
            f"async () => {{await {self._WIDGET}.context.sessionContext.restartKernel()}}"
        )
        self.wait_for_kernel()

    def set_source(self, index: int, source: str) -> None:
        self.page.evaluate(
            f"([i, s]) => {{{self._WIDGET}.content.widgets[i].model.sharedModel.setSource(s)}}",
            [index, source],
        )

    def save(self):
        """Save, and give the notebook as it stands in the file."""
        self.page.evaluate(f"() => {self._WIDGET}.context.save()")
        wait_until(
            lambda: not self.page.evaluate(f"() => {self._WIDGET}.context.model.dirty"),
            10,
            "saving",
        )
        return self.jupyter.read(self.name)

    def cell(self, index: int):
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int):
        return self.cell(index).locator(".jp-Cell-outputArea")

    def show(self, index: int):
        """The output of a cell, in sight: what nobody has seen may not be drawn."""
        output = self.output(index)
        output.scroll_into_view_if_needed()
        frame = "new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
        self.page.evaluate(frame)
        return output

    def text(self, index: int) -> str:
        return self.show(index).inner_text()

    def theme(self, name: str) -> None:
        self.page.evaluate(
            "name => window.jupyterapp.commands.execute('apputils:change-theme', {theme: name})",
            name,
        )
        self.page.wait_for_timeout(800)

    def close(self) -> None:
        """Shut the kernel and the notebook; JupyterLab itself stays, for the next one."""
        self.page.remove_listener("pageerror", self._note_error)
        self.page.evaluate(
            f"""async () => {{
                const widget = {self._WIDGET};
                await widget?.context?.sessionContext?.shutdown();
                if ({json.dumps(self.front == "lab")}) widget?.dispose();
            }}"""
        )
