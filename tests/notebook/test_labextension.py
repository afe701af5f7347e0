"""The labextension in real front ends: how prompts look, its keys, its toasts."""

from unittest.mock import MagicMock

import nbformat
import pytest
from demo_server import demo_server
from nbformat.sign import NotebookNotary
from real_jupyter import LABEXTENSION, Page, wait_until

from qwen_magic.context.interpolation import interpolate
from qwen_magic.magics.line import read_line

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

# The text of a cell in pieces: [text, colour, background, weight].
PIECES = """node => {
  const text = node.querySelector(".cm-content") ?? node;
  const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
  const pieces = [];
  while (walker.nextNode()) {
    const style = getComputedStyle(walker.currentNode.parentElement);
    const { color, backgroundColor, fontWeight } = style;
    pieces.push([walker.currentNode.data, color, backgroundColor, fontWeight]);
  }
  return pieces;
}"""
NOTHING = "rgba(0, 0, 0, 0)"

PROSE = "This is not code, and for 1,000 reasons isn't \"quoted."
PROMPT = f"""# a comment above

%%time
%%qwen -t code_interpreter --think -s "be short" --temperature=0.2 --nonsense in a line
{PROSE}

## A heading
- **bold** about {{df["a"].x[0]}}, `{{code}}`, {{{{two}}}} pairs, $5 for {{n}}, ${{low}}-${{high}}
    indented {{prose}}, <data>{{df}}</data>, $x_{{i}}$, \\frac{{a}}{{b}}, {{größe}}, [{{link}}](x)

```python
for each in {{fenced}}: pass
```
"""
PYTHON = """import math
answer = %qwen -m qwen-plus what is {thing}, and isn't it for 3?
while True:
    break
text = '''
%qwen is text
'''"""


class Everything(dict):
    """A notebook that knows each name."""

    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return MagicMock()


@pytest.fixture(params=["lab", "notebook"])
def front(request):
    return request.param


def pieces(page, index):
    return page.cell(index).evaluate(PIECES)


def style_of(page, index, words):
    """Colour, background and weight of the first piece that holds these words; None while there
    is none."""
    return next((style for text, *style in pieces(page, index) if words in text), None)


def test_prompts_are_prose(front, open_page):
    page = open_page(front, f"prose-{front}.ipynb", [PROMPT, PYTHON, "x = 1", "%%qwen\nis it?"])
    wait_until(lambda: style_of(page, 1, "import")[2] != "400", 20, "Python's colours")
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page.theme(theme)
        plain = style_of(page, 2, "x")
        keyword = style_of(page, 1, "import")
        assert plain != keyword

        # Prose is plain, in one piece; fences have the colours of their language.
        assert style_of(page, 0, PROSE) == plain
        assert style_of(page, 0, "--nonsense in a line") == plain
        assert style_of(page, 0, "bold")[2] == "700"
        assert style_of(page, 0, "A heading") != plain
        assert style_of(page, 0, "%%qwen") == keyword
        assert style_of(page, 0, "for") == plain
        wait_until(
            lambda k=keyword: [s for text, *s in pieces(page, 0) if text == "for"] == [k],
            10,
            "the fence's language",
        )
        for word in ("-t", "code_interpreter", '"be short"', "0.2"):
            assert style_of(page, 0, word) != plain
        assert style_of(page, 0, "# a comment above") != plain

        # The line of a Python cell, and no text that looks like one.
        assert style_of(page, 1, "%qwen") == keyword
        (prose,) = (
            mark
            for mark in page.cell(1).locator(".qm-ed-text").all()
            if mark.inner_text() == ", and isn't it for 3?"
        )
        assert all(style == plain for _, *style in prose.evaluate(PIECES))
        assert style_of(page, 1, "while") == keyword
        assert style_of(page, 1, "%qwen is text") == style_of(page, 1, "'''")
        assert page.cell(1).locator(".qm-ed-name").all_inner_texts() == ["{thing}"]

    # What is marked is what the kernel expands, and the options end where the kernel ends them.
    line, body = PROMPT.split("%%qwen")[1].split("\n", 1)
    expanded = {f"{{{each.name}}}" for each in interpolate(body, Everything()).expanded}
    assert {text for text, _, paper, _ in pieces(page, 0) if paper != NOTHING} == expanded
    assert len(expanded) == 8
    assert read_line(line.replace("--nonsense ", ""))[1] == "in a line"

    # Soft wrap belongs to prompts, and a cell changes with its first line.
    wrapped = ".cm-lineWrapping"
    assert [page.cell(i).locator(wrapped).count() for i in range(4)] == [1, 0, 0, 1]
    page.set_source(2, "%%qwen\nimport is a word")
    page.set_source(3, "import math")
    wait_until(lambda: style_of(page, 3, "import") == keyword, 10, "Python again")
    assert style_of(page, 2, "import is a word") == plain
    assert [page.cell(i).locator(wrapped).count() for i in range(4)] == [1, 0, 1, 0]

    # Switched off in the settings, all is Python as before.
    change = """off => window.jupyterapp.serviceManager.settings.save(
        "@jupyterlab/codemirror-extension:plugin",
        JSON.stringify(off ? {defaultConfig: {qwenPrompts: false}} : {}))"""
    page.page.evaluate(change, True)
    page.save()
    page.open(kernel=False)
    try:
        wait_until(lambda: style_of(page, 1, "import")[2] != "400", 20, "Python's colours")
        assert [page.cell(i).locator(wrapped).count() for i in range(4)] == [0, 0, 0, 0]
        assert all(paper == NOTHING for _, _, paper, _ in pieces(page, 0))
    finally:
        page.page.evaluate(change, False)
        page.open(kernel=False)  # the next test goes on in this tab
    assert not page.errors


@pytest.mark.parametrize(
    ("front", "found", "fault"),
    [
        (
            "lab",
            "create: ({ doc }) =>",
            "create: () => { throw new Error('a fault'); }, x: (doc) =>",
        ),
        (
            "notebook",
            "function inline(cx, next, at) {",
            "function inline() { throw new Error('a fault');",
        ),
    ],
)
def test_a_fault_blanks_no_cell(front, found, fault, jupyter, tabs):
    """One that would fail in every editor, and one that only a prompt's text brings out."""
    script = (LABEXTENSION / "static" / "prompts.js").read_text("utf-8")
    assert found in script
    faulty = {"body": script.replace(found, fault), "content_type": "text/javascript"}
    jupyter.write("fault.ipynb", [PROMPT, "x = 1"])
    said = []
    tab = tabs["context"].new_page()
    tab.on("console", lambda message: said.append(message.text))
    tab.route("**/prompts.js*", lambda route: route.fulfill(**faulty))
    page = Page(jupyter, tab, front, "fault.ipynb", kernel=False)
    page.cell(0).get_by_text(PROSE).wait_for()
    page.cell(1).get_by_text("x = 1").wait_for()
    assert any("a fault" in text for text in said)
    page.close()


TELL = """([name, detail]) => {
  const show = () => (window.shown = true);
  detail = { ...detail, show, element: document.querySelector(".asks") };
  const event = new CustomEvent(`qwen-magic:${name}`, { cancelable: true, detail });
  return document.dispatchEvent(event);
}"""


def test_the_keys_and_the_toast(front, open_page):
    with demo_server(delay=0.1) as server:
        page = open_page(front, f"keys-{front}.ipynb", [
            f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"',
            "%%qwen\nwrite at length",
            "from IPython.display import HTML\nHTML('<p class=asks>May it run?</p>')",
            *["1\n" * 30] * 4,
        ])  # fmt: skip
        keyboard = page.page.keyboard
        page.run(0)
        page.run(2)

        # Escape once is the notebook's, twice stops; from another cell too.
        page.run(1, wait=False)
        page.output(1).locator(".qm-stop:visible").wait_for()
        page.cell(2).locator(".cm-content").focus()  # it moves, below what is being written
        keyboard.press("Escape")
        page.page.wait_for_timeout(700)
        keyboard.press("Escape")
        assert page.prompt(1) == "[*]:"
        keyboard.press("Escape")
        page.wait_for_cell(1, 10)
        assert "Stopped after" in page.text(1)

        # So does the palette's entry, which is there while something can be stopped.
        page.run(1, wait=False)
        page.output(1).locator(".qm-stop:visible").wait_for()
        page.page.evaluate("() => void window.jupyterapp.commands.execute('qwen-magic:stop')")
        page.wait_for_cell(1, 10)
        assert not page.page.evaluate(
            "() => window.jupyterapp.commands.isEnabled('qwen-magic:stop')"
        )

    # One style for all saved answers of the page.
    saved = page.output(1).locator(".qm-saved")
    saved.wait_for()
    assert saved.locator("style").count() == 0
    assert saved.evaluate("turn => getComputedStyle(turn).getPropertyValue('--qm-fg')")

    # A new prompt cell, by its key and by the palette; undone in one step.
    page.cell(2).locator(".jp-InputPrompt").click()
    keyboard.press("q")
    page.cell(3).locator(".cm-focused").wait_for()
    keyboard.type("Is it in?")
    lines = page.cell(3).locator(".qm-ed-prompt .cm-line")
    wait_until(lambda: lines.all_inner_texts()[1:] == ["Is it in?"], 15, "what was typed")
    keyboard.press("Escape")
    keyboard.press("Control+Shift+C")
    page.page.locator(".lm-CommandPalette-input").fill("prompt cell")
    page.page.locator("[data-command='qwen-magic:new-prompt']").wait_for()
    keyboard.press("Enter")
    page.cell(4).locator(".cm-focused").wait_for()

    # A question out of sight: its toast leads there, in text alone; then it is settled.
    page.cell(7).scroll_into_view_if_needed()
    text = "rows(<img src=x onerror='window.ran = true'>) waits"
    assert not page.page.evaluate(TELL, ["question", {"id": "q1", "text": text}]), "not cancelled"
    toast = page.page.locator(".jp-toast-message, .Toastify__toast").filter(has_text="waits").first
    toast.wait_for()
    page.page.get_by_role("button", name="Show").click()
    wait_until(lambda: page.page.evaluate("() => window.shown"), 10, "the way there")
    wait_until(lambda: page.page.locator(".asks").is_visible(), 5, "the question")
    assert (
        page.page.evaluate("() => document.querySelector('.asks').getBoundingClientRect().top") > 0
    )
    page.page.evaluate(TELL, ["question", {"id": "q2", "text": "another waits"}])
    toast.wait_for()
    page.page.evaluate(TELL, ["answered", {"id": "q2"}])
    toast.wait_for(state="detached")
    assert not page.page.evaluate("() => window.ran")
    assert not page.errors


@pytest.mark.parametrize("trusted", [True, False])
def test_answers_out_of_sight_cost_a_page_little(trusted, jupyter, open_page):
    color = f"rgb(1, 2, {int(trusted)})"
    look = f".qm-turn .qm-p{{color:{color}}}"
    words = '<p class="qm-p">Some words.</p>' * 20
    html = (
        f'<div class="qm-turn qm-saved"><style>{look}</style>{words}<p class="qm-p">$x_n$</p></div>'
    )
    outputs = [nbformat.v4.new_output("display_data", data={"text/html": html})]
    cells = [nbformat.v4.new_code_cell("%%qwen\nTell me", outputs=outputs) for _ in range(12)]
    metadata = {"kernelspec": {"name": "this", "display_name": "this"}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    if trusted:
        NotebookNotary(data_dir=str(jupyter.folder / "data")).sign(notebook)
    name = f"many-{trusted}.ipynb"
    nbformat.write(notebook, jupyter.folder / "work" / name)
    page = open_page("lab", name, kernel=False)
    seen, unseen = page.output(0).locator(".qm-saved"), page.output(11).locator(".qm-saved")
    seen.locator("mjx-container").wait_for()
    assert unseen.locator("mjx-container").count() == 0
    assert "$x_n$" in unseen.text_content()
    is_drawn = "turn => turn.lastChild.checkVisibility({ contentVisibilityAuto: true })"
    assert seen.evaluate(is_drawn)
    assert not unseen.evaluate(is_drawn)
    assert unseen.evaluate("turn => getComputedStyle(turn).contentVisibility") == "auto"

    def comes_into_sight():  # not at once: the notebook guesses the height of what it did not draw
        page.cell(11).scroll_into_view_if_needed()
        return unseen.evaluate(is_drawn)

    wait_until(comes_into_sight)
    unseen.locator("mjx-container").wait_for()
    assert unseen.evaluate("turn => getComputedStyle(turn).contentVisibility") == "visible"
    shown = unseen.evaluate("turn => getComputedStyle(turn.lastChild).color")
    assert (shown == color) == trusted
    sheets = "look => [...document.querySelectorAll('style')].filter(s => s.textContent === look)"
    assert page.page.evaluate(f"({sheets})({look!r}).length") == trusted
    assert not page.errors


def test_a_kernel_alone_gives_half_of_it(jupyter, tabs):
    """Where the server's environment has no labextension: from the first answer on."""
    with demo_server() as server:
        jupyter.write("kernel-alone.ipynb", [
            f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"',
            "%%qwen\nhello, is it for me?",
            "import math\nx = 1",
        ])  # fmt: skip
        tab = tabs["context"].new_page()
        tab.route("**/qwen_magic/static/**", lambda route: route.abort())
        page = Page(jupyter, tab, "lab", "kernel-alone.ipynb")
        page.run(0)
        page.run(1)
        plain = style_of(page, 2, "x")
        wait_until(lambda: style_of(page, 1, "hello, is it for me?") == plain, 10, "prose")
        keyword = style_of(page, 2, "import")
        page.set_source(2, "%%time\n%%qwen\nimport math\n## Heading")
        wait_until(lambda: style_of(page, 2, "import math") == plain, 10, "prose again")
        assert style_of(page, 2, "Heading") != plain
        page.set_source(2, "import math")
        wait_until(lambda: style_of(page, 2, "import") == keyword, 10, "Python again")
        page.close()
