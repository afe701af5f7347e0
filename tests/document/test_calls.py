"""Calls of functions on this side: their line, what it opens to, the question."""

from qwen_magic.document.blocks import Label, LiveLine, Output
from qwen_magic.document.build import Document
from qwen_magic.document.calls import function_step
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.html import question_html
from qwen_magic.document.question import Question, read_choice
from qwen_magic.protocol.call_outputs import CallResult
from qwen_magic.protocol.events import ItemDone, ResponseEnded
from qwen_magic.protocol.items import FunctionCall
from qwen_magic.protocol.state import ResponseState


def step(output=None, ended="completed", *, phase="completed", is_done=True):
    item = FunctionCall("f", "rows", '{"where": "a"}', "c1", "completed", output, ended)
    return function_step(item, phase=phase, is_done=is_done)


def called():
    """A response that ended with one call."""
    state = ResponseState()
    state.apply(ItemDone(FunctionCall("f", "rows", "{}", "c1", "completed"), 0), 1.0)
    state.apply(ResponseEnded("completed", {"status": "completed", "output": []}), 1.2)
    return state


def test_the_line_tells_what_became_of_it():
    told = [
        step(is_done=False), step(), step(phase="asking", is_done=False),
        step(phase="running", is_done=False), step("[7]"), step(""),
        step("Error: KeyError: 'x'", "failed"), step("Error: not allowed: …", "refused"),
        step("Error: an answer like any other"),
    ]  # fmt: skip
    assert [(each.verb, each.what, each.state) for each in told] == [
        ("Asking for a function", 'rows(where="a")', "live"),
        ("Asked for a function", 'rows(where="a")', "done"),
        ("Asks to run", 'rows(where="a")', "live"),
        ("Calling", 'rows(where="a")', "live"),
        ("Called", 'rows(where="a") → [7]', "done"),
        ("Called", 'rows(where="a") → nothing', "done"),
        ("Function failed", "rows(where=\"a\") → KeyError: 'x'", "bad"),
        ("Refused", 'rows(where="a")', "done"),
        ("Called", 'rows(where="a") → Error: an answer like any other', "done"),
    ]


def test_it_opens_to_arguments_and_result():
    blocks = step('{"n": 1}').blocks
    assert [block.text for block in blocks if isinstance(block, Label)] == ["Arguments", "Result"]
    assert blocks[-1] == Output('{\n  "n": 1\n}')


def test_a_large_result_is_shown_in_part():
    [shown] = [block for block in step("x" * 100_000).blocks if isinstance(block, Output)]
    assert shown.text == "x" * 20_000 + "\n… (80,000 more characters)"


def test_a_question_hides_nothing():
    arguments = '{"where": "' + "x" * 500 + '\u202e\u3164\ufe0f\ud800\\n<b>"}'
    question = Question("rows", arguments, "Rows <i>.", "main")
    assert question.call.startswith('rows(where="xxxx')
    assert question.call.endswith('x\\u202e\\u3164\\ufe0f\\ud800\\n<b>")')
    assert "characters long" in question.text
    page = question_html(question, "3")
    assert "<b>&quot;" not in page
    assert "&lt;b&gt;" in page
    assert "Rows &lt;i&gt;." in page
    assert [page.count(f'value="3:{each}"') for each in ("once", "always", "no", "never")] == [
        1
    ] * 4


def test_choices_are_only_those():
    assert read_choice("once") == "once"
    assert read_choice("yes") is None
    assert read_choice("") is None


def test_a_question_goes_when_the_call_goes_on():
    state = called()
    document = Document(TurnFacts("m", "main"))
    [entry] = state.calls
    state.take_call(entry, "asking", 2.0)
    document.update(state, 2.0)
    [put] = document.ask(entry, Question("rows", "{}"))
    assert "qm-ask" in put.html
    assert any(patch.id == put.id for patch in document.snapshot()), "for a page that is reloaded"
    state.answer_call(entry, CallResult("7"), 3.0)
    document.update(state, 3.0)
    assert all(patch.id != put.id for patch in document.snapshot())

    state.next_response()
    document.update(state, 3.1)
    assert document.tree.root.children[-1].value == LiveLine("Waiting for m")
    document.finish(state, 4.0, Outcome("stopped"))
    assert "wait" not in document.tree


def test_a_turn_that_is_stopped_takes_its_question_along():
    state = called()
    document = Document(TurnFacts("m", "main"))
    [entry] = state.calls
    state.take_call(entry, "asking", 2.0)
    document.update(state, 2.0)
    document.ask(entry, Question("rows", "{}"))
    document.finish(state, 3.0, Outcome("stopped"))
    assert not any("qm-ask" in getattr(patch, "html", "") for patch in document.snapshot())
    assert document.tree.root.children[0].children[0].children[0].value.what == "rows() · stopped"
