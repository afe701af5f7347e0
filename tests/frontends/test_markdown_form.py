"""The Markdown form: what came from outside is text in it."""

import pytest
from markdown_it import MarkdownIt

from qwen_magic.document.footer import Outcome
from qwen_magic.frontends.static import markdown_of


def page(turns, show, **fields):
    events = [(1.0, turns.done("web_extractor_call", "x", 0, **fields)), (2.0, turns.ended())]
    return markdown_of(show(events, outcome=Outcome()))


@pytest.mark.parametrize(
    "hostile",
    ["</details><b>x</b>", "[a](http://evil.example)", "![a](http://evil.example)", "# head", "`x"],
)
def test_escaped(turns, show, hostile):
    text = page(turns, show, goal=hostile, output=hostile)
    html = MarkdownIt().render(text)
    assert 'evil.example"' not in html
    assert "<b>x</b>" not in html
    assert "<h1>" not in html
    assert html.count("</details>") == 1


def test_code_with_fences_stays_in_its_fence(turns, show):
    code = 'print("""\n```\n<b>\n""")'
    events = [(1.0, turns.done("code_interpreter_call", "c", 0, code=code))]
    text = markdown_of(show(events, outcome=Outcome()))
    assert f"````python\n{code}\n````" in text
