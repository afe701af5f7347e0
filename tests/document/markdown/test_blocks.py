"""Blocks beyond CommonMark: footnotes, definitions that are none, tables as they are meant."""

from __future__ import annotations

import re

import pytest

from qwen_magic.document.extract import find_tables
from qwen_magic.document.markdown import MarkdownStream, render_markdown


def text_of(html: str) -> str:
    return re.sub("<[^>]*>", "", html)


def streamed(text: str) -> str:
    """The HTML before the last parse; the end is checked to be that of a whole render."""
    stream = MarkdownStream()
    for letter in text:
        stream.append(letter)
        stream.update()
    html = stream.html
    stream.finish()
    assert stream.html == render_markdown(text)
    return html


@pytest.mark.parametrize(
    "text",
    [
        "Sales grew[^1].\n\n[^1]: [Report](https://example.com/r)\n",
        "[^1]: Report\n\nSales grew[^1].\n",
        "Sales grew[^1].\n[^1]: Report\n[^2]: Other\n\nand fell[^2].\n",
        "- Sales grew[^1].\n\n  [^1]: Report\n",
        "> Sales[^1] grew[^1].\n>\n> [^1]: Report\n>     and more\n",
        "| Sales |\n|---|\n| grew[^1] |\n\n[^1]: Report\n\n    Second paragraph\n",
    ],
)
def test_footnotes_are_marks_and_notes(text: str) -> None:
    for html in (streamed(text), render_markdown(text)):
        assert "[^" not in html
        assert "Report" in html
        assert html.count("<sup>") == text.count("[^")
        assert html.count('<div class="qm-fn" dir="auto"><p') == text.count("]:")


def test_what_is_no_footnote_stays_text() -> None:
    text = "A[^1], `[^2]`, [^a-z], [link[^3]](http://a.b).\n\n[^2]: x\n\n[^3]: y"
    html = render_markdown(text)
    assert text_of(html).startswith("A[^1], [^2], [^a-z], link3.")
    assert "<a " in html


def test_a_mark_that_arrives_is_no_stray_bracket() -> None:
    stream = MarkdownStream()
    text = "Sales[^12] grew[^note-a].\n\n[^12]: Note\n[^note-a]: Other\n\n"
    text += "[Link](http://a.b)\n\n- [ ] do\n- [x] done\n"
    for letter in text:
        stream.append(letter)
        stream.update()
        assert not set("[]^") & set(text_of(stream.html))


@pytest.mark.parametrize(
    "text",
    [
        "[Note]: important\n",
        "[TODO]: fix\n\nand on",
        "Refs:\n\n[1]: [Report](https://example.com/r)\n[2]: Jones2020\n",
        "As [1] says.\n\n[1]: Jones2020\n",
        "- [Ratio]: 1/2\n- [and/or]: either/or\n",
        "> [Time]: 10\n",
        "See [TODO], [Smith] and [Smith][].\n\n[TODO]: fix\n[Smith]: Jones2020\n",
    ],
)
def test_a_label_with_a_word_that_is_no_address_does_not_vanish(text: str) -> None:
    words = re.findall(r"[A-Za-z]{2,}|\d+", text.replace("https://example.com/r", ""))
    for html in (streamed(text), render_markdown(text)):
        assert re.findall(r"[A-Za-z]{2,}|\d+", text_of(html)) == words
    assert ("https://example.com/r" in html) == ("https://example.com/r" in text)


def test_definitions_of_links_are_not_shown() -> None:
    text = (
        "[a] [b] [c][d]\n\n[a]: https://a.b\n[b]: /c 'd'\n[d]: d.html\n[e]: #f\n[g]: example.com\n"
    )
    assert text_of(render_markdown(text)).strip() == "a b c"


@pytest.mark.parametrize("place", ["{}", "> {}", "- {}"])
def test_a_table_is_read_as_it_is_meant(place: str) -> None:
    rows = ["| a | b | c |", "|---|--:|", "| 1 | `x|y` | z |", "| ` | ` | `p\\|q` |"]
    rows += ["| $|x|$ | $5 | $6 |", "| `a|b` | $P(A|B)$ | |", "| \\(|x|\\) | \\(a | b |"]
    begin, rest = place.format(""), place.format("").replace("-", " ")
    text = "\n".join((rest if index else begin) + row for index, row in enumerate(rows))
    (table,) = find_tables(text + "\n")
    assert table.header == ("a", "b", "c")
    assert table.rows[:2] == (("1", "x|y", "z"), ("`", "`", "p|q"))
    assert table.rows[2:4] == (("$|x|$", "$5", "$6"), ("a|b", "$P(A|B)$", ""))
    assert table.rows[4:] == (("\\(|x|\\)", "(a", "b"),)
    assert streamed(text + "\n").count("</td>") == 15


@pytest.mark.parametrize(
    ("text", "columns"),
    [("| a | b |\n|---|\n| 1 | 2 |\n", 2), ("| a |\n|---|---|\n| 1 | 2 |\n", 2)],
)
def test_a_row_of_dashes_may_be_a_cell_off(text: str, columns: int) -> None:
    (table,) = find_tables(text)
    assert len(table.header) == columns
    assert table.rows == (("1", "2"),)


@pytest.mark.parametrize("text", ["a | b\n---\n", "| a | b | c | d |\n|---|\n", "a | b\n-|\n"])
def test_what_is_no_table_is_none(text: str) -> None:
    assert find_tables(text) == ()


def test_markup_in_cells_is_data_outside() -> None:
    (table,) = find_tables(
        "| 10<sup>3</sup> km<sup>2</sup> | H<sub>2</sub>O |\n|---|---|\n"
        "| a<br>b | 12[^1] |\n\n[^1]: n"
    )
    assert table.header == ("10³ km²", "H2O")
    assert table.rows == (("a\nb", "12"),)


@pytest.mark.parametrize(
    "text", ["<!-- a -->\n\nx", "<!-- a\n- b\n\n# c\n-->\nx", "- x\n\n  <!-- c -->"]
)
def test_a_comment_on_lines_of_its_own_is_left_out(text: str) -> None:
    streamed(text)
    assert text_of(render_markdown(text)).strip() == "x"


def test_a_comment_that_is_never_closed_is_text() -> None:
    assert "Text lives" in text_of(render_markdown("<!-- a\n\nText lives"))


def test_mermaid_is_code_with_its_label() -> None:
    html = render_markdown("```mermaid\ngraph TD; A-->B\n```")
    assert '<span class="qm-lang">mermaid</span>' in html
    assert "A--&gt;B" in html
