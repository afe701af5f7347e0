"""The page follows the end of an answer, in real front ends, while the reader is there."""

import pytest
from demo_server import asked, demo_server, pace
from real_jupyter import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# How far the answer's end is below the notebook's edge, and whether it is higher than the page.
PLACE = """() => {
  const { node } = window.jupyterapp.shell.currentWidget;
  const turn = node.querySelector(".qm-turn.qm-is-running");
  const scroller = node.querySelector(".jp-WindowedPanel-outer");
  if (!turn || !scroller) return undefined;
  const [inner, outer] = [turn, scroller].map((each) => each.getBoundingClientRect());
  return { past: inner.bottom - outer.bottom, isLong: inner.height > outer.height + 100,
           height: inner.height, top: scroller.scrollTop,
           above: document.elementFromPoint(600, 300)?.className };
}"""


@pytest.mark.parametrize("front", ["lab", "notebook"])
def test_the_notebook_follows_until_the_reader_scrolls_up(open_page, front):
    with demo_server(delay=0.02) as server:
        page = open_page(front, f"follow-{front}.ipynb", [
            f'%load_ext qwen_magic\n%config QwenMagics.endpoint = "{server.base_url}"',
            "%%qwen --think\nwrite at length",
        ])  # fmt: skip
        page.page.set_viewport_size({"width": 1000, "height": 500})
        page.run(0)
        page.run(1, wait=False)
        wait_until(lambda: asked(server) and asked(server)[-1].events > 330, 30, "most of it")
        pace(server, 0.5)  # the rest takes most of a minute
        seen = [None]

        def place():
            seen[:] = [page.page.evaluate(PLACE)]
            return seen[0]

        wait_until(
            lambda: (p := place()) and p["isLong"] and p["past"] < 40,
            20,
            lambda: f"a long answer whose end is in sight, of {seen}",
        )
        page.page.mouse.move(600, 300)

        def goes_up():
            page.page.mouse.wheel(0, -300)
            return (p := place()) and p["past"] > 200 and p

        above = wait_until(goes_up, 10, lambda: f"the way up, of {seen}")
        pace(server, 0.25)
        later = wait_until(
            lambda: (p := place()) and p["height"] > above["height"] and p,
            15,
            lambda: f"its growing on, out of sight, from {above}, of {seen}",
        )
        assert later["past"] > above["past"]
        assert later["top"] <= above["top"] + 1
