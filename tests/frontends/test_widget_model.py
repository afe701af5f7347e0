"""The widget's side in the kernel: numbered messages out, two words in."""

from types import SimpleNamespace

import pytest

from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.patches import Add
from qwen_magic.document.question import Question
from qwen_magic.frontends.jupyter import WIDGET_VIEW, LiveView, WidgetShelf
from qwen_magic.frontends.widget import AnswerWidget, Batches
from qwen_magic.protocol.entry import Entry
from qwen_magic.protocol.items import FunctionCall
from qwen_magic.protocol.state import ResponseState

STATE = {"seconds": 1.0, "running": True, "stoppable": True}


@pytest.fixture
def widget(monkeypatch):
    heard = []
    made = AnswerWidget(
        aid="a1",
        cell_id="c1",
        on_hello=lambda: heard.append("hello"),
        on_here=lambda: heard.append("here"),
        on_stop=lambda: heard.append("stop"),
    )
    made.sent, made.heard = [], heard
    monkeypatch.setattr(made, "send", made.sent.append)
    yield made
    made.close()


def test_batches_are_numbered(widget):
    batches = Batches()
    batches.push(widget, [Add("e0", "turn", "<p></p>")])
    batches.push(widget, [])
    batches.push(widget, [Add("e1", "turn", "<p></p>")])
    assert [message["seq"] for message in widget.sent] == [1, 2]
    assert widget.sent[0]["p"] == [["add", "e0", "turn", "<p></p>"]]


def test_a_snapshot_carries_the_number_of_the_last_batch(widget):
    widget.snap([], STATE)
    Batches().push(widget, [Add("e0", "turn", "<p></p>")])
    widget.snap([Add("e0", "turn", "<p></p>")], STATE)
    assert [message["seq"] for message in widget.sent] == [0, 1, 1]
    assert widget.sent[0] == {"op": "snap", "seq": 0, "p": [], "state": STATE}


def test_views_are_heard(widget):
    for content in ({"op": "hello"}, {"op": "here"}, {"op": "stop"}, {"op": "else"}, {}):
        widget._handle_custom_msg(content, [])
    assert widget.heard == ["hello", "here", "stop"]


def test_the_end(widget):
    figures = [{"image/png": "AAAA"}]
    widget.finish({"text/html": "<p>x</p>"}, {"qwen_magic": {}}, figures)
    assert widget.done
    widget._handle_custom_msg({"op": "result"}, [])
    assert widget.sent[-1] == {
        "op": "result",
        "bundle": {"text/html": "<p>x</p>"},
        "metadata": {"qwen_magic": {}},
        "figures": figures,
    }


def test_it_knows_itself(widget):
    assert widget.mid == widget.model_id
    assert (widget.aid, widget.cell_id) == ("a1", "c1")


def test_its_code_is_small_and_goes_to_a_page_once(widget):
    assert len(widget._esm.encode()) < 1_500
    assert not hasattr(widget, "_css")
    widget._handle_custom_msg({"op": "code"}, [])
    assert "export default" in widget.sent[0]["esm"]
    assert len(widget.sent[0]["esm"].encode()) < 31_000
    assert ".qm-turn" in widget.sent[0]["css"]


@pytest.fixture
def many(monkeypatch):
    """Six widgets with views that listen; `sent`: what went, by the number of the widget."""
    now, sent = [0.0], []
    batches = Batches(lambda: now[0])
    widgets = [AnswerWidget(aid="", on_hello=int, on_stop=int) for _ in range(6)]
    for number, widget in enumerate(widgets):
        monkeypatch.setattr(widget, "send", lambda message, n=number: sent.append((n, message)))
    batches.open.update(widgets)
    yield SimpleNamespace(now=now, sent=sent, batches=batches, widgets=widgets)
    for widget in widgets:
        widget.close()


def test_batches_of_many_answers_go_together(many):
    for second in (0.0, 0.01, 0.02, 0.05):
        many.now[0] = second
        for widget in many.widgets:
            many.batches.push(widget, [Add(f"e{second}", "turn", "<p></p>")])
    many.now[0] = 1.0
    many.batches.look()
    assert {message["op"] for _, message in many.sent} == {"many"}
    assert len(many.sent) == 3, "the first at once"
    for widget in many.widgets:
        own = [each for _, sent in many.sent for each in sent["batches"].get(widget.mid, [])]
        assert [each["seq"] for each in own] == [1, 2, 3, 4]
    many.batches.look()
    assert len(many.sent) == 3


def test_what_a_page_cannot_hand_out_goes_alone(many):
    first, lost = many.widgets[:2]
    many.batches.push(first, [Add("e0", "turn", "<p></p>")])
    many.batches.push(lost, [Add("e0", "turn", "<p></p>")])
    lost._handle_custom_msg({"op": "hello", "value": "missed"}, [])
    many.batches.push(lost, [Add("e1", "turn", "<p></p>")])
    assert [number for number, _ in many.sent] == [0, 1, 1], "in order"
    assert many.sent[-1][1]["seq"] == 2


def test_an_answer_that_ended_carries_nothing(many):
    for _ in range(2):
        for widget in many.widgets:
            many.batches.push(widget, [Add("e0", "turn", "<p></p>")])
    many.batches.open.discard(many.widgets[1])
    many.sent.clear()
    many.batches.send()
    ((carrier, message),) = many.sent
    assert carrier != 1
    assert many.widgets[1].mid not in message["batches"]


class Asking:
    """A view that asks, before any page has told it anything."""

    def __init__(self, monkeypatch, *, cell="c1", seen=False):
        monkeypatch.setattr("qwen_magic.frontends.jupyter.display", lambda *args, **options: None)
        self.now, shelf = 0.0, WidgetShelf()
        shelf.seen = seen
        document = Document(TurnFacts("m"))
        self.view = LiveView(document, shelf=shelf, clock=lambda: self.now, cell_id=cell)
        self.looks = 0
        self.view.begin(lambda: None, self.look)
        self.widget = self.view._widget
        self.poll = self.view.ask(
            Entry("e1", FunctionCall("f1", name="rows"), 0.0), Question("rows", "{}")
        )

    def after(self, seconds):
        self.now = seconds
        return self.poll()

    def look(self):
        self.looks += 1

    def hear(self, **content):
        self.widget._handle_custom_msg(content, [])


@pytest.mark.parametrize(
    ("cell", "seen", "patience", "verdict"),
    [
        ("", False, 1.5, "nobody"),  # a console, or no front end at all
        ("", True, 1.5, "nobody"),  # a console beside a page
        ("c1", False, 10, "nobody"),  # a page that perhaps knows no widgets
        ("c1", True, 60, "absent"),  # a page that was closed: a prompt would block for ever
    ],
)
@pytest.mark.parametrize("sign", ["here", "code"])  # of a page that is still loading
def test_a_question_that_no_page_takes(monkeypatch, cell, seen, patience, verdict, sign):
    asking = Asking(monkeypatch, cell=cell, seen=seen)
    assert asking.after(patience) is None
    assert asking.after(patience + 0.1) == verdict
    asking.hear(op=sign)
    assert asking.after(1000) == (verdict if not cell else None)


def test_views_hear_that_the_kernel_is_there_while_a_model_is_silent(monkeypatch):
    asking, sent = Asking(monkeypatch), []
    monkeypatch.setattr(asking.widget, "send", lambda content: sent.append(content["op"]))
    asking.view.tick(ResponseState(), 0.0)
    assert sent == [], "nobody listens"
    assert asking.looks == 0
    asking.hear(op="hello")
    assert asking.looks == 1, "what came before it is shown at once"
    for second in range(60):
        asking.view.tick(ResponseState(), float(second))
    assert sent == ["snap", *["beat"] * 12]


def test_a_question_is_asked_wherever_a_page_has_the_widget(monkeypatch):
    asking = Asking(monkeypatch)
    asking.hear(op="choose", value="e1:once")
    asking.hear(op="here")
    assert asking.after(1) is None, "what was clicked before it could be seen counts for nothing"
    assert asking.widget.question["key"] == "e1"
    assert 'value="e1:always"' in asking.widget.question["html"]
    assert asking.after(100_000) is None
    asking.hear(op="choose", value="e1:once")
    assert asking.after(100_001) == "once"
    assert asking.widget.question == {}


class TextView:
    """A terminal's view that notes what it is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *args: self.told.append(name)


@pytest.mark.parametrize(
    ("cell", "has_terminal", "shown"),
    [
        ("c1", True, ["display", "update"]),
        ("", False, ["display", "update", "display"]),  # another console: once, at the end
        ("", True, ["display", "begin", "update", "ask", "finish", "update"]),
    ],
)
def test_a_console_of_text_is_shown_the_answer(monkeypatch, cell, has_terminal, shown):
    text = TextView()
    for name, word in (("display", "display"), ("update_display", "update")):
        monkeypatch.setattr(
            f"qwen_magic.frontends.jupyter.{name}",
            lambda *a, _word=word, **k: text.told.append(_word),
        )
    document, now = Document(TurnFacts("m")), [0.0]
    view = LiveView(
        document,
        shelf=WidgetShelf(),
        clock=lambda: now[0],
        cell_id=cell,
        may_end_anew=True,
        text_view=(lambda facts: text) if has_terminal and not cell else None,
    )
    view.begin(lambda: None)
    if not cell and has_terminal:
        now[0] = 2.0
        view.tick(ResponseState(), 2.0)
        poll = view.ask(Entry("e1", FunctionCall("f1", name="rows"), 0.0), Question("rows", "{}"))
        assert poll() == "nobody"
    view.finish(ResponseState(), 2.0, Outcome(), {})
    assert text.told == shown


def test_where_the_widget_cannot_be_loaded_html_takes_its_place(monkeypatch):
    asking, shown = Asking(monkeypatch), []
    show = "qwen_magic.frontends.jupyter.update_display"
    monkeypatch.setattr(show, lambda data, **options: shown.append(WIDGET_VIEW in data))

    def at(seconds):
        asking.now = seconds
        asking.view.notice(f"after {seconds} s")
        asking.view.tick(ResponseState(), seconds)

    for seconds in (2.0, 9.0, 11.0):
        at(seconds)
    asking.hear(op="here")
    at(12.0)
    assert shown == [True, True, False, True]
