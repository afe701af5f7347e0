"""Values of the notebook in a prompt: `{name}`, `{name.attr}`, `{name[0]}`, `{name["k"]}`.

A reference is one of these forms or a chain of them, without spaces, directly between braces. It
expands where its first name is in the namespace. Everything else in braces stays as typed: JSON,
comprehensions, TypeScript, LaTeX, formats (`{x:.2f}`), calls, private attributes. Nothing is
evaluated, and what came out of a value is never looked at again.

Braces pair up around a reference from the inside: one pair expands, two pairs are one literal pair
(`{{name}}` gives `{name}`), three are a literal pair around the value. Where the counts differ, as
in `{"a": {name}}`, the rest is text. Doubled braces around anything that would not expand stay as
typed, so that pasted templates, nested dicts and sets keep every brace.

Nothing expands in fences, inline code or maths: see the second half.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from qwen_magic.context.description import describe as describe_value

_FENCE: Final = re.compile(
    r"^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*(?P<mark>`{3,}(?=[^`\n]*$)|~{3,})", re.MULTILINE
)
_PARAGRAPH_END: Final = re.compile(r"\n[ \t\r]*(?:\n|\Z)")
_BACKTICKS: Final = re.compile(r"`+")
_MATHS_ENDS: Final = {"$$": "$$", "\\(": "\\)", "\\[": "\\]"}
_TEX_OPTIONS: Final = re.compile(r"\*?(?:\[[^\]\n]*\])?")

# Bounds, in characters, on the search for what closes: many openers that nothing closes stay cheap.
_LONGEST_MATHS: Final = 4_000
_LONGEST_ARGUMENT: Final = 400

# What may open a verbatim stretch; `end_of_verbatim` finds where it closes. An escaped character
# is matched first, so that it opens nothing.
OPENERS: Final = r"\\[\\$`]|`+|\$\$?|\\[(\[]|\\[A-Za-z]{2,}"

_REFERENCE: Final = (
    r"(?P<root>[^\W\d]\w*)"
    r"(?P<path>(?:\.[^\W\d]\w*|\[-?\d{1,18}\]|\[\"[^\"\\\n]*\"\]|\['[^'\\\n]*'\])*)"
)
# The look-behind and the possessive quantifier keep a long run of braces linear.
_BRACED: Final = re.compile(r"(?<!\{)(?P<open>\{++)" + _REFERENCE + r"(?P<close>\}++)")
_SCAN: Final = re.compile(rf"{_BRACED.pattern}|(?P<opener>{OPENERS})")
_STEP: Final = re.compile(r"\.(?P<attribute>\w+)|\[(?P<index>-?\d+)\]|\[(?P<key>[\"'].*?[\"'])\]")
_ONLY: Final = re.compile(r"\s*\{" + _REFERENCE + r"\}\s*")


@dataclass(frozen=True, slots=True)
class Expansion:
    """A reference that was replaced.

    `name`: as typed, without braces; `chars`: the length of `value_text`; `count`: how often it
    occurs; `cut`: which part of the value is shown, if not all.
    """

    name: str
    value_text: str
    chars: int
    count: int = 1
    cut: str = ""


@dataclass(frozen=True, slots=True)
class Interpolated:
    """The text to send, the references replaced, and those left as typed."""

    text: str
    expanded: tuple[Expansion, ...] = ()
    unknown: tuple[str, ...] = ()


class _NoValueError(LookupError):
    """A reference has no value, or one that must not be shown."""


def interpolate(
    text: str,
    namespace: Mapping[str, object],
    *,
    describe: Callable[[object], str] = describe_value,
) -> Interpolated:
    """Replace the references in `text` by values of `namespace`, described by `describe`.

    A reference whose name is unknown, or whose lookup fails, stays as typed and is listed in
    `unknown`. Raises only what `describe` raises.
    """
    values: dict[str, str] = {}
    counts: Counter[str] = Counter()
    unknown: dict[str, None] = {}

    def expand(reference: re.Match[str]) -> str:
        name = reference["root"] + reference["path"]
        opened, closed = len(reference["open"]), len(reference["close"])
        pairs = min(opened, closed)
        if reference["root"] not in namespace or _is_private(reference):
            if pairs % 2:
                unknown[name] = None
            return reference[0]
        left, right = "{" * (opened - pairs + pairs // 2), "}" * (closed - pairs + pairs // 2)
        if pairs % 2 == 0:
            return left + name + right
        if name not in values:
            try:
                values[name] = describe(_look_up(reference, namespace))
            except _NoValueError:
                unknown[name] = None
                return reference[0]
        counts[name] += 1
        return left + values[name] + right

    parts = [part if isinstance(part, str) else expand(part) for part in _parts(text)]
    expanded = tuple(
        Expansion(name, value, len(value), counts[name], getattr(value, "cut", ""))
        for name, value in values.items()
    )
    return Interpolated("".join(parts), expanded, tuple(unknown))


def single_reference(text: str, namespace: Mapping[str, object]) -> object | None:
    """The value if `text` is a single `{reference}`, apart from white space; else None."""
    try:
        return look_up(text, namespace)
    except LookupError:
        return None


def look_up(text: str, namespace: Mapping[str, object]) -> object:
    """The value if `text` is a single `{reference}`. Raises `LookupError`."""
    reference = _ONLY.fullmatch(text)
    if reference is None or reference["root"] not in namespace or _is_private(reference):
        raise _NoValueError
    return _look_up(reference, namespace)


def open_reference(text: str) -> str | None:
    """The part of a reference typed so far at the end of `text`, for completion.

    None if no reference is open there: no brace, doubled braces, code, maths.
    """
    found = re.search(r"(?<!\{)\{((?:[^\W\d]\w*)?)\Z", text)
    if found is None:
        return None
    # Closed by a name that stands for any, the stretch is a reference, or part of code.
    parts = [part for part in _parts(text[: found.start()] + "{x}") if part != ""]
    return None if isinstance(parts[-1], str) else found[1]


def _parts(text: str) -> Iterator[str | re.Match[str]]:
    """Split `text` into literal strings and matches that look like references."""
    position = 0
    for start, end in [*fences(text), (len(text), len(text))]:
        yield from _parts_outside_fences(text, position, start)
        yield text[start:end]
        position = end


def _parts_outside_fences(text: str, start: int, end: int) -> Iterator[str | re.Match[str]]:
    position, limit = start, start
    while found := _SCAN.search(text, position, end):
        if found["opener"] is None:
            yield text[start : found.start()]
            yield found
            start = position = found.end()
            continue
        if found.start() >= limit:
            after = _PARAGRAPH_END.search(text, found.start(), end)
            limit = after.start() if after else end
        position = end_of_verbatim(text, found, limit)
    yield text[start:end]


def _is_private(reference: re.Match[str]) -> bool:
    """Whether the reference has a dunder or private name; `_` and `_3` are outputs, so they do not
    count.
    """
    return reference["root"].startswith("__") or any(
        (step["attribute"] or "").startswith("_") for step in _STEP.finditer(reference["path"])
    )


def _look_up(reference: re.Match[str], namespace: Mapping[str, object]) -> object:
    try:
        value = namespace[reference["root"]]
        for step in _STEP.finditer(reference["path"]):
            value = _follow(value, step)
    except Exception as error:  # properties and __getitem__ may raise anything
        raise _NoValueError from error
    return value


def _follow(value: object, step: re.Match[str]) -> object:
    if step["attribute"]:
        return getattr(value, step["attribute"])
    key: int | str = int(step["index"]) if step["index"] else step["key"][1:-1]
    if isinstance(value, dict) and key not in value:
        raise KeyError(key)  # a defaultdict would grow by a lookup
    return value[key]  # type: ignore[index]


# Code and maths ----------------------------------------------------------------------------------
#
# Where a prompt is code or maths, in which nothing is ever expanded:
#
# - Fences: a line that opens with three or more backticks or tildes (also in quotes and lists), up
#   to the line that closes them, or the end.
# - Outside fences, inside one paragraph: code between equal runs of backticks; `$$…$$`, `\(…\)`,
#   `\[…\]`; the arguments of a TeX command (`\frac{a}{b}`, two letters or more, so that a typed
#   `\n{name}` still expands).
# - `$…$` is maths by pandoc's rule, on one line: no space inside the dollars, no letter or digit
#   around them; two prices are not.


def fences(text: str) -> list[tuple[int, int]]:
    """The fenced code in `text`, as (start, end) offsets in order."""
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


def end_of_verbatim(text: str, opener: re.Match[str], limit: int) -> int:
    """The offset after the code or maths that `opener` starts, or after `opener` if it starts
    none.
    """
    mark, after = opener[0], opener.end()
    if mark[0] == "`":
        return _end_of_code(text, mark, after, limit)
    if mark == "$":
        return _end_of_dollars(text, opener.start(), limit)
    if mark in _MATHS_ENDS:
        return _end_at(text, _MATHS_ENDS[mark], after, limit)
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
    """The offset after the `{…}` arguments of a TeX command on this line."""
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
    """The offset after the brace that closes the one at `start`; 0 if there is none."""
    depth = 0
    for position in range(start, stop):
        if text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if not depth:
                return position + 1
    return 0
