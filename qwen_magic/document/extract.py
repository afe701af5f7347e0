"""Out of an answer's Markdown into Python: its code blocks, its tables.

pandas is imported only when a DataFrame is made. A column gets a type only where every cell that is
not missing has it; one cell that differs leaves the whole column as text, so that nothing is lost:

- missing: empty, `-`, `–`, `—`, `N/A`, `n/a`, `NA`, `NaN`, `null`, `None`;
- numbers: `1,234.5`, `1 234`, `1_234`, `1'234`, `−5`, `+5`, `1e6`, `(5)` for -5; a comma groups
  threes (`1,234`), else it is a decimal comma (`3,14`, `1.234,5`) if the whole column reads so;
  several signs of approximation (`~5`, `≈5`) are dropped. Leading zeros (`007`) make text;
- whole numbers beyond 64 bits stay text;
- units: one sign of money before (`$5`, `€ 5`, `USD 5`), or one unit after (`5 %`, `5 kg`), the
  same in all cells. The numbers are kept as written (`5 %` is 5.0), the unit is told apart;
- truth: `true`/`false`, `yes`/`no`, `✓`/`✗` and the like, in one pair;
- dates: ISO 8601 only (`2024-03-01`, with a time, with a zone): `03/04/2024` stays text.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

from qwen_magic.document.highlight import is_python
from qwen_magic.document.markdown.parser import parse
from qwen_magic.document.markdown.render import fence_language, text_of
from qwen_magic.errors import UsageError

Value: TypeAlias = int | float | bool | str | datetime.datetime | None

_MISSING: Final = frozenset(("", "-", "–", "—", "n/a", "na", "nan", "null", "none", "<na>"))
_TRUTHS: Final = (
    ("true", "false"),
    ("yes", "no"),
    ("✓", "✗"),
    ("✔", "✘"),
    ("✅", "❌"),
    ("☑", "☐"),
)
_MONEY: Final = (
    r"[$€£¥￥₹₩₽₺฿₫₴₪]|(?:US|A|C|NZ|HK|S)\$|(?:USD|EUR|GBP|JPY|CNY|CHF|INR|RMB)(?=[\s\d])"
)
_NUMBER: Final = re.compile(
    rf"(?P<open>\()?[~≈]?\s*(?P<sign>[-+−])?\s*(?P<money>{_MONEY})?\s*(?P<sign2>[-+−])?"
    r"(?P<digits>\.\d+|\d(?:[\d.,_'’\u00a0\u202f ]*\d)?\.?)(?P<power>[eE][-+]?\d+)?"
    r"\s?(?P<unit>(?:[^\W\d_]|[%‰°$€£¥₹])[^\d()]*)?(?P<close>\))?"
)
_GROUPED: Final = re.compile(r"\d{1,3}(?:([,_'’\u00a0\u202f ])\d{3})(?:\1\d{3})*(?:\.\d*)?")
_INDIAN: Final = re.compile(r"\d{1,2}(?:,\d\d)*,\d{3}(?:\.\d*)?")
_PLAIN: Final = re.compile(r"\d*\.?\d*")
_COMMA: Final = re.compile(r"\d+,\d+|\d{1,3}(?:[.\u00a0\u202f ]\d{3})+(?:,\d+)?")
_LEADING_ZERO: Final = re.compile(r"0\d")
_DATE: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:\s?(?:Z|[-+]\d\d:?\d\d))?)?"
)
_LONGEST_UNIT: Final = 12  # characters
_LONGEST_NUMBER: Final = 40
_INT64: Final = 2**63


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

    Types as told above. Whole numbers are int64, or Int64 where cells are missing; others
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


@dataclass(frozen=True, slots=True)
class Column:
    """A column's values. `kind` is `int`, `float`, `bool`, `date` or `text`; `unit` is what the
    numbers are in, empty for none. Missing cells are None."""

    kind: str
    values: tuple[Value, ...]
    unit: str = ""


def read_column(cells: Sequence[str]) -> Column:
    """The column that these cells make; never fails, since text is always left."""
    given = [None if cell.strip().lower() in _MISSING else cell.strip() for cell in cells]
    present = [cell for cell in given if cell is not None]
    if present:
        for reader in (_truths, _dates, _numbers):
            column = reader(present)
            if column is not None:
                return _with_missing(column, given)
    # No cell is known to be missing where the column is text: a dash may be meant.
    return Column("text", tuple(cell if cell != "" else None for cell in map(str.strip, cells)))


def _with_missing(column: Column, given: Sequence[str | None]) -> Column:
    values = iter(column.values)
    return Column(
        column.kind, tuple(None if cell is None else next(values) for cell in given), column.unit
    )


def _truths(cells: Sequence[str]) -> Column | None:
    words = [cell.lower() for cell in cells]
    for pair in _TRUTHS:
        if all(word in pair for word in words):
            return Column("bool", tuple(word == pair[0] for word in words))
    return None


def _dates(cells: Sequence[str]) -> Column | None:
    if not all(_DATE.fullmatch(cell) for cell in cells):
        return None
    try:
        values = [datetime.datetime.fromisoformat(cell.replace(" +", "+")) for cell in cells]
    except ValueError:  # the 31st of February
        return None
    if len({value.tzinfo is None for value in values}) > 1:
        return None
    return Column("date", tuple(values))


def _numbers(cells: Sequence[str]) -> Column | None:
    found = [_NUMBER.fullmatch(cell) for cell in cells if len(cell) <= _LONGEST_NUMBER]
    parts = [match for match in found if match is not None]
    units = {_unit(match) for match in parts}
    if len(parts) < len(cells) or len(units) != 1:
        return None
    unit = units.pop()
    if len(unit) > _LONGEST_UNIT or not all(_is_balanced(match) for match in parts):
        return None
    digits = [match["digits"].strip() for match in parts]
    plain = _all_or_none(digits, _point) or _all_or_none(digits, _comma)
    if plain is None:
        return None
    values = [_signed(match, text) for match, text in zip(parts, plain, strict=True)]
    if any(isinstance(value, int) and not -_INT64 <= value < _INT64 for value in values):
        return None  # an account number: a float would lose its last digits
    whole = all(isinstance(value, int) for value in values)
    made = tuple(values) if whole else tuple(float(value) for value in values)
    return Column("int" if whole else "float", made, unit)


def _unit(match: re.Match[str]) -> str:
    money, unit = match["money"] or "", (match["unit"] or "").strip()
    return f"{money} {unit}".strip() if money and unit else money or unit


def _is_balanced(match: re.Match[str]) -> bool:
    signed = (match["sign"], match["sign2"])
    return bool(match["open"]) == bool(match["close"]) and None in signed


def _all_or_none(digits: Sequence[str], one: Callable[[str], str | None]) -> list[str] | None:
    texts = [one(text) for text in digits]
    return None if None in texts else [text for text in texts if text is not None]


def _point(text: str) -> str | None:
    """Digits with a decimal point, without what groups them; None where they are no number."""
    if _GROUPED.fullmatch(text) or _INDIAN.fullmatch(text):
        return re.sub(r"[^\d.]", "", text)
    return text if _PLAIN.fullmatch(text) and not _LEADING_ZERO.match(text) else None


def _comma(text: str) -> str | None:
    """The same, written with a decimal comma."""
    if _COMMA.fullmatch(text) and not _LEADING_ZERO.match(text):
        return re.sub(r"[^\d,]", "", text).replace(",", ".")
    return text if text.isdigit() and not _LEADING_ZERO.match(text) else None


def _signed(match: re.Match[str], digits: str) -> int | float:
    negative = match["open"] or (match["sign"] or match["sign2"]) in ("-", "−")
    text = digits + (match["power"] or "")
    value = int(text) if text.isdigit() else float(text)
    return -value if negative else value
