"""Functions of the notebook that a model calls: asked about, run and shown, in real front ends."""

import json
import sys
import time
from pathlib import Path

import pytest
from demo_server import asked, demo_server
from real_jupyter import OTHER_PAIR, PAIRS, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

TOOLS = '''
import asyncio
from qwen_magic import tool
ran = []

@tool
def rows(where: str) -> list[str]:
    """Rows of the sales table that match a condition."""
    ran.append(where)
    return [where] * 3

@tool
def boom(x: int) -> int:
    """Always fails."""
    ran.append("boom")
    raise KeyError("no such x")

@tool
def big() -> str:
    """A hundred kilobytes."""
    return "line of text\\n" * 7692

@tool
def count_up(n: int) -> int:
    """One more."""
    ran.append(n)
    return n + 1

@tool
async def later(x: int) -> int:
    """Doubles, in a while."""
    await asyncio.sleep(0.1)
    ran.append(asyncio.get_running_loop() is home)
    return 2 * x

@tool
async def idle(seconds: float) -> str:
    """Waits."""
    await asyncio.sleep(seconds)

home = asyncio.get_running_loop()
'''


@pytest.fixture(params=PAIRS, ids="-".join)
def front(request):
    return request.param


@pytest.fixture
def server():
    with demo_server(delay=0.002) as demo:
        yield demo


def setup(server):
    return f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"\n{TOOLS}'


def choose(page, index, word):
    """Click an answer to the question that stands in a cell's output."""
    button = page.output(index).get_by_role("button", name=word)
    button.click()
    button.wait_for(state="detached")


def test_allowed_refused_failing_and_large(front, server, open_page):
    page = open_page(front[0], f"functions-{'-'.join(front)}.ipynb", [
        setup(server),
        "%%qwen -t rows,boom,big\ncall boom(x=1) and rows(where='a') and rows(where='b') and big()",
        "ran",
        "%%qwen -t boom\ncall boom(x=2)",
        "ran",
        "%%time\n%%qwen -t later\ncall later(x=21)",
        "%%qwen\nMy name is John",
        "ran",
    ], front[1])  # fmt: skip
    page.run(0)
    page.run(1, wait=False)
    question = page.output(1).get_by_role("group", name="Run boom here?")
    question.wait_for()
    assert "boom(x=1)" in question.inner_text()
    assert "what it returns is sent to the model" in question.inner_text()
    assert len(asked(server)) == 1
    choose(page, 1, "Always in main")
    question = page.output(1).get_by_role("group", name="Run rows here?")
    question.wait_for()
    assert 'rows(where="a")' in question.inner_text()
    choose(page, 1, "Allow once")
    page.output(1).get_by_text('rows(where="b")').first.wait_for()
    choose(page, 1, "Never in main")
    choose(page, 1, "Allow once")
    page.wait_for_cell(1)
    page.run(2)
    assert page.text(2).strip().endswith("['boom', 'a']")

    told = [item["output"] for item in asked(server)[-1].body["input"]]
    assert told[0] == "Error: KeyError: 'no such x'"
    assert told[1] == '["a", "a", "a"]'
    assert told[2].startswith("Error: not allowed")
    assert 99_000 < len(told[3]) <= 100_000
    lines = page.show(1).locator(".qm-head").all_inner_texts()
    verbs = [line.split("\n")[0] for line in lines[:4]]
    assert verbs == ["Function failed", "Called", "Refused", "Called"]

    page.run(3)  # nothing is asked: always
    page.run(4)
    assert page.text(4).strip().endswith("['boom', 'a', 'boom']")

    # A cell that blocks the kernel, whose click arrives all the same; its function is awaited.
    page.run(5, wait=False)
    choose(page, 5, "Allow once")
    page.wait_for_cell(5)
    assert "later(x=21) → 42" in page.text(5)
    assert "nest_asyncio2" in page.text(5)
    page.run(6)
    assert "Hello, John!" in page.text(6)
    page.run(7)
    assert page.text(7).strip().endswith("True]")

    saved = page.save()
    [output] = saved.cells[1].outputs
    assert "<button" not in output.data["text/html"]
    assert "Run boom here?" not in output.data["text/html"]
    assert 'rows(where="a") → ["a", "a", "a"]' in output.data["text/plain"]
    assert "Refused" in output.data["text/plain"]
    kept = [item["type"] for item in output.metadata["qwen_magic"]["items"]]
    assert kept[:2] == ["function_call", "function_call_output"]
    assert kept.count("function_call_output") == 4
    assert len(output.data["text/html"]) < 100_000, "a large result is shown in part"
    assert not page.errors


@pytest.mark.parametrize("front", OTHER_PAIR, ids="-".join)
def test_stop_while_asked_and_in_an_endless_loop(front, server, open_page):
    page = open_page(front[0], f"functions-stop-{'-'.join(front)}.ipynb", [
        setup(server) + "\n%config QwenMagics.tool_rounds = 1000",
        "%%qwen -t rows\ncall rows(where='a')",
        "%%qwen -t count_up\ncall count_up(n=1) again and again",
        "print('ran', len(ran) > 3, ran.count('a'))",
        "%%time\n%%qwen -t idle\ncall idle(seconds=60)",
        "%%qwen\nMy name is John",
    ], front[1])  # fmt: skip
    page.run(0)
    page.run(1, wait=False)
    page.be_busy(3)  # its first widget's hello comes late
    page.output(1).locator(".qm-choice").first.wait_for()
    page.output(1).locator(".qm-stop").click()
    page.wait_for_cell(1, 10)
    assert "Stopped after" in page.text(1)
    assert "Asks to run" in page.text(1)
    assert page.output(1).locator(".qm-choice").count() == 0

    page.run(2, wait=False)
    choose(page, 2, "Always in main")
    wait_until(lambda: len(asked(server)) > 6, 20, "some rounds")
    page.output(2).locator(".qm-stop").click()
    page.wait_for_cell(2, 10)
    rounds = len(asked(server))
    assert "Stopped after" in page.text(2)
    time.sleep(0.5)
    assert len(asked(server)) == rounds
    page.run(3)
    assert "ran True 0" in page.text(3)

    # A synchronous cell that awaits a function: Stop ends it, and afterwards Stop and ■ still work.
    page.run(4, wait=False)
    choose(page, 4, "Allow once")
    page.output(4).get_by_text("Calling").first.wait_for()
    page.output(4).locator(".qm-stop").click()
    page.wait_for_cell(4, 10)
    assert "Stopped after" in page.text(4)
    page.set_source(5, "%%qwen\nwrite at length\ndemo: delay 0.03")
    for stop in (lambda: page.output(5).locator(".qm-stop").click(), page.interrupt):
        count = len(asked(server))
        page.run(5, wait=False)
        wait_until(lambda n=count: len(asked(server)) > n and asked(server)[-1].events > 8)
        stop()
        wait_until(lambda: asked(server)[-1].closed_at, 5, "the server's seeing the close")
        page.wait_for_cell(5)
        assert "Stopped after" in page.text(5)
    assert not page.errors


def test_a_question_outlives_all_that_happens_to_a_page(front, server, open_page):
    name = f"question-{'-'.join(front)}.ipynb"
    page = open_page(front[0], name, [
        setup(server), "%%qwen -t rows\ncall rows(where='a') and rows(where='b')",
        "%%qwen -t rows\ncall rows(where='c')", "# line\n" * 120, "%%qwen\nwrite at length",
    ], front[1])  # fmt: skip
    page.run_all()
    page.output(1).locator(".qm-choice").first.wait_for()

    # Out of sight: announced (by the labextension's toast here), with the way there.
    page.scroll_to(100_000)
    page.page.get_by_text("rows(…) waits for your word in cell [2]").first.wait_for()
    assert page.page.title().startswith("(?) ")
    page.page.locator(".qm-line .qm-show").click()
    page.page.locator(".qm-line").wait_for(state="detached")

    # The page is loaded again; the second click of two answers nothing.
    page.save()
    page.open(kernel=False)
    button = page.output(1).get_by_role("button", name="Allow once")
    button.wait_for()
    button.dblclick()
    page.output(1).get_by_text('rows(where="b")').first.wait_for()
    page.page.wait_for_timeout(1500)
    page.output(1).get_by_role("group", name="Run rows here?").wait_for()
    assert len(asked(server)) == 1
    choose(page, 1, "Allow once")
    page.output(1).get_by_text("gave").first.wait_for()

    # The next cell, of whose output the new page was never told.
    server.set(delay=0.05)
    choose(page, 2, "Always in main")
    page.output(4).locator(".qm-stop").wait_for()
    assert not page.page.title().startswith("(?)")
    page.scroll_to(0)
    page.page.locator(".qm-line .qm-stop").wait_for()

    assert not page.errors

    # The kernel is gone: the view says so, and the saved form.
    page.output(4).locator(".qm-p").first.wait_for()
    if front[0] == "lab":
        page.restart_kernel()
    else:
        page.sigkill_kernel()
    page.output(4).get_by_text("The kernel ended").wait_for()
    assert page.page.locator(".qm-stop:visible").count() == 0
    saved = page.save()
    outputs = [cell.outputs for cell in saved.cells if "%%qwen" in cell.source]
    assert [len(shown) for shown in outputs] == [1, 1, 1]
    assert "gave" in outputs[1][0].data["text/plain"]
    assert set(outputs[2][0].data) == {"text/html", "text/plain"}
    assert "The kernel ended" in outputs[2][0].data["text/plain"]


def test_a_cell_run_again_while_its_question_is_open_shows_one_answer(front, server, open_page):
    """The page puts away what it showed at once, while the kernel still waits for a word."""
    page = open_page(front[0], f"again-{'-'.join(front)}.ipynb", [
        setup(server), "%%qwen -t rows\ncall rows(where='a')"
    ], front[1])  # fmt: skip
    page.run(0)
    page.run(1, wait=False)
    page.output(1).locator(".qm-choice").first.wait_for()
    for _ in range(2):
        page.run(1, wait=False)
    for _ in range(3):
        choose(page, 1, "Allow once")
    page.wait_for_cell(1)
    page.page.wait_for_timeout(1500)
    (output,) = page.save().cells[1].outputs
    assert "gave" in output.data["text/plain"]
    assert page.output(1).locator(".qm-turn").count() == 1
    assert len(asked(server)) == 6


def test_an_mcp_server_of_the_notebooks_folder(server, jupyter, open_page):
    """Refused, then started; its calls have buttons, and nothing of its key is saved."""
    pytest.importorskip("mcp")
    program = str(Path(__file__).parents[1] / "support/mcp_server.py")
    secret = "hunter2-and-more"
    entry = {"command": sys.executable, "args": [program], "env": {"SERVICE_KEY": secret}}
    file = jupyter.write("mcp.ipynb", [
        f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"',
        "%%qwen -t mcp:tests\nMy name is John",
        "%%qwen -t mcp:tests\ncall tests__add(a=20, b=22) and tests__environment()",
        "%qwen_tools",
    ])  # fmt: skip
    (file.parent / "mcp.json").write_text(json.dumps({"mcpServers": {"tests": entry}}))
    page = open_page("lab", "mcp.ipynb")
    page.run(0)
    for index, word in ((1, "Refuse"), (2, "Always in this kernel")):
        page.run(index, wait=False)
        page.output(index).get_by_role("group", name="Start mcp:tests?").wait_for()
        page.output(index).get_by_text(program).first.wait_for()
        choose(page, index, word)
        if word == "Refuse":
            page.wait_for_cell(index)
    page.output(1).get_by_text("was not started: you refused it").first.wait_for()
    assert "tools" not in asked(server)[0].body
    page.output(2).get_by_role("group", name="Run tests__add on tests?").wait_for()
    choose(page, 2, "Allow once")
    choose(page, 2, "Allow once")
    page.wait_for_cell(2)
    told = [item["output"] for item in asked(server)[-1].body["input"]]
    assert told == ["42", "[masked] None"]
    page.run(3)
    assert "running" in page.text(3)
    assert secret not in json.dumps(page.save())
