"""The figure that a question about a frame asks for, drawn with matplotlib."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwen_magic.demo.tables.asking import WORDS, Asked
from qwen_magic.demo.tables.frames import Column
from qwen_magic.demo.tables.operations import (
    column_code,
    group_words,
    grouped_code,
    measured,
    quoted,
)
from qwen_magic.demo.tasks.task import drawing, wants_plot

_SCATTER = re.compile(r"\bscatter", re.IGNORECASE)
_LINE = re.compile(r"\bline\b|\bover\b|\btime series\b", re.IGNORECASE)
_HISTOGRAM = re.compile(r"\bhistogram|\bdistribution", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Figure:
    """`draw` draws on `ax`; `sketch` names the values for a sketch in characters."""

    title: str
    x: str
    y: str
    draw: str
    sketch: str

    @property
    def code(self) -> str:
        return drawing(self.draw, self.title, self.x, self.y, self.sketch)


def figure(asked: Asked) -> Figure | None:
    """The figure that is asked for; None without one, or without a column for it."""
    text = asked.text
    if not (wants_plot(text) or _SCATTER.search(text) or _HISTOGRAM.search(text)):
        return None
    columns = measured(asked)
    if _HISTOGRAM.search(text):
        return _histogram(asked, columns[0]) if columns else None
    if asked.groups:
        return _bars_by_group(asked, columns)
    if asked.against is not None and columns:
        return _pairs(asked, asked.against, [c for c in columns if c != asked.against])
    if _SCATTER.search(text) and len(columns) > 1:
        return _pairs(asked, columns[0], columns[1:2])
    return _single(asked, columns[0]) if columns else None


def _histogram(asked: Asked, column: Column) -> Figure:
    values = f"{column_code(asked.frame.variable, column)}.dropna()"
    draw = f'ax.hist({values}, bins=20, edgecolor="white")'
    return Figure(f"Distribution of {column.words}", column.words, "rows", draw, values)


def _bars_by_group(asked: Asked, columns: list[Column]) -> Figure:
    by = group_words(asked)
    if columns and (asked.values or asked.methods):
        method, column = (*asked.methods, "mean")[0], columns[0]
        code = f"{grouped_code(asked)}[{quoted(column.label)}].{method}()"
        measure = f"{WORDS.get(method, method)} of {column.words}"
    else:
        code, measure = f"{grouped_code(asked)}.size()", "rows"
    return _bars(asked, code, f"{measure} by {by}", by, measure)


def _bars(asked: Asked, code: str, title: str, x: str, y: str) -> Figure:
    names = "[str(label) for label in heights.index]"
    way = f'ax.plot({names}, heights, ".-")' if _LINE.search(asked.text) else ""
    draw = f"heights = {code}\n" + (way or f"ax.bar({names}, heights)")
    return Figure(title, x, y, draw, code)


def _pairs(asked: Asked, x: Column, ys: list[Column]) -> Figure | None:
    if not ys:
        return None
    variable, names = asked.frame.variable, " and ".join(y.words for y in ys)
    if _SCATTER.search(asked.text) or not _LINE.search(asked.text):
        lines = [
            f"ax.scatter({column_code(variable, x)}, {column_code(variable, y)}, label={y.words!r})"
            for y in ys
        ]
    else:
        lines = [f"ordered = {variable}.sort_values({quoted(x.label)})"]
        lines += [
            f'ax.plot({column_code("ordered", x)}, {column_code("ordered", y)}, ".-", '
            f"label={y.words!r})"
            for y in ys
        ]
    lines += ["ax.legend()"] if len(ys) > 1 else []
    sketch = f"{column_code(variable, ys[0])}.dropna()"
    return Figure(f"{names} against {x.words}", x.words, names, "\n".join(lines), sketch)


def _single(asked: Asked, column: Column) -> Figure:
    values = column_code(asked.frame.variable, column)
    if not column.is_number:
        title = f"rows by {column.words}"
        return _bars(asked, f"{values}.value_counts()", title, column.words, "rows")
    draw = f'ax.plot({values}.to_numpy(), ".-")'
    return Figure(column.words, "row", column.words, draw, f"{values}.dropna()")
