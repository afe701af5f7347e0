"""What Tab offers after `%qwen`, `%%qwen` and the others: a pure function of text and cursor.

In the options: their names and values. A conversation's name after `%qwen_chat`. In the prompt, of
the line or of the body of a cell: `{names` of the notebook. Elsewhere nothing, so that IPython's
own completion goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from qwen_magic.context.interpolation import open_reference
from qwen_magic.errors import OptionError
from qwen_magic.magics.line import OptionScanner
from qwen_magic.options import COMPARABLE, Option, compared_option, options_of

# `x = %qwen`, `a, b = %qwen`, `x["k"] = %qwen` as well.
_LINE_MAGIC: Final = re.compile(
    r"[ \t]*(?:[^\n=%{}]+=[ \t]*)?(?:%(?=%qwen[ \t]))?%(?P<magic>qwen(?:_[a-z]+)?)(?=[ \t])"
)
_CELL_MAGIC: Final = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*%%qwen(?=[ \t\n]|\Z)")
_WITH_PROMPT: Final = ("qwen", "qwen_fix", "qwen_edit")
# How many words may stand before an option: none where they begin a prompt.
_WORDS: Final = {"qwen": 0, "qwen_fix": 0, "qwen_chat": 1, "qwen_prompt": 100}
_LAST_WORD: Final = re.compile(r"\S*\Z")
_COMMAS: Final = re.compile("[,，]")


@dataclass(frozen=True, slots=True)
class Completions:
    """`matches` may each stand for `text[start:end]`. Empty matches: nothing to offer."""

    start: int
    end: int
    matches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choices:
    """What can be offered. `names` (of the notebook's variables) and `prompts` (the fields of each
    prompt file) are asked only when needed."""

    models: Sequence[str]
    tools: Sequence[str]
    chats: Sequence[str]
    names: Callable[[], Iterable[str]]
    prompts: Callable[[], Mapping[str, Sequence[str]]] = dict


def complete(text: str, cursor: int, choices: Choices) -> Completions:
    """What Tab offers at `cursor` (an offset into `text`, a whole cell or a line)."""
    line_start = text.rfind("\n", 0, cursor) + 1
    cell = _CELL_MAGIC.match(text)
    if cell and line_start > cell.end():
        return _reference(text, cell.end(), cursor, choices)
    magic = _LINE_MAGIC.match(text, line_start, cursor)
    if magic is None:
        return Completions(cursor, cursor)
    found = _in_line(text[magic.end() : cursor], cursor, magic["magic"], choices)
    if found is not None:
        return found
    if magic["magic"] not in _WITH_PROMPT:
        return Completions(cursor, cursor)
    return _reference(text, magic.end(), cursor, choices)


def _in_line(typed: str, cursor: int, magic: str, choices: Choices) -> Completions | None:
    """What the options of a line offer at its end; None where a prompt is being typed."""
    last = _LAST_WORD.search(typed)
    word = last[0] if last else ""
    before = _before(typed[: len(typed) - len(word)], magic)
    if isinstance(before, Option):
        return _values(before, word, cursor, choices)
    if before is None:
        return None
    if not word.startswith("-"):
        if magic == "qwen_prompt":
            return _prompts(typed, word, cursor, choices)
        named = magic == "qwen_chat" and not before
        return _matching(word, choices.chats, cursor) if named else None
    option, value = _attached(word, magic)
    return _values(option, value, cursor, choices) if option else _flags(word, cursor, magic)


def _prompts(typed: str, word: str, cursor: int, choices: Choices) -> Completions:
    """The names of prompt files, or after one of them its fields."""
    prompts = choices.prompts()
    earlier = typed.split()[: -1 if word else None]
    named = next((each for each in earlier if each in prompts), None)
    if named is None:
        return _matching(word, sorted(prompts), cursor)
    given = {each.partition("=")[0] for each in earlier}
    return _matching(word, [f"{f}=" for f in prompts[named] if f not in given], cursor)


def _before(typed: str, magic: str) -> Option | int | None:
    """What comes after `typed`, which ends in white space: the value of an option; or one more
    option, where the number says how many words stand before it that are none. None where options
    have ended."""
    scanner = OptionScanner(typed, magic)
    words = 0
    try:
        while True:
            while found := scanner.next_option():
                option, name, attached = found
                if not option.takes_value:
                    continue
                if attached is None and not typed[scanner.position :].strip():
                    return option
                scanner.value(name, attached)
            if scanner.ended:
                return None
            if not scanner.word():
                return words
            words += 1
            if words > _WORDS.get(magic, 2):
                return None
    except OptionError:
        return None


def _attached(word: str, magic: str) -> tuple[Option | None, str]:
    """The option and the beginning of its value in `--model=q` or `-mq`."""
    known = {name: option for option in options_of(magic) for name in option.spellings}
    name, equals, value = word.partition("=")
    option = known.get(name)
    if equals and option:
        return (option, value) if option.takes_value else (None, "")
    if len(word) > 2 and not word.startswith("--"):
        option = known.get(word[:2])
        return (option, word[2:]) if option and option.takes_value else (None, "")
    return None, ""


def _flags(word: str, cursor: int, magic: str) -> Completions:
    offered = [name for option in options_of(magic) for name in option.spellings]
    # Long names first: they explain themselves.
    return _matching(word, sorted(offered, key=lambda name: not name.startswith("--")), cursor)


def _values(option: Option, word: str, cursor: int, choices: Choices) -> Completions:
    earlier: list[str] = []
    if option.kind in ("list", "files"):
        *earlier, word = _COMMAS.split(word)
    if option.offers == "compared":
        return _compared(earlier, word, cursor, choices)
    if option.offers == "references":
        if word.startswith("@"):
            return _matching(word, [f"@{name}" for name in sorted(choices.prompts())], cursor)
        opened = open_reference(word.lstrip("\"'"))
        if opened is None:
            return Completions(cursor, cursor)
        return _braced(opened, "}", cursor, choices)
    if option.offers == "names":
        offered: Iterable[str] = _public(choices.names(), word)
    else:
        # A server's names are put into a cell: nothing in one may end the line or the word.
        models = [name for name in choices.models if name.isprintable() and " " not in name]
        lists = {"models": models, "tools": choices.tools, "chats": choices.chats}
        offered = lists.get(option.offers, option.choices)
    return _matching(word, [name for name in offered if name not in earlier], cursor)


def _compared(earlier: list[str], word: str, cursor: int, choices: Choices) -> Completions:
    """Models, or values of the option that the first word of `--compare` names."""
    option, first = compared_option((earlier or [word])[0])
    if option is None:
        return Completions(cursor, cursor)
    found = _values(option, word if earlier else first, cursor, choices)
    if first == word and not earlier:  # it may become an option's name
        names = [f"{name}=" for name in COMPARABLE if f"{name}=".startswith(first)]
        matches = [*found.matches, *names]
    else:
        matches = [match for match in found.matches if match not in (first, *earlier)]
    return Completions(found.start, cursor, tuple(matches))


def _reference(text: str, prompt_start: int, cursor: int, choices: Choices) -> Completions:
    """The names that can follow an open brace at the cursor."""
    opened = open_reference(text[prompt_start:cursor])
    if opened is None:
        return Completions(cursor, cursor)
    closing = "" if text[cursor : cursor + 1] == "}" else "}"
    return _braced(opened, closing, cursor, choices)


def _braced(opened: str, closing: str, cursor: int, choices: Choices) -> Completions:
    names = _public(choices.names(), opened)
    matches = tuple(name + closing for name in names if name.startswith(opened))
    return Completions(cursor - len(opened), cursor, matches)


def _public(names: Iterable[str], typed: str) -> list[str]:
    return sorted(name for name in names if typed.startswith("_") or not name.startswith("_"))


def _matching(word: str, offered: Iterable[str], cursor: int) -> Completions:
    matches = dict.fromkeys(name for name in offered if name.startswith(word))
    return Completions(cursor - len(word), cursor, tuple(matches))
