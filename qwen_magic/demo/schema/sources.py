"""Where the values of an answer may come from: what this turn really has, the surest first."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from qwen_magic.demo.pages import Page
from qwen_magic.demo.tables.frames import without_frames
from qwen_magic.demo.tasks.given import without_blocks
from qwen_magic.demo.turn import CallResult, Turn

_RESULT = re.compile(r"^(.{1,80}?) = (.+)$", re.MULTILINE)
_CSV = re.compile(
    r"^(?P<name>[^\n]{1,80}):\n(?P<rows>[^\n]+,[^\n]+\n.+?)(?:^$|\Z)", re.DOTALL | re.M
)
_START = re.compile(r"[{\[]")
MOST_STARTS = 100


@dataclass(frozen=True, slots=True)
class Source:
    """`where` says in words what it is. `values` are whole JSON values that stand in it, `pairs`
    names with what belongs to them (text as it was written, or JSON), `text` prose to look
    through."""

    where: str
    values: tuple[Any, ...] = ()
    pairs: tuple[tuple[str, Any], ...] = ()
    text: str = ""


def result_sources(results: Sequence[CallResult]) -> Iterator[Source]:
    """What the functions gave, the newest first; then what they were called with."""
    good = [each for each in results if not each.output.startswith("Error:")]
    for each in reversed(good):
        values = [*_whole(each.output)] or [*_inside(each.output), *_table(each.output)]
        plain = values[0] if values and isinstance(values[0], str) else each.output
        named = () if any(isinstance(v, dict | list) for v in values) else ((each.name, plain),)
        pairs = (*_pairs(values), *named)
        yield Source(f"what `{each.name}` gave", _with_parts(values), pairs, each.output)
    together = [value for each in good for value in _whole(each.output)]
    if len(together) > 1:
        yield Source("what the functions gave", (together,))
    for each in reversed(good):
        yield Source(f"the call of `{each.name}`", pairs=_pairs(_whole(each.arguments)))


def run_source(outputs: Sequence[str], wanted: Sequence[str] = ()) -> Source:
    """What runs of code printed; results that are `wanted` come before others."""
    text = "\n\n".join(outputs)
    found = _RESULT.findall(text)
    found.sort(key=lambda pair: pair[0] not in wanted)
    tables = [value for match in _CSV.finditer(text) for value in _table(match["rows"])]
    values = [*(value for output in outputs for value in _inside(output)), *tables]
    named = ("result", "answer", "value") if len(wanted) == 1 or len(found) == 1 else ()
    alone = [(name, found[0][1]) for name in named if found]
    scalars = [value for _, written in alone[:1] for value in _whole(written.replace(",", ""))]
    where = "what the code printed"
    return Source(where, _with_parts([*values, *scalars]), (*found, *alone, *_pairs(values)), text)


def pages_source(pages: Sequence[Page]) -> Source:
    listed = [{"title": page.title, "url": page.url} for page in pages]
    return Source("the pages found", (listed, *listed), _pairs(listed[:1]))


def prompt_source(turn: Turn) -> Source:
    """The prompt itself; code in it, and the arguments of a call that it names, are no answer."""
    text = without_blocks(without_frames(turn.prompt))
    called = [value for result in turn.results for value in _whole(result.arguments)]
    values = [value for value in _inside(text) if value not in called]
    return Source("your prompt", tuple(values), _pairs(values), text)


def _whole(text: str) -> Iterator[Any]:
    try:
        yield json.loads(text)
    except (ValueError, RecursionError):
        return


def _inside(text: str) -> Iterator[Any]:
    """The objects and lists that stand in the text."""
    position = 0
    for _ in range(MOST_STARTS):
        start = _START.search(text, position)
        if start is None:
            return
        try:
            value, position = json.JSONDecoder().raw_decode(text, start.start())
        except (ValueError, RecursionError):
            position = start.end()
            continue
        yield value


def _with_parts(values: Sequence[Any]) -> tuple[Any, ...]:
    """The values, then the objects within them."""
    parts = [part for value in values if isinstance(value, dict) for part in value.values()]
    return (*values, *(part for part in parts if isinstance(part, dict)))


def _pairs(values: Iterator[Any] | Sequence[Any]) -> tuple[tuple[str, Any], ...]:
    found = [value for value in values if isinstance(value, dict)]
    return tuple(pair for value in found for pair in value.items())


def _table(text: str) -> Iterator[Any]:
    """A table as a list of objects; one of two columns also as one object."""
    rows = [[_cell(cell) for cell in row] for row in csv.reader(io.StringIO(text)) if row]
    if len(rows) < 2:
        return
    head, *body = rows
    if len(head) < 2 or any(len(row) != len(head) for row in body):
        return
    yield [dict(zip(map(str, head), row, strict=True)) for row in body]
    if len(head) == 2:
        yield {str(name): value for name, value in body}


def _cell(text: str) -> Any:
    try:
        return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
    except ValueError:
        return text
