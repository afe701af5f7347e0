"""Where options stand in a line: words that begin with a dash, their values, their quotes.

Options are a prefix. What opens with `-` and a letter, or `--` and a letter, is an option; `--`
ends them; anything else (also `-`, `-5`, `->`) begins the prompt.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

from qwen_magic.errors import OptionError
from qwen_magic.magics.option_table import BY_SPELLING, LATER, OPTIONS, Option

_SPACE: Final = re.compile(r"\s*")
_WORD: Final = re.compile(r"\S*")
LOOKS_LIKE_OPTION: Final = re.compile(r"--?[A-Za-z]")
_END_OF_OPTIONS: Final = re.compile(r"--(?=\s|\Z)")
# The typographic pair too: many keyboards and editors make it.
_QUOTED: Final = {
    opening: re.compile(rf"{opening}((?:[^{closing}\\]|\\.)*){closing}", re.DOTALL)
    for opening, closing in ('""', "''", "“”")
}
_ESCAPE: Final = re.compile(r"\\([\"'”\\])")


class OptionScanner:
    """Reads options off the front of `line`; `position` is where it stands."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.position = 0
        self.ended = False  # by `--`

    def next_option(self) -> tuple[Option, str, str | None] | None:
        """The next option, as typed, with the value attached to it (`--x=v`, `-xv`) if any.

        None where the prompt begins. Raises `OptionError` for an option that does not exist.
        """
        self._skip_space()
        if end := _END_OF_OPTIONS.match(self.line, self.position):
            self.position = end.end()
            self.ended = True
            return None
        if not LOOKS_LIKE_OPTION.match(self.line, self.position):
            return None
        if self.line.startswith("--", self.position):
            return self._long()
        return self._short()

    def value(self, typed: str, attached: str | None) -> str:
        """The value of the option just read, without its quotes. Raises `OptionError`."""
        if attached is None:
            self._skip_space()
            if self._at_option():
                raise _missing(typed)
        quote = self.line[self.position : self.position + 1]
        return self._quoted(typed, quote) if quote in _QUOTED else self._unquoted(typed)

    def word(self) -> str:
        """The next word, after white space; empty at the end."""
        self._skip_space()
        return self._take(_WORD)

    def rest(self) -> str:
        """What is left, to the letter: after `--`, less the one character that separates it."""
        if self.ended:
            return self.line[self.position + 1 :]
        self._skip_space()
        return self.line[self.position :]

    def _long(self) -> tuple[Option, str, str | None]:
        name = re.compile(r"--[^\s=]*").match(self.line, self.position)
        assert name is not None  # the caller saw the dashes
        option = _find(name[0])
        self.position = name.end()
        attached = self.line.startswith("=", self.position)
        if attached:
            self.position += 1
        if attached and not option.takes_value:
            raise OptionError(f"{name[0]} takes no value.")
        return option, name[0], "" if attached else None

    def _short(self) -> tuple[Option, str, str | None]:
        word = _WORD.match(self.line, self.position)
        assert word is not None  # matches anything
        name = word[0][:2]
        if len(word[0]) > 2:
            _refuse_one_dash(word[0])
        option = _find(name, word[0])
        self.position += 2
        if len(word[0]) == 2:
            return option, name, None
        if not option.takes_value:
            raise OptionError(f"There is no option {word[0]}; {name} takes no value.")
        if word[0][2] == "=":
            self.position += 1
        return option, name, ""

    def _quoted(self, typed: str, quote: str) -> str:
        found = _QUOTED[quote].match(self.line, self.position)
        if found is None:
            raise OptionError(f"The value of {typed} begins with {quote}, which nothing closes.")
        self.position = found.end()
        if self.line[self.position : self.position + 1].strip():
            raise OptionError(f"A space is missing after the quoted value of {typed}.")
        return _ESCAPE.sub(r"\1", found[1])

    def _unquoted(self, typed: str) -> str:
        value = self._take(_WORD)
        if not value:
            raise _missing(typed)
        return value

    def _at_option(self) -> bool:
        return any(p.match(self.line, self.position) for p in (LOOKS_LIKE_OPTION, _END_OF_OPTIONS))

    def _skip_space(self) -> None:
        self._take(_SPACE)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.line, self.position)
        assert found is not None  # both patterns match the empty string
        self.position = found.end()
        return found[0]


def _missing(typed: str) -> OptionError:
    option = BY_SPELLING[typed]
    return OptionError(f"{typed} needs a value: {typed} {option.metavar}")


def _find(name: str, typed: str = "") -> Option:
    if name in BY_SPELLING:
        return BY_SPELLING[name]
    if name in LATER:
        raise OptionError(f"{name} is not in this version yet.")
    near = nearest_option(name)
    advice = (
        f"did you mean {near}?"
        if near
        else "-h lists them, and -- goes before a prompt that begins with a dash."
    )
    raise OptionError(f"There is no option {typed or name}; {advice}")


def nearest_option(name: str) -> str:
    """The option most like `name`, or empty: one that it abbreviates, else by its letters."""
    longs = [option.long for option in OPTIONS]
    if name.startswith("--"):
        lowered = name.lower().replace("_", "-")
        begun = [long for long in longs if long.startswith(lowered)]
        near = begun or get_close_matches(lowered, longs, n=1)
        return near[0] if near else ""
    return name.lower() if name.lower() in BY_SPELLING else ""


def _refuse_one_dash(word: str) -> None:
    """`-model` is not `-m odel`. Raises `OptionError`."""
    long = f"-{word.split('=')[0]}"
    if long in BY_SPELLING:
        raise OptionError(f"There is no option {long[1:]}; did you mean {long}?")
    if long in LATER:
        raise OptionError(f"{long} is not in this version yet.")
