"""A cell's syntax, and replacements in its text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from qwen_magic.demo.mending.failure import Failure

_MAGIC = re.compile(r"^(\s*)[%!?].*$")
_Node = TypeVar("_Node", bound=ast.expr)


@dataclass(frozen=True, slots=True)
class Edit:
    """What stands in place of an expression."""

    node: ast.expr
    text: str


def running(failure: Failure, kind: type[_Node]) -> Iterator[_Node]:
    """The expressions of that kind in the lines that were running, outermost first; none where
    the cell is no Python."""
    lines = [_MAGIC.sub(r"\1pass", line) for line in failure.lines]
    try:
        tree = compile(
            "\n".join(lines),
            "<cell>",
            "exec",
            ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, kind):
            span = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if any(line in failure.marked for line in span):
                yield node


def code_of(failure: Failure, node: ast.expr) -> str:
    return ast.get_source_segment(failure.source, node) or ""


def edited(failure: Failure, edits: Sequence[Edit]) -> str:
    """The cell with the replacements; of two that overlap only the first is made."""
    data = [line.encode() for line in failure.lines]
    made: list[tuple[tuple[int, int], tuple[int, int], str]] = []
    for edit in edits:
        start, end = _span(edit.node)
        if all(end <= other[0] or start >= other[1] for other in made):
            made.append((start, end, edit.text))
    for (row, column), (end_row, end_column), text in sorted(made, reverse=True):
        rest = data[end_row][end_column:]
        data[row : end_row + 1] = [data[row][:column] + text.encode() + rest]
    return "\n".join(line.decode() for line in data)


def _span(node: ast.expr) -> tuple[tuple[int, int], tuple[int, int]]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return (node.lineno - 1, node.col_offset), (node.end_lineno - 1, node.end_col_offset)


def with_word(failure: Failure, word: str, other: str) -> str:
    """The cell with `other` for the name `word`, wherever it stands apart and not in quotes."""
    pattern = rf"(?<![\w.'\"]){re.escape(word)}(?![\w'\"])"
    return re.sub(pattern, lambda match: other, failure.source)
