"""Whatever comes from outside stays text."""

from html.parser import HTMLParser

import pytest
from fuzz import examples
from hostile_texts import CLASSES
from html_judge import html_faults
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_magic.document import html
from qwen_magic.document.blocks import (
    Code,
    Extract,
    Figure,
    Label,
    Lines,
    Link,
    NumberedSource,
    Output,
    Pending,
    SourceGroups,
    SourceList,
    Spoken,
    Step,
    Text,
)
from qwen_magic.document.footer import Footer, Note
from qwen_magic.document.words import revealed


class Reader(HTMLParser):
    """The text of a piece of HTML."""

    def __init__(self, source):
        super().__init__()
        self.text = ""
        self.feed(source)
        self.close()

    def handle_data(self, data):
        self.text += data


hostile = st.text() | st.sampled_from(sum(CLASSES.values(), ()))


def everything(text):
    """All that `html` makes, with this text in every place."""
    source = NumberedSource(1, text, text, text, True)
    figure = Figure(text, text, text, text)
    step = Step(text, text, True, (text, text), "bad")
    blocks = [
        *(Label(text), Text(text), Lines((text, text)), Link(text), Code(text), Output(text)),
        *(
            Code(text, text),
            Extract(text),
            Pending(text),
            figure,
            SourceGroups((source, source)),
        ),
    ]
    return [
        html.head(step),
        html.waiting(text),
        html.markup(Spoken(text))[0],
        html.sources_html(SourceList((source, NumberedSource(0, text, text, text)))),
        html.note_html(Note(text, text, text, True)),
        html.footer_html(Footer((text,), (text,), text, (text,))),
        *map(html.block_html, blocks),
    ]


@given(hostile)
@settings(max_examples=examples(200), deadline=None)
def test_nothing_but_our_own_elements_and_safe_links(text):
    for made in everything(text):
        assert not html_faults(made, maths=False)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1))
@settings(max_examples=examples(100), deadline=None)
def test_text_is_read_as_it_was_written(text):
    assert Reader(html.block_html(Label(text))).text == revealed(text)
    assert Reader(html.block_html(Output(text))).text == revealed(text)


def test_money_is_not_maths():
    made = html.block_html(Text("It costs $5 and $10"))
    assert "$5" not in made
    assert Reader(made).text == "It costs $5 and $10"


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("data:image/png;base64,AAAA", True),
        ("data:image/svg+xml;base64,AAAA", False),
        ("http://h/a.png", False),
        ("", False),
    ],
)
def test_only_pictures_that_are_here_are_shown(data, shown):
    made = html.figure_html(Figure("http://h/a.png", "fig", data, "too large"))
    assert ("<img" in made) is shown
    assert ("too large" in made) is not shown


def test_a_line_reads_without_a_style_sheet():
    step = Step("Searched the web", "“primes”", facts=("9 sources", "1.9 s"))
    assert Reader(html.head(step)).text == "Searched the web · “primes” · 9 sources · 1.9 s"


def test_uncited_sources_are_folded():
    cited = NumberedSource(1, "https://a.org/x", "x", "a.org", True)
    other = NumberedSource(2, "https://b.org/y", "y", "b.org")
    made = html.sources_html(SourceList((cited, other)))
    assert made.index("[1]") < made.index("<details") < made.index("[2]")
    assert "1\u00a0more source, not cited" in made
    assert html.sources_html(SourceList(())) == ""
