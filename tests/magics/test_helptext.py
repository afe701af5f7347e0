"""The help is made from the table of options, and fits a terminal."""

from __future__ import annotations

import inspect
from importlib import import_module

from qwen_magic.magics.conversations import chat_help_text
from qwen_magic.magics.extension import MAGICS
from qwen_magic.magics.line import read_line
from qwen_magic.magics.qwen import EXAMPLES, QwenMagics, help_text
from qwen_magic.magics.settings import QwenSettings
from qwen_magic.options import KEYWORDS, OPTIONS, SETTINGS, Options, ask_fields
from qwen_magic.session.plan import Ask

WIDTH = 80


def test_it_fits_and_names_every_option() -> None:
    for text in (help_text(), chat_help_text()):
        assert max(map(len, text.splitlines())) <= WIDTH
        assert not any(line.endswith(" ") for line in text.splitlines())
    for option in OPTIONS:
        assert f"{option.long}" in help_text()
        assert (option.long in chat_help_text()) == ("qwen_chat" in option.magics)


def test_its_examples_can_be_typed() -> None:
    assert len(EXAMPLES) == 5
    for example in EXAMPLES:
        assert example in help_text()
        assert read_line(example.removeprefix("%qwen "))[1]


def test_the_docstring_is_the_help() -> None:
    docstring = QwenMagics.qwen.__doc__
    assert help_text() in docstring
    assert docstring.splitlines()[1] == ""
    assert inspect.cleandoc(docstring).startswith("Ask the model")


def test_what_an_option_says_of_itself_is_true() -> None:
    asked = set(Ask.__slots__)
    for option in OPTIONS:
        assert option.field in Options.__slots__
        assert (option.place == "ask") <= (option.field in asked), option.long
        assert bool(option.metavar) == option.takes_value
        assert (option.kind in ("number", "integer")) == (option.allowed is not None)
        assert "qwen_chat" in option.magics or not option.setting


def test_the_defaults_are_the_traits() -> None:
    settings = QwenSettings()
    for option in SETTINGS:
        default, about = option.setting
        assert settings.traits()[option.field].help == about
        assert getattr(settings, option.field) == default
    assert not [name for name in settings.traits(config=True) if name.startswith("_")]
    assert all(name == trait.name for name, trait in settings.traits().items())
    settings.temperature = "0.5"
    assert Options.of(settings).temperature == 0.5


def test_what_goes_into_the_question() -> None:
    given = dict.fromkeys(KEYWORDS) | {"timeout": 3.0, "temperature": 0.0, "history": False}
    assert ask_fields({**given, "code": True}) == {
        "timeout": 3.0,
        "history": False,
        "extra": {"temperature": 0.0},
    }


def test_what_waits_is_what_the_classes_have() -> None:
    """The extension names the magics of each class before it imports it."""
    for place, names in MAGICS.items():
        module, _, name = place.partition(".")
        cls = getattr(import_module(f"qwen_magic.magics.{module}"), name)
        assert sorted(names) == sorted({each for kind in cls.magics.values() for each in kind})
