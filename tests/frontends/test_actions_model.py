"""The actions' side in the kernel: what answers offer, and what a click comes to."""

import pytest

from qwen_magic.errors import ConversationError
from qwen_magic.frontends.static import mark_of
from qwen_magic.frontends.widget import ActionsWidget, Copied, Say, Show

KEY = "0a1b2c3d4e5f67890"
MARK = "qm-id-0a1b2c3d4e5f"


@pytest.fixture
def widget(monkeypatch):
    facts = {KEY: {"sibling": (1, 2)}, "other": {}}
    made = ActionsWidget(on_action=lambda *action: act(made, *action), describe=facts.__getitem__)
    made.sent, made.heard, made.reply, made.facts = [], [], None, facts
    monkeypatch.setattr(made, "send", made.sent.append)
    yield made
    made.close()


def act(widget, op, key, argument):
    widget.heard.append((op, key, argument))
    if isinstance(widget.reply, Exception):
        raise widget.reply
    return widget.reply


def click(widget, op, key=MARK, argument=None):
    widget._handle_custom_msg({"op": op, "key": key, "id": 7, "argument": argument}, [])
    return widget.sent[-1]


def test_a_mark_is_a_class_name():
    assert mark_of(KEY) == MARK
    assert mark_of('a b"><c') == "qm-id-abc"


def test_what_answers_offer_is_told_by_their_marks(widget):
    widget.tell(KEY)
    widget.tell("other")
    assert widget.answers == {MARK: {"sibling": (1, 2)}, "qm-id-other": {}}
    widget.facts[KEY] = {"sibling": (1, 3)}
    widget.tell(KEY)
    assert widget.answers[MARK] == {"sibling": (1, 3)}


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        (None, {"op": "done"}),
        (Say("Forked"), {"op": "say", "text": "Forked"}),
        (Copied("# a"), {"op": "text", "text": "# a"}),
        (
            Show({"text/html": "x"}, {"a": 1}, [{"image/png": "AAAA"}]),
            {
                "op": "show",
                "bundle": {"text/html": "x"},
                "metadata": {"a": 1},
                "figures": [{"image/png": "AAAA"}],
            },
        ),
    ],
)
def test_a_click_is_answered(widget, reply, sent):
    widget.tell(KEY)
    widget.reply = reply
    assert click(widget, "sibling", argument=2) == {"id": 7, **sent}
    assert widget.heard == [("sibling", KEY, 2)]


def test_what_went_wrong_is_told(widget):
    widget.tell(KEY)
    widget.reply = ConversationError("There is no such turn.", hint="Look at %qwen_history.")
    sent = click(widget, "fork")
    assert (sent["op"], sent["id"]) == ("error", 7)
    assert sent["text"] == "There is no such turn. Look at %qwen_history."


def test_an_answer_of_another_kernel_is_unknown(widget):
    assert click(widget, "fork")["op"] == "error"
    assert widget.heard == []


def test_a_page_is_told_that_the_kernel_is_there(widget):
    widget._handle_custom_msg({"op": "hello"}, [])
    assert widget.sent == [{"op": "here", "id": None}]


def test_its_code_is_small(widget):
    assert len(widget._esm.encode()) < 21_000
