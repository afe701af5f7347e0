"""The notebook of a real page in a question, and a new source in the place of a cell's own."""

import re

import pytest
from demo_server import demo_server, wait_for_requests
from real_jupyter import PAIRS, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

KEY = "sk-canary0123456789abcdef"
CELLS = [
    '%load_ext qwen_magic\n%config QwenMagics.keep = False\n%config QwenMagics.endpoint = "{url}"',
    f"print('a line tells {KEY}')\nshown = display('at first', display_id=True)\n"
    "shown.update('later')",
    'planets = {}\nplanets.groupby("kind")["density"].mean()',
    "%%qwen -n last:2\nwhat is here?",
    "%qwen_edit sort it, the densest first",
    "%%time\n%%qwen -n cells:3\nwhat is here?",
]


def last_input(server, count):
    """What the model was told in the last of so many questions."""
    return wait_for_requests(server, lambda records: len(records) == count)[-1].body["input"]


@pytest.mark.parametrize(("front", "kernel"), PAIRS)
def test_what_the_page_shows_goes_along_and_comes_back(front, kernel, open_page):
    with demo_server() as server:
        cells = [cell.replace("{url}", server.base_url) for cell in CELLS]
        page = open_page(front, f"cells-{front}-{kernel}.ipynb", cells, kernel)
        for index in range(3):
            page.run(index)
        page.set_source(1, "# changed since\n" + cells[1])
        source = cells[2]

        # What the page alone knows: what an output became, and that a cell was edited.
        page.run(3)
        sent = last_input(server, 1)
        assert "'later'" in sent
        assert "at first" not in sent.replace("display('at first'", "")
        assert "edited since it ran:\n```python\n# changed since" in sent
        assert "AttributeError" in sent
        assert KEY not in str(server.requests[-1].body)
        assert "%load_ext" not in sent
        page.output(3).locator(".qm-facts > summary").click()
        footer = page.output(3).locator(".qm-foot").inner_text()
        assert re.search(r"last:2: 2 of 6\scells, as the page shows it, about \d+\stokens", footer)

        # The difference is of the cell above it, and nothing happens before it is accepted.
        page.set_source(3, source)
        page.run(4)
        edit = page.output(4).locator(".qm-edit")
        edit.get_by_role("button", name="Accept").wait_for()
        assert edit.locator("del").all_inner_texts()
        editor = page.cell(3).locator(".cm-content")
        assert "sort_values" not in editor.inner_text()
        edit.get_by_role("button", name="Accept").click()
        wait_until(lambda: "sort_values" in editor.inner_text(), 5, "the new source")
        assert edit.get_by_role("button").count() == 0
        assert page.prompt(3) == "[4]:", "it was not run"
        editor.click()
        page.cell(3).locator(".cm-focused").wait_for()
        page.page.keyboard.press("Control+z")
        wait_until(lambda: editor.inner_text() == source, 5, "its undoing, in one step")

        # A cell that blocks reads the page too; and so after the page was loaded again.
        page.save()
        page.open()
        page.output(4).get_by_text("Fork from here").wait_for()  # this kernel knows the page again
        page.run(5)
        assert "Cell [3]" in last_input(server, 3)
        told = page.output(5).locator(".qm-foot")
        told.locator("summary").click()
        assert "as the page shows it" in told.inner_text()
        assert page.output(4).locator("del").count() > 0, "the difference is saved"
        assert page.output(4).locator(".qm-edit button").count() == 0
        assert not page.errors
