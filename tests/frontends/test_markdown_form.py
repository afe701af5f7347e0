"""The Markdown form: what came from outside is text in it."""

from qwen_magic.document.footer import Outcome
from qwen_magic.frontends.static import markdown_of


def test_code_with_fences_stays_in_its_fence(turns, show):
    code = 'print("""\n```\n<b>\n""")'
    events = [(1.0, turns.done("code_interpreter_call", "c", 0, code=code))]
    text = markdown_of(show(events, outcome=Outcome()))
    assert f"````python\n{code}\n````" in text
