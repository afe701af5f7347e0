"""What `%qwen -h` prints and `%%qwen?` shows, made from the table of options."""

from __future__ import annotations

import textwrap
from typing import Final

from qwen_magic.magics.option_table import OPTIONS, Form, Option

WIDTH: Final = 80
_COLUMN: Final = 27  # where the explanations begin

_USAGE: Final = """\
%%qwen [options]            and the prompt in the lines below
%qwen [options] prompt      the same in one line; x = %qwen … assigns the Answer"""

_NOTES: Final = """\
The first word that is no option begins the prompt, which is taken to the
letter; -- ends the options. {name}, {name.attr}, {name[0]} and {name["key"]}
are replaced by values of the notebook, outside code and $maths$."""

EXAMPLES: Final = (
    "%qwen What is a prime number?",
    "%qwen -t web_search,web_extractor What is new in Python this month?",
    "%qwen -t code_interpreter -m qwen3-max Plot the first 100 primes",
    '%qwen -s "You are a patient teacher" --new Explain {error}',
    "%qwen -e high -o plan How would you test {function}?",
)


def help_text() -> str:
    """The help of `%%qwen` and `%qwen`, at most `WIDTH` columns wide."""
    examples = "\n".join(f"  {example}" for example in EXAMPLES)
    return f"{_USAGE}\n\n{_table('line')}\n\n{_NOTES}\n\nExamples\n{examples}\n"


def docstring() -> str:
    """The docstring of the magic: what it does, then the help."""
    return f"Ask the model; the answer is shown as it is written.\n\n{help_text()}"


def chat_help_text() -> str:
    """The help of `%qwen_chat`."""
    return (
        "%qwen_chat                  list the conversations used last\n"
        "%qwen_chat --all            list them all\n"
        "%qwen_chat NAME [options]   go to one, new or not; options become its defaults\n\n"
        f"{_table('chat')}\n\n"
        "Example\n  %qwen_chat sales -t code_interpreter --think -m qwen3-max\n"
    )


def _table(form: Form) -> str:
    return "\n".join(_row(option) for option in OPTIONS if form in option.forms)


def _row(option: Option) -> str:
    names = f"{option.short}, {option.long}" if option.short else f"    {option.long}"
    head = f"  {names} {option.metavar}".rstrip()
    lines = textwrap.wrap(
        option.help, WIDTH - _COLUMN, break_long_words=False, break_on_hyphens=False
    )
    if len(head) > _COLUMN - 2:
        return "\n".join([head, *(" " * _COLUMN + line for line in lines)])
    return ("\n" + " " * _COLUMN).join([head.ljust(_COLUMN) + lines[0], *lines[1:]])
