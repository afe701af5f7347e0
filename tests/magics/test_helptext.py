"""The help is made from the table of options, and fits a terminal."""

from __future__ import annotations

import inspect

from qwen_magic.magics.helptext import EXAMPLES, WIDTH, chat_help_text, docstring, help_text
from qwen_magic.magics.option_table import OPTIONS
from qwen_magic.magics.options import Options, read_line


def test_it_fits_and_names_every_option() -> None:
    for text in (help_text(), chat_help_text()):
        assert max(map(len, text.splitlines())) <= WIDTH
        assert not any(line.endswith(" ") for line in text.splitlines())
    for option in OPTIONS:
        assert f"{option.long}" in help_text()
        assert (option.long in chat_help_text()) == ("chat" in option.forms)


def test_its_examples_can_be_typed() -> None:
    assert len(EXAMPLES) == 5
    for example in EXAMPLES:
        assert example in help_text()
        assert read_line(example.removeprefix("%qwen "))[1]


def test_the_docstring_is_the_help() -> None:
    assert help_text() in docstring()
    assert docstring().splitlines()[1] == ""
    assert inspect.cleandoc(docstring()).startswith("Ask the model")


def test_every_option_of_the_table_is_a_field() -> None:
    assert {option.field for option in OPTIONS} == set(Options.__slots__)
