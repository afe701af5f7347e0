"""The widget's side in the kernel: numbered messages out, two words in."""

import pytest

from qwen_magic.document.patches import Add
from qwen_magic.frontends.widget import AnswerWidget

STATE = {"seconds": 1.0, "running": True, "stoppable": True}


@pytest.fixture
def widget(monkeypatch):
    heard = []
    made = AnswerWidget(
        aid="a1",
        cell_id="c1",
        on_hello=lambda: heard.append("hello"),
        on_stop=lambda: heard.append("stop"),
    )
    made.sent, made.heard = [], heard
    monkeypatch.setattr(made, "send", made.sent.append)
    yield made
    made.close()


def test_batches_are_numbered(widget):
    widget.push([Add("e0", "turn", "<p></p>")])
    widget.push([])
    widget.push([Add("e1", "turn", "<p></p>")])
    assert [(message["op"], message["seq"]) for message in widget.sent] == [
        ("patch", 1),
        ("patch", 2),
    ]
    assert widget.sent[0]["patches"] == [
        {"do": "add", "id": "e0", "parent": "turn", "html": "<p></p>"}
    ]


def test_a_snapshot_carries_the_number_of_the_last_batch(widget):
    widget.snap([], STATE)
    widget.push([Add("e0", "turn", "<p></p>")])
    widget.snap([Add("e0", "turn", "<p></p>")], STATE)
    assert [message["seq"] for message in widget.sent] == [0, 1, 1]
    assert widget.sent[0] == {"op": "snap", "seq": 0, "patches": [], "state": STATE}


def test_views_are_heard(widget):
    for content in ({"op": "hello"}, {"op": "stop"}, {"op": "else"}, {}):
        widget._handle_custom_msg(content, [])
    assert widget.heard == ["hello", "stop"]


def test_the_end(widget):
    widget.finish({"text/html": "<p>x</p>"}, {"qwen_magic": {}})
    assert widget.done
    assert widget.metadata == {"qwen_magic": {}}
    assert widget.bundle == {"text/html": "<p>x</p>"}


def test_it_knows_itself(widget):
    assert widget.mid == widget.model_id
    assert widget.layout_id == widget.layout.model_id
    assert (widget.aid, widget.cell_id) == ("a1", "c1")


def test_its_code_is_small(widget):
    assert len(widget._esm.encode()) < 20_000
