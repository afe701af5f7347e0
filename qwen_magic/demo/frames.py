"""Tables in a prompt, read as data: descriptions of DataFrames, the code that holds their rows (it
is read, never run), and CSV."""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Cell: TypeAlias = str | int | float | bool | None

_DESCRIBED = re.compile(
    r"^The variable `(?P<name>[^`\n]+)` \((?!of type )[^\n]*\) of my notebook\. What stands [^\n]*"
    r"\n\n(?P<fence>`{3,})\n(?P<schema>.*?)\n?(?P=fence)[ \t]*$"
    r"(?P<rest>(?:\n+(?:"
    r"The first [\d,]+ rows? \(long cells are cut\):\n\n(?P<f2>`{3,})csv\n.*?\n(?P=f2)[ \t]*$"
    r"|(?:`[^`\n]+` exists only in my notebook: |The Python block below holds )[^\n]*$"
    r"|(?P<f3>`{3,})python\n# rebuilds \w+: .*?^(?P=f3)`*[ \t]*$"
    r"))*)",
    re.DOTALL | re.MULTILINE,
)
_REBUILT = re.compile(r"^(`{3,})python\n(# rebuilds \w+: .*?)^\1", re.DOTALL | re.MULTILINE)
_CSV = re.compile(r"^(`{3,})csv\n(?P<csv>.*?)\n\1[ \t]*$", re.DOTALL | re.MULTILINE)
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_TRUTHS: dict[str, Cell] = {"True": True, "False": False, "true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Frame:
    """A table and its place in the text. `rows` is None where only its columns are told."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] | None
    start: int
    end: int

    def value(self) -> dict[str, object]:
        """As JSON data."""
        rows = None if self.rows is None else [list(row) for row in self.rows]
        return {"name": self.name, "columns": list(self.columns), "rows": rows}


def find_frames(text: str) -> list[Frame]:
    """The frames that the product's descriptions and CSV fences in the text tell, in order."""
    found: list[Frame] = []
    described = _DESCRIBED.finditer(text) if "of my notebook. What stands" in text else ()
    for match in described:
        columns = tuple(_described(match["schema"]))
        data = _data(match["rest"])
        if data is not None:
            columns, rows = data
            found.append(Frame(match["name"], columns, rows, *match.span()))
        elif columns:
            found.append(Frame(match["name"], columns, None, *match.span()))
    for match in _CSV.finditer(text) if "```csv" in text else ():
        inside = any(frame.start <= match.start() < frame.end for frame in found)
        if not inside and (read := read_csv(match["csv"])) is not None:
            found.append(Frame("", *read, *match.span()))
    return sorted(found, key=lambda frame: frame.start)


def read_csv(text: str) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]] | None:
    """(columns, rows) of lines with a header; None where they are no table of two columns or more.

    A column's cells become numbers, or true and false, where all of them are; empty ones null.
    """
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error:
        return None
    if len(lines) < 2 or len(lines[0]) < 2 or any(len(line) != len(lines[0]) for line in lines):
        return None
    columns = [_typed(column) for column in zip(*lines[1:], strict=True)]
    return tuple(cell.strip() for cell in lines[0]), tuple(zip(*columns, strict=True))


def _typed(cells: Sequence[str]) -> list[Cell]:
    there = [cell.strip() for cell in cells if cell.strip()]
    if there and all(cell in _TRUTHS for cell in there):
        return [_TRUTHS.get(cell.strip()) for cell in cells]
    if all(_INTEGER.fullmatch(cell) for cell in there):
        return [int(cell) if cell.strip() else None for cell in cells]
    try:
        return [float(cell) if cell.strip() else None for cell in cells]
    except ValueError:
        return [cell.strip() or None for cell in cells]


def _described(schema: str) -> Iterator[str]:
    """The names in lines such as `'mass': float64, 2 missing` or `index 'day': datetime64[ns]`."""
    for line in schema.splitlines():
        body = line.removeprefix("index ")
        for colon in re.finditer(": ", body):
            try:
                label = ast.literal_eval(body[: colon.start()])
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue  # this colon stands in the name, or the name was cut
            yield " ".join(map(str, label)) if isinstance(label, tuple) else str(label)
            break


def _data(rest: str) -> tuple[tuple[str, ...], tuple[tuple[Cell, ...], ...]] | None:
    """(columns, rows) of the literal `DATA` in the block that rebuilds a frame."""
    block = _REBUILT.search(rest)
    if block is None:
        return None
    try:
        for node in ast.parse(block[2]).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DATA":
                return read_csv(str(ast.literal_eval(node.value)))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return None
