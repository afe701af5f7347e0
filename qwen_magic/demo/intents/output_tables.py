"""Tables that a run printed as CSV, as Markdown for the answer."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence

MAX_ROWS = 100


def read_tables(stdout: str, names: Sequence[str]) -> list[str]:
    """Each named table that stands in the output, with its name above it."""
    return [
        f"{name[0].upper()}{name[1:]}:\n\n{_markdown(csv_text)}"
        for name, csv_text in _found(stdout, names)
    ]


def without_tables(stdout: str, names: Sequence[str]) -> str:
    """The rest of the output."""
    for name, csv_text in _found(stdout, names):
        stdout = stdout.replace(f"{name}:\n{csv_text}", "", 1)
    return stdout


def _found(stdout: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        # A table ends with an empty line; one that the output's limit cut has none.
        match = re.search(rf"^{re.escape(name)}:\n(.+?)^$", stdout, re.DOTALL | re.MULTILINE)
        if match:
            yield name, match[1]


def _markdown(csv_text: str) -> str:
    head, *rows = csv.reader(io.StringIO(csv_text))
    numbers = [all(_is_number(row[n]) for row in rows) for n in range(len(head))]
    marks = ["--:" if right else ":--" for right in numbers]
    lines = [_line(head), f"|{'|'.join(marks)}|", *(_line(row) for row in rows[:MAX_ROWS])]
    more = len(rows) - MAX_ROWS
    note = f"\n\nand {more:,} more rows, which stand in the run's output." if more > 0 else ""
    return "\n".join(lines) + note


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split()) or " "


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"-?[\d.]+(?:e[-+]?\d+)?|", cell) is not None
