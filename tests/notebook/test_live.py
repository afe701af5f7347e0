"""The first answer, live, in real front ends on real kernels, answered over a real socket."""

import time

import pytest
from demo_server import asked, demo_server
from real_jupyter import PAIRS, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

BUNDLE = {"text/html", "text/markdown", "text/plain"}
LONG = "%%qwen\nwrite at length"


@pytest.fixture(params=PAIRS, ids="-".join)
def front(request):
    return request.param


@pytest.fixture
def server():
    with demo_server(delay=0.028) as demo:
        yield demo


def setup(server):
    return f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"'


def test_a_conversation_from_the_first_cell_to_the_saved_file(front, server, open_page):
    page = open_page(front[0], f"talk-{'-'.join(front)}.ipynb", [
        setup(server),
        "%%qwen --think\nMy name is John",
        "%%qwen\nDo you remember my name?",
        "Out[3].text",
    ], front[1])  # fmt: skip
    page.run(0)
    page.run(1, wait=False)
    page.output(1).locator(".qm-turn").wait_for()
    wait_until(lambda: page.output(1).inner_text().strip(), 10, "text while it streams")
    assert page.prompt(1) == "[*]:", "something is visible before the stream ends"
    page.wait_for_cell(1)
    page.run(2)
    page.run(3)
    assert "Yes, John!" in page.output(2).inner_text()
    assert "Yes, John!" in page.output(3).inner_text(), "the value is the answer"

    first, second = asked(server)
    assert second.body["previous_response_id"] == first.response_id
    saved = page.save()
    assert "widgets" not in saved.metadata
    for cell in saved.cells[1:3]:
        (output,) = cell.outputs
        assert output.output_type == "display_data"
        assert set(output.data) == BUNDLE
        assert output.metadata["qwen_magic"]["chat"] == "main"
    assert saved.cells[1].outputs[0].metadata["qwen_magic"]["prompt"] == "My name is John"
    assert "<details" in saved.cells[1].outputs[0].data["text/html"]
    assert not page.errors

    # Edit the first cell and run all: the second follows the new answer.
    page.set_source(1, "%%qwen\nMy name is Ada")
    page.run_all()
    wait_until(lambda: len(asked(server)) == 4 and asked(server)[-1].ended_at, 60, "run all")
    third, fourth = asked(server)[2:]
    assert "previous_response_id" not in third.body
    assert fourth.body["previous_response_id"] == third.response_id
    wait_until(lambda: "Ada" in page.output(2).inner_text(), 20, "the new answer")
    assert "2/2" in page.output(1).inner_text() or "2 of 2" in page.output(1).inner_text()


def test_stop_ends_the_stream_and_the_cell(front, server, open_page):
    page = open_page(front[0], f"stop-{'-'.join(front)}.ipynb", [
        setup(server), LONG, "print('the next cell works')",
    ], front[1])  # fmt: skip
    page.run(0)
    delays = []
    for count in range(1, 9 if front == ("lab", "this") else 4):
        page.run(1, wait=False)
        page.output(1).locator(".qm-stop").wait_for()
        wait_until(lambda n=count: len(asked(server)) == n and asked(server)[-1].events > 12)
        clicked = page.page.evaluate(
            """() => {
                document.querySelector('.qm-stop:not([disabled])').click();
                return Date.now() / 1000;
            }"""
        )
        record = asked(server)[-1]
        wait_until(lambda r=record: r.closed_at, 5, "the server's seeing the close")
        delays.append(record.closed_at - clicked)
        page.wait_for_cell(1, 10)
        assert "Stopped after" in page.output(1).inner_text()
        assert len(page.output(1).inner_text()) > 60, "what came is kept"
    delays.sort()
    print("stop seen by the server, ms:", [round(1000 * d) for d in delays])  # noqa: T201
    assert delays[len(delays) // 2] < 0.2
    page.run(2)
    assert "the next cell works" in page.output(2).inner_text()
    (output,) = page.save().cells[1].outputs
    assert set(output.data) == BUNDLE
    assert output.metadata["qwen_magic"]["status"] == "stopped"


def test_an_interrupt_stops_run_all_there(front, server, open_page):
    page = open_page(front[0], f"interrupt-{'-'.join(front)}.ipynb", [
        setup(server), LONG, "ran = True", "%%qwen\nhello",
    ], front[1])  # fmt: skip
    page.run_all()
    wait_until(lambda: asked(server) and asked(server)[-1].events > 12, 30, "streaming")
    pressed = time.time()
    page.interrupt()
    wait_until(lambda: asked(server)[-1].closed_at, 5, "the server's seeing the close")
    assert asked(server)[-1].closed_at - pressed < 0.5
    page.wait_for_cell(1)
    assert "Stopped after" in page.output(1).inner_text()
    assert "KeyboardInterrupt" in page.output(1).inner_text()
    time.sleep(0.5)
    assert not any(c.isdigit() for c in page.prompt(2)), "Run All went on"
    page.run(3)
    assert "previous_response_id" not in asked(server)[-1].body, "a stopped turn is no head"


def test_an_interrupt_before_the_first_token(front, server, open_page):
    page = open_page(front[0], f"early-{'-'.join(front)}.ipynb", [
        setup(server), "%%qwen\nhello\ndemo: delay 30", "1 + 1",
    ], front[1])  # fmt: skip
    page.run(0)
    page.run(1, wait=False)
    wait_until(lambda: asked(server), 20, "the request")
    time.sleep(0.3)
    page.interrupt()
    record = asked(server)[-1]
    wait_until(lambda: record.closed_at, 5, "the server's seeing the close")
    page.wait_for_cell(1)
    page.run(2)
    assert "2" in page.output(2).inner_text()


def test_stop_in_a_nested_cell(front, server, open_page):
    """`%%time` runs the synchronous magic, which blocks the kernel's main thread."""
    page = open_page(front[0], f"nested-{'-'.join(front)}.ipynb", [
        setup(server), "%%time\n" + LONG, "1 + 1",
    ], front[1])  # fmt: skip
    page.run(0)
    page.run(1, wait=False)
    wait_until(lambda: asked(server) and asked(server)[-1].events > 12, 20, "streaming")
    page.output(1).locator(".qm-stop").click()
    wait_until(lambda: asked(server)[-1].closed_at, 5, "the server's seeing the close")
    page.wait_for_cell(1)
    text = page.output(1).inner_text()
    assert "Stopped after" in text
    assert "Wall time" in text
    page.run(2)
