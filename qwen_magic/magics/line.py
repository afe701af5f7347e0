"""Parse what follows a magic's name: its options, then words, or a prompt taken as it is.

Options of `%qwen` come first. A word that begins with `-` and a letter, or `--` and a letter, is an
option; `--` ends them; anything else (also `-`, `-5`, `->`) begins the prompt. A prompt in the
first line of `%%qwen` comes before the body, on a line of its own. The other magics take words
(names, turns, files) and their options in any order.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from qwen_magic.errors import OptionError, UsageError
from qwen_magic.magics.values import check_chat_name, read_value
from qwen_magic.options import CONTRADICTIONS, OPTIONS, Option, Options, disagree, options_of

_SPACE: Final = re.compile(r"\s*")
_WORD: Final = re.compile(r"\S*")
# The same, with the spaces of a key: `df["unit price"]`.
_REFERENCE: Final = re.compile(r"""(?:\[(?:"[^"\n]*"|'[^'\n]*')\]|\S)*""")
# A word of a shell: quotes in it, or a backslash, hold it together with the space that follows.
_SHELL_WORD: Final = re.compile(r"""(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')*""", re.DOTALL)
LOOKS_LIKE_OPTION: Final = re.compile(r"--?[A-Za-z]")
_END_OF_OPTIONS: Final = re.compile(r"--(?=\s|\Z)")
_LONG: Final = re.compile(r"--[^\s=]*")
# The typographic pair too: many keyboards and editors make it.
_QUOTED: Final = {
    opening: re.compile(rf"{opening}((?:[^{closing}\\]|\\.)*){closing}", re.DOTALL)
    for opening, closing in ('""', "''", "“”")
}
_ESCAPE: Final = re.compile(r"\\([\"'”\\])")


class OptionScanner:
    """Reads the line of `%magic` from left to right; `position` is an offset into the line."""

    def __init__(self, line: str, magic: str = "qwen") -> None:
        self.line = line
        self.position = 0
        self.ended = False  # by `--`
        self.quoted = False  # the value read last
        self._magic = magic
        # What is no default is known in `%qwen_chat` too, to be refused as such.
        known = (*(OPTIONS if magic == "qwen_chat" else ()), *options_of(magic))
        self._options = {name: option for option in known for name in option.spellings}

    def next_option(self) -> tuple[Option, str, str | None] | None:
        """The next option, its spelling, and the value attached to it (`--x=v`, `-xv`) if there is
        one.

        None at the first word that is no option. Raises `OptionError` for an unknown option.
        """
        self._skip_space()
        if self.ended:
            return None
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
        """The value of the option just read, without quotes. Raises `OptionError`."""
        if attached is None:
            self._skip_space()
            if any(p.match(self.line, self.position) for p in (LOOKS_LIKE_OPTION, _END_OF_OPTIONS)):
                raise self._missing(typed)
        quote = self.line[self.position : self.position + 1]
        self.quoted = quote in _QUOTED
        return self._quoted(typed, quote) if self.quoted else self._unquoted(typed)

    def word(self) -> str:
        """The next word; empty at the end of the line."""
        self._skip_space()
        return self._take(_WORD)

    def shell_word(self) -> str:
        """The next word, in which quotes and backslashes work as in a shell. Raises
        `UsageError`.
        """
        self._skip_space()
        word = self._take(_SHELL_WORD)
        if not word and self.position < len(self.line):
            raise UsageError(f"A quote is not closed in {self.line.strip()!r}.")
        return "".join(shlex.split(word))

    def rest(self) -> str:
        """The rest of the line unchanged; after `--`, without the one separating character."""
        if self.ended:
            return self.line[self.position + 1 :]
        self._skip_space()
        return self.line[self.position :]

    def _long(self) -> tuple[Option, str, str | None]:
        name = self._take(_LONG)
        option = self._find(name)
        attached = self.line.startswith("=", self.position)
        if attached:
            self.position += 1
        if attached and not option.takes_value:
            raise OptionError(f"{name} takes no value.")
        return option, name, "" if attached else None

    def _short(self) -> tuple[Option, str, str | None]:
        start = self.position
        word = self._take(_WORD)
        name = word[:2]
        if len(word) > 2:
            self._refuse_one_dash(word)
        option = self._find(name, word)
        self.position = start + 2
        if len(word) == 2:
            return option, name, None
        if not option.takes_value:
            raise OptionError(f"There is no option {word}; {name} takes no value.")
        if word[2] == "=":
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
        value = self._take(_REFERENCE)
        if not value:
            raise self._missing(typed)
        return value

    def _skip_space(self) -> None:
        self._take(_SPACE)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.line, self.position)
        assert found is not None  # each pattern matches the empty string, or the caller looked
        self.position = found.end()
        return found[0]

    def _missing(self, typed: str) -> OptionError:
        return OptionError(f"{typed} needs a value: {typed} {self._options[typed].metavar}")

    def _find(self, name: str, typed: str = "") -> Option:
        if name in self._options:
            option = self._options[name]
            if option not in options_of(self._magic):
                raise OptionError(
                    f"{name} is for one turn, and cannot be a conversation's default."
                )
            return option
        if near := self._nearest(name):
            advice = f"did you mean {near}?"
        elif self._magic in ("qwen", "qwen_chat"):
            advice = "-h lists them, and -- goes before a prompt that begins with a dash."
        else:
            advice = f"%{self._magic} takes {' and '.join(self._options) or 'none'}."
        raise OptionError(f"There is no option {typed or name}; {advice}")

    def _nearest(self, name: str) -> str:
        """The option that `name` abbreviates or is most similar to; empty if there is none."""
        if name.startswith("--"):
            lowered = name.lower().replace("_", "-")
            longs = [option.long for option in self._options.values()]
            begun = [long for long in longs if long.startswith(lowered)]
            near = begun or get_close_matches(lowered, longs, n=1)
            return near[0] if near else ""
        return name.lower() if name.lower() in self._options else ""

    def _refuse_one_dash(self, word: str) -> None:
        """`-model` is not `-m odel`. Raises `OptionError`."""
        long = f"-{word.split('=')[0]}"
        if long in self._options:
            raise OptionError(f"There is no option {long[1:]}; did you mean {long}?")


@dataclass(frozen=True, slots=True)
class ChatLine:
    """A parsed line of `%qwen_chat [NAME] [options]`.

    Without a name and options it lists the conversations; `everything` lists those set aside too.
    """

    name: str | None
    defaults: Options
    everything: bool = False


def read_line(line: str) -> tuple[Options, str]:
    """Parse the options at the front of `line`; return them and the rest, unchanged.

    The rest may be empty. Raises `OptionError`, always one line.
    """
    scanner = OptionScanner(line)
    options = _options(_read_options(scanner))
    return options, scanner.rest()


def read_cell(line: str, body: str = "") -> tuple[Options, str]:
    """Parse a `%%qwen` cell, or a `%qwen` line, which has no body; return its options and prompt.

    The prompt is the body without blank lines around it, after the words of the first line that are
    no options. Raises `OptionError`, and `UsageError` for an empty prompt unless `--help` was
    given.
    """
    options, words = read_line(line)
    prompt = "\n".join(part for part in (words, _without_blank_edges(body)) if part.strip())
    if not prompt.strip() and not options.help:
        raise UsageError(
            "There is no prompt.",
            hint="Type one in the lines below %%qwen, or after %qwen; %qwen -h shows the options.",
        )
    return options, prompt


def read_chat(line: str) -> ChatLine:
    """The name and the defaults in a line of `%qwen_chat`, in either order. Raises `UsageError`."""
    scanner = OptionScanner(line, "qwen_chat")
    given = _read_options(scanner)
    name = scanner.shell_word() or None
    if name:
        given = _read_options(scanner, given)
    if left := scanner.rest().strip():
        raise UsageError(
            f"%qwen_chat takes one name, without spaces, and options, not {left!r}.",
            hint="%qwen_chat -h shows them.",
        )
    everything = "all" in given
    if everything and (name or len(given) > 1):
        raise UsageError("%qwen_chat --all lists the conversations, and takes nothing besides.")
    given.pop("all", None)
    return ChatLine(
        check_chat_name(name, aside=True) if name else None, _options(given), everything
    )


def read_words(
    magic: str, line: str, takes: str = "nothing", *, most: int = 0
) -> tuple[list[str], dict[str, object]]:
    """Parse the line of any other magic; return at most `most` words, and its options by field.

    `takes` describes the words in the error message. Raises `UsageError`.
    """
    words, given = _words_and_options(OptionScanner(line, magic))
    if len(words) > most:
        options = [f"{option.long} {option.metavar}".rstrip() for option in options_of(magic)]
        known = " and ".join([takes, *options] if most else options or [takes])
        raise UsageError(f"%{magic} takes {known}, not {' '.join(words[most:])!r}.")
    return words, {field: value for field, (_, value) in given.items()}


def read_prompt_line(line: str) -> tuple[Options, list[str]]:
    """Parse a line of `%qwen_prompt`; return its options and its words: a name, then fields.

    Raises `UsageError`.
    """
    words, given = _words_and_options(OptionScanner(line, "qwen_prompt"))
    return _options(given), words


def read_arguments(typed: Iterable[tuple[Option, str, str]]) -> Options:
    """Parse the options of a shell's command line: each as (option, spelling, text of its value).

    Raises `OptionError`.
    """
    given: _Given = {}
    for option, name, text in typed:
        # A shell leaves no quotes: a file with a comma in its name is one.
        is_file = option.kind == "files" and os.path.exists(text)
        _take(given, option, name, text, quoted=is_file)
    return _options(given)


# What was typed, by field: its spelling and its value.
_Given = dict[str, tuple[str, object]]


def _read_options(scanner: OptionScanner, before: _Given | None = None) -> _Given:
    """Read options up to the next word, and add them to those of `before`."""
    given = dict(before or {})
    while found := scanner.next_option():
        option, name, attached = found
        text = scanner.value(name, attached) if option.takes_value else ""
        _take(given, option, name, text, quoted=scanner.quoted)
    return given


def _take(given: _Given, option: Option, name: str, text: str, *, quoted: bool) -> None:
    """Parse the value `text` of an option spelled `name`, and add it to `given`."""
    value: object = option.value
    if option.takes_value:
        value = read_value(option, name, text, quoted=quoted)
    if option.field == "think" and given.get("think", ("", value))[1] != value:
        raise OptionError("--think and --no-think contradict each other.")
    if option.repeatable and isinstance(value, tuple):
        value = _extended(given.get(option.field, ("", ()))[1], value)
    given[option.field] = (name, value)


def _words_and_options(scanner: OptionScanner) -> tuple[list[str], _Given]:
    """Read all words and all options of a line, in any order."""
    words: list[str] = []
    given = _read_options(scanner)
    while word := scanner.shell_word():
        words.append(word)
        given = _read_options(scanner, given)
    return words, given


def _extended(earlier: object, names: tuple[str, ...]) -> tuple[str, ...]:
    """Join a repeated list option, each name once; `none` drops the names before it."""
    assert isinstance(earlier, tuple)  # only lists repeat
    joined: list[str] = [*earlier, *names]
    if "none" in joined:
        joined = joined[len(joined) - joined[::-1].index("none") :]
    return tuple(dict.fromkeys(joined))


def _options(given: _Given) -> Options:
    """Raises `OptionError` for options that cannot both be meant."""
    options = Options(**{field: value for field, (_, value) in given.items()})  # type: ignore[arg-type]
    if options.help:
        return options
    for one, other in CONTRADICTIONS:
        if one in given and other in given:
            raise OptionError(
                f"{given[one][0]} and {given[other][0]} contradict each other: "
                "a turn has one place."
            )
    if options.judge and not options.compare:
        raise OptionError("--judge says which answer of --compare is best, and needs that.")
    if disagree(options.think, options.effort):
        switch, typed = given["think"][0], given["effort"][0]
        raise OptionError(f"{switch} and {typed} {options.effort} contradict each other.")
    return options


def _without_blank_edges(body: str) -> str:
    """`body` without the blank lines around it; the indentation of its first line stays."""
    start = body.rfind("\n", 0, len(body) - len(body.lstrip())) + 1
    end = body.find("\n", len(body.rstrip()))
    return body[start:] if end < 0 else body[start:end].removesuffix("\r")
