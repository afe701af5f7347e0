"""The places in a lesson's prompt for values that the reader gives, and prompts matched with them.

A prompt matches where all its words equal the pattern's, up to the slots. Values are data: numbers,
texts, lists, tables; they reach a lesson's code as JSON and nothing else.
"""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from qwen_magic.demo.words import SLOT, Words, is_slot, normalised

Values: TypeAlias = dict[str, Any]

KINDS = ("number", "integer", "numbers", "word", "text", "table", "columns")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?")
_MAX_STEPS = 20_000  # of one search: more, and the prompt is none of this lesson's
# The product's description of a DataFrame, and the rows in the code that rebuilds one.
_DESCRIBED = re.compile(
    r"^The variable `([^`\n]+)` \(.* of my notebook\. What stands ", re.MULTILINE
)
_ROWS = re.compile(r'^DATA = (""".*?""")$', re.DOTALL | re.MULTILINE)
_CSV = re.compile(r"(?:`*csv\n)?(.*?)(?:\n`{3,}\s*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Slot:
    """What may stand in a slot. `choices`: one of these only; `has`: texts that are in it."""

    kind: str = "word"
    example: str = ""
    choices: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    least: float = float("-inf")
    most: float = float("inf")


def read_slot(spec: object) -> Slot:
    """A slot as a lesson's head gives it: a kind, a list of words, or a mapping. Raises
    `ValueError`."""
    given: dict[str, Any] = spec if isinstance(spec, dict) else {"type": spec}
    if set(given) - {"type", "example", "has", "columns", "min", "max"}:
        raise ValueError("a slot has a type, an example, has, columns, min and max")
    kind = given.get("type")
    choices = tuple(map(str, kind)) if isinstance(kind, list) else ()
    if not choices and kind not in KINDS:
        raise ValueError(f"a slot's type is a list of words, or one of {', '.join(KINDS)}")
    return Slot(
        "choice" if choices else str(kind),
        str(given.get("example", choices[0] if choices else "")),
        choices,
        tuple(map(str, given.get("has", ()))),
        tuple(map(str, given.get("columns", ()))),
        float(given.get("min", "-inf")),
        float(given.get("max", "inf")),
    )


class Pattern:
    """One prompt of a lesson, with its slots."""

    def __init__(self, prompt: str, slots: Mapping[str, Slot]) -> None:
        self.prompt = self.example = marked = prompt
        self.slots = {name: slot for name, slot in slots.items() if f"{{{name}}}" in prompt}
        for number, (name, slot) in enumerate(self.slots.items()):
            marked = marked.replace(f"{{{name}}}", chr(ord(SLOT) + number))
            self.example = self.example.replace(f"{{{name}}}", slot.example).strip()
        self.words = normalised(marked)
        self.set_off = {
            name
            for name, slot in self.slots.items()
            if slot.kind == "text" and f": {{{name}}}" in prompt
        }

    def match(self, prompt: Words) -> Values | None:
        """The slots' values; None where the prompt is another."""
        if not self.slots:
            return {} if prompt.words == self.words else None
        return _Search(self, prompt).run(0, 0, {})


class _Search:
    """Words against pattern, with backtracking over how many words a slot takes."""

    def __init__(self, pattern: Pattern, prompt: Words) -> None:
        self._words = pattern.words
        self._set_off = pattern.set_off
        self._slots = list(pattern.slots.items())
        self._prompt = prompt
        self._steps = 0

    def run(self, place: int, at: int, values: Values) -> Values | None:
        """The values where the pattern from word `place` fits the prompt from word `at`."""
        words, asked = self._words, self._prompt.words
        while place < len(words) and not is_slot(words[place]):
            if asked[at : at + 1] != words[place : place + 1]:
                return None
            place, at = place + 1, at + 1
        if place == len(words):
            return values if at == len(asked) else None
        name, slot = self._slots[ord(words[place]) - ord(SLOT)]
        if name in self._set_off and not self._prompt.is_set_off(at):
            return None
        for end, value in _candidates(slot, self._prompt, at) if at < len(asked) else ():
            self._steps += 1
            if self._steps > _MAX_STEPS:
                return None
            fits = all(text in self._prompt.raw(at, end) for text in slot.has)
            if not fits or values.get(name, value) != value:  # a slot twice is the same twice
                continue
            if (found := self.run(place + 1, end, {**values, name: value})) is not None:
                return found
        return None


def _candidates(slot: Slot, prompt: Words, at: int) -> Iterator[tuple[int, Any]]:
    """(the word after it, value) for each way in which the slot may stand at word `at`."""
    words, end = prompt.words, len(prompt.words)
    match slot.kind:
        case "choice":
            for choice in slot.choices:
                wanted = normalised(choice)
                if words[at : at + len(wanted)] == wanted:
                    yield at + len(wanted), choice
        case "number" | "integer":
            after, value = _number(words, at)
            whole = slot.kind == "number" or isinstance(value, int)
            if value is not None and whole and slot.least <= value <= slot.most:
                yield after, value
        case "numbers":
            yield from _numbers(words, at)
        case "word":
            if re.fullmatch(r"[^\W\d_]\w*", words[at]):
                yield at + 1, prompt.raw(at, at + 1)
        case "text":
            yield from ((after, prompt.passage(at, after)) for after in range(at + 1, end + 1))
        case "columns":
            rest = prompt.raw(at, end)
            told = _DESCRIBED.search(rest)
            if told and all(f"{name!r}: " in rest for name in slot.columns):
                yield end, {"name": told[1], "columns": list(slot.columns)}
        case _:
            table = read_table(prompt.text[prompt.places[at][0] :])
            if table is not None and set(slot.columns) <= set(table["columns"]):
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
    found: list[tuple[int, int | float]] = []
    while at < len(words):
        end, value = _number(words, at + bool(found and words[at] in ("and", "&", "和", "与")))
        if value is None:
            break
        found.append((end, value))
        at = end
    for count in range(len(found), 0, -1):
        values = [value for _, value in found[:count]]
        if not closing:
            yield found[count - 1][0], values
        elif words[at : at + 1] == (closing,):
            yield at + 1, values
            return


def read_table(text: str) -> Values | None:
    """{"name", "columns", "rows"} of the CSV that the text is, or of the rows in the product's code
    that rebuilds a DataFrame (which is read, and never run); None where there are none.

    A column's cells become numbers, or true and false, where all of them are; empty ones null.
    """
    told = _DESCRIBED.search(text)
    rows = _ROWS.search(text) if told else None
    fenced = _CSV.fullmatch(text.strip())
    try:
        written = ast.literal_eval(rows[1]) if rows else fenced[1] if fenced else ""
        lines = [line for line in csv.reader(io.StringIO(written, newline=""), strict=True) if line]
    except (csv.Error, SyntaxError, ValueError):
        return None
    if len(lines) < 2 or len(lines[0]) < 2 or any(len(line) != len(lines[0]) for line in lines):
        return None
    cells = [[cell.strip() for cell in line] for line in lines]
    columns = [_typed(column) for column in zip(*cells[1:], strict=True)]
    table = [list(row) for row in zip(*columns, strict=True)]
    return {"name": told[1] if told else "", "columns": cells[0], "rows": table}


def _typed(cells: Sequence[str]) -> Sequence[object]:
    there = {cell.lower() for cell in cells if cell}
    if there and there <= {"true", "false"}:
        return [cell.lower() == "true" if cell else None for cell in cells]
    for read in (int, float):
        try:
            return [read(cell) if cell else None for cell in cells]
        except ValueError:
            continue
    return [cell or None for cell in cells]
