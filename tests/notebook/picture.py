"""Makes the README's picture: a prompt and its answer in JupyterLab, from the embedded demo.

    python tests/notebook/picture.py [FILE]

Needs the `test` extra and a Chromium (QWEN_MAGIC_CHROMIUM).
"""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests"), str(ROOT)]

from conftest import CHROMIUM_FLAGS, chromium_path  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from real_jupyter import Jupyter, Page  # noqa: E402

CELLS = [
    "# The frame and tools of the active cell go here",
    "%load_ext qwen_magic\n%qwen_demo on\ncount = 1000",
    "%%qwen --think -t code_interpreter\n"
    "What is the variance of the first {count} primes? Show the plot.",
]


def main(file):
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        jupyter = Jupyter(Path(folder))
        try:
            jupyter.write("answer.ipynb", CELLS)
            size = {"width": 1120, "height": 1700}
            tab = chromium.new_context(viewport=size, device_scale_factor=1.5).new_page()
            page = Page(jupyter, tab, "lab", "answer.ipynb")
            page.run(1)
            page.run(2)
            page.output(2).locator(".qm-acts").wait_for()
            page.cell(0).locator(".jp-InputPrompt").click()
            tab.mouse.move(0, 0)
            tab.wait_for_timeout(500)
            page.cell(2).screenshot(path=file)
        finally:
            jupyter.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ROOT / "notebooks" / "images" / "answer.png")
