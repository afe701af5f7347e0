"""The places in a lesson's prompt for values that the reader gives, and prompts matched with them.

A prompt matches where all its words equal the pattern's, up to the slots. Values are data: numbers,
texts, lists, tables; they reach a lesson's code as JSON and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from qwen_magic.demo.frames import Frame, read_csv
from qwen_magic.demo.words import Words, is_slot, normalised, slot_mark, slot_number

Values: TypeAlias = dict[str, Any]

KINDS = ("number", "integer", "numbers", "word", "text", "table", "columns")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?")
_BETWEEN = ("and", "&", "和", "与")
_PAIRS = {"[": "]", "(": ")"}
_MAX_DIGITS = 300
_MAX_STEPS = 20_000  # of one search: more, and the prompt is none of this lesson's


@dataclass(frozen=True, slots=True)
class Slot:
    """What may stand in a slot. `choices`: one of these words only."""

    kind: str = "word"
    example: str = ""
    choices: tuple[str, ...] = ()
    has: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    least: float = float("-inf")
    most: float = float("inf")


class Pattern:
    """One prompt of a lesson, with its slots."""

    def __init__(self, prompt: str, slots: Mapping[str, Slot]) -> None:
        self.prompt = prompt
        self.slots = slots
        self._names = [name for name in slots if f"{{{name}}}" in prompt]
        marked = prompt
        for number, name in enumerate(self._names):
            marked = marked.replace(f"{{{name}}}", slot_mark(number))
        self.words = normalised(marked)

    @property
    def is_literal(self) -> bool:
        return not self._names

    @property
    def example(self) -> str:
        """The prompt as a suggestion shows it."""
        text = self.prompt
        for name in self._names:
            text = text.replace(f"{{{name}}}", self.slots[name].example)
        return text.strip()

    def match(self, prompt: Words) -> Values | None:
        """The slots' values; None where the prompt is another."""
        if self.is_literal:
            return {} if prompt.words == self.words else None
        try:
            return _Search(self, self._names, prompt).run(0, 0, {})
        except _TooLongError:
            return None


class _TooLongError(Exception):
    """The search has taken more steps than a prompt is worth."""


class _Search:
    """Words against pattern, with backtracking over how many words a slot takes."""

    def __init__(self, pattern: Pattern, names: list[str], prompt: Words) -> None:
        self._pattern = pattern
        self._names = names
        self._prompt = prompt
        self._steps = 0

    def run(self, place: int, at: int, values: Values) -> Values | None:
        """The values where the pattern from word `place` fits the prompt from token `at`."""
        words, tokens = self._pattern.words, self._prompt.tokens
        while place < len(words) and not is_slot(words[place]):
            if at >= len(tokens) or tokens[at].word != words[place]:
                return None
            place, at = place + 1, at + 1
        if place == len(words):
            return values if at == len(tokens) else None
        name = self._names[slot_number(words[place])]
        slot = self._pattern.slots[name]
        for end, value in _candidates(slot, self._prompt, at) if at < len(tokens) else ():
            self._steps += 1
            if self._steps > _MAX_STEPS:
                raise _TooLongError
            if not all(text in self._prompt.raw(at, end) for text in slot.has):
                continue
            if values.get(name, value) != value:  # a slot twice is the same twice
                continue
            found = self.run(place + 1, end, {**values, name: value})
            if found is not None:
                return found
        return None


def _candidates(slot: Slot, prompt: Words, at: int) -> Iterator[tuple[int, Any]]:
    """(the token after it, value) for each way in which the slot may stand at token `at`."""
    token = prompt.tokens[at]
    match slot.kind:
        case "choice":
            for choice in slot.choices:
                words = normalised(choice)
                if prompt.words[at : at + len(words)] == words:
                    yield at + len(words), choice
        case "number" | "integer":
            end, value = _number(prompt, at)
            whole = slot.kind == "number" or isinstance(value, int)
            if value is not None and whole and slot.least <= value <= slot.most:
                yield end, value
        case "numbers":
            yield from _numbers(prompt, at)
        case "word":
            if re.fullmatch(r"[^\W_]\w*", token.word) and not token.word.isdigit():
                yield at + 1, prompt.raw(at, at + 1)
        case "text":
            for end in range(at + 1, len(prompt.tokens) + 1):
                yield end, prompt.raw(at, end)
        case "table" | "columns":
            yield from _tables(slot, prompt, at)


def _number(prompt: Words, at: int) -> tuple[int, int | float | None]:
    """The number at `at`, with its sign; None where there is none."""
    words = prompt.words
    sign = words[at] if words[at] in ("-", "+") else ""
    at += bool(sign)
    written = words[at] if at < len(words) else ""
    if not _NUMBER.fullmatch(written) or len(written) > _MAX_DIGITS:
        return at, None
    value = int(written) if written.isdigit() else float(written)
    return at + 1, -value if sign == "-" else value


def _numbers(prompt: Words, at: int) -> Iterator[tuple[int, list[int | float]]]:
    """Numbers with commas, spaces or "and" between them, perhaps in brackets; the most first."""
    words = prompt.words
    closing = _PAIRS.get(words[at], "")
    at += bool(closing)
    found: list[tuple[int, int | float]] = []
    while at < len(words):
        after_word = at + (bool(found) and words[at] in _BETWEEN)
        end, value = _number(prompt, after_word) if after_word < len(words) else (at, None)
        if value is None:
            break
        found.append((end, value))
        at = end
    if closing and (at >= len(words) or words[at] != closing):
        return
    if closing and found:
        yield at + 1, [value for _, value in found]
        return
    for count in range(len(found), 0, -1):
        yield found[count - 1][0], [value for _, value in found[:count]]


def _tables(slot: Slot, prompt: Words, at: int) -> Iterator[tuple[int, Any]]:
    frame = prompt.tokens[at].frame
    found = [(at + 1, frame)] if frame is not None else _csv_lines(prompt, at)
    for end, each in found:
        complete = slot.kind == "columns" or each.rows is not None
        if complete and set(slot.columns) <= set(each.columns):
            yield end, each.value()


def _csv_lines(prompt: Words, at: int) -> list[tuple[int, Frame]]:
    """CSV that is typed as plain lines, from the token's line to the prompt's end."""
    start = prompt.tokens[at].start
    before = prompt.text[:start].rpartition("\n")[2]
    read = None if before.strip(" `\"'") else read_csv(prompt.text[start - len(before) :].strip())
    return [] if read is None else [(len(prompt.tokens), Frame("", *read, start, start))]


def read_slot(spec: object) -> Slot:
    """A slot as a lesson's head gives it: a kind, a list of words, or a mapping. Raises
    `ValueError`."""
    if isinstance(spec, str | list):
        spec = {"type": spec}
    if not isinstance(spec, dict) or set(spec) - _KEYS or "type" not in spec:
        raise ValueError(f"a slot is a type, or a mapping of {', '.join(sorted(_KEYS))}")
    kind = spec["type"]
    choices = tuple(map(str, kind)) if isinstance(kind, list) else ()
    if choices:
        kind = "choice"
    elif kind not in KINDS:
        raise ValueError(f"a slot's type is a list of words, or one of {', '.join(KINDS)}")
    least, most = (
        float(spec.get(key, default)) for key, default in (("min", "-inf"), ("max", "inf"))
    )
    return Slot(
        kind,
        str(spec.get("example", choices[0] if choices else "")),
        choices,
        tuple(map(str, spec.get("has", ()))),
        tuple(map(str, spec.get("columns", ()))),
        least,
        most,
    )


_KEYS = {"type", "example", "has", "columns", "min", "max"}
