"""Where an exception came by: the places of its traceback, and what their statements name."""

from __future__ import annotations

import ast
import inspect
import linecache
import re
import sysconfig
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

_LIBRARIES: Final = tuple(
    {
        path
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
        if (path := sysconfig.get_paths().get(name))
    }
)
_INSTALLED: Final = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
_CELL: Final = re.compile(r"^<ipython-input-|[/\\]ipykernel_\d+[/\\]")
_NOBODYS: Final = ("get_ipython",)  # what magics became
_BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")


@dataclass(frozen=True)
class Place:
    """One line on the way of an exception. `cell` is the number of its notebook cell, or None."""

    filename: str
    line: int
    frame: types.FrameType
    cell: int | None = None

    @property
    def function(self) -> str:
        return self.frame.f_code.co_qualname

    @cached_property
    def is_users(self) -> bool:
        """Whether it is in a cell or module of the user's, not in a library."""
        if self.cell is not None or _CELL.search(self.filename):
            return True
        module = str(self.frame.f_globals.get("__name__", ""))
        if self.filename.startswith("<") or module.partition(".")[0] == "qwen_magic":
            return False
        return not (_INSTALLED.search(self.filename) or self.filename.startswith(_LIBRARIES))

    @property
    def where(self) -> str:
        """The place in words, without the folders that a person's name may be in."""
        if self.cell is not None:
            return f"cell {self.cell}, line {self.line}, in {self.function}"
        name = self.filename
        if found := _INSTALLED.search(name):
            name = name[found.end() :]
        for library in sorted(_LIBRARIES, key=len, reverse=True):
            name = name.removeprefix(library + "/")
        name = name if name != self.filename or name.startswith("<") else Path(name).name
        return f"{name}:{self.line}, in {self.function}"

    @cached_property
    def lines(self) -> list[str]:
        """The lines of its file, without line breaks; none where the source is not to be had."""
        return source_lines(self.filename, self.frame.f_globals)

    @cached_property
    def span(self) -> tuple[int, int]:
        """The first and last line of the function that the place is in, from 1."""
        code = self.frame.f_code
        lines = [line for _, _, line in code.co_lines() if line]
        last = max([self.line, *lines])
        if code.co_name == "<module>":
            return 1, max(last, len(self.lines))
        return min(code.co_firstlineno, self.line), last

    @cached_property
    def scopes(self) -> tuple[Mapping[str, object], ...]:
        """Its variables: the local ones, then those of its module."""
        return self.frame.f_locals, self.frame.f_globals

    def named(self) -> Iterator[tuple[str, object]]:
        """What the statement at this place names, with the values, in the order of the source."""
        statement = _statement(self.lines, self.line)
        if statement is not None:
            for dotted in _dotted_names(statement):
                yield from self._looked_up(dotted)

    def _looked_up(self, dotted: list[str]) -> Iterator[tuple[str, object]]:
        """The name, then its attributes as far as they can be read without running code."""
        scope = next((each for each in self.scopes if dotted[0] in each), None)
        if scope is None:
            return
        value = scope[dotted[0]]
        for number in range(1, len(dotted) + 1):
            if number > 1:
                try:
                    value = inspect.getattr_static(value, dotted[number - 1])
                except Exception:  # not there, or made on the fly
                    return
                if hasattr(type(value), "__get__"):
                    return
            if not isinstance(value, types.ModuleType):
                yield ".".join(dotted[:number]), value


def places(error: BaseException, cells: Mapping[str, int]) -> list[Place]:
    """The places of `error`, outermost first, from the first cell (else the first place of the
    user's) on. `cells`: the number of the cell for each file name that is one."""
    found: list[Place] = []
    step = error.__traceback__
    while step is not None:
        filename = step.tb_frame.f_code.co_filename
        found.append(Place(filename, step.tb_lineno or 1, step.tb_frame, cells.get(filename)))
        step = step.tb_next
    in_cells = [number for number, place in enumerate(found) if place.cell is not None]
    ours = in_cells or [number for number, place in enumerate(found) if place.is_users]
    return found[ours[0] :] if ours else found


def _statement(lines: list[str], line: int) -> ast.stmt | None:
    """The innermost statement at `line`."""
    tree = parsed("\n".join(lines))
    if tree is None:
        return None
    found: ast.stmt | None = None
    for node in ast.walk(tree):  # outer ones come first
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            found = node
    return found


def source_lines(filename: str, module: dict[str, object] | None = None) -> list[str]:
    """The lines of a file or cell, without line breaks; `module`: the globals of its code."""
    try:
        lines = linecache.getlines(filename, module)
    except Exception:  # a loader of the user's may fail in any way
        return []
    return [line.rstrip("\r\n") for line in lines]


def parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _dotted_names(statement: ast.stmt) -> Iterator[list[str]]:
    """`a.b.c` as ["a", "b", "c"], each once; of a statement with a block only its head."""
    seen: set[str] = set()
    heads = [value for name, value in ast.iter_fields(statement) if name not in _BLOCKS]
    nodes = [each for head in heads for each in (head if isinstance(head, list) else [head])]
    parts = [
        part
        for node in nodes
        if isinstance(node, ast.AST)
        for part in ast.walk(node)
        if isinstance(part, ast.Name | ast.Attribute)
    ]
    for part in sorted(parts, key=lambda part: (part.lineno, part.col_offset)):
        dotted = _dotted(part)
        if dotted and dotted[0] not in _NOBODYS and ".".join(dotted) not in seen:
            seen.add(".".join(dotted))
            yield dotted


def _dotted(node: ast.AST) -> list[str]:
    match node:
        case ast.Name():
            return [node.id]
        case ast.Attribute():
            before = _dotted(node.value)
            return [*before, node.attr] if before else []
    return []
