"""What the saved notebook shows to whoever opens it, without a kernel."""

import json
import re
import subprocess
import sys
import time

import nbformat
import pytest
from demo_server import demo_server, pace
from real_jupyter import wait_until

from qwen_magic.conversation.chain import CellKey, Chain, Turn
from qwen_magic.conversation.outline import outline_of
from qwen_magic.frontends.history import history_html

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SETUP = "%load_ext qwen_magic\n%qwen_demo on"
TOOLS = (
    "%%qwen --think -t code_interpreter\n"
    "What is the variance of the first 100 primes? Show the plot.\ndemo: delay 0"
)
SEARCH = "%%qwen -t web_search,web_extractor\nSearch for the prime number theorem and read the page"


@pytest.fixture(scope="module")
def answered(open_shared_page):
    """A saved notebook with reasoning, a search, a page, code, a figure; its kernel is gone."""
    page = open_shared_page("lab", "answered.ipynb", [SETUP, TOOLS, SEARCH])
    for index in range(3):
        page.run(index)
    page.save()
    page.kill_kernel()
    return page


def unfold_all(page):
    page.page.evaluate("document.querySelectorAll('.qm-turn details').forEach(d => d.open = true)")


def assert_shows_everything(page):
    turns = page.page.locator(".qm-turn")
    wait_until(lambda: turns.count() == 2, 20, "the rendering of both answers")
    unfold_all(page)
    code, search = turns.nth(0).text_content(), turns.nth(1).text_content()
    assert re.search(r"Thought", code)
    assert "Ran Python" in code
    assert "variance" in code
    assert "import" in code, "the code that ran"
    assert page.output(1).locator("img").count() == 1
    hidden = page.output(1).locator(".jp-OutputArea-child").nth(1)
    assert hidden.bounding_box()["height"] == 0, "the figure for LaTeX"
    figure = turns.nth(0).locator("img")
    assert figure.get_attribute("src").startswith("data:image/png;base64,")
    assert figure.evaluate("i => i.naturalWidth") > 100
    assert "Searched the web" in search
    assert "Read a page" in search
    assert "https://demo.invalid/" in search
    assert "Error displaying widget" not in page.page.inner_text("body")


def test_reopened_trusted(answered):
    answered.page.reload()
    answered.page.wait_for_selector(".qm-turn details")
    assert_shows_everything(answered)
    turn = answered.page.locator(".qm-saved").first
    style = "turn => getComputedStyle(turn).getPropertyValue('--qm-fg')"
    assert turn.evaluate(style), "trusted: with the style that it brought"


def history_of_cell(cell_id):
    """A cell whose output is the history of a conversation with one turn, that cell's."""
    turn = Turn("a", "main", "completed", cell=CellKey(cell_id), prompt="to it", text="x")
    chain = Chain("main", [turn])
    data = {"text/html": history_html(outline_of(chain), now=0.0)}
    return nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data)])


@pytest.mark.parametrize("front", ["lab", "notebook"])
def test_reopened_untrusted(answered, open_page, jupyter, front):
    notebook = jupyter.read("answered.ipynb")
    # Trust is signed on the content: a copy of the same content would be trusted too.
    notebook.metadata["copied"] = f"for {front}"
    notebook.cells.append(history_of_cell(notebook.cells[0].id))
    nbformat.write(notebook, jupyter.folder / "work" / f"copy-{front}.ipynb")
    page = open_page(front, f"copy-{front}.ipynb", kernel=False)
    page.page.wait_for_selector(".qm-turn details")
    assert page.page.locator(".qm-turn style").count() == 0, "the sanitizer was here"
    assert_shows_everything(page)
    page.page.locator(".qm-page").scroll_into_view_if_needed()
    first = "() => document.querySelector('.jp-Notebook .jp-Cell').getBoundingClientRect().top"
    assert page.page.evaluate(first) < 0
    page.page.click(".qm-page a")
    page.page.wait_for_function(f"() => ({first})() >= 0")


def test_nbconvert_to_html(answered, jupyter, browser):
    work = jupyter.folder / "work"
    subprocess.run(
        [sys.executable, "-m", "nbconvert", "--to", "html", "answered.ipynb", "--log-level=ERROR"],
        cwd=work,
        check=True,
    )
    page = browser.new_page()
    # The page asks for MathJax and RequireJS elsewhere; there is no elsewhere here.
    page.route("http*://**", lambda route: route.abort())
    page.goto((work / "answered.html").as_uri(), wait_until="domcontentloaded")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    text = page.inner_text("body")
    page.close()
    for word in ("Thought", "Ran Python", "Searched the web", "Read a page", "variance"):
        assert word in text


def test_the_metadata_holds_the_turn_and_no_key(answered, jupyter):
    raw = (jupyter.folder / "work" / "answered.ipynb").read_text("utf-8")
    answer, figure = json.loads(raw)["cells"][1]["outputs"]
    assert set(figure["data"]) == {"image/png", "text/html"}
    turn = answer["metadata"]["qwen_magic"]
    assert turn["prompt"].startswith("What is the variance")
    assert {item["type"] for item in turn["items"]} >= {"reasoning", "code_interpreter_call"}
    assert turn["usage"]["tools"]["code_interpreter"] >= 1
    assert "Bearer" not in raw


def test_a_kernel_that_dies_in_mid_stream_leaves_the_partial_answer(open_page, jupyter):
    with demo_server(delay=0.05) as server:
        page = open_page("lab", "killed.ipynb", [
            f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"',
            "%%qwen --think\nwrite at length",
        ])  # fmt: skip
        page.run(0)
        page.run(1, wait=False)
        wait_until(lambda: server.requests and server.requests[-1].events > 60, 30, "streaming")
        time.sleep(0.3)
        shown = page.text(1)
        saved = page.save()
        page.kill_kernel()
        (output,) = saved.cells[1].outputs
        assert "application/vnd.jupyter.widget-view+json" not in output.data
        page.page.reload()
        page.page.wait_for_selector(".qm-turn")
        time.sleep(4)  # a widget's error would come late
        text = page.text(1)
        assert "Error displaying widget" not in text
        assert "Loading widget" not in text
        heading = next(line for line in shown.splitlines() if len(line) > 20)
        assert heading in text


@pytest.mark.parametrize("front", ["lab", "notebook"])
def test_a_page_reloaded_in_mid_stream_gets_the_answer(open_page, jupyter, front):
    with demo_server(delay=0.02) as server:
        name = f"reloaded-{front}.ipynb"
        page = open_page(front, name, [
            f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"',
            "%%qwen\nwrite at length",
        ])  # fmt: skip
        page.run(0)
        page.run(1, wait=False)
        wait_until(lambda: server.requests and server.requests[-1].events > 60, 30, "streaming")
        pace(server, 1.0)  # minutes
        page.save()
        page.page.reload()
        page.page.wait_for_selector(".qm-turn")
        record = server.requests[-1]
        assert record.ended_at is None, "it still streams"
        page.output(1).locator(".qm-stop").wait_for()
        pace(server, 0.0)
        wait_until(lambda: record.ended_at, 60, "the end of the stream")
        page.output(1).locator(".qm-saved").wait_for()
        assert "That was all of it" in page.text(1)
        (output,) = page.save().cells[1].outputs
        assert set(output.data) == {"text/html", "text/markdown", "text/plain"}
