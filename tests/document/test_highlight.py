"""Highlighting line by line."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_magic.document.highlight import (
    LONGEST_PIECE,
    LineHighlighter,
    highlight_pieces,
    is_python,
    language_label,
    pieces,
    python_labels,
)

LANGUAGES = ("python", "json", "bash", "c", "js", "yaml", "html", "sql", "php", "ruby", "nothing")


def highlight(code: str, language: str) -> str:
    return "".join(highlight_pieces(code, language))


def text_of(html: str) -> str:
    parser = HTMLParser(convert_charrefs=True)
    parts: list[str] = []
    parser.handle_data = parts.append  # type: ignore[method-assign]
    parser.feed(html)
    parser.close()
    return "".join(parts)


def test_marks_keywords_strings_and_comments() -> None:
    html = highlight('def f():\n    return "x"  # why\n', "python")
    assert html == ('<b>def</b> f():\n    <b>return</b> <span>"x"</span>  <i># why</i>\n')


def test_a_difference_tells_what_was_put_in_and_taken_out() -> None:
    assert highlight_pieces("- old\n+ new\n", "diff") == ["<b>- old</b>\n", "<span>+ new</span>\n"]


def test_a_string_over_two_lines_is_one_kind() -> None:
    first, second = highlight('"""a\nimport b"""\n', "python").splitlines()
    assert "<b>" not in first + second
    assert second == '</span><span>import b"""</span>'


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("c", "int a; /* one\nint two;\n*/ int b;\n"),
        ("css", "a { } /* one\nb { }\n*/ c { }\n"),
        ("html", "<p> <!-- one\n<b>two</b>\n--> <i>\n"),
    ],
)
def test_a_comment_over_lines_stays_a_comment(language: str, code: str) -> None:
    lines = LineHighlighter(language)
    _, inside, _ = (lines.line(piece) for piece in pieces(code))
    assert inside.startswith("<i>")
    assert inside.count("<") == 2


def test_a_mark_of_a_comment_inside_a_string_opens_none() -> None:
    assert "<i>" not in highlight('char *a = "/*";\nint b;\n', "c")


def test_yaml_keeps_its_indentation_from_line_to_line() -> None:
    html = highlight("a:\n  - b: 'x'  # one\n", "yaml")
    assert html == ("a:\n  - b: <span>'x'</span>  <i># one</i>\n")


def test_an_unknown_language_is_escaped() -> None:
    assert highlight("<a> & b", "nothing") == "&lt;a&gt; &amp; b"


def test_the_label_is_the_name_a_reader_knows() -> None:
    names = [language_label(word) for word in ("py", "json", "sh", "Fortress")]
    assert names == ["Python", "JSON", "Bash", "Fortress"]


def test_a_preview_leaves_the_state_as_it_was() -> None:
    lines = LineHighlighter("python")
    before = lines.preview("x = 1\n")
    lines.preview('"""open')
    assert lines.line("x = 1\n") == before


def test_a_long_line_is_cut_in_bounded_pieces() -> None:
    code = "x = 1; " * 1000
    cut = pieces(code)
    assert "".join(cut) == code
    assert max(map(len, cut)) == LONGEST_PIECE


@given(st.text(alphabet="ab\"'`/*<!->#\\\n {}:$e1", max_size=200), st.sampled_from(LANGUAGES))
def test_no_character_is_lost(code: str, language: str) -> None:
    assert text_of(highlight(code, language)) == code


def test_the_page_knows_the_same_languages_as_python() -> None:
    assert is_python("Py")
    assert is_python("pyspark")
    assert is_python("")
    assert not any(map(is_python, ("pycon", "pytb", "pypy", "sql")))
    labels = python_labels()
    assert {"", "python", "pyspark"} <= set(labels)
    assert not {language_label(name).lower() for name in ("pycon", "pytb")} & set(labels)
