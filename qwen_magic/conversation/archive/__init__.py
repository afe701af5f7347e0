"""Conversations outside the store; here, the reading of JSON that nobody vouches for.

Files are untrusted: sizes are bounded, every error names its place, nothing is evaluated. `load`
turns a text into a `PlacedValue`; a node gives its value as what it must be, or raises a
`ConversationError` such as "records[3].parent is 5, not a text".

Read on in order: json_form (the file written, the file read), notebook (what a notebook's outputs
tell), markdown_form (a document to read).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from qwen_magic.errors import ConversationError
from qwen_magic.protocol.fields import DEEPEST, JSON, levels
from qwen_magic.protocol.text import clean, join_surrogates

LARGEST_FILE: Final = 64 * 1024 * 1024  # bytes
LONGEST_TEXT: Final = 16 * 1024 * 1024  # characters of one value
LONGEST_NAME: Final = 512  # characters of an id, a model, a host
_LONGEST_PLACE: Final = 40  # characters of a field's name that a message has
LARGEST_COUNT: Final = 2**63 - 1  # what a database's integer can hold
_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class PlacedValue:
    """A JSON value with its place in the file. Null and absent are the same."""

    value: object
    place: str
    source: str = "The file"

    @property
    def present(self) -> bool:
        return self.value is not None

    def get(self, name: str) -> PlacedValue:
        """A field of this object."""
        shown = name if name.isidentifier() else ascii(name[:_LONGEST_PLACE])
        place = f"{self.place}.{shown}" if self.place else shown
        return PlacedValue(self.object().get(name), place, self.source)

    def each(self, most: int) -> Iterator[PlacedValue]:
        """The items of this list; none if it is absent. Raises `ConversationError` for more than
        `most`.
        """
        if not self.present:
            return
        if not isinstance(self.value, list):
            self.wrong("a list")
        if len(self.value) > most:
            self.refuse(f"has {len(self.value):,} entries; at most {most:,} are read")
        for number, value in enumerate(self.value):
            yield PlacedValue(value, f"{self.place}[{number}]", self.source)

    def object(self) -> JSON:
        if not isinstance(self.value, dict):
            self.wrong("an object")
        return self.value

    def text(self, longest: int = LONGEST_TEXT) -> str:
        if not isinstance(self.value, str):
            self.wrong("a text")
        if len(self.value) > longest:
            self.refuse(f"is {len(self.value):,} characters long; at most {longest:,} are read")
        return self.value

    def id(self) -> str:
        """A short text chosen by somebody else: a response id, a model, a host."""
        return self.text(LONGEST_NAME)

    def name(self) -> str:
        """A conversation's name: short, not empty, on one line."""
        text = self.text(LONGEST_NAME)
        if not text.strip() or not text.isprintable():
            self.refuse("is no name that can be typed")
        return text

    def number(self) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            self.wrong("a number")
        if abs(self.value) > LARGEST_COUNT:
            self.refuse("is too large")
        return float(self.value)

    def count(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            self.wrong("a whole number")
        if not 0 <= self.value <= LARGEST_COUNT:
            self.refuse("is no number of things")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            self.wrong("true or false")
        return self.value

    def one_of(self, choices: tuple[str, ...]) -> str:
        if self.value not in choices:
            self.wrong(" or ".join(choices))
        return self.text()

    def wrong(self, expected: str) -> NoReturn:
        came = "missing" if self.value is None else f"{_kind_of(self.value)}, not {expected}"
        self.refuse(f"is {came}")

    def refuse(self, what: str) -> NoReturn:
        """Raise a `ConversationError` that names the place, and `what` is wrong there."""
        raise ConversationError(
            f"{self.source} cannot be read: {self.place or 'it'} {what}.",
            hint="Nothing was taken from it. Correct that place, or export the conversation again.",
        )


def load(text: str, source: str = "The file", *, exact: bool = False) -> PlacedValue:
    """Parse a JSON text. Raises `ConversationError` if it is too large, nested too deep, or
    invalid.

    Unless `exact`, halves of surrogate pairs (which no file can store) are joined or replaced.
    """
    root = PlacedValue(None, "", source)
    if len(text) > LARGEST_FILE or len(text.encode("utf-8", "replace")) > LARGEST_FILE:
        root.refuse(f"is larger than {LARGEST_FILE // 1024 // 1024} MiB")
    try:
        given = text if exact else join_surrogates(text)
        value = json.loads(given, parse_constant=_no_constant)
    except RecursionError:
        root.refuse(f"is nested more than {DEEPEST} levels deep")
    except json.JSONDecodeError as error:
        root.refuse(f"is not JSON ({error.msg}, line {error.lineno})")
    except ValueError as error:  # a number with thousands of digits, NaN
        root.refuse(f"is not JSON ({error})")
    if not _is_sound(value):
        root.refuse(f"is nested more than {DEEPEST} levels deep, or has an infinite number")
    if not isinstance(value, dict):
        PlacedValue(value, "", source).wrong("an object")
    return PlacedValue(clean(value) if _HALF.search(text) and not exact else value, "", source)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _is_sound(value: Any) -> bool:
    """Whether the value is nested shallowly enough for recursive functions."""
    for depth, level in enumerate(levels(value, DEEPEST + 1)):
        if depth == DEEPEST:
            return False
        if any(isinstance(each, float) and not math.isfinite(each) for each in level):
            return False  # 1e999
    return True


def _kind_of(value: object) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return repr(value[:40] + "…" if len(value) > 40 else value)
        case bool():
            return str(value).lower()
        case _:
            return repr(value)[:40]
