"""A saved notebook, by the ways in which it is read without Jupyter."""

import base64
import re
from html.parser import HTMLParser

import nbformat
import pytest
from answer_pages import sanitized
from fuzz import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from nbconvert import HTMLExporter, LatexExporter, MarkdownExporter, SlidesExporter
from nbconvert.filters import DataTypeFilter
from nbconvert.preprocessors import ExtractOutputPreprocessor

from qwen_magic.document.blocks import Figure
from qwen_magic.document.footer import Outcome
from qwen_magic.document.html import figure_html
from qwen_magic.frontends.static import bundle, figure_bundles

REASONING = "so a sieve up to 7919 is enough"
TOOLS = ("Searched the web", "Read a page", "Ran Python", "sum of the first 1000 primes")
CODE = "while"
SOURCES = ("https://en.wikipedia.org/wiki/Variance", "https://oeis.org/A000040")
ANSWER = ("5,489,271.0", "Largest prime", "25,607.1", "\\sigma^2")
FIGURE = "fig-001"


@pytest.fixture
def notebook(finished):
    made = bundle(finished)
    bundles = [made, *figure_bundles(made, "turn-1")]
    outputs = [nbformat.v4.new_output("display_data", data) for data in bundles]
    cell = nbformat.v4.new_code_cell("%%qwen\nq", outputs=outputs)
    return nbformat.v4.new_notebook(cells=[cell])


def assert_all_is_there(text):
    for words in (REASONING, *TOOLS, CODE, *SOURCES, *ANSWER, FIGURE):
        assert words in text, words


@pytest.mark.parametrize("exporter", [HTMLExporter, SlidesExporter])
def test_nbconvert_to_html(notebook, exporter):
    page, _ = exporter().from_notebook_node(notebook)
    assert_all_is_there(page)
    (source,) = re.findall(r'<img[^>]*\ssrc="([^"]*)"', page)
    assert source.startswith("data:image/png;base64,")


def test_nbconvert_to_latex_has_the_figures(notebook, turns):
    """What its templates choose; pandoc, which they need, is not everywhere."""
    exporter = LatexExporter()
    chosen = DataTypeFilter(parent=exporter)
    shown = [chosen(output["data"]) for output in notebook.cells[0].outputs]
    assert shown == [["text/markdown"], ["image/png"]]
    extract = ExtractOutputPreprocessor(parent=exporter, enabled=True)
    _, resources = extract(notebook, {"outputs": {}})
    (picture,) = resources["outputs"].values()
    assert picture == base64.b64decode(turns.png().partition(",")[2])


@pytest.mark.parametrize("data", ["A", "====", "R0lGODlh", "iVBORw0KGgo"])
def test_what_is_no_image_has_no_output(data):
    figure = Figure("", "f", f"data:image/png;base64,{data}")
    assert figure_bundles({"text/html": figure_html(figure)}, "turn-1") == []


def test_nbconvert_to_markdown(notebook, finished, turns):
    text, _ = MarkdownExporter().from_notebook_node(notebook)
    assert_all_is_there(text)
    page = MarkdownIt("commonmark", {"html": True}).render(text)
    assert bundle(finished)["text/html"].strip() in page, "to the letter, in any reader"
    assert turns.CODE in read(page), "code with its blank lines and its indentation"
    assert page.count("data:image/png;base64,") == 1


def read(page):
    parser, parts = HTMLParser(), []
    parser.handle_data = parts.append
    parser.feed(page)
    return "".join(parts)


BLANKS = st.text(st.sampled_from(["\n", "\r", " ", "\t", "x", "`", "$", "-", "|"]), max_size=30)


@given(BLANKS, BLANKS)
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_line_ends_the_html_for_a_reader_of_markdown(turns, show, one, two):
    text = f"```python\n{one}\n\n  {two}\n```\n\n$$\n{one}\n$$\n\n{two}"
    outputs = [{"logs": f"a\n\n   b{one}c"}]
    events = [
        (1.0, turns.done("code_interpreter_call", "c", 0, code=text, outputs=outputs)),
        (2.0, turns.done("mcp_call", "m", 1, name="f", output=f"a{two}b", error=one)),
        (3.0, turns.done("message", "a", 2, content=[{"type": "output_text", "text": text}])),
        (4.0, turns.ended()),
    ]
    html = bundle(show(events, outcome=Outcome("failed", one, two, one, two)))["text/html"]
    assert MarkdownIt("commonmark", {"html": True}).render(html) == re.sub("\r\n?", "\n", html)


def test_the_sanitizer_of_an_untrusted_notebook(finished):
    html = sanitized(bundle(finished)["text/html"])
    assert_all_is_there(html)
    assert "data:image/png;base64," in html
    assert "<style" not in html
    assert html.count("<details") == html.count("</details>") == 6


def test_a_plain_markdown_reader(finished):
    html = MarkdownIt("commonmark").enable("table").render(bundle(finished)["text/markdown"])
    text = re.sub(r"<[^>]+>", "", html)
    for words in (REASONING, "Ran Python", CODE, *ANSWER[:3], FIGURE):
        assert words in text, words
    for url in SOURCES:
        assert f'href="{url}"' in html
