"""The words for a turn that did not simply complete."""

from qwen_magic.document.footer import Outcome, TurnFacts, failure, make_note
from qwen_magic.errors import QwenError, RateLimitError, SilenceError
from qwen_magic.protocol.response import Usage

TURN = TurnFacts("qwen3-max", "main", 4)


def note(outcome, usage=None, reason=""):
    return make_note(outcome, TURN, 17.2, usage, reason)


def test_completed_needs_none():
    assert note(Outcome()) is None


def test_stopped_says_when_and_where_the_conversation_goes_on():
    stopped = note(Outcome("stopped"))
    assert stopped.title == "Stopped after 17\u00a0s"
    assert stopped.text == "What came is kept here. The next question continues after turn 3."
    assert not stopped.is_error


def test_cut_off_names_the_limit():
    assert note(Outcome("incomplete", limit=120)).title == "Cut off at 120\u00a0output\u00a0tokens"
    spent = note(Outcome("incomplete"), Usage(output_tokens=1500))
    assert spent.title == "Cut off at 1,500\u00a0output\u00a0tokens"
    assert "--max-output-tokens" in spent.text


def test_the_content_filter_is_named():
    filtered = note(Outcome("incomplete"), reason="content_filter")
    assert filtered.title == "Cut off by the content filter"
    assert "--max-output-tokens" not in filtered.text


def test_a_failure_keeps_cause_hint_and_request():
    error = RateLimitError(
        "Too many requests", why="limit exceeded", hint="Wait a minute", request_id="4f1c"
    )
    failed = note(failure(error))
    assert (failed.title, failed.text) == ("Too many requests", "limit exceeded. Wait a minute.")
    assert (failed.request_id, failed.is_error) == ("4f1c", True)


def test_an_error_without_a_request():
    assert note(failure(SilenceError("Nothing came for 300 s"))).request_id == ""


def test_a_failure_told_elsewhere_is_only_named():
    outcome = failure(QwenError("It broke.", why="Because.", hint="Mend it."), is_raised=True)
    note = make_note(outcome, TurnFacts("m", "main", 2), 3.0, None, "")
    assert note.title == "It broke."
    assert "Because" not in note.text
    assert "Mend" not in note.text


def test_an_answer_without_text_says_so_and_what_to_do():
    thinking = note(Outcome(lacks="text"))
    assert thinking.title == "Only thinking came, no answer"
    assert "--no-think" in thinking.text
    assert note(Outcome(lacks="all")).title == "The answer is empty"
    assert not thinking.is_error


def test_cut_off_while_it_was_thinking():
    cut = note(Outcome("incomplete", limit=120, lacks="text"))
    assert cut.title == "Cut off while it was thinking, at 120\u00a0output\u00a0tokens"
    assert "continue" in cut.text
    assert note(Outcome("incomplete", lacks="text")).title == "Cut off while it was thinking"
