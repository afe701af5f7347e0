"""A CSV in the prompt: what its columns hold, sums by group, a figure."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

from qwen_magic.demo.tasks.task import Task, drawing, wants_plot

_FENCE = re.compile(
    r"^[ \t]*(`{3,})[ \t]*(?:csv|tsv)[^\n]*\n(.*?)^[ \t]*\1", re.DOTALL | re.MULTILINE
)
_BY = re.compile(
    r"\b(?:by|per|for each|grouped by|of each)\s+(?:the\s+)?([\w ]+?)\b(?=[?.,!;\n]|$| and )"
)


@dataclass(frozen=True, slots=True)
class _Table:
    text: str
    columns: tuple[str, ...]
    numeric: tuple[str, ...]
    rows: int


def write(text: str) -> Task | None:
    table = _find(text)
    if table is None:
        return None
    question = text.replace(table.text, "")
    group, value = _grouping(question, table)
    codes = [_load(table) + _summary(table) + _group_code(group, value)]
    if wants_plot(question) and table.numeric:
        codes.append(_load(table) + _plot(table, group, value))
    plan = (
        f"The prompt holds a table: {table.rows} rows, columns {', '.join(table.columns)}. "
        "I put its text into Python, summarise every column"
        + (f", and add up {value} by {group}." if group and value else ".")
    )
    return Task(plan, "the table", tuple(codes))


def _find(text: str) -> _Table | None:
    fence = _FENCE.search(text)
    found = fence[2] if fence else _bare(text)
    rows = list(csv.reader(io.StringIO(found))) if found else []
    rows = [row for row in rows if row]
    if len(rows) < 2 or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return None
    columns = tuple(name.strip() for name in rows[0])
    numeric = tuple(
        name for n, name in enumerate(columns) if all(_is_number(row[n]) for row in rows[1:])
    )
    return _Table(found, columns, numeric, len(rows) - 1)


def _bare(text: str) -> str:
    """The longest run of lines with equally many commas, whose first has no number."""
    best: list[str] = []
    run: list[str] = []
    for line in [*text.splitlines(), ""]:
        commas = line.count(",")
        if commas and (not run or commas == run[0].count(",")):
            run.append(line)
            continue
        best = run if len(run) > len(best) else best
        run = [line] if commas else []
    if len(best) < 3 or any(_is_number(cell) for cell in best[0].split(",")):
        return ""
    return "\n".join(best) + "\n"


def _is_number(cell: str) -> bool:
    if not cell.strip():
        return True  # missing
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _grouping(question: str, table: _Table) -> tuple[str, str]:
    """The column to group by and the one to add up, as the question names them; or empty."""
    words = {name.lower(): name for name in table.columns}
    group = ""
    for match in _BY.finditer(question):
        asked = match[1].strip().lower()
        group = words.get(asked) or words.get(asked.removesuffix("s")) or group
    named = [name for name in table.numeric if name.lower() in question.lower() and name != group]
    value = (named or [name for name in table.numeric if name != group] or [""])[0]
    return group, value


def _load(table: _Table) -> str:
    quoted = table.text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return (
        "import csv\nimport io\nimport statistics\n\n"
        f'CSV = """\\\n{quoted}"""\n\n'
        "rows = list(csv.DictReader(io.StringIO(CSV)))\n"
        f"numeric = {list(table.numeric)!r}\n\n\n"
        "def numbers(name):\n"
        "    return [float(row[name]) for row in rows if row[name].strip()]\n\n\n"
    )


def _summary(table: _Table) -> str:
    return (
        'print(f"rows = {len(rows)}")\n'
        "for name in numeric:\n"
        "    column = numbers(name)\n"
        '    print(f"{name}: sum = {sum(column):,.10g}")\n'
        '    print(f"{name}: mean = {statistics.fmean(column):,.6g}")\n'
        '    print(f"{name}: median = {statistics.median(column):,.6g}")\n'
        '    print(f"{name}: standard deviation = {statistics.pstdev(column):,.6g}")\n'
        '    print(f"{name}: range = {min(column):,.6g} to {max(column):,.6g}")\n'
        f"for name in {[name for name in table.columns if name not in table.numeric]!r}:\n"
        "    different = {row[name] for row in rows}\n"
        '    print(f"{name}: different values = {len(different)}")\n'
    )


def _group_code(group: str, value: str) -> str:
    if not group or not value:
        return ""
    return f"\n{_totals(group, value)}for key, total in totals.items():\n" + (
        f'    print(f"{value} of {{key}} = {{total:,.10g}}")\n'
    )


def _totals(group: str, value: str) -> str:
    return (
        "totals = {}\n"
        "for row in rows:\n"
        f"    if row[{value!r}].strip():\n"
        f"        totals[row[{group!r}]] = totals.get(row[{group!r}], 0) + float(row[{value!r}])\n"
    )


def _plot(table: _Table, group: str, value: str) -> str:
    labels = [name for name in table.columns if name not in table.numeric]
    key = group or (labels[0] if labels else "")
    if key and key != value:
        draw = "ax.bar(list(totals), list(totals.values()))"
        title = f"{value} by {key}"
        return _totals(key, value) + "\n" + drawing(draw, title, key, value, "totals.values()")
    if len(table.numeric) > 1:
        x, y = table.numeric[0], table.numeric[1]
        draw = f"ax.scatter(numbers({x!r}), numbers({y!r}))"
        return drawing(draw, f"{y} against {x}", x, y, f"numbers({y!r})")
    return drawing(f"ax.plot(numbers({value!r}))", value, "row", value, f"numbers({value!r})")
