"""Where a prompt is code or maths, in which nothing is ever expanded.

Fences: a line that opens with three or more backticks or tildes (also in quotes and lists), up to
the line that closes them, or the end. Outside fences, inside one paragraph: code between equal runs
of backticks; `$$…$$`, `\\(…\\)`, `\\[…\\]`; the arguments of a TeX command (`\\frac{a}{b}`, two
letters or more, so that a typed `\\n{name}` still expands). `$…$` is maths by pandoc's rule, on one
line: no space inside the dollars, no letter or digit around them; two prices are not.
"""

from __future__ import annotations

import re
from typing import Final

_FENCE: Final = re.compile(
    r"^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?P<mark>`{3,}(?=[^`\n]*$)|~{3,})", re.MULTILINE
)
_PARAGRAPH_END: Final = re.compile(r"\n[ \t\r]*(?:\n|\Z)")
_BACKTICKS: Final = re.compile(r"`+")
_TEX_OPTIONS: Final = re.compile(r"\*?(?:\[[^\]\n]*\])?")

# Bounds, in characters, on the search for what closes: many openers that nothing closes stay cheap.
_LONGEST_MATHS: Final = 10_000
_LONGEST_ARGUMENT: Final = 400

# What may open a verbatim stretch; `end_of_verbatim` finds where it closes. An escaped character
# is matched first, so that it opens nothing.
OPENERS: Final = r"\\[\\$`]|`+|\$\$?|\\[(\[]|\\[A-Za-z]{2,}"


def fences(text: str) -> list[tuple[int, int]]:
    """The stretches of `text` that are fenced code, as (start, end) offsets in order."""
    found: list[tuple[int, int]] = []
    position = 0
    while opening := _FENCE.search(text, position):
        mark = opening["mark"]
        closing = re.compile(rf"^[ \t>]*{re.escape(mark)}{mark[0]}*[ \t\r]*$", re.MULTILINE)
        line_end = text.find("\n", opening.end())
        closed = closing.search(text, line_end + 1) if line_end >= 0 else None
        position = closed.end() if closed else len(text)
        found.append((opening.start(), position))
    return found


def paragraph_end(text: str, position: int, limit: int) -> int:
    """The offset of the blank line after `position`, or `limit`."""
    found = _PARAGRAPH_END.search(text, position, limit)
    return found.start() if found else limit


def end_of_verbatim(text: str, opener: re.Match[str], limit: int) -> int:
    """The offset after the stretch that `opener` begins, or after `opener` where it begins none."""
    mark, after = opener[0], opener.end()
    if mark[0] == "`":
        return _end_of_code(text, mark, after, limit)
    if mark == "$":
        return _end_of_dollars(text, opener.start(), limit)
    if mark == "$$":
        return _end_at(text, "$$", after, limit)
    if mark in ("\\(", "\\["):
        return _end_at(text, "\\)" if mark == "\\(" else "\\]", after, limit)
    if mark[1:].isalpha():
        return _end_of_arguments(text, after, limit)
    return after


def _end_of_code(text: str, ticks: str, after: int, limit: int) -> int:
    for run in _BACKTICKS.finditer(text, after, limit):
        if run[0] == ticks:
            return run.end()
    return after


def _end_of_dollars(text: str, start: int, limit: int) -> int:
    """By the rule of the first lines: the very next dollar closes, or nothing does."""
    after = start + 1
    close = text.find("$", after, limit)
    if close <= after or _is_word(text[start - 1 : start]) or _is_word(text[close + 1 : close + 2]):
        return after
    inside = text[after:close]
    if inside[0].isspace() or inside[-1].isspace() or "\n" in inside or inside[-1] == "\\":
        return after
    # `${low}-${high}`: two prices, not the maths `{low}-`.
    return after if text[close + 1 : close + 2] == "{" else close + 1


def _is_word(character: str) -> bool:
    """ASCII only: Chinese stands directly beside its maths."""
    return character.isascii() and character.isalnum()


def _end_at(text: str, closing: str, after: int, limit: int) -> int:
    close = text.find(closing, after, min(limit, after + _LONGEST_MATHS))
    return after if close < 0 else close + len(closing)


def _end_of_arguments(text: str, after: int, limit: int) -> int:
    """After the balanced groups on this line that follow a TeX command."""
    options = _TEX_OPTIONS.match(text, after, limit)
    position = options.end() if options else after
    if text[position : position + 1] != "{":
        return after
    line_end = text.find("\n", position, limit)
    stop = min(limit if line_end < 0 else line_end, position + _LONGEST_ARGUMENT)
    while text[position : position + 1] == "{" and (end := _end_of_group(text, position, stop)):
        position = end
    return position


def _end_of_group(text: str, start: int, stop: int) -> int:
    """The offset after the brace that closes the one at `start`; 0 where none does."""
    depth = 0
    for position in range(start, stop):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if not depth:
                return position + 1
    return 0
