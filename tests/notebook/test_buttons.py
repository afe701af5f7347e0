"""The buttons under an answer that a cell has asked for, in JupyterLab."""

import pytest
from demo_server import asked, demo_server
from real_jupyter import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def server():
    with demo_server(delay=0.002) as demo:
        yield demo


def test_fork_siblings_and_nothing_dead_in_the_file(open_page, server):
    page = open_page("lab", "buttons.ipynb", [
        f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"',
        "%%qwen\nMy name is John",
        "%%qwen\nhello",
        "%%qwen\nDo you remember my name?",
    ])  # fmt: skip
    for index in range(3):
        page.run(index)
    bar = page.output(1).locator(".qm-acts").first
    bar.wait_for()

    bar.get_by_role("button", name="Fork").click()
    wait_until(lambda: "chat-2" in page.text(1), 10, "the fork")
    page.run(3)
    assert "Yes, John!" in page.text(3)
    assert asked(server)[-1].body["previous_response_id"] == asked(server)[0].response_id

    page.set_source(1, "%qwen_chat main")
    page.run(1)
    page.set_source(1, "%%qwen\nMy name is Ada")
    page.run(1)
    bar = page.output(1).locator(".qm-acts").first
    bar.wait_for()
    page.output(1).locator(".qm-sib button").first.click()
    wait_until(lambda: "Hello, John!" in page.text(1), 10, "the other sibling")

    for cell in page.save().cells[1:]:
        for output in cell.outputs:
            assert "<button" not in output.data["text/html"]
