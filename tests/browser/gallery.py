"""Makes pictures of an answer in fourteen states, and of pages shown once, in seven forms.

    python tests/browser/gallery.py OUTDIR [STATE…]

writes OUTDIR/<state>-<form>.png, and OUTDIR/index.html with all of them. The forms are light, dark
and narrow (320 px) in a notebook, saved, untrusted (no style sheet), and what nbconvert makes of it
as HTML and as Markdown (read by a plain CommonMark page). The pictures of `live` states show panels
as they are while it runs; of the others every panel is closed in light and dark, and open in the
rest. Needs the `test` extra and a Chromium (QWEN_MAGIC_CHROMIUM).
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests"), str(ROOT)]

from answer_pages import PICTURED, show  # noqa: E402
from answer_states import all_states  # noqa: E402
from conftest import CHROMIUM_FLAGS, chromium_path  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

CLOSED = ("light", "dark")  # forms that are shown as they come


def open_all(page):
    page.evaluate("for (const panel of document.querySelectorAll('details')) panel.open = true")


def main(folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    states = [state for state in all_states() if not names or state.name in names]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        for form in PICTURED:
            for state in states:
                page = browser.new_page(reduced_motion="reduce")
                show(page, state, form)
                if form not in CLOSED and not state.is_running:
                    open_all(page)
                page.screenshot(path=folder / f"{state.name}-{form}.png", full_page=True)
                page.close()
        browser.close()
    rows = [
        f"<h2>{state.name}</h2>"
        + "".join(f'<img src="{state.name}-{form}.png" title="{form}">' for form in PICTURED)
        for state in states
    ]
    (folder / "index.html").write_text("<!doctype html>" + "\n".join(rows), "utf-8")
    print(f"{len(states) * len(PICTURED)} pictures in {folder}")  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
