"""The actions under a static answer, in real front ends, with a kernel that gives plain answers."""

import pytest
from real_jupyter import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SETUP = """
from IPython.display import display
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.frontends.widget import ActionsWidget, Copied, Say, Show
from qwen_magic.frontends.static import bundle, mark_of
from qwen_magic.protocol.events import TextDelta
from qwen_magic.protocol.state import ResponseState

KEYS = ["first-turn-0001", "other-turn-0002"]

def answer(place):
    document = Document(TurnFacts("qwen3-max", "main", 1, (place, 2), key=KEYS[place - 1]))
    state = ResponseState()
    text = f"Answer {place}:\\n\\n```python\\nprint('inserted {place}')\\n```\\n"
    state.apply(TextDelta("output_text", text, "m", 0), 1.0)
    document.update(state, 1.0)
    document.finish(state, 2.0, Outcome())
    return bundle(document)

asked = []

def act(op, key, argument):
    asked.append(op)
    if op == "copy":
        return Copied(f"Markdown of {key}")
    if op == "sibling":
        figures = [{"image/png": "", "text/html": f"<!-- {mark_of(KEYS[argument - 1])} -->"}]
        return Show(answer(argument), {"qwen_magic": {"place": argument}}, figures)
    return Say("Forked as chat-2")

actions = ActionsWidget(
    on_action=act, describe=lambda key: {"sibling": (KEYS.index(key) + 1, 2)}
)
actions.tell(*KEYS)
runs = 0
"""
SHOW = "runs += 1\ndisplay(answer(1), raw=True)"


@pytest.mark.parametrize("front", ["lab", "notebook"])
def test_actions_work_and_come_back_after_a_reload(open_page, jupyter, front):
    page = open_page(front, f"actions-{front}.ipynb", [SETUP, SHOW, "print(runs)", "print(asked)"])
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for index in (0, 1):
        page.run(index)
    answer = page.output(1)
    answer.get_by_text("Copy as Markdown").click()
    answer.get_by_text("Copied as Markdown").wait_for()
    assert page.page.evaluate("navigator.clipboard.readText()") == "Markdown of first-turn-0001"

    answer.get_by_text("Fork from here").click()
    answer.get_by_text("Forked as chat-2").wait_for()

    answer.get_by_label("The next answer").click()
    answer.get_by_text("Answer 2:").wait_for()
    answer.get_by_text("2/2", exact=True).wait_for()
    assert page.save().cells[1].outputs[0].metadata["qwen_magic"] == {"place": 2}
    answer.get_by_label("The answer before").click()
    answer.get_by_text("Answer 1:").wait_for()
    _, figure = page.save().cells[1].outputs
    assert "first-turn" in figure.data["text/html"], "in the place of the other's"

    answer.get_by_text("Insert below").click()
    wait_until(lambda: len(page.save().cells) == 5, 10, "the new cell")
    assert page.save().cells[2].source == "print('inserted 1')"

    page.page.reload()
    page.wait_for_kernel()
    page.output(1).get_by_text("Run again").wait_for(timeout=20_000)
    page.output(1).get_by_text("Run again").click()
    wait_until(lambda: page.prompt(1).strip("[]: ") == "3", 10, "the second run")
    page.run(3)
    assert "2" in page.text(3)

    raw = (jupyter.folder / "work" / f"actions-{front}.ipynb").read_text("utf-8")
    assert "<button" not in raw
    assert not page.errors

    page.kill_kernel()
    page.output(1).get_by_text("Run again").wait_for(state="detached", timeout=20_000)
