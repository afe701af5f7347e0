"""Prompts as words, and the places in a lesson's prompt for values that the reader gives.

Two prompts are one where only case, punctuation or spaces differ:

    "What's the MEAN of 1,000 and 2.5?"  ->  whats the mean of 1000 and 2.5

What changes the meaning stays: operators, brackets, `%` and signs are words (17*23 is not 17+23,
C++ is not C), numbers are whole (2.5 is not 25, 5² is 5 ^ 2), and each Chinese or Japanese
character is a word, so that spaces between them do not matter.

A prompt matches a lesson's where all its words are the same, up to the slots. What stands there is
data: numbers, texts, lists, tables; they reach a lesson's code as JSON and nothing else.
"""

from __future__ import annotations

import ast
import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

MAX_CHARACTERS = 200_000  # a longer prompt is none of a lesson's

_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARK = "\ue000-\uf8ff"  # private use: marks of slots in a lesson's prompt
SLOT = "\ue000"  # the first of them
_TOKEN = re.compile(
    # a number: with commas, 1,000 is one, and 1,2 are two
    r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![,.]?\d)|\d+(?:[.:]\d+)*|\.\d+)(?:[eE][+-]?\d+(?!\w))?"
    rf"|[{_CJK}]"
    rf"|(?![{_CJK}\d])\w(?:(?![{_CJK}])\w|['’](?=[^\W\d_]))*"  # a word
    rf"|(?<=[\d){_MARK}])!"  # 5! is a number
    r"|(?<=\d)–(?=\d)"
    r"|(?<![^\W\d_])-|-(?![^\W\d_])"  # but not that of p-value
    r"|[^\s\-!–.,;:?…\"'`“”‘’«»„‚‹›。、「」『』《》〈〉—¡¿·‐]"
)
_ENDING = re.compile(r"(?:\s*[.!?…。！？])*")
_SETS_OFF = frozenset(":\n\"'`“”‘„‚«‹「『《")
_WITHIN = re.compile(r"['’,]")  # what is left out of a token
_SAME = {"×": "*", "⋅": "*", "÷": "/", "−": "-"}
_PREFIXED = {"<super>": "^", "<sub>": "_", "<fraction>": " ", "<circle>": " "}
_POLITE = re.compile(
    r"^\W*(?:(?:please|hey|(?:can|could|would) you)\b[\s,]+)+(?=\S)"
    r"|(?<=[,.!?])\s*(?:please|thanks)\W*$",  # set off: no part of the question
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text; `places` are their positions in the normalized `text`."""

    text: str
    words: tuple[str, ...]
    places: tuple[tuple[int, int], ...]

    def is_set_off(self, at: int) -> bool:
        """Whether a colon, a quotation mark or a new line precedes word `at`."""
        between = self.text[self.places[at - 1][1] : self.places[at][0]] if at else ""
        return not _SETS_OFF.isdisjoint(between)

    def raw(self, start: int, end: int) -> str:
        """The text from word `start` up to word `end`, as typed."""
        return self.text[self.places[start][0] : self.places[end - 1][1]]


@lru_cache(maxsize=500)
def read_words(text: str) -> Words:
    """The text's words, without polite ones around it; none where it is too long."""
    prepared = _prepared(text) if len(text) <= MAX_CHARACTERS else ""
    tokens = list(_TOKEN.finditer(prepared))
    words = tuple(_WITHIN.sub("", token[0]).casefold() for token in tokens)
    return Words(prepared, words, tuple(token.span() for token in tokens))


def normalised(text: str) -> tuple[str, ...]:
    return read_words(text).words


def _prepared(text: str) -> str:
    """NFKC, with a mark where that would join what was apart: 5² becomes 5^2, not 52."""
    marked = []
    for character in text:
        kind = unicodedata.decomposition(character).partition(" ")[0]
        marked.append(_PREFIXED.get(kind, "") + _SAME.get(character, character))
    return _POLITE.sub("", unicodedata.normalize("NFKC", "".join(marked)).replace("\u2044", "/"))


def is_slot(word: str) -> bool:
    return "\ue000" <= word <= "\uf8ff"


# Slots.

Values: TypeAlias = dict[str, Any]

KINDS = ("number", "integer", "numbers", "word", "text", "table", "columns")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?")
_MAX_STEPS = 20_000  # of one search: more, and the prompt is none of this lesson's
# The product's description of a DataFrame, and the rows in the code that rebuilds one.
_DESCRIBED = re.compile(
    r"^The variable `([^`\n]+)` \(.* of my notebook\. What stands ", re.MULTILINE
)
_ROWS = re.compile(r'^DATA = (""".*?""")$', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Slot:
    """What may stand in a slot, as a lesson's head says it. `type`: one of `KINDS`, or the words to
    choose from; `has`, `columns`: what must be in it. Raises `TypeError`, `ValueError`."""

    type: str | Sequence[str] = ""
    example: str = ""
    has: Sequence[str] = ()
    columns: Sequence[str] = ()
    min: float = float("-inf")
    max: float = float("inf")

    def __post_init__(self) -> None:
        if self.type not in KINDS and not isinstance(self.type, list):
            raise ValueError(f"a slot's type is a list of words, or one of {', '.join(KINDS)}")


class Pattern:
    """A prompt of a lesson, with its slots."""

    def __init__(self, prompt: str, slots: Mapping[str, Slot]) -> None:
        self.prompt = self.example = marked = prompt
        self.slots = {name: slot for name, slot in slots.items() if f"{{{name}}}" in prompt}
        for number, (name, slot) in enumerate(self.slots.items()):
            marked = marked.replace(f"{{{name}}}", chr(ord(SLOT) + number))
            example = slot.example or (slot.type[0] if isinstance(slot.type, list) else "")
            self.example = self.example.replace(f"{{{name}}}", example).strip()
        self.words = normalised(marked)

    def match(self, prompt: Words) -> Values | None:
        """The values of the slots; None if the prompt does not match."""
        if not self.slots:
            return {} if prompt.words == self.words else None
        return self._search(prompt, 0, 0, {}, [_MAX_STEPS])

    def _search(
        self, prompt: Words, place: int, at: int, values: Values, left: list[int]
    ) -> Values | None:
        """The values where the pattern from word `place` fits the prompt from word `at`, found by
        backtracking over how many words a slot takes."""
        words, asked = self.words, prompt.words
        while place < len(words) and not is_slot(words[place]):
            if asked[at : at + 1] != words[place : place + 1]:
                return None
            place, at = place + 1, at + 1
        if place == len(words) or at == len(asked):
            return values if (place, at) == (len(words), len(asked)) else None
        name, slot = list(self.slots.items())[ord(words[place]) - ord(SLOT)]
        if slot.type == "text" and f": {{{name}}}" in self.prompt and not prompt.is_set_off(at):
            return None
        for end, value in _candidates(slot, prompt, at):
            left[0] -= 1
            if left[0] < 0:
                return None
            fits = all(text in prompt.raw(at, end) for text in slot.has)
            if not fits or values.get(name, value) != value:  # a slot twice is the same twice
                continue
            found = self._search(prompt, place + 1, end, {**values, name: value}, left)
            if found is not None:
                return found
        return None


def _candidates(slot: Slot, prompt: Words, at: int) -> Iterator[tuple[int, Any]]:
    """(the word after it, value) for each way in which the slot may stand at word `at`."""
    words, end = prompt.words, len(prompt.words)
    match slot.type:
        case list():
            for choice in slot.type:
                wanted = normalised(choice)
                if words[at : at + len(wanted)] == wanted:
                    yield at + len(wanted), choice
        case "number" | "integer":
            after, value = _number(words, at)
            whole = slot.type == "number" or isinstance(value, int)
            if value is not None and whole and slot.min <= value <= slot.max:
                yield after, value
        case "numbers":
            yield from _numbers(words, at)
        case "word":
            if re.fullmatch(r"[^\W\d_]\w*", words[at]):
                yield at + 1, prompt.raw(at, at + 1)
        case "text":
            yield from ((after, prompt.raw(at, after)) for after in range(at + 1, end))
            marks = _ENDING.match(prompt.text, prompt.places[-1][1])
            yield end, prompt.raw(at, end) + (marks[0] if marks else "")
        case _:
            table = read_table(slot, prompt.text[prompt.places[at][0] :])
            if table is not None:
                yield end, table


def _number(words: Sequence[str], at: int) -> tuple[int, int | float | None]:
    """(the word after it, the number at `at` with its sign); None where there is none."""
    sign = words[at] if at < len(words) and words[at] in ("-", "+") else ""
    at += bool(sign)
    written = words[at] if at < len(words) else ""
    if not _NUMBER.fullmatch(written) or len(written) > 300:
        return at, None
    value = int(written) if written.isdigit() else float(written)
    return at + 1, -value if sign == "-" else value


def _numbers(words: Sequence[str], at: int) -> Iterator[tuple[int, list[int | float]]]:
    """Numbers with commas, spaces or "and" between them, perhaps in brackets; the most first."""
    closing = {"[": "]", "(": ")"}.get(words[at], "")
    at += bool(closing)
    ends: list[int] = []
    found: list[int | float] = []
    while at < len(words):
        at, value = _number(words, at + bool(found and words[at] in ("and", "&", "和", "与")))
        if value is None:
            break
        ends.append(at)
        found.append(value)
    for count in range(len(found), 0, -1):
        end = ends[count - 1]
        if not closing or words[end : end + 1] == (closing,):
            yield end + bool(closing), found[:count]


def read_table(slot: Slot, text: str) -> Values | None:
    """{"name", "columns"} of a DataFrame that the product describes in the text; for a `table` also
    "rows", out of the code that rebuilds it (which is read, and never run). None where there is
    none, or where it lacks the slot's columns."""
    told, written = _DESCRIBED.search(text), _ROWS.search(text)
    if told is None:
        return None
    if slot.type == "columns":
        there = all(f"{name!r}: " in text for name in slot.columns)
        return {"name": told[1], "columns": list(slot.columns)} if there else None
    try:
        data = ast.literal_eval(written[1]) if written else ""
        header, *lines = csv.reader(io.StringIO(data, newline=""), strict=True)
        columns = [_typed(column) for column in zip(*lines, strict=True)]
    except (csv.Error, SyntaxError, ValueError):
        return None
    rows = [list(row) for row in zip(*columns, strict=True)]
    there = set(slot.columns) <= set(header) and len(columns) in (0, len(header))
    return {"name": told[1], "columns": header, "rows": rows} if there else None


def _typed(cells: Sequence[str]) -> Sequence[object]:
    """A column's cells as numbers, or true and false, where all of them are; empty ones null."""
    for read in (int, float, {"True": True, "False": False}.__getitem__):
        try:
            return [read(cell) if cell else None for cell in cells]
        except (ValueError, KeyError):
            continue
    return [cell or None for cell in cells]
