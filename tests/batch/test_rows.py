"""Rows of data as prompts."""

import pytest

from qwen_magic.batch.rows import fill, read_rows
from qwen_magic.errors import UsageError


def prompts(*given, **options):
    return [row.prompt for row in read_rows(*given, **options)]


def test_texts_and_messages():
    talk = [{"role": "user", "content": "Hi"}]
    assert prompts(["one", talk, ""]) == ["one", talk, ""]
    assert prompts(word for word in ("a", "b")) == ["a", "b"]


def test_dicts_with_a_template():
    rows = read_rows([{"word": "Haus", 3: "x"}, {"word": "{3}", 3: "y"}], "{word} to {3}")
    assert [row.prompt for row in rows] == ["Haus to x", "{3} to y"], "filled in once"
    assert rows[0].values == {"word": "Haus", "3": "x"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{a}{b}", "1two"),
        ("{{a}} {{{a}}}", "{a} {1}"),
        ('{"key": {a}}', '{"key": 1}'),
        ("{} {0} { } {a", "{} {0} { } {a"),
        ("{first name}", "Ada"),
        ("no braces", "no braces"),
    ],
)
def test_templates(template, filled):
    assert fill(template, {"a": 1, "b": "two", "first name": "Ada"}) == filled


@pytest.mark.parametrize("name", ["wrod", "word.upper", "first name", "__class__"])
def test_an_unknown_column_is_told(name):
    with pytest.raises(UsageError, match="no column"):
        fill(f"Translate {{{name}}}", {"word": "Haus"})


def test_nothing_is_evaluated():
    with pytest.raises(UsageError):
        fill("{word.__class__}", {"word": "Haus"})
    assert fill("{word!r} {word:>9} {1 + 1}", {"word": "x"}) == "{word!r} {word:>9} {1 + 1}"


def test_near_columns_are_named():
    with pytest.raises(UsageError, match="Did you mean 'word'"):
        fill("{wrod}", {"word": ""})


@pytest.mark.parametrize(
    ("given", "template", "words"),
    [
        ("one prompt", None, "many prompts, not a str"),
        ({"word": "x"}, "{word}", "many prompts, not a dict"),
        (7, None, "many prompts, not a int"),
        ([{"word": "x"}], None, "Row 0 has columns"),
        (["x", 7], None, "Row 1 is no prompt"),
        (["x", []], None, "Row 1 is no prompt"),
        (["x"], "{word}", "Row 0 has no columns"),
    ],
)
def test_what_is_no_prompt(given, template, words):
    with pytest.raises(UsageError, match=words):
        read_rows(given, template)


def test_pandas():
    pandas = pytest.importorskip("pandas")
    data = pandas.DataFrame({"word": ["Haus", "Baum"], "n": [1, 2]}, index=["x", "y"])
    rows = read_rows(data, "{word} {n}")
    assert [row.prompt for row in rows] == ["Haus 1", "Baum 2"]
    assert [row.label for row in rows] == ["x", "y"]
    assert prompts(data["word"]) == ["Haus", "Baum"], "a column is a list of prompts"
    with pytest.raises(UsageError, match="template"):
        read_rows(data)


def test_polars():
    polars = pytest.importorskip("polars")
    assert prompts(polars.DataFrame({"word": ["Haus"]}), "{word}") == ["Haus"]
