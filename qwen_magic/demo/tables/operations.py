"""The computations that a question about a frame asks for, each an expression of pandas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from qwen_magic.demo.tables.asking import WORDS, Asked
from qwen_magic.demo.tables.frames import Column

_ROWS = r"\b(?:how many|number of|count(?: of)?(?: the)?) (?:rows|records|entries|lines)\b"
_HOW_MANY = r"\bhow many\b|\bcounts?\b|\bnumber of\b|\bhow often\b|\bfrequenc"
_SUMMARY = r"\bdescribe|\bsummar|\boverview|\bstatistics\b|\bstats\b"
_MISSING = r"\bmissing\b|\bnulls?\b|\bnans?\b"
_HEAD = r"\bhead\b|\bfirst (?:(\d+) )?rows\b"


@dataclass(frozen=True, slots=True)
class Operation:
    """`code` is an expression; `rows` says what an unnamed index of its result holds."""

    kind: Literal["value", "table"]
    name: str
    code: str
    rows: str = ""


Rule: TypeAlias = Callable[[Asked], Iterator[Operation]]


def operations(asked: Asked) -> tuple[Operation, ...]:
    """What the question asks to compute, figures apart; empty when nothing is recognised."""
    return tuple({found.name: found for rule in _RULES for found in rule(asked)}.values())


def usual(asked: Asked) -> tuple[Operation, ...]:
    """What is told of a frame when the question says no more than its columns, if that."""
    if asked.groups:
        return tuple(_grouped(asked, ("mean",)))
    return (_summary_of(asked),)


def quoted(label: object) -> str:
    """A label as Python writes it, with double quotes where that is plain."""
    if isinstance(label, str) and label.isprintable() and not re.search(r'["\\]', label):
        return f'"{label}"'
    return repr(label)


def column_code(variable: str, column: Column) -> str:
    if column.level:
        return f"{variable}.index.get_level_values({quoted(column.label)})"
    return f"{variable}[{quoted(column.label)}]"


def grouped_code(asked: Asked) -> str:
    """`frame.groupby(…)`."""
    labels = [quoted(group.label) for group in asked.groups]
    keys = labels[0] if len(labels) == 1 else f"[{', '.join(labels)}]"
    seen = ", observed=True" if any(g.dtype == "category" for g in asked.groups) else ""
    return f"{asked.frame.variable}.groupby({keys}{seen})"


def group_words(asked: Asked) -> str:
    return " and ".join(group.words for group in asked.groups)


def measured(asked: Asked) -> list[Column]:
    """The columns that statistics are of: those named, numbers before others, or every number."""
    named = [c for c in asked.values if not (asked.groups and c.level)]
    if named:
        return [column for column in named if column.is_number] or named
    rest = [c for c in asked.frame.columns if not c.level and c not in asked.groups]
    return [column for column in rest if column.is_number]


def _asks(asked: Asked, pattern: str) -> re.Match[str] | None:
    return re.search(pattern, asked.text, re.IGNORECASE)


def _picked(variable: str, columns: list[Column]) -> str:
    return f"{variable}[[{', '.join(quoted(column.label) for column in columns)}]]"


def _rows(asked: Asked) -> Iterator[Operation]:
    if asked.groups and not asked.methods and _asks(asked, _HOW_MANY):
        code = f"{grouped_code(asked)}.size()"
        yield Operation("table", f"rows by {group_words(asked)}", code)
    elif _asks(asked, _ROWS) or _asks(asked, r"\bshape\b|\bhow (?:long|large|big)\b"):
        yield Operation("value", "number of rows", f"len({asked.frame.variable})")


def _statistics(asked: Asked) -> Iterator[Operation]:
    if not asked.methods:
        return
    if asked.groups:
        yield from _grouped(asked, asked.methods)
        return
    columns = measured(asked)
    for method in asked.methods if asked.values else ():
        for column in columns:
            code = f"{column_code(asked.frame.variable, column)}.{method}()"
            yield Operation("value", f"{WORDS.get(method, method)} of {column.words}", code)
    if columns and not asked.values:
        for method in asked.methods:
            name = f"{WORDS.get(method, method)} of every column of numbers"
            code = f"{_picked(asked.frame.variable, columns)}.{method}()"
            yield Operation("table", name, code, "column")


def _grouped(asked: Asked, methods: tuple[str, ...]) -> Iterator[Operation]:
    columns, by = measured(asked), group_words(asked)
    if not columns:
        yield Operation("table", f"rows by {by}", f"{grouped_code(asked)}.size()")
        return
    words = " and ".join(WORDS.get(method, method) for method in methods)
    if len(methods) > 1:
        listed = ", ".join(f'"{method}"' for method in methods)
        for column in columns:
            code = f"{grouped_code(asked)}[{quoted(column.label)}].agg([{listed}])"
            yield Operation("table", f"{words} of {column.words} by {by}", code)
        return
    names = " and ".join(column.words for column in columns)
    labels = ", ".join(quoted(column.label) for column in columns)
    picked = f"[{labels}]" if len(columns) == 1 else f"[[{labels}]]"
    code = f"{grouped_code(asked)}{picked}.{methods[0]}()"
    yield Operation("table", f"{words} of {names} by {by}", code)


def _counted(asked: Asked) -> Iterator[Operation]:
    if asked.groups or asked.methods or _asks(asked, _ROWS):
        return
    if not _asks(asked, _HOW_MANY + r"|\bvalue counts\b"):
        return
    for column in asked.values:
        code = f"{column_code(asked.frame.variable, column)}.value_counts()"
        yield Operation("table", f"rows by {column.words}", code, column.words)


def _summary_of(asked: Asked) -> Operation:
    columns = [column for column in asked.values if not column.level]
    if columns:
        names = " and ".join(column.words for column in columns)
        code = f"{_picked(asked.frame.variable, columns)}.describe()"
        return Operation("table", f"summary of {names}", code, "statistic")
    code = f'{asked.frame.variable}.describe(include="all")'
    return Operation("table", f"summary of {asked.frame.name}", code, "statistic")


def _summary(asked: Asked) -> Iterator[Operation]:
    if _asks(asked, _SUMMARY):
        yield _summary_of(asked)


def _correlation(asked: Asked) -> Iterator[Operation]:
    if not _asks(asked, r"\bcorrelat"):
        return
    variable = asked.frame.variable
    columns = [c for c in (*asked.values, asked.against) if c is not None and not c.level]
    if len(columns) == 2:
        one, other = columns
        code = f"{column_code(variable, one)}.corr({column_code(variable, other)})"
        yield Operation("value", f"correlation of {one.words} and {other.words}", code)
        return
    numbers = [c for c in (columns or asked.frame.columns) if c.is_number and not c.level]
    yield Operation("table", "correlations", f"{_picked(variable, numbers)}.corr()", "column")


def _missing(asked: Asked) -> Iterator[Operation]:
    if _asks(asked, _MISSING):
        code = f"{asked.frame.variable}.isna().sum()"
        yield Operation("table", "missing values", code, "column")


def _hash(asked: Asked) -> Iterator[Operation]:
    if _asks(asked, r"\bhash"):
        code = f"str(pd.util.hash_pandas_object({asked.frame.variable}).sum())"
        yield Operation("value", f"hash of {asked.frame.name}", code)


def _head(asked: Asked) -> Iterator[Operation]:
    if match := _asks(asked, _HEAD):
        count = min(int(match[1] or 5), 100)
        code = f"{asked.frame.variable}.head({count})"
        yield Operation("table", f"the first {count} rows", code, "row")


_RULES: tuple[Rule, ...] = (
    _rows,
    _statistics,
    _counted,
    _correlation,
    _summary,
    _missing,
    _hash,
    _head,
)
