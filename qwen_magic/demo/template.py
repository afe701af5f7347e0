"""`{{name["key"][0]:,.2f}}` in a lesson's texts: a value looked up and formatted, no more.

    {{NAME}}  {{NAME[0]}}  {{NAME["key"]}}  {{len(NAME)}}   each with :FORMAT

FORMAT is Python's format specification, or `table` (a list of objects, or of lists with the header
first, as a Markdown table), or `json`. There is no arithmetic, no attribute and no call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_PLACE = re.compile(
    r"\{\{\s*(?P<len>len\()?(?P<name>[^\W\d]\w*)"
    r"""(?P<path>(?:\[(?:-?\d+|"[^"\n]*"|'[^'\n]*')\])*)"""
    r"(?(len)\))\s*(?::(?P<format>[^{}\n]*?))?\s*\}\}"
)
_KEY = re.compile(r"""\[(?:(-?\d+)|"([^"\n]*)"|'([^'\n]*)')\]""")


class MissingValueError(LookupError):
    """A text names a value that there is not."""


def fill(text: str, values: Mapping[str, Any], written: Callable[[Any], str] | None = None) -> str:
    """The text with its values: as prose, or as `written` writes each. Raises
    `MissingValueError`."""
    return _PLACE.sub(lambda place: _formatted(place, values, written or _plain), text)


def names_in(text: str) -> Iterator[str]:
    """The names that a text's places begin with; for what is no place, all of it."""
    for match in re.finditer(r"\{\{(.*?)\}\}", text):
        place = _PLACE.match(text, match.start())
        yield place["name"] if place else match[0]


def _formatted(
    place: re.Match[str], values: Mapping[str, Any], written: Callable[[Any], str]
) -> str:
    value = _value(place, values)
    match place["format"]:
        case None:
            return written(value)
        case "table":
            return markdown_table(value)
        case "json":
            return as_json(value)
        case spec:
            try:
                return format(value, spec)
            except (TypeError, ValueError) as error:
                raise MissingValueError(f"{place[0]}: {error}") from error


def _value(place: re.Match[str], values: Mapping[str, Any]) -> Any:
    try:
        value = values[place["name"]]
        for number, double, single in _KEY.findall(place["path"]):
            value = value[int(number) if number else double or single]
        return len(value) if place["len"] else value
    except (LookupError, TypeError, ValueError) as error:
        raise MissingValueError(f"{place[0]}: there is no such value") from error


def _plain(value: Any) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    return as_json(value)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace("```", "\\u0060" * 3)


def markdown_table(rows: Any) -> str:
    """Raises `MissingValueError` where the rows are no table."""
    if not isinstance(rows, list) or not rows:
        raise MissingValueError("this is no table: a list of rows was expected")
    if all(isinstance(row, dict) for row in rows):
        header = list(dict.fromkeys(key for row in rows for key in row))
        lines = [header, *([row.get(key) for key in header] for row in rows)]
    elif all(isinstance(row, list) for row in rows):
        lines = rows
    else:
        raise MissingValueError("this is no table: its rows are neither objects nor lists")
    numeric = [
        all(isinstance(line[n], int | float | None) for line in lines[1:] if n < len(line))
        for n in range(len(lines[0]))
    ]
    rule = ["---:" if right else "---" for right in numeric]
    written = [[_cell(cell) for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [written[0], rule, *written[1:]])


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:,.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
