"""Many steps behind one line."""

import pytest
from answer_states import QUERIES, many_sources, run, search, thought

from qwen_magic.document.blocks import Box, Figure, Panel, Step, Tally
from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.sections import joined_step, runs_to_join
from qwen_magic.frontends.static import bundle
from qwen_magic.protocol.state import ResponseState

DONE, LIVE = Step("a"), Step("b", state="live")
DRAWN = Step("c", figures=(Figure("u"),))


@pytest.mark.parametrize(
    ("steps", "is_closed", "runs"),
    [
        ([DONE] * 8, True, []),
        ([DONE] * 9, True, [range(9)]),
        ([DONE] * 9, False, [range(6)]),
        ([DONE] * 9 + [LIVE], False, [range(6)]),
        ([DONE] * 4 + [LIVE] + [DONE] * 9, False, []),
        ([DONE] * 9 + [LIVE] + [DONE] * 9, True, [range(9)]),
        ([DONE] * 4 + [DRAWN] + [DONE] * 5, True, [range(4), range(5, 10)]),
        ([DONE] + [DRAWN] + [DONE] * 8, True, [range(2, 10)]),
    ],
)
def test_what_joins(steps, is_closed, runs):
    assert runs_to_join(steps, is_closed=is_closed) == runs


def test_the_line_counts_by_kind_with_thoughts_last():
    steps = [
        Step("Thought", tally=Tally(1, "thought", "thoughts"), seconds=3.0),
        Step("Read", tally=Tally(2, "page", "pages"), seconds=1.5),
        Step("Failed", state="bad", tally=Tally(1, "run", "runs")),
        Step("Read", tally=Tally(1, "page", "pages")),
    ]
    line = joined_step(steps)
    assert line.verb == "3\u00a0pages"
    assert line.what == "1\u00a0run · 1\u00a0thought · 1\u00a0failed"
    assert line.facts == ("4.5\u00a0s",)


def _document(events, outcome=None):
    document, state = Document(TurnFacts("m")), ResponseState()
    for at, event in events:
        state.apply(event, at)
        document.update(state, at)
    if outcome is not None:
        document.finish(state, 60.0, outcome)
    return document


def rows(document):
    """The panels of the first group."""
    return document.tree.root.children[0].children


def steps(joined):
    """The steps behind a panel's line."""
    return [panel.children[0].value for panel in joined.children[1].children]


def test_the_order_stays():
    (joined,) = rows(_document(many_sources(), Outcome()))
    assert joined.value == Panel(is_joined=True)
    assert joined.children[0].value.verb == "6\u00a0searches, 93\u00a0sources"
    assert [step.verb.split()[0] for step in steps(joined)] == ["Thought", "Searched"] * 6


def test_while_it_runs_the_newest_stand_apart():
    events = []
    for number, query in enumerate(QUERIES[:5]):
        events += thought("So.", 6.0 * number, 3.0, 2 * number)
        events += search(query, 2, 6.0 * number + 3.1, 2 * number + 1)
    panels = rows(_document(events))
    assert [panel.value.is_joined for panel in panels] == [True, False, False, False]
    assert len(steps(panels[0])) == 7


def test_a_thought_between_two_runs_stands_in_the_second():
    events = [
        *thought("First.", 1.0, 3.0, 0),
        *run("a = 1", "1", 4.0, 1),
        *thought("Then **so**.", 7.0, 5.0, 2),
        *run("b = 2", "2", 12.5, 3),
        *thought("Short.", 16.0, 0.6, 4),
        *search("words", 2, 17.0, 5),
        *thought("Long.", 20.0, 4.0, 6),
        *search("more", 2, 25.0, 7),
    ]
    document = _document(events, Outcome())
    verbs = [panel.children[0].value.verb.split("\u00a0")[0] for panel in shown(document)]
    assert verbs == [
        *("Thought for 3", "Ran Python", "Ran Python", "Searched the web", "Thought for 4"),
        "Searched the web",
    ]
    inside = [child.value for child in shown(document)[2].children[1:]]
    assert inside == [Box("thought", "Then **so**."), Box("body")]
    html = bundle(document)["text/html"]
    body = html.partition("</summary>")[2]
    assert body.index("<strong>so</strong>") < body.index("<code>b = 2")
    assert "Short." in bundle(document)["text/markdown"]


def shown(document):
    return [panel for panel in rows(document) if isinstance(panel.value, Panel)]
