"""A saved notebook, by the ways in which it is read without Jupyter."""

import re

import nbformat
import pytest
from answer_pages import sanitized
from markdown_it import MarkdownIt
from nbconvert import HTMLExporter, MarkdownExporter

from qwen_magic.frontends.static import bundle

REASONING = "so a sieve up to 7919 is enough"
TOOLS = ("Searched the web", "Read a page", "Ran Python", "sum of the first 1000 primes")
CODE = "while"
SOURCES = ("https://en.wikipedia.org/wiki/Variance", "https://oeis.org/A000040")
ANSWER = ("5,489,271.0", "Largest prime", "25,607.1", "\\sigma^2")
FIGURE = "fig-001"


@pytest.fixture
def notebook(finished):
    output = nbformat.v4.new_output("display_data", bundle(finished))
    cell = nbformat.v4.new_code_cell("%%qwen\nq", outputs=[output])
    return nbformat.v4.new_notebook(cells=[cell])


def assert_all_is_there(text):
    for words in (REASONING, *TOOLS, CODE, *SOURCES, *ANSWER, FIGURE):
        assert words in text, words


def test_nbconvert_to_html(notebook):
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert_all_is_there(page)
    assert "data:image/png;base64," in page


def test_nbconvert_to_markdown(notebook):
    text, _ = MarkdownExporter().from_notebook_node(notebook)
    assert_all_is_there(text)


def test_the_sanitizer_of_an_untrusted_notebook(finished):
    html = sanitized(bundle(finished)["text/html"])
    assert_all_is_there(html)
    assert "data:image/png;base64," in html
    assert "<style" not in html
    assert html.count("<details") == html.count("</details>") == 5


def test_a_plain_markdown_reader(finished):
    html = MarkdownIt("commonmark").enable("table").render(bundle(finished)["text/markdown"])
    text = re.sub(r"<[^>]+>", "", html)
    for words in (REASONING, "Ran Python", CODE, *ANSWER[:3], FIGURE):
        assert words in text, words
    for url in SOURCES:
        assert f'href="{url}"' in html
