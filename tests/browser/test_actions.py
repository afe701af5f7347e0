"""actions.js on a page with saved answers and a model that only records."""

import pytest
from answer_pages import run_actions, show
from answer_states import all_states

from qwen_magic.context.masked_names import names_patterns
from qwen_magic.context.notebook import answer
from qwen_magic.frontends.display import edit_html
from qwen_magic.frontends.static import mark_of

pytestmark = pytest.mark.browser

MARK = mark_of("0123456789abcdef")


@pytest.fixture(scope="module")
def state():
    return next(state for state in all_states() if state.name == "second-sibling")


@pytest.fixture
def page(blank, state):
    page = blank
    show(page, state, "light")
    page.evaluate(
        """() => Object.defineProperty(navigator, "clipboard", { value: {
             write: async ([item]) => {
               window.copied = await (await item.getType("text/plain")).text();
             },
             writeText: async (text) => { window.copied = text; } } })"""
    )
    return page


def reply(page, **message):
    page.evaluate(
        "(message) => actions.receive({ id: actions.sent.at(-1).id, ...message })", message
    )


def notebook(page, html):
    """A notebook with this output in the second of two cells."""
    page.evaluate(
        """(html) => {
          const cell = (id, outputs) => ({
            id, outputs, getOutputs() { return this.outputs; },
            setOutputs(made) { this.outputs = made; },
          });
          window.cells = [cell("c0", []), cell("c1", [{ data: { "text/html": html } }])];
          const sharedModel = {
            cells, insertCell(at, made) { cells.splice(at, 0, made); },
          };
          const manager = { context: { model: { sharedModel } } };
          actions.values.layout = { widget_manager: manager };
        }""",
        html,
    )


def test_copy_asks_the_kernel_for_the_markdown(page):
    page.click("text=Copy as Markdown")
    sent = page.evaluate("actions.sent")
    assert sent == [{"op": "copy", "key": MARK, "id": 1, "argument": None}]
    reply(page, op="text", text="# All of it")
    page.wait_for_selector("text=Copied as Markdown")
    assert page.evaluate("copied") == "# All of it"


def test_fork_says_what_was_done(page):
    page.click("text=Fork from here")
    reply(page, op="say", text="Forked as chat-2")
    assert page.inner_text(".qm-acts-say") == "Forked as chat-2"
    assert page.get_attribute(".qm-acts-say", "role") == "status"


def test_an_error_is_told_in_its_place(page):
    page.click("text=Fork from here")
    reply(page, op="error", text="No such turn")
    page.wait_for_selector(".qm-acts-say.qm-is-error")
    assert page.inner_text(".qm-acts-say") == "No such turn"


def test_a_busy_kernel_is_named(page):
    page.click("text=Fork from here")
    page.wait_for_selector("text=The kernel is busy", timeout=5000)


def test_another_sibling_takes_the_place_and_the_focus(page):
    saved = f'<div class="qm-turn qm-saved {MARK}">two</div>'
    notebook(page, saved)
    page.click("text=›")
    assert page.evaluate("actions.sent.at(-1)")["argument"] == 3
    foot = '<div class="qm-foot"><span class="qm-fact">main, turn 4</span></div>'
    other = f'<div class="qm-turn qm-saved qm-id-three">three{foot}</div>'
    reply(page, op="show", bundle={"text/html": other}, metadata={"a": 1}, figures=[])
    page.wait_for_function("cells[1].outputs[0].metadata")
    assert page.evaluate("cells[1].outputs") == [
        {"output_type": "display_data", "data": {"text/html": other}, "metadata": {"a": 1}}
    ]
    page.evaluate(
        """([html, mark]) => {
          document.querySelector(".qm-saved").outerHTML = html;
          actions.set("answers", { [mark]: { sibling: [3, 3] } });
        }""",
        [other, "qm-id-three"],
    )
    page.wait_for_selector(".qm-sib-at >> text=3/3")
    foot = page.text_content(".qm-foot")
    assert foot == "main, turn 4 · answer\u00a03/3", "it counts as the bar does"
    assert page.evaluate("document.activeElement.textContent") == "‹", "the last has no next"
    assert page.is_disabled("text=›")


def test_without_a_notebook_the_sibling_is_shown_on_the_page(page):
    page.click("text=‹")
    other = '<div class="qm-turn qm-saved qm-id-one">the first</div>'
    reply(page, op="show", bundle={"text/html": other}, metadata={})
    page.wait_for_selector("text=the first")


def test_code_goes_into_a_new_cell_below(page):
    notebook(page, f'<div class="{MARK}"></div>')
    page.click("text=Insert code below")
    page.wait_for_function("cells.length === 3")
    made = page.evaluate("cells[2]")
    assert made["cell_type"] == "code"
    assert made["source"].startswith("import math\n")
    assert made["source"].count("\n") == 61, "the folded lines too"


def test_code_goes_to_the_clipboard_where_no_cell_can_be_made(page):
    page.click("text=Insert below")
    page.wait_for_selector("text=Copied: paste it into a new cell")
    assert page.evaluate("copied").startswith("import math\n")


def test_run_again_tells_what_to_do_where_it_cannot(page):
    page.click("text=Run again")
    assert page.inner_text(".qm-acts-say").startswith("Run the cell again")


def test_an_answer_that_is_drawn_anew_gets_its_actions_again(page):
    page.evaluate(
        """() => {
          const old = document.querySelector(".qm-saved");
          old.querySelectorAll(".qm-act").forEach((act) => act.remove());
          old.outerHTML = old.outerHTML;
        }"""
    )
    page.wait_for_selector(".qm-acts")
    assert page.locator(".qm-acts").count() == 1


def test_an_answer_that_is_not_known_has_none(page):
    page.evaluate("endActions()")
    run_actions(page, {"qm-id-somethingelse": {}})
    assert page.locator(".qm-acts").count() == 0


def test_they_go_with_the_kernel_and_come_back_with_it(page):
    page.evaluate("actions.call('comm_live_update')")
    assert page.locator(".qm-act").count() == 0
    assert page.evaluate("actions.sent.at(-1)") == {"op": "hello"}
    page.evaluate("actions.receive({ op: 'here' })")
    assert page.locator(".qm-acts").count() == 1
    page.evaluate("endActions()")
    assert page.locator(".qm-act").count() == 0


def test_the_keyboard_reaches_and_works_every_action(page):
    names = []
    for _ in range(20):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.closest('.qm-act')?.textContent"))
    assert [name for name in names if name][:9] == [
        "Insert below", "Wrap", "Copy",
        "Copy as Markdown", "Insert code below", "Run again", "Fork from here", "‹", "›",
    ]  # fmt: skip
    page.focus(".qm-act:text('Fork from here')")
    page.keyboard.press("Space")
    assert page.evaluate("actions.sent.at(-1).op") == "fork"


# Cells as JupyterLab has them, of those that a file has.
CELLS_OF = """(cells) => {
  const outputs = (made) => ({
    length: made.length,
    get: (at) => ({ type: made[at].output_type, toJSON: () => made[at] }),
  });
  const cellOf = (cell) => ({
    get id() { return cell.id; }, type: cell.cell_type,
    executionCount: cell.execution_count, isDirty: false,
    outputs: cell.outputs && outputs(cell.outputs),
    sharedModel: { getSource: () => cell.source, setSource: (text) => { cell.source = text; } },
  });
  const session = { kernel: { clientId: "this page" } };
  const context = { model: { cells: cells.map(cellOf) }, sessionContext: { session } };
  actions.values.layout = { widget_manager: { context } };
  window.cells = cells;
}"""
ASK = """(asked) => new Promise((resolve) => {
  actions.send = resolve;
  actions.receive({ op: "notebook", id: 7, session: "this page", ...asked });
})"""
LONG = "".join(f"line {n} of Größe and salary, {n / 7}\n" for n in range(400))
NOTEBOOK = [
    {"id": "a", "cell_type": "markdown", "source": "# One\n\ntext\n\n###### Two ##\nno # three"},
    {"id": "b", "cell_type": "code", "source": "\n  \n  x = 1\nprint(x)", "execution_count": 3,
     "outputs": [
        {"output_type": "stream", "name": "stdout", "text": LONG},
        {"output_type": "stream", "name": "stdout", "text": "k" * 9_000},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["a", "\x1b[31mb"]},
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": []},
    ]},
    {"id": "c", "cell_type": "code", "source": "", "execution_count": None, "outputs": [
        {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": "<Figure>"}},
        {"output_type": "execute_result", "data": {
            "text/html": "<b>SALARY</b>", "text/plain": "<X>"}},
        {"output_type": "execute_result", "data": {"text/html": "<b>1</b>", "text/plain": "a\nb"}},
        {"output_type": "display_data", "data": {"text/html": "<i>only</i>"}},
        {"output_type": "display_data", "data": {
            "text/markdown": "![a](data:image/png;base64,iVBOR+/=) my_email", "text/plain": "p"}},
        {"output_type": "display_data", "data": {"application/json": {"a": [1, "ü"]}}},
    ]},
]  # fmt: skip


def test_the_page_tells_of_its_cells_as_their_file_would(page):
    run_actions(page, {})
    page.evaluate(CELLS_OF, NOTEBOOK)
    names = names_patterns(["salary", "*_email", "a[bc]d", "x?y*"])
    for asked in (
        {"do": "outline"},
        {"do": "cells", "ids": ["c", "b", "a"], "most": 90_000, "window": 300, "names": names},
        {"do": "cells", "ids": ["b", "a"], "most": 500, "window": 3_000, "names": []},
    ):
        told = page.evaluate(ASK, asked)
        assert (told["op"], told["id"], told["mine"]) == ("notebook", 7, True)
        for cell in told["reply"]:
            for each in (cell.get("source", {}), *cell.get("outputs", ())):
                each.get("names", []).sort()
        expected = [{**cell, "number": cell["number"] or None} for cell in answer(NOTEBOOK, asked)]
        assert told["reply"] == expected
    assert page.evaluate(ASK, {"do": "outline", "session": "another"})["mine"] is False
    page.evaluate("() => delete actions.values.layout")
    assert page.evaluate(ASK, {"do": "outline"})["reply"] is None


@pytest.mark.parametrize(
    ("change", "press", "source", "says"),
    [
        ("", ["Accept"], "y = 2", "not run"),
        ("", ["Discard"], "x = 1", "Discarded"),
        ("cells[0].source = 'z'", ["Accept"], "z", "was edited"),
        ("cells[0].source = 'z'", ["Accept", "Replace it all the same"], "y = 2", "not run"),
        ("cells[0].id = 'gone'", ["Accept"], "x = 1", "no longer here"),
    ],
)
def test_a_difference_is_accepted_or_discarded(page, change, press, source, says):
    html = edit_html(MARK, "cell [2]", "x = 1", "y = 2")
    page.evaluate("(html) => void (document.querySelector('main').innerHTML = html)", html)
    assert page.locator(".qm-act").count() == 0, "without its kernel it offers nothing"
    run_actions(page, {})
    page.evaluate("() => void (actions.save_changes = () => {})")
    page.evaluate(CELLS_OF, [{"id": "c", "cell_type": "code", "source": "x = 1", "outputs": []}])
    page.evaluate(change or "0")
    edit = {"cell": "c", "was": "x = 1", "source": "y = 2"}
    page.evaluate("(edits) => { actions.set('edits', edits); }", {MARK: edit})
    page.evaluate("() => actions.call('change:answers change:edits')")
    for name in press:
        page.get_by_role("button", name=name).click()
    page.get_by_role("status").get_by_text(says).wait_for()
    assert page.evaluate("() => cells[0].source") == source
    is_settled = says in ("not run", "Discarded")
    assert page.evaluate("() => Object.keys(actions.get('edits'))") == (
        [] if is_settled else [MARK]
    )
    assert page.get_by_role("button").count() == (0 if is_settled else 2)
