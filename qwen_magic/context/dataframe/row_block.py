"""Rows in the prompt: one block of Python that holds them as CSV, and rebuilds the frame.

    # rebuilds df: 2 rows, 2 columns
    import …
    def …                              the readers that these columns need
    DATA = \"\"\"\\
    name,when                          a header for the reader; it is skipped
    Ann,2024-01-01
    \"\"\"
    COLUMNS = [{"name": …, "as": reader, "dtype": …}, …]        index levels first
    LAYOUT = {"rows": 2}
    df = frame(DATA, COLUMNS, LAYOUT, plain)

A row is one line: line breaks inside cells are written `\\n`, as in any Python text. The block is
Python as it stands, so that a model copies it whole, and any sandbox with pandas can run it.
`rebuild` reads the three literals out of it, and runs nothing.
"""

from __future__ import annotations

import ast
import csv
import inspect
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd  # type: ignore[import-untyped]

from qwen_magic.context.dataframe.columns import escape_unprintable
from qwen_magic.context.dataframe.encoding import Encoded, Spec, encode
from qwen_magic.context.dataframe.rebuilding import IMPORTS, READERS, arranged, frame, plain
from qwen_magic.document.words import fenced
from qwen_magic.errors import UsageError

_BLOCK: Final = re.compile(r"^(`{3,})python\n(# rebuilds .*?)^\1`*$", re.DOTALL | re.MULTILINE)
_NAMES: Final = ("DATA", "COLUMNS", "LAYOUT")


@dataclass(frozen=True, slots=True)
class Rows:
    """The block; `inexact` says in words what it does not give back as it was."""

    text: str
    inexact: tuple[str, ...] = ()


def write_rows(name: str, table: Any) -> Rows:
    """The block that rebuilds `table` (a pandas DataFrame) as the variable `name`.

    It is checked here: rebuilt and compared, column by column. Raises `UsageError` where a cell is
    longer than CSV readers take.
    """
    levels, layout = _layout(table)
    labels = [_label(label) for label in table.columns]
    columns = [table.iloc[:, n] for n in range(table.shape[1])]
    encoded = [encode(column) for column in (*levels, *columns)]
    names = [*(_label(level.name) for level in levels), *labels]
    specs = [{"name": name, **one.spec} for name, one in zip(names, encoded, strict=True)]
    data = _data(names, encoded, len(table))
    text = fenced(_code(name, table.shape, specs, data, layout), "python")
    try:
        again = rebuild(text)
    except csv.Error as error:
        raise UsageError(
            f"{name} cannot be sent row by row: one of its cells is too long.",
            why=str(error),
            hint="Leave out --rows, or that column.",
        ) from error
    return Rows(text, tuple(_differences(table, again)))


def rebuild(text: str) -> Any:
    """The DataFrame of the first block of rows in `text`. Raises `ValueError` without one."""
    found = _BLOCK.search(text)
    if found is None:
        raise ValueError("no block of rows stands in this text")
    given = {
        target.id: ast.literal_eval(node.value)
        for node in ast.parse(found[2]).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in _NAMES
    }
    data, columns, layout = (given[name] for name in _NAMES)
    return frame(data, columns, layout, _arrange(layout))  # type: ignore[no-untyped-call]


def _arrange(layout: Spec) -> Callable[..., Any]:
    """A frame with the usual index needs no more than its names."""
    return plain if set(layout) == {"rows"} else arranged


def _layout(table: Any) -> tuple[list[Any], Spec]:
    """The index levels that need cells of their own, and what is no column."""
    index, columns = table.index, table.columns
    layout: Spec = {"rows": len(table)}
    levels = []
    if isinstance(index, pd.RangeIndex):
        layout["range"] = (index.start, index.stop, index.step)
        layout |= {"name": _label(index.name)} if index.name is not None else {}
    else:
        levels = [index.get_level_values(n).to_series() for n in range(index.nlevels)]
        layout["index"] = len(levels)
    if columns.nlevels > 1:
        layout["nested"] = True
        layout["title"] = [_label(name) for name in columns.names]
    elif columns.name is not None:
        layout["title"] = _label(columns.name)
    if columns.nlevels == 1 and columns.dtype == object:
        layout["labels"] = "object"
    if layout == {"rows": len(table), "range": (0, len(table), 1)}:
        del layout["range"]
    return levels, layout


def _label(label: Any) -> Any:
    """A name as Python can write it; anything else as its text."""
    if isinstance(label, tuple):
        return tuple(_label(part) for part in label)
    if type(label).__module__ == "numpy" and hasattr(label, "item"):
        label = label.item()
    return label if label is None or type(label) in (str, int, bool, float) else str(label)


def _data(names: Sequence[Any], encoded: Sequence[Encoded], count: int) -> str:
    """The CSV as a Python literal: a row is a line, line breaks of cells are escaped."""
    rows: Iterable[Sequence[str]] = zip(*(one.cells for one in encoded), strict=True)
    lines = [_line(row) for row in ([str(name) for name in names], *rows)]
    if not encoded:
        lines += [""] * count
    return '"""\\\n' + "".join(f"{_escaped(line)}\n" for line in lines) + '"""'


def _line(row: Sequence[str]) -> str:
    written = io.StringIO(newline="")
    # This line end makes the writer quote cells with either half of it.
    csv.writer(written, lineterminator="\r\n").writerow(row)
    return written.getvalue()[:-2]


def _escaped(line: str) -> str:
    return escape_unprintable(line.replace("\\", "\\\\").replace('"""', '""\\"'))


def _code(name: str, shape: tuple[int, int], specs: Sequence[Spec], data: str, layout: Spec) -> str:
    arrange = _arrange(layout)
    body = _functions(specs, arrange)
    imports = [line for used, line in IMPORTS.items() if re.search(rf"\b{used}\.", body)]
    rows = ",\n".join(f"    {_repr(spec)}" for spec in specs)
    parts = [
        f"# rebuilds {name}: {shape[0]:,} rows, {shape[1]:,} columns",
        *imports,
        body,
        f"DATA = {data}",
        f"COLUMNS = [\n{rows}\n]" if specs else "COLUMNS = []",
        f"LAYOUT = {_repr(layout)}",
        f"{name} = frame(DATA, COLUMNS, LAYOUT, {arrange.__name__})",
    ]
    return "\n".join(parts)


def _repr(value: object) -> str:
    return escape_unprintable(repr(value))


def _functions(specs: Sequence[Spec], arrange: Callable[..., Any]) -> str:
    """The source of the readers that these columns use, and of what puts them together."""
    used = _readers(specs)
    names = [name for name in READERS if name in used]
    listed = ", ".join(f'"{name}": {name}' for name in names)
    sources = [_source(READERS[name]) for name in names]
    return "\n".join([*sources, f"READERS = {{{listed}}}", _source(frame), _source(arrange)])


def _readers(specs: Iterable[Spec]) -> set[str]:
    used = set()
    for spec in specs:
        used |= {spec["as"]} | (_readers([spec["of"]]) if "of" in spec else set())
    return used


def _source(function: Any) -> str:
    return re.sub(r"  # (?:type|noqa)[^\n]*", "", inspect.getsource(function)).rstrip()


def _differences(table: Any, again: Any) -> list[str]:
    found = []
    if [_label(label) for label in table.columns] != list(table.columns):
        found.append("column labels that are no text or number")
    for n in range(table.shape[1]):
        if not _same(table.iloc[:, n], again.iloc[:, n]):
            found.append(f"column {table.columns[n]!r} ({table.iloc[:, n].dtype})")
    for n in range(table.index.nlevels):
        before, after = (one.index.get_level_values(n) for one in (table, again))
        if not _same(before.to_series(), after.to_series()):
            found.append(f"index {before.name!r} ({before.dtype})")
    return found


def _same(before: Any, after: Any) -> bool:
    if str(before.dtype) != str(after.dtype):
        return False
    if before.dtype != object:
        return bool(before.array.equals(after.array))
    try:
        return all(_equal(one, other) for one, other in zip(before, after, strict=True))
    except Exception:  # what compares is the user's
        return False


def _equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    return one is other or bool(one == other) or (one != one and other != other)
