"""What a table's columns are, in one line each: type, missing values, statistics.

No more is looked at than `frames.Table` holds, and of cells that are no numbers, times or short
texts only so many as `_COST` allows. What their methods do ends after `_SECONDS` for all columns.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

from qwen_magic.context.dataframe import Table, levels_of
from qwen_magic.context.description import brief
from qwen_magic.context.masked_names import is_masked
from qwen_magic.context.time_limit import OutOfTimeError, time_limit
from qwen_magic.document.words import clipped

MAX_COLUMNS: Final = 60
_LONGEST_VALUE: Final = 40
_LONGEST_NAMES: Final = 2_000
_TOP: Final = 3
_LEVELS: Final = 12
_SECONDS: Final = 2.0
# Of one column, what may be compared: a character or a number costs one, any other object as much
# as a thousand of them may cost together.
_COST: Final = 10_000_000
_OBJECT_COST: Final = _COST // 1_000
_COMPARED: Final = frozenset(
    (bool, int, float, complex, str, bytes, Decimal, date, datetime, timedelta)
)


def schema(table: Table, mask: Collection[str]) -> str:
    """A line for each column of `table`, and for an index with a meaning."""
    frame, lines = table.frame, []
    ends_at = time.monotonic() + _SECONDS
    for level in levels_of(frame.index) if is_telling(frame.index) else ():
        head, hidden = f"index {_name(level.name)}: {level.dtype.name}", is_masked(level.name, mask)
        lines.append(head + _facts(level, None, ends_at, hidden=hidden))
    for n in range(min(frame.shape[1], MAX_COLUMNS)):
        label, values = frame.columns[n], frame.iloc[:, n]
        head, hidden = f"{_name(label)}: {table.types[n]}", is_masked(label, mask)
        lines.append(head + _facts(values, partial(table.missing, n), ends_at, hidden=hidden))
    text = "\n".join(lines)
    if frame.shape[1] > MAX_COLUMNS:
        others = frame.columns[MAX_COLUMNS : MAX_COLUMNS + _LONGEST_NAMES]
        names = clipped(", ".join(map(_name, others)), _LONGEST_NAMES)
        text += f"\nand {frame.shape[1] - MAX_COLUMNS:,} more columns: {names}"
    if looked_at := table.looked_at:
        text += f"\n(statistics of the first {looked_at:,} rows)"
    return text


def is_telling(index: Any) -> bool:
    """Whether it says more than the numbers of the rows."""
    return type(index).__name__ != "RangeIndex" or index.name is not None


def _facts(
    values: Any, missing: Callable[[], int | None] | None, ends_at: float, *, hidden: bool
) -> str:
    """What stands after the type. Never fails: what a column holds is the user's, and may raise
    when it is looked at. `missing` counts in the whole column, if it can."""
    found = [", values masked"] if hidden else []
    try:
        if not hidden:
            with warnings.catch_warnings(), time_limit(max(0.01, ends_at - time.monotonic())):
                warnings.simplefilter("ignore")  # infinite numbers have no mean
                gone = missing() if missing else None
                gone = int(values.isna().sum()) if gone is None else gone
                found += [f", {gone:,} missing"] if gone else []
                present = values.dropna()
                found += [f", {_statistics_of(values.dtype, present)}"] if len(present) else []
    except OutOfTimeError:
        found.append(", not looked at: it took too long")
    except Exception:  # of a cell's own methods
        return "".join(found)
    return "".join(found)


def _name(label: Any) -> str:
    label = label.item() if hasattr(type(label), "item") else label  # numpy's
    return escape_unprintable(clipped(repr(label), 200))


def _statistics_of(dtype: Any, present: Any) -> str:
    kind, name = dtype.kind, dtype.name
    if name == "category":
        return _levels(dtype)
    if name in ("bool", "boolean"):
        return f"{int(present.sum()):,} true, {int((~present.astype(bool)).sum()):,} false"
    if kind in "iuf":
        found = {"min": present.min(), "mean": present.mean(), "median": present.median()}
        return _named_numbers({**found, "max": present.max(), "std": present.std()})
    if kind in "mM":
        return _named_numbers({"min": present.min(), "max": present.max()})
    return _different(present)


def _named_numbers(found: dict[str, Any]) -> str:
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
    each = max(1, present.array.nbytes // len(present))  # of columns of Arrow, with their texts
    looked_at = list(_compared(present.iloc[: 1 + _COST // each].tolist()))
    of = f" of the first {len(looked_at):,}" if len(looked_at) < len(present) else ""
    counts = Counter(looked_at)
    top = counts.most_common(_TOP)
    if len(counts) == len(looked_at):
        examples = ", ".join(_value(value) for value, _ in top)
        return f"all{of or f' {len(present):,}'} different, such as {examples}"
    listed = ", ".join(f"{_value(value)} ({count:,})" for value, count in top)
    return f"{len(counts):,}{of} different, most often {listed}"


def _compared(values: list[Any]) -> Iterator[Any]:
    """What stands for each of `values` in a set, as many as `_COST` allows: most objects have no
    hash, or one that compares each with each."""
    left = _COST
    for value in values:
        kind = type(value)
        if kind in _COMPARED or hasattr(kind, "nanosecond"):  # pandas' times
            left -= len(value) if kind in (str, bytes) else 1
            yield value
        else:
            left -= _OBJECT_COST
            yield cell_text(value, _LONGEST_VALUE)
        if left < 0:
            return


def _value(value: object) -> str:
    if isinstance(value, str | bytes):
        text = repr(value[: _LONGEST_VALUE + 1])
    else:
        text = cell_text(value, _LONGEST_VALUE)
    return escape_unprintable(clipped(text, _LONGEST_VALUE))


def cell_text(value: object, length: int) -> str:
    """`str(value)`, of which about `length` characters are wanted: of what can be long, no more is
    written than that."""
    if isinstance(value, str):
        return value[: length + 1]
    if isinstance(value, list | tuple | dict | AbstractSet | deque | bytes | bytearray):
        return brief(value, 10 * length)
    return str(value)


def escape_unprintable(text: str) -> str:
    r"""`text` with `\n`, `\x..` and the like for what does not print, as Python writes it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
