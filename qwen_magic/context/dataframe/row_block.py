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
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd  # type: ignore[import-untyped]

from qwen_magic.context.dataframe import levels_of
from qwen_magic.context.dataframe.columns import escape_unprintable
from qwen_magic.context.dataframe.encoding import Encoded, Spec, encode, same
from qwen_magic.context.dataframe.rebuilding import (
    IMPORTS,
    READERS,
    arranged,
    frame,
    labelled,
    plain,
)
from qwen_magic.document.words import clipped, fenced
from qwen_magic.errors import UsageError

_BLOCK: Final = re.compile(r"^(`{3,})python\n(# rebuilds .*?)^\1`*$", re.DOTALL | re.MULTILINE)
_LONGEST_LABEL: Final = 80
_NAMES: Final = ("DATA", "COLUMNS", "LAYOUT")


@dataclass(frozen=True, slots=True)
class Rows:
    """The block; `inexact` says in words what it does not give back as it was."""

    text: str
    inexact: tuple[str, ...] = ()


def write_rows(name: str, table: Any) -> Rows:
    """The block that rebuilds `table` (a pandas DataFrame) as the variable `name`.

    It is checked here: rebuilt and compared, column by column. Raises `UsageError` where that
    fails, such as for a cell that is longer than CSV readers take.
    """
    labels = [_label(label) for label in table.columns]
    levels, layout = _layout(table, labels)
    columns = [table.iloc[:, n] for n in range(table.shape[1])]
    encoded = [encode(column) for column in (*levels, *columns)]
    longest = max((len(cell) for one in encoded for cell in one.cells), default=0)
    if longest > csv.field_size_limit():
        raise UsageError(
            f"{name} cannot be sent row by row: one of its cells has {longest:,} characters.",
            hint="Leave out --rows, or that column.",
        )
    names = [*(_label(level.name) for level in levels), *labels]
    specs = [{"name": name, **one.spec} for name, one in zip(names, encoded, strict=True)]
    data = _data(names, encoded, len(table))
    text = fenced(_code(name, table.shape, specs, data, layout), "python")
    try:
        again = rebuild(text)
    except Exception as error:
        raise UsageError(
            f"{name} cannot be sent row by row.",
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


def _layout(table: Any, labels: list[Any]) -> tuple[list[Any], Spec]:
    """The index levels that need cells of their own, and what is no column. `labels`: those of the
    columns as they stand in the block, which are enough where a frame makes the same of them."""
    index, columns = table.index, table.columns
    layout: Spec = {"rows": len(table)}
    levels = []
    if isinstance(index, pd.RangeIndex):
        layout["range"] = (index.start, index.stop, index.step)
        layout |= {"name": _label(index.name)} if index.name is not None else {}
    else:
        levels = levels_of(index)
        layout["index"] = len(levels)
    axes = {"index": index, "columns": columns}
    if frequencies := {axis: one.freqstr for axis, one in axes.items() if _is_frequency(one)}:
        layout["freq"] = frequencies
    if any(title is not None for title in columns.names):
        layout["titles"] = [_label(title) for title in columns.names]
    if columns.nlevels > 1 or not _are_enough(labels, columns):
        found = [encode(level) for level in levels_of(columns)]
        layout["labels"] = [{**level.spec, "cells": level.cells} for level in found]
        layout["titles"] = [_label(title) for title in columns.names]
    if layout == {"rows": len(table), "range": (0, len(table), 1)}:
        del layout["range"]
    return levels, layout


def _are_enough(labels: list[Any], columns: Any) -> bool:
    try:
        return same(labelled([labels], [None]), columns)  # type: ignore[no-untyped-call]
    except Exception:  # what the text type of an index cannot hold
        return False


def _is_frequency(index: Any) -> bool:
    """Whether these are times at a regular distance, whose name gives it back: one with holidays
    has none."""
    if getattr(index, "freq", None) is None or isinstance(index, pd.PeriodIndex):
        return False
    try:
        return bool(pd.tseries.frequencies.to_offset(index.freqstr) == index.freq)
    except ValueError:
        return False


def _label(label: Any) -> Any:
    """A name as Python can write it; anything else as its text."""
    if isinstance(label, tuple):
        return tuple(_label(part) for part in label)
    if type(label).__module__ == "numpy" and hasattr(label, "item"):
        label = label.item()
    if label is None or type(label) in (str, int, bool):
        return label
    return label if type(label) is float and math.isfinite(label) else str(label)


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
    body = _functions(specs, layout)
    imports = [line for used, line in IMPORTS.items() if re.search(rf"\b{used}\.", body)]
    rows = ",\n".join(f"    {_repr(spec)}" for spec in specs)
    parts = [
        f"# rebuilds {name}: {shape[0]:,} rows, {shape[1]:,} columns",
        *imports,
        body,
        f"DATA = {data}",
        f"COLUMNS = [\n{rows}\n]" if specs else "COLUMNS = []",
        f"LAYOUT = {_repr(layout)}",
        f"{name} = frame(DATA, COLUMNS, LAYOUT, {_arrange(layout).__name__})",
    ]
    return "\n".join(parts)


def _repr(value: object) -> str:
    return escape_unprintable(repr(value))


def _functions(specs: Sequence[Spec], layout: Spec) -> str:
    """The source of the readers that these columns use, and of what puts them together."""
    used = _readers([*specs, *layout.get("labels", ())])
    names = [name for name in READERS if name in used]
    listed = ", ".join(f'"{name}": {name}' for name in names)
    sources = [_source(READERS[name]) for name in names]
    ends = [plain] if _arrange(layout) is plain else [labelled, arranged]
    return "\n".join([*sources, f"READERS = {{{listed}}}", *map(_source, [frame, *ends])])


def _readers(specs: Iterable[Spec]) -> set[str]:
    used = set()
    for spec in specs:
        used |= {spec["as"]} | (_readers([spec["of"]]) if "of" in spec else set())
    return used


def _source(function: Any) -> str:
    return re.sub(r"  # (?:type|noqa)[^\n]*", "", inspect.getsource(function)).rstrip()


def _differences(table: Any, again: Any) -> list[str]:
    found = []
    if not _same_index(table.columns, again.columns):
        found.append("the labels of the columns")
    for n in range(table.shape[1]):
        if not same(table.iloc[:, n], again.iloc[:, n]):
            label = clipped(str(table.columns[n]), _LONGEST_LABEL)
            found.append(f"column {label!r} ({table.iloc[:, n].dtype})")
    if not _same_index(table.index, again.index):
        kinds = (str(level.dtype) for level in levels_of(table.index))
        found.append(f"the index ({', '.join(kinds)})")
    return found


def _same_index(before: Any, after: Any) -> bool:
    if before.nlevels != after.nlevels or getattr(before, "freq", 0) != getattr(after, "freq", 0):
        return False
    names = [pd.Series([*one.names], dtype=object) for one in (before, after)]
    pairs = zip(levels_of(before), levels_of(after), strict=True)
    return same(*names) and all(same(*pair) for pair in pairs)
