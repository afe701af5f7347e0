"""The first answer, live, in real front ends on real kernels, answered over a real socket."""

import time

import pytest
from demo_server import asked, demo_server
from fuzz import patience
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
        "%%qwen --think\nMy name is John\ndemo: delay 0.1",  # long enough to be seen streaming
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
    assert "Yes, John!" in page.text(2)
    assert "Yes, John!" in page.text(3), "the value is the answer"

    first, second = asked(server)
    assert second.body["previous_response_id"] == first.response_id
    saved = page.save()
    assert "widgets" not in saved.metadata
    for cell in saved.cells[1:3]:
        (output,) = cell.outputs
        assert output.output_type == "display_data"
        assert set(output.data) == BUNDLE
        assert output.metadata["qwen_magic"]["chat"] == "main"
    assert saved.cells[1].outputs[0].metadata["qwen_magic"]["prompt"].startswith("My name is John")
    assert "<details" in saved.cells[1].outputs[0].data["text/html"]
    assert not page.errors

    # Edit the first cell and run all: the second follows the new answer.
    page.set_source(1, "%%qwen\nMy name is Ada")
    page.run_all()
    wait_until(lambda: len(asked(server)) == 4 and asked(server)[-1].ended_at, 60, "run all")
    third, fourth = asked(server)[2:]
    assert "previous_response_id" not in third.body
    assert fourth.body["previous_response_id"] == third.response_id
    wait_until(lambda: "Ada" in page.text(2), 20, "the new answer")
    assert "2/2" in page.text(1) or "2 of 2" in page.text(1)


def test_what_ends_a_stream(front, server, open_page):
    page = open_page(front[0], f"ends-{'-'.join(front)}.ipynb", [
        setup(server), LONG, "1 + 1", "%%qwen\nhello", "%%qwen\nhello\ndemo: delay 30",
        f"%%time\n{LONG}",
    ], front[1])  # fmt: skip

    def end(run, index, stop, events=13):
        """How long the server took to see, after `stop`, that the stream of a cell was closed; the
        cell's text when it has ended."""
        before = len(asked(server))
        run()
        wait_until(lambda: len(asked(server)) > before, 30, "the request")
        record = asked(server)[-1]
        wait_until(lambda: record.events >= events, 30, "streaming")
        stopped = stop()
        wait_until(lambda: record.closed_at, 5, "the server's seeing the close")
        page.wait_for_cell(index, 10)
        return record.closed_at - stopped, page.text(index)

    def interrupt():
        pressed = time.time()
        page.interrupt()
        return pressed

    def click_stop():
        page.page.locator(".qm-stop:visible").first.wait_for()
        return page.page.evaluate(
            """() => {
                document.querySelector('.qm-stop:not([disabled])').click();
                return Date.now() / 1000;
            }"""
        )

    # An interrupt stops Run All there.
    took, text = end(page.run_all, 1, interrupt)
    assert took < patience(2), "at once, on a busy machine too"
    assert "Stopped after" in text
    assert "KeyboardInterrupt" in text
    time.sleep(0.5)
    assert not any(c.isdigit() for c in page.prompt(2)), "Run All went on"
    page.run(3)
    assert "previous_response_id" not in asked(server)[-1].body, "a stopped turn is no head"

    # Before the first token.
    end(lambda: page.run(4, wait=False), 4, interrupt, events=0)
    page.run(2)
    assert "2" in page.text(2)

    # `%%time` runs the synchronous magic, which blocks the kernel's main thread.
    _, text = end(lambda: page.run(5, wait=False), 5, click_stop)
    assert "Stopped after" in text
    assert "Wall time" in text
    page.run(2)

    # Stop ends the stream and the cell, and keeps what came.
    delays = []
    for _ in range(7 if front == ("lab", "this") else 3):
        took, text = end(lambda: page.run(1, wait=False), 1, click_stop)
        delays.append(took)
        assert "Stopped after" in text
        assert len(text) > 60, "what came is kept"
    delays.sort()
    print("stop seen by the server, ms:", [round(1000 * d) for d in delays])  # noqa: T201
    assert delays[len(delays) // 2] < patience(0.2)
    (output,) = page.save().cells[1].outputs
    assert set(output.data) == BUNDLE
    assert output.metadata["qwen_magic"]["status"] == "stopped"
