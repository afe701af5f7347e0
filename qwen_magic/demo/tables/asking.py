"""What a question says about a frame: the columns, the groups and the statistics that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from qwen_magic.demo.tables.frames import Column, Frame

# What may be asked for, and pandas' name for it.
STATISTICS = (
    (r"\bmeans?\b|\baverages?\b", "mean"),
    (r"\bmedians?\b", "median"),
    (r"\bsums?\b|\btotals?\b|\badd up\b", "sum"),
    (r"\bmin(?:imum)?\b|\bsmallest\b|\blowest\b", "min"),
    (r"\bmax(?:imum)?\b|\blargest\b|\bhighest\b|\bbiggest\b", "max"),
    (r"\bstandard deviations?\b|\bstd\b|\bstdev\b|\bsd\b", "std"),
    (r"\bvariances?\b|\bvar\b", "var"),
    (r"\bdifferent\b|\bdistinct\b|\bunique\b", "nunique"),
)
WORDS = {
    "min": "minimum",
    "max": "maximum",
    "std": "standard deviation",
    "var": "variance",
    "nunique": "number of different values",
}
_BY = re.compile(r"\b(?:by|per|each|every|across)\s+(?:the\s+)?[\"'`]?$", re.IGNORECASE)
_WHICH = re.compile(r"\bwhich\s+[\"'`]?$", re.IGNORECASE)
_AGAINST = re.compile(
    r"\b(?:against|versus|vs\.?|over|as a function of)\s+(?:the\s+)?[\"'`]?$", re.IGNORECASE
)
_AND = re.compile(r"[\"'`]?\s*(?:,|and|&|,\s*and)\s*(?:the\s+)?[\"'`]?", re.IGNORECASE)
_CONDITION = re.compile(
    r"\b(?:where|only|if|except|excluding|greater|less|more than|fewer|at least|at most|after"
    r"|before|between|when|whose)\b|[<>]",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about `frame`, taken apart. `text` is it without the names of columns."""

    text: str
    frame: Frame
    values: tuple[Column, ...]  # named, and no group or abscissa
    groups: tuple[Column, ...]
    against: Column | None  # what is named behind "against", "over"
    methods: tuple[str, ...]  # pandas' names of statistics, in the order asked

    @property
    def names_column(self) -> bool:
        return bool(self.values or self.groups or self.against)

    @property
    def has_condition(self) -> bool:
        """Whether it restricts the rows, which nothing here understands."""
        return bool(_CONDITION.search(self.text))


def take_apart(question: str, frames: tuple[Frame, ...]) -> Asked:
    """The question, about the one of the frames (at least one) that it says most of."""

    def fitness(frame: Frame) -> tuple[bool, int]:
        named = re.search(rf"(?<!\w){re.escape(frame.name)}(?!\w)", question) is not None
        return named, len(list(_mentions(question, frame)))

    frame = max(frames, key=fitness)  # the first of those that are equal
    return _apart(question, frame)


def _apart(question: str, frame: Frame) -> Asked:
    groups: list[Column] = []
    values: list[Column] = []
    against: Column | None = None
    ended = -1  # where the last name of a group ends
    text = question
    for start, end, column in _mentions(question, frame):
        before = question[:start]
        text = text[:start] + " " * (end - start) + text[end:]
        chained = ended >= 0 and _AND.fullmatch(question[ended:start])
        if _BY.search(before) or chained or (_WHICH.search(before) and not column.is_number):
            groups.append(column)
            ended = end
        elif _AGAINST.search(before):
            against = against or column
        else:
            values.append(column)
    kept = tuple(c for c in dict.fromkeys(values) if c not in groups and c != against)
    methods = _statistics(text) or _statistics(question)
    return Asked(text, frame, kept, tuple(dict.fromkeys(groups)), against, methods)


def _mentions(question: str, frame: Frame) -> Iterator[tuple[int, int, Column]]:
    """Where columns are named, from left to right; of names in one place the longest."""
    taken: list[tuple[int, int, Column]] = []
    for column in sorted(frame.columns, key=lambda each: -len(each.words)):
        parts = re.findall(r"[^\W_]+", column.words) if column.words.isascii() else [column.words]
        if not parts:
            continue
        name = r"[\W_]*".join(map(re.escape, parts))
        for match in re.finditer(rf"(?<![^\W_]){name}(?:e?s)?(?!\w)", question, re.IGNORECASE):
            if all(match.end() <= start or match.start() >= end for start, end, _ in taken):
                taken.append((match.start(), match.end(), column))
    yield from sorted(taken, key=lambda each: each[0])


def _statistics(text: str) -> tuple[str, ...]:
    found = {
        method: match.start()
        for pattern, method in STATISTICS
        if (match := re.search(pattern, text, re.IGNORECASE))
    }
    return tuple(sorted(found, key=lambda method: found[method]))
