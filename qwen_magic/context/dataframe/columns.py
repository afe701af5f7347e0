"""What a table's columns are, in one line each: type, missing values, statistics."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any, Final

from qwen_magic.context.dataframe.frames import is_masked
from qwen_magic.document.words import clipped

MAX_COLUMNS: Final = 60
ROWS_LOOKED_AT: Final = 200_000  # for statistics: more would keep the reader waiting
_LONGEST_VALUE: Final = 40
_LONGEST_NAMES: Final = 2_000
_TOP: Final = 3
_LEVELS: Final = 12


def schema(table: Any, mask: Collection[str]) -> str:
    """A line for each column of `table` (a pandas DataFrame), and for an index with a meaning."""
    lines = []
    for n in range(table.index.nlevels) if is_telling(table.index) else ():
        values = table.index.get_level_values(n).to_series()
        lines.append(_line("index", table.index.names[n], values, mask))
    for n in range(min(table.shape[1], MAX_COLUMNS)):
        lines.append(_line("", table.columns[n], table.iloc[:, n], mask))
    text = "\n".join(lines)
    if table.shape[1] > MAX_COLUMNS:
        others = table.columns[MAX_COLUMNS:]
        names = clipped(", ".join(map(_name, others)), _LONGEST_NAMES)
        text += f"\nand {len(others):,} more columns: {names}"
    if len(table) > ROWS_LOOKED_AT:
        text += f"\n(statistics of the first {ROWS_LOOKED_AT:,} rows)"
    return text


def is_telling(index: Any) -> bool:
    """Whether it says more than the numbers of the rows."""
    return type(index).__name__ != "RangeIndex" or index.name is not None


def _line(role: str, label: object, values: Any, mask: Collection[str]) -> str:
    head = f"{role + ' ' if role else ''}{_name(label)}: {values.dtype.name}"
    if is_masked(label, mask):
        return f"{head}, values masked"
    missing = int(values.isna().sum())
    facts = (f"{missing:,} missing" if missing else "", _statistics(values.iloc[:ROWS_LOOKED_AT]))
    return ", ".join([head, *(fact for fact in facts if fact)])


def _name(label: object) -> str:
    return escape_unprintable(clipped(repr(label), 200))


def _statistics(values: Any) -> str:
    """Never fails: what a column holds is the user's, and may raise when it is looked at."""
    try:
        with warnings.catch_warnings():  # infinite numbers have no mean
            warnings.simplefilter("ignore")
            present = values.dropna()
            return _of(values.dtype, present) if len(present) else ""
    except Exception:
        return ""


def _of(dtype: Any, present: Any) -> str:
    kind, name = dtype.kind, dtype.name
    if name == "category":
        return _levels(dtype)
    if name in ("bool", "boolean"):
        return f"{int(present.sum()):,} true, {int((~present.astype(bool)).sum()):,} false"
    if kind in "iuf":
        found = {"min": present.min(), "mean": present.mean(), "median": present.median()}
        return _listed({**found, "max": present.max(), "std": present.std()})
    if kind in "mM":
        return _listed({"min": present.min(), "max": present.max()})
    return _different(present)


def _listed(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in found.items() if value == value)


def _number(value: Any) -> str:
    if hasattr(value, "item"):  # numpy's
        value = value.item()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _levels(dtype: Any) -> str:
    levels = [_value(level) for level in dtype.categories[:_LEVELS]]
    rest = len(dtype.categories) - _LEVELS
    more = f" and {rest:,} more" if rest > 0 else ""
    order = " < " if dtype.ordered else ", "
    return f"{'ordered ' if dtype.ordered else ''}categories {order.join(levels)}{more}"


def _different(present: Any) -> str:
    try:
        counts = present.value_counts()
    except TypeError:  # lists and dicts have no hash
        counts = present.map(repr).value_counts()
    top = list(counts.iloc[:_TOP].items())
    if len(counts) == len(present):
        examples = ", ".join(_value(value) for value, _ in top)
        return f"all {len(present):,} different, such as {examples}"
    listed = ", ".join(f"{_value(value)} ({count:,})" for value, count in top)
    return f"{len(counts):,} different, most often {listed}"


def _value(value: object) -> str:
    text = repr(value) if isinstance(value, str | bytes) else str(value)
    return escape_unprintable(clipped(text, _LONGEST_VALUE))


def escape_unprintable(text: str) -> str:
    r"""`text` with `\n`, `\x..` and the like for what does not print, as Python writes it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
