"""Out of an answer's Markdown into Python: its code blocks, its tables.

pandas is imported only when a DataFrame is made; `cells` says what a column of a table holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from qwen_magic.document.cells import Column, read_column
from qwen_magic.document.highlight import is_python
from qwen_magic.document.markdown.parser import parse
from qwen_magic.document.markdown.render import fence_language, text_of
from qwen_magic.errors import UsageError


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One code block: `language` as the fence names it, in lower case ("" for none); `code`
    without the last newline. It prints as its code."""

    language: str
    code: str

    def __str__(self) -> str:
        return self.code

    @property
    def is_python(self) -> bool:
        """True for Python, and for a block that names no language."""
        return is_python(self.language)


def code_blocks(markdown: str) -> tuple[CodeBlock, ...]:
    """The code blocks of `markdown` in order, also those inside lists and quotes. Empty ones are
    left out. A fence that never closes (a stopped answer) holds all that follows it."""
    blocks = [
        CodeBlock(
            fence_language(token.info).lower() if token.type == "fence" else "",
            token.content.removesuffix("\n"),
        )
        for token in parse(markdown)
        if token.type in ("fence", "code_block")
    ]
    return tuple(block for block in blocks if block.code.strip())


def first_python(text: str) -> CodeBlock | None:
    """The first Python block of an answer's `text`."""
    return next((block for block in code_blocks(text) if block.is_python), None)


@dataclass(frozen=True, slots=True)
class PipeTable:
    """A table as text: the cells without markup, as many in each row as the header has."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(markdown: str) -> list[Any]:
    """The pipe tables of `markdown`, in order, each a pandas DataFrame.

    Types as `cells` tells. Whole numbers are int64, or Int64 where cells are missing; others
    float64; truth values bool or boolean; dates datetime64. Where all numbers of a column share
    one unit, they are plain numbers and `frame.attrs["units"]` has `{column: unit}`. A header that
    comes again gets ` (2)`; an empty one is `column 3`, by place. Raises `UsageError` without
    pandas, if there is a table.
    """
    found = find_tables(markdown)
    return [_frame(table) for table in found] if found else []


def _frame(table: PipeTable) -> Any:
    try:
        import pandas  # type: ignore[import-untyped]
    except ImportError as error:
        raise UsageError(
            "Tables need pandas, which is not installed here.", hint="pip install pandas"
        ) from error
    names = _distinct(table.header)
    cells = list(zip(*table.rows, strict=True)) or [()] * len(names)
    columns = [read_column(column) for column in cells]
    frame = pandas.DataFrame(
        {name: _series(column) for name, column in zip(names, columns, strict=True)},
        index=range(len(table.rows)),
        columns=names,
    )
    units = {name: column.unit for name, column in zip(names, columns, strict=True) if column.unit}
    if units:
        frame.attrs["units"] = units
    return frame


def _distinct(header: Sequence[str]) -> list[str]:
    """The names of the columns: each once, none empty."""
    names = [name or f"column {place}" for place, name in enumerate(header, 1)]
    seen: Counter[str] = Counter()
    taken = set(names)
    for place, name in enumerate(names):
        seen[name] += 1
        count = seen[name]
        while count > 1 and f"{name} ({count})" in taken:
            count += 1
        if count > 1:
            names[place] = f"{name} ({count})"
            taken.add(names[place])
    return names


def _series(column: Column) -> Any:
    import pandas

    values = list(column.values)
    missing = None in values
    match column.kind:
        case "int":
            return pandas.Series(values, dtype="Int64" if missing else "int64")
        case "float":
            return pandas.Series(values, dtype="float64")
        case "bool":
            return pandas.Series(values, dtype="boolean" if missing else "bool")
        case "date":
            zoned = any(getattr(value, "tzinfo", None) is not None for value in values)
            return pandas.to_datetime(pandas.Series(values, dtype=object), utc=zoned)
        case _:
            return pandas.Series(values, dtype="str" if pandas.__version__ >= "3" else object)


def find_tables(text: str) -> tuple[PipeTable, ...]:
    """The pipe tables of `text`, in order."""
    found: list[list[list[str]]] = []  # the cells by table and row; no table stands in another
    for token, following in pairwise(parse(text)):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            found[-1][-1].append(text_of(following.children or []).strip())
    return tuple(PipeTable(tuple(rows[0]), tuple(map(tuple, rows[1:]))) for rows in found)
