"""How long a page works to open a notebook of many answers in JupyterLab, with the labextension:
beside the same texts as text/markdown, and the same cells without outputs.

Told is the time that the page's main thread worked, which no other process disturbs.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import nbformat
from corpora import document
from nbformat.sign import NotebookNotary
from real_jupyter import Jupyter

from .bench_saved import saved
from .goals import Figure, Figures, benchmark, without

ANSWER = 5_000  # characters

# Until all cells and outputs are there, and the page had no long task for a second and a half.
OPENED = """async ([cells, outputs]) => {
  const count = (what) => document.querySelectorAll(`.jp-Notebook ${what}`).length;
  let busy = performance.now();
  const watch = new PerformanceObserver(() => (busy = performance.now()));
  watch.observe({ type: "longtask" });
  while (performance.now() - busy < 1500) {
    await new Promise((done) => setTimeout(done, 100));
    const isWhole = count(".jp-Cell") === cells && count(".jp-RenderedHTMLCommon") >= outputs;
    if (!isWhole) busy = performance.now();
  }
}"""


KINDS = ("nothing", "markdown", "answers")


@benchmark(13, "opening", "opening a notebook of 300 answers in JupyterLab")
def opening(quick: bool) -> Figures:
    missing = list(without("a browser", "playwright"))
    yield from missing
    if missing:
        return
    from playwright.sync_api import sync_playwright

    from ..conftest import CHROMIUM_FLAGS, chromium_path

    answers = 60 if quick else 300
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        jupyter = Jupyter(Path(folder))
        try:
            write(jupyter, answers)
            for kind in KINDS * (1 if quick else 3):
                browser = playwright.chromium.launch(
                    executable_path=chromium_path(), args=CHROMIUM_FLAGS
                )
                found[kind].append(opened(browser, jupyter, kind, answers))
                browser.close()
        finally:
            jupyter.close()
    none, markdown, ours = (min(seconds) for seconds in found.values())
    yield Figure("without outputs", none, "s of the page's main thread")
    yield Figure("as text/markdown", markdown, "s of the page's main thread")
    yield Figure("as answers", ours, "s of the page's main thread")
    added = (ours - none) / (markdown - none)
    yield Figure("what answers add", added, "× text/markdown", at_most=1 / 3)


def write(jupyter: Jupyter, answers: int) -> None:
    """A notebook of each kind, as a user has it who trusts it."""
    texts = [document("mixed", ANSWER, seed) for seed in range(answers)]
    outputs: dict[str, list[list[Any]]] = {
        "nothing": [[] for _ in texts],
        "markdown": [
            [nbformat.v4.new_output("display_data", data={"text/markdown": text})] for text in texts
        ],
        "answers": [[saved(text)] for text in texts],
    }
    metadata = {"kernelspec": {"name": "this", "display_name": "this"}}
    data = jupyter.folder / "data"  # which the server makes when it starts
    data.mkdir(exist_ok=True)
    for kind in KINDS:
        cells = [nbformat.v4.new_code_cell("%%qwen\nTell me", outputs=o) for o in outputs[kind]]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
        NotebookNotary(data_dir=str(data)).sign(notebook)
        nbformat.write(notebook, jupyter.folder / "work" / f"{kind}.ipynb")


def opened(browser: Any, jupyter: Jupyter, kind: str, answers: int) -> float:
    """Seconds that the main thread of a new page works until that notebook stands there."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    tab.set_default_timeout(120_000)
    devtools = tab.context.new_cdp_session(tab)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    tab.goto(f"{jupyter.url}/lab/tree/{kind}.ipynb?reset")
    tab.evaluate(OPENED, [answers, 0 if kind == "nothing" else answers])
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")
