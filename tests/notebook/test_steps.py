"""Steps in a real front end: a goal by Shift+Enter alone, and what nobody has run stays unrun."""

import shutil

import pytest
from real_jupyter import PAIRS, ROOT, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SETUP = "%load_ext qwen_magic\n%qwen_demo on\n%matplotlib inline"
GOAL = "%%qwen --steps\nWhich kinds of planets are the densest? Use data/planets.csv."
CELLS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map(({ model, node }) => ({
  source: model.sharedModel.getSource(),
  mark: model.getMetadata("qwen") ?? null,
  tags: model.getMetadata("tags") ?? [],
  count: model.executionCount ?? null,
  bar: node.querySelector(".qm-step-bar")?.textContent ?? "",
}))"""
ACTIVE = """() => {
  const { activeCellIndex, mode } = window.jupyterapp.shell.currentWidget.content;
  return [activeCellIndex, mode];
}"""
DO = """async ([index, ...commands]) => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  for (const each of commands) await window.jupyterapp.commands.execute(`notebook:${each}`);
}"""


@pytest.fixture(params=PAIRS)
def page(request, jupyter, open_page):
    front, kernel = request.param
    data = jupyter.folder / "work" / "data"
    shutil.copytree(ROOT / "notebooks" / "data", data, dirs_exist_ok=True)
    return open_page(front, f"steps-{front}-{kernel}.ipynb", [SETUP, GOAL], kernel)


def cells(page):
    return page.page.evaluate(CELLS)


def proposal(page, number):
    """The place of the open proposal of that step, once it is there; it is the only one."""

    def found():
        places = [n for n, cell in enumerate(cells(page)) if (cell["mark"] or {}).get("open")]
        steps = [cells(page)[n]["mark"]["step"].partition(":")[2] for n in places]
        return places if steps == [str(number)] else None

    (place,) = wait_until(found, 40, f"the proposal of step {number}")
    return place


def test_a_goal_is_reached_by_its_reader_alone(page):
    page.run(0)
    page.page.evaluate(DO, [1, "run-cell-and-select-next"])
    first = proposal(page, 1)
    assert page.page.evaluate(ACTIVE) == [first, "command"]
    shown = cells(page)[first]
    assert shown["bar"] == "Qwen proposes · step 1 · not runSkipStop"
    assert shown["tags"] == ["skip-execution"]

    # Neither with all cells, nor as the first of several; and a copy is no proposal.
    for command in ("run-all-cells", "run-all-below"):
        page.page.evaluate(DO, [first, command])
        page.wait_for_cell(first)
        wait_until(lambda: "is left out" in page.text(first), 20, "the refusal")
    page.page.evaluate(DO, [first, "copy-cell", "paste-cell-below", "run-cell"])
    wait_until(lambda: "Pluto" in page.text(first + 1), 20, "the copy's output")
    assert cells(page)[first + 1]["mark"] is None
    assert cells(page)[first]["mark"]["open"]

    # Edited, an error, its correction, skipped; each by the keys and buttons that a reader has.
    page.page.evaluate(DO, [first + 1, "delete-cell"])
    page.set_source(first, f"{shown['source']}\n# mine")
    page.page.evaluate(DO, [first])
    page.page.wait_for_timeout(600)  # keys that were typed before a proposal came do not run it
    for number in (2, 3, 4):
        page.page.keyboard.press("Shift+Enter")
        place = proposal(page, number)
        assert page.page.evaluate(ACTIVE) == [place, "command"]
        page.page.wait_for_timeout(600)
    assert "your cell, edited" in page.text(first)
    assert "an error" in page.text(first + 1)
    page.page.locator(".qm-step-button", has_text="Skip").click()
    last = proposal(page, 5)
    assert last == place
    assert "that step 4 was skipped" in page.text(last - 1)
    page.run(last)
    wait_until(lambda: "Done" in page.text(last), 30, "the end")
    assert not any((cell["mark"] or {}).get("open") for cell in cells(page))
    assert [cell["tags"] for cell in page.save().cells if "tags" in cell] == []
    assert page.errors == []
