"""A conversation outlives its kernel, seen in JupyterLab; answers in the background."""

import pytest
from demo_server import asked, demo_server
from real_jupyter import FIRST_PAIR, OTHER_PAIR, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def server():
    with demo_server(delay=0.028) as demo:
        yield demo


def setup(server):
    return f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"'


@pytest.mark.parametrize(("front", "kernel"), FIRST_PAIR)
def test_the_john_conversation_goes_on_after_a_restart(open_page, server, front, kernel):
    page = open_page(front, f"restart-{front}-{kernel}.ipynb", [
        setup(server),
        "%%qwen\nMy name is John",
        "%%qwen\nDo you remember my name?",
        "%%qwen\nWhat is my name?",
    ], kernel)  # fmt: skip
    page.run(0)
    page.run(1)
    page.restart_kernel()
    page.run(0)
    page.run(2)
    assert "Yes, John!" in page.text(2)
    assert "was found with 1 turn" in page.text(2)
    assert asked(server)[1].body["previous_response_id"] == asked(server)[0].response_id

    server.forget()
    page.restart_kernel()
    page.run(0)
    page.run(3)
    assert "John" in page.text(3)
    assert "sent again as text" in page.text(3)


@pytest.mark.parametrize(("front", "kernel"), OTHER_PAIR)
def test_several_answers_in_the_background(open_page, server, front, kernel):
    page = open_page(front, f"background-{front}-{kernel}.ipynb", [
        setup(server),
        "%%qwen --bg -c one\nwrite at length",
        "%%qwen --bg -c two\nMy name is John",
        "\n".join([*(f"%qwen --bg -c l{n} write at length" for n in range(5)), "print('free')"]),
        "%%qwen --bg -c two\nDo you remember my name?",
    ], kernel)  # fmt: skip
    server.set(delay=0.1)  # most of a minute for each long answer
    for index in range(5):
        page.run(index)
    assert "free" in page.text(3)
    texts = page.output(3).locator(".qm-answer")
    wait_until(lambda: all(len(text) > 20 for text in texts.all_text_contents()), 20, "all of them")
    assert texts.count() == 5, "in messages that they share"
    page.output(1).locator(".qm-stop").wait_for()
    wait_until(lambda: "Yes, John!" in page.text(4), 20, "what waited")
    page.output(4).locator(".qm-saved").wait_for()
    assert "Hello, John!" in page.text(2)
    long = next(r for r in asked(server) if "length" in str(r.body["input"]))
    assert long.ended_at is None, "both went on at once"
    page.output(1).locator(".qm-stop").click()
    wait_until(lambda: long.closed_at, 5, "the close of the stream")
    page.output(1).locator(".qm-saved").get_by_text("Stopped after").first.wait_for()
    saved = page.save()
    for index in (1, 2, 4):
        (output,) = saved.cells[index].outputs
        assert set(output.data) == {"text/html", "text/markdown", "text/plain"}, (
            index,
            output.data["text/html"][-600:],
        )
