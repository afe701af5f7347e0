"""Cells of text back to columns: the code that runs in a sandbox, and here.

`row_block` puts the source of the functions that a frame needs into the prompt. Where that runs,
only Python, numpy and pandas are there, of whatever version, and the model has to retype it: so
they are short and bare of annotations.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import ast
import csv
import datetime
import decimal
import io

import numpy as np
import pandas as pd  # type: ignore[import-untyped]

# The imports of a snippet, by the name that its functions use.
IMPORTS = {
    "ast": "import ast",
    "csv": "import csv",
    "datetime": "import datetime",
    "decimal": "import decimal",
    "io": "import io",
    "np": "import numpy as np",
    "pd": "import pandas as pd",
}


def integers(cells, column):
    return np.array([int(cell) for cell in cells], column["dtype"])


def floats(cells, column):
    return np.array([float(cell or "nan") for cell in cells], column["dtype"])


def complexes(cells, column):
    return np.array([complex(cell) for cell in cells], column["dtype"])


def booleans(cells, column):
    return np.array([cell == "True" for cell in cells], bool)


def nullable(cells, column):
    values = [pd.NA if cell == "" else cell == "True" for cell in cells]
    if "Int" in column["dtype"]:
        values = [int(cell) if cell else pd.NA for cell in cells]
    return pd.array(values, column["dtype"])


def nullable_floats(cells, column):
    values = np.array([float(cell or 1) for cell in cells], column["dtype"].lower())
    return pd.arrays.FloatingArray(values, np.array([cell == "" for cell in cells], bool))


def texts(cells, column):
    kind = "str" if pd.__version__ >= "3" else object
    return pd.Series([cell or None for cell in cells], dtype=kind)


def marked_texts(cells, column):
    kinds = {"None": None, "nan": float("nan"), "NA": pd.NA, "NaT": pd.NaT}
    missing = {cell: kinds[kind] for cell, kind in column.get("missing", {}).items()}
    dtype = column["dtype"]
    dtype = object if dtype == "str" and pd.__version__ < "3" else dtype
    return pd.Series([missing.get(cell, cell) for cell in cells], dtype=dtype)


def literals(cells, column):
    missing = {"nan": float("nan"), "NA": pd.NA, "NaT": pd.NaT}
    values = [missing[cell] if cell in missing else ast.literal_eval(cell) for cell in cells]
    made = np.empty(len(values), object)
    for number, value in enumerate(values):
        made[number] = value
    return pd.Series(made, dtype=object).astype(column["dtype"])


def parsed(cells, column):
    types = {"date": datetime.date, "time": datetime.time, "datetime": datetime.datetime}
    kind = types.get(column["type"])
    read = kind.fromisoformat if kind else decimal.Decimal  # type: ignore[attr-defined]
    kinds = {"None": None, "nan": float("nan"), "NA": pd.NA, "NaT": pd.NaT}
    missing = {cell: kinds[kind] for cell, kind in column.get("missing", {}).items()}
    made = [missing[c] if c in missing else read(c) for c in cells]
    return pd.Series(made, dtype=object)


# Also durations, which are counted in the unit of their dtype.
def times(cells, column):
    return np.array([cell or "NaT" for cell in cells], column["dtype"])


# Written in UTC, so that the hour that comes twice in autumn is told apart.
def zoned(cells, column):
    made = pd.Series(np.array([cell or "NaT" for cell in cells], column["dtype"]))
    return made.dt.tz_localize("UTC").dt.tz_convert(column["zone"])


def periods(cells, column):
    values = [pd.Period(cell, column["freq"]) if cell else pd.NaT for cell in cells]
    return pd.array(values, f"period[{column['freq']}]")


def intervals(cells, column):
    ends = [(cell[1:-1] or ", ").split(", ") for cell in cells]
    of = column["of"]
    left = READERS[of["as"]]([end[0] for end in ends], of)
    right = READERS[of["as"]]([end[1] for end in ends], of)
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=column["closed"])


def categories(cells, column):
    of = column["of"]
    labels = column.get("labels", of["cells"])
    codes = {label: code for code, label in enumerate(labels)}
    values = pd.Series(READERS[of["as"]](of["cells"], of))
    index = pd.Index(values.array, dtype=values.dtype)
    numbers = [codes.get(cell, -1) for cell in cells]
    return pd.Categorical.from_codes(numbers, index, ordered=column["ordered"])


_NUMBERS = (integers, floats, complexes, booleans, nullable, nullable_floats)
_TEXTS = (texts, marked_texts, literals, parsed)
_TIMES = (times, zoned, periods)
_NESTED = (intervals, categories)
READERS = {reader.__name__: reader for reader in (*_NUMBERS, *_TEXTS, *_TIMES, *_NESTED)}


def frame(data, columns, layout, arrange):
    lines = list(csv.reader(io.StringIO(data, newline="")))[1:]
    cells = list(zip(*lines)) if lines else [()] * len(columns)  # noqa: B905
    made = {n: READERS[c["as"]](cells[n], c) for n, c in enumerate(columns)}
    table = pd.DataFrame(made, index=range(layout["rows"]))
    return arrange(table, [c["name"] for c in columns], layout)


def plain(table, names, layout):
    table.columns = names
    return table


def arranged(table, names, layout):
    levels = [table.pop(n) for n in range(layout.get("index", 0))]
    if levels:
        table.index = labelled(levels, names[: len(levels)])
    else:
        table.index = pd.RangeIndex(*layout["range"], name=layout.get("name"))
    titles = layout.get("titles", [None])
    labels = [READERS[of["as"]](of["cells"], of) for of in layout.get("labels", [])]
    table.columns = labelled(labels or [names[len(levels) :]], titles)
    for axis, freq in layout.get("freq", {}).items():
        getattr(table, axis).freq = freq
    return table


def labelled(levels, names):
    if len(levels) > 1:
        return pd.MultiIndex.from_arrays(levels, names=names)
    values = pd.Series(levels[0])
    return pd.Index(values.array, dtype=values.dtype, name=names[0], tupleize_cols=False)
