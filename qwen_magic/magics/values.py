"""Parse the values of options."""

from __future__ import annotations

import keyword
import math
import re
from difflib import get_close_matches
from typing import Final

from qwen_magic.errors import OptionError, UsageError
from qwen_magic.options import Option

# Not the comma in `df["a,b"]`.
_COMMA: Final = re.compile(r"[,，](?![^\[]*\])")
_CHAT_NAME: Final = re.compile(r"\w[\w.+-]{0,63}")


def read_value(option: Option, typed: str, text: str, *, quoted: bool = False) -> object:
    """Parse `text` as the value of an option spelled `typed`.

    `quoted`: the text is one file name, which may contain commas. Raises `OptionError`.
    """
    match option.kind:
        case "list":
            return read_names(typed, text)
        case "files":
            return (text,) if quoted else read_names(typed, text)
        case "choice":
            return _choice(option, typed, text)
        case "number" | "integer":
            return _number(option, typed, text)
        case "variable":
            return _variable(typed, text)
        case "chat":
            return _chat(typed, text)
        case "rows":
            return _rows(typed, text)
        case "cells":
            return _cells(typed, text)
        case _:
            if not text.strip() and option.field != "system":  # an empty one clears a default
                raise OptionError(f"{typed} needs a value: {typed} {option.metavar}")
            return text


def _rows(typed: str, text: str) -> int | str:
    if text == "all":
        return text
    if not text.isdecimal():
        raise OptionError(f"{typed} takes a number of rows, or all, not {text!r}.")
    return int(text)


def _cells(typed: str, text: str) -> str:
    from qwen_magic.context.notebook import read_selection

    try:
        return str(read_selection(text))
    except UsageError as error:
        raise OptionError(f"{typed} {error.message}") from error


def read_names(typed: str, text: str) -> tuple[str, ...]:
    """Split a list at its commas.

    Raises `OptionError` for an empty name: in `-t web_search, web_extractor` the second name would
    become the prompt.
    """
    names = tuple(name.strip() for name in _COMMA.split(text))
    if not all(names):
        shown = " ".join(text.split())
        raise OptionError(f"{typed} {shown} lacks a name beside a comma; write {typed} a,b")
    return names


def check_chat_name(name: str, *, aside: bool = False) -> str:
    """Return `name` if it is valid for a conversation, else raise `UsageError`.

    With `aside`, a name that was set aside (`main~1`) is valid too.
    """
    if not _CHAT_NAME.fullmatch(re.sub(r"~\d+$", "", name) if aside else name):
        raise UsageError(
            f"{name!r} cannot name a conversation.",
            hint="A name begins with a letter or digit, and has letters, digits and . _ + - only, "
            "at most 64.",
        )
    return name


def _choice(option: Option, typed: str, text: str) -> str:
    """Accept any word, as the service may know more than these; but not a misspelling of one of
    them.
    """
    near = get_close_matches(text.lower(), option.choices, n=1, cutoff=0.7)
    if text not in option.choices and near and len(near[0]) == len(text):
        raise OptionError(f"{typed} {text} does not exist; did you mean {near[0]}?")
    if not text.strip():
        raise OptionError(f"{typed} needs a value: {typed} {option.metavar}")
    return text


def _number(option: Option, typed: str, text: str) -> float | int:
    assert option.allowed is not None  # the table says it of every number
    allowed, wanted = option.allowed
    try:
        number = int(text) if option.kind == "integer" else float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or not allowed(number):
        raise OptionError(f"{typed} takes {wanted}, not {text!r}.")
    return number


def _variable(typed: str, text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise OptionError(f"{typed} takes the name of a variable, not {text!r}.")
    return text


def _chat(typed: str, text: str) -> str:
    try:
        return check_chat_name(text)
    except UsageError as error:
        raise OptionError(f"{typed}: {error.message}", hint=error.hint) from error
