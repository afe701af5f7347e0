"""A failed cell, read out of the report that `%qwen_fix` sends."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SECTION = re.compile(
    r"^(?P<head>The exception|(?:Cell (?P<cell>\d+)|The input) \(`>>`[^\n]*\)"
    r"|The traceback, outermost first|Values now, of what the failing lines name):\n"
    r"(?P<fence>`{3,})text\n(?P<body>.*?)\n(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)
_LINE = re.compile(r"(?P<mark>>>|  ) +(?P<number>\d+)(?:  (?P<text>.*))?")
_VALUE = re.compile(r"^(?P<name>[^\s:][^:\n]*): (?P<told>[^\n]*(?:\n    [^\n]*)*)", re.MULTILINE)
_PLACE = re.compile(r"^((?:cell \d+, line|[^\s>]+:)[^\n]*), in ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Failure:
    """`values`: name → type and value as told. `whole`: no line of the cell was left out."""

    kind: str  # "KeyError", without its module
    message: str
    cell: str  # "cell 4", "the cell"
    lines: tuple[str, ...]
    marked: frozenset[int]  # numbers of the lines that were running, from 1
    values: dict[str, str]
    place: str = ""  # the innermost place outside this cell, when the failure was there
    whole: bool = True

    @property
    def source(self) -> str:
        return "\n".join(self.lines)


def read_failure(text: str) -> Failure | None:
    """The failure that the text reports; None when it reports none."""
    bodies: dict[str, str] = {}
    number = ""
    for match in _SECTION.finditer(text):
        is_cell = "`>>`" in match["head"]
        bodies.setdefault("cell" if is_cell else match["head"], match["body"])
        number = match["cell"] or number
    if "The exception" not in bodies:
        return None
    title, _, message = bodies["The exception"].partition(": ")
    read = [_LINE.fullmatch(line) for line in bodies.get("cell", "").splitlines()]
    told = [line for line in read if line is not None]
    values = bodies.get("Values now, of what the failing lines name", "")
    return Failure(
        kind=title.strip().rpartition(".")[2],
        message=message,
        cell=f"cell {number}" if number else "the cell",
        lines=tuple(line["text"] or "" for line in told),
        marked=frozenset(int(line["number"]) for line in told if line["mark"] == ">>"),
        values={match["name"]: match["told"] for match in _VALUE.finditer(values)},
        place=_elsewhere(bodies.get("The traceback, outermost first", ""), number),
        whole=len(told) == len(read) and [int(n["number"]) for n in told] == [*_upto(len(told))],
    )


def _upto(count: int) -> range:
    return range(1, count + 1)


def _elsewhere(traceback: str, cell: str) -> str:
    """The innermost cell that is another than this."""
    places = [place for place in _PLACE.findall(traceback) if place.startswith("cell ")]
    return places[-1] if places and not places[-1].startswith(f"cell {cell},") else ""
