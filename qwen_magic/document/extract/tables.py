"""Tables out of Markdown, as DataFrames of pandas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from qwen_magic.document.extract.cells import Column, read_column
from qwen_magic.document.markdown.parts import PipeTable, find_tables
from qwen_magic.errors import UsageError


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
