"""A document as its response grows: what is patched, what a fresh view gets, how it ends."""

import pytest

from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.patches import Add, Extend, Fold, Grow, Keep, Remove, Replace, Unfold
from qwen_magic.frontends.widget import patch_json
from qwen_magic.protocol.events import ErrorEvent, ItemAdded, ItemDone, TextDelta, TextDone
from qwen_magic.protocol.items import parse_item
from qwen_magic.protocol.response import ResponseError
from qwen_magic.protocol.state import ResponseState

TURN = TurnFacts("qwen3-max", "main", 4)


class Elements:
    """What a view has after patches: id -> (parent, html), in order. A place for every patch is
    demanded."""

    def __init__(self):
        self.known = {"turn": ("", ""), "say": ("", "")}
        self.tails = {}  # id -> where the tail of its HTML begins and ends

    def apply(self, patches):
        for patch in patches:
            match patch:
                case Add(id=id, parent=parent, html=html):
                    assert parent in self.known
                    assert id not in self.known
                    self.known[id] = (parent, html)
                case Replace(id=id, html=html):
                    self.known[id] = (self.known[id][0], html)
                    self.tails.pop(id, None)
                case Remove(id=id):
                    self.remove(id)
                case Extend():
                    self.extend(patch)
                case Grow(id=id, tail=tail):
                    start, end = self.tails[id]
                    self.tails[id] = start, self.insert(id, end, tail)
                case Keep(id=id):
                    del self.tails[id]
                case Fold(id=id) | Unfold(id=id):
                    assert id in self.known
        return self

    def extend(self, patch):
        parent, html = self.known[patch.id]
        start, end = self.tails.get(patch.id, (0, 0))
        html = html[:start] + html[end:]
        self.known[patch.id] = parent, html
        place = len(html)
        for _ in range(patch.depth + 1):
            place = html.rindex("</", 0, place)
        start = self.insert(patch.id, place, patch.html)
        self.tails[patch.id] = start, self.insert(patch.id, start, patch.tail)

    def insert(self, id, place, text):
        parent, html = self.known[id]
        self.known[id] = parent, html[:place] + text + html[place:]
        return place + len(text)

    def remove(self, id):
        del self.known[id]
        for child in [child for child, (parent, _) in self.known.items() if parent == id]:
            self.remove(child)

    def children(self, parent):
        return [id for id, (of, _) in self.known.items() if of == parent]

    def shape(self):
        return {id: parent for id, (parent, _) in self.known.items()}


def run(document, events, until=float("inf")):
    """Feed the events one by one; the state, and the view that the patches made."""
    state, view = ResponseState(), Elements().apply(document.snapshot())
    for at, event in events:
        if at <= until:
            state.apply(event, at)
            view.apply(document.update(state, at))
    return state, view


def item(make, kind, id, index, **fields):
    return make(parse_item({"type": kind, "id": id, **fields}), index)


def test_a_turn_begins_by_waiting(research):
    document = Document(TURN)
    assert "Waiting for qwen3-max" in document.snapshot()[0].html
    _, view = run(document, research, until=1.0)
    assert "wait" not in view.known


def test_sections_stand_in_the_order_of_events(research):
    document = Document(TURN)
    _, view = run(document, research)
    assert view.children("turn") == ["g1", "a4"]
    assert view.children("g1") == ["e0", "e1", "e2", "e3", "e3.f"]


@pytest.mark.parametrize("second", [0.5, 4.0, 16.0, 18.5, 21.0, 30.0])
def test_a_snapshot_has_what_the_patches_made(research, second):
    document = Document(TURN)
    _, view = run(document, research, until=second)
    fresh = Elements().apply(document.snapshot())
    assert fresh.shape() == view.shape()
    assert {id: view.children(id) for id in view.known} == {
        id: fresh.children(id) for id in fresh.known
    }


def test_an_update_without_news_costs_nothing(research):
    document = Document(TURN)
    state, _ = run(document, research)
    assert document.update(state, 99.0) == []


def test_a_delta_touches_only_its_own_block(research):
    document = Document(TURN)
    state, _ = run(document, research, until=21.0)
    state.apply(TextDelta("output_text", "More of it. ", "m1", 4), 21.1)
    patches = document.update(state, 21.1)
    assert patches
    assert {patch.id.split(".")[0] for patch in patches} == {"a4"}


def test_thinking_is_open_until_it_is_done(research):
    document = Document(TURN)
    _, view = run(document, research, until=14.0)
    assert " open>" in view.known["e0"][1]
    state, _ = run(document := Document(TURN), research, until=14.5)
    for at, event in research:
        if at == 15.0:
            state.apply(event, at)
    assert Fold("e0") in document.update(state, 15.0)
    (panel,) = [patch for patch in document.snapshot() if patch.id == "e0"]
    assert " open" not in panel.html


def test_reasoning_without_text_leaves_no_trace():
    document = Document(TURN)
    events = [
        (1.0, item(ItemAdded, "reasoning", "r", 0, summary=[])),
        (2.0, item(ItemDone, "reasoning", "r", 0, summary=[], encrypted_content="x")),
    ]
    _, view = run(document, events, until=1.0)
    assert view.children("g1") == ["e0"]
    _, view = run(Document(TURN), events)
    assert view.children("turn") == []


def test_code_that_streams_is_shown_while_it_comes():
    document = Document(TURN)
    added = (1.0, item(ItemAdded, "code_interpreter_call", "c", 0, code=""))
    code = [
        (2.0 + n, TextDelta("code_interpreter_call_code", text, "c", 0))
        for n, text in enumerate(["import math\n", "x = `1`\n```\n"])
    ]
    state, view = run(document, [added, *code])
    streamed = "".join(html for id, (_, html) in view.known.items() if id.startswith("e0.s"))
    assert "<b>import</b>" in streamed
    state.apply(item(ItemDone, "code_interpreter_call", "c", 0, status="completed"), 5.0)
    patches = document.update(state, 5.0)
    view.apply(patches)
    assert Fold("e0") in patches
    assert view.children("e0") == ["e0.h", "e0.b"]
    assert "```" in view.known["e0.b.0"][1]


def test_a_text_that_is_replaced_is_shown_anew():
    document = Document(TURN)
    events = [
        (1.0, item(ItemAdded, "message", "m", 0)),
        (2.0, TextDone("output_text", "From done.", "m", 0)),
        (3.0, TextDelta("output_text", "From deltas.", "m", 0)),
    ]
    _, view = run(document, events)
    texts = [html for id, (_, html) in view.known.items() if id.startswith("a0.")]
    assert len(texts) == 1
    assert "From deltas." in texts[0]


def sources(document):
    return next(node.value for node in document.tree.root.children if node.id == "sources")


def test_citations_lead_to_the_page_itself(research):
    document = Document(TURN)
    state, view = run(document, research)
    view.apply(document.finish(state, 22.0, Outcome()))
    first = view.known["a4.0.1"][1]
    assert 'class="qm-cite" href="https://en.wikipedia.org/wiki/Variance"' in first
    assert [source.number for source in sources(document).cited] == [1, 2, 5]
    assert "qm-is-cited" in view.known["e1.b.3"][1]


def test_figures_come_when_they_come(research, figure_url, figure_data):
    document = Document(TURN)
    state, view = run(document, research)
    assert "<img" not in view.known["e3.f.0"][1]
    document.figure(figure_url, figure_data)
    view.apply(document.update(state, 22.0))
    assert "<img" in view.known["e3.f.0"][1]


def test_a_figure_that_cannot_come_says_why(research, figure_url):
    document = Document(TURN)
    state, view = run(document, research)
    document.figure(figure_url, reason="its link has died")
    view.apply(document.finish(state, 22.0, Outcome()))
    assert "its link has died" in view.known["e3.f.0"][1]


def test_the_end_brings_sources_and_footer(research):
    document = Document(TURN)
    state, view = run(document, research)
    view.apply(document.finish(state, 22.0, Outcome()))
    assert view.children("turn") == ["g1", "a4", "sources", "foot"]
    assert "677\u00a0tokens" in view.known["e0.h"][1]
    assert Elements().apply(document.snapshot()).shape() == view.shape()


def test_a_stopped_turn_keeps_what_came_and_claims_no_more(research):
    document = Document(TURN)
    state, view = run(document, research, until=19.0)
    view.apply(document.finish(state, 19.0, Outcome("stopped")))
    assert view.children("turn") == ["g1", "note", "foot"]
    assert "Running Python" in view.known["e3.h"][1]
    assert "stopped" in view.known["e3.h"][1]
    assert not [html for _, html in view.known.values() if "qm-is-live" in html]
    assert document.status == "Stopped"


def test_a_failed_turn_shows_the_error():
    document = Document(TURN)
    state, view = run(document, [(1.0, ErrorEvent(ResponseError("server_error", "no")))])
    outcome = Outcome(
        "failed", "Too many requests", "limit <b>reached</b>", "Wait a minute", "4f1c"
    )
    view.apply(document.finish(state, 2.0, outcome))
    assert view.children("turn") == ["note", "foot"]
    assert "limit &lt;b&gt;reached&lt;/b&gt;." in view.known["note"][1]
    assert 'role="alert"' in view.known["note"][1]


def test_a_notice_stands_until_something_comes(research):
    document = Document(TURN)
    view = Elements().apply(document.snapshot())
    view.apply(document.notice("Trying again in 4 s"))
    assert "Trying again in 4 s" in view.known["wait"][1]
    view.apply(document.notice(""))
    assert "Waiting for qwen3-max" in view.known["wait"][1]
    state = ResponseState()
    state.apply(research[0][1], 1.0)
    view.apply(document.notice("Trying again in 4 s") + document.update(state, 1.0))
    assert "wait" not in view.known


def test_the_status_line_speaks_of_changes_only(research):
    document = Document(TURN)
    state, said = ResponseState(), []
    for at, event in research:
        state.apply(event, at)
        said += [patch.html for patch in document.update(state, at) if patch.id == "say.0"]
    words = [text.removeprefix("<span>").removesuffix("</span>") for text in said]
    assert words == ["Thinking", "Searching the web", "Reading a page", "Running Python", "Writing"]


def test_patches_as_json(research):
    document = Document(TURN)
    state = ResponseState()
    made = []
    for at, event in research:
        state.apply(event, at)
        made += [patch_json(patch) for patch in document.update(state, at)]
    assert {patch[0] for patch in made} >= {"add", "replace", "extend", "remove", "fold"}
    assert patch_json(Unfold("e1")) == ["unfold", "e1"]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("cuts", [1, 3, 40])
def test_thinking_in_the_text_stands_before_the_answer(known, cuts):
    text = ("" if known else "<think>") + "\nHm, well.\n</think>\n\nIt is **four**."
    size = -(-len(text) // cuts)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    state, document = ResponseState(thinks_in_text=known), Document(TURN)
    view = Elements().apply(document.snapshot())
    events = [item(ItemAdded, "message", "m", 0, content=[])]
    events += [TextDelta("output_text", piece, "m", 0) for piece in pieces]
    for at, event in enumerate(events):
        state.apply(event, at)
        view.apply(document.update(state, at))
    state.conclude(50.0)
    view.apply(document.finish(state, 50.0, Outcome()))
    fresh = Elements().apply(document.snapshot())
    assert view.shape() == fresh.shape()
    html = "".join(html for _, html in fresh.known.values())
    assert "think&gt;" not in html
    assert 0 < html.index("Hm, well.") < html.index("It is <strong>four</strong>")


def test_what_did_not_fit_is_folded_and_the_better_answer_is_the_prose():
    document = Document(TURN)

    def message(text, id):
        raw = {"type": "message", "id": id, "role": "assistant",
               "content": [{"type": "output_text", "text": text}]}  # fmt: skip
        return [ItemAdded(parse_item({**raw, "content": []}), 0),
                TextDelta("output_text", text, id, 0), ItemDone(parse_item(raw), 0)]  # fmt: skip

    state, view = ResponseState(), Elements().apply(document.snapshot())
    for event in message("The first try", "a"):
        state.apply(event, 1.0)
        view.apply(document.update(state, 1.0))
    state.set_aside("n: is missing")
    state.next_response()
    view.apply(document.update(state, 1.0))
    for event in message("The second", "b"):
        state.apply(event, 2.0)
        view.apply(document.update(state, 2.0))
    view.apply(document.finish(state, 3.0, Outcome("completed")))
    assert state.text == "The second"
    whole = {id: html for id, (_, html) in view.known.items()}
    fresh = Elements().apply(document.snapshot())
    assert {id: html for id, (_, html) in fresh.known.items()} == whole
    [panel] = [id for id, html in whole.items() if "Did not fit" in html]
    assert "n: is missing" in whole[panel]
    told = [id for id, html in whole.items() if "The first try" in html]
    assert told
    assert all(view.known[id][0].startswith(panel.split(".")[0]) for id in told)
