"""What an option's value may be."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final

from qwen_magic.errors import OptionError, UsageError
from qwen_magic.magics.option_table import EFFORTS, Option

MIN_OUTPUT_TOKENS: Final = 16
_CHAT_NAME: Final = re.compile(r"\w[\w.+-]{0,63}")

# field: what is allowed, what is said about it
_RANGES: Final[Mapping[str, tuple[Callable[[float], bool], str]]] = {
    "temperature": (lambda x: 0 <= x < 2, "a number from 0 up to, not including, 2"),
    "top_p": (lambda x: 0 < x <= 1, "a number above 0, up to 1"),
    "max_output_tokens": (
        lambda x: x >= MIN_OUTPUT_TOKENS,
        f"a whole number, at least {MIN_OUTPUT_TOKENS}",
    ),
    "timeout": (lambda x: x > 0, "a number of seconds above 0"),
}


def read_value(option: Option, typed: str, text: str) -> object:
    """`text` as the value of `option`, which stood as `typed`. Raises `OptionError`."""
    match option.kind:
        case "list":
            return read_names(typed, text)
        case "effort":
            return _effort(typed, text)
        case "number" | "integer":
            return _number(option, typed, text)
        case "variable":
            return _variable(typed, text)
        case "chat":
            return _chat(typed, text)
        case "rows":
            return _rows(typed, text)
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


def read_names(typed: str, text: str) -> tuple[str, ...]:
    """The names of a list with commas. Raises `OptionError` where one is missing: in
    `-t web_search, web_extractor` the second would be taken for the prompt."""
    names = tuple(name.strip() for name in re.split("[,，]", text))
    if not all(names):
        shown = " ".join(text.split())
        raise OptionError(f"{typed} {shown} lacks a name beside a comma; write {typed} a,b")
    return names


def check_chat_name(name: str) -> str:
    """`name`, where it can name a conversation. Raises `UsageError`."""
    if not _CHAT_NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a conversation.",
            hint="A name begins with a letter or digit, and has letters, digits and . _ + - only, "
            "at most 64.",
        )
    return name


def _effort(typed: str, text: str) -> str:
    if text in EFFORTS:
        return text
    near = get_close_matches(text.lower(), EFFORTS, n=1)
    wanted = f"did you mean {near[0]}?" if near else f"it takes {', '.join(EFFORTS)}."
    raise OptionError(f"{typed} {' '.join(text.split())} does not exist; {wanted}")


def _number(option: Option, typed: str, text: str) -> float | int:
    allowed, wanted = _RANGES[option.field]
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
