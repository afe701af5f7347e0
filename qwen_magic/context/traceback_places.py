"""Where an exception came by: the places of its traceback, and what their statements name, with
these values in words, without secrets.

stack_data (which IPython brings) finds the source and its statements, and its pure_eval looks up
names and attributes without running any code.
"""

from __future__ import annotations

import ast
import builtins
import re
import sysconfig
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

from pure_eval import CannotEval, Evaluator
from stack_data.core import Source

from qwen_magic.context.description import CALLABLE, describe
from qwen_magic.context.masked_names import without_masked
from qwen_magic.context.secrets import Secrets, without_secrets
from qwen_magic.masking import MASKED, SECRET_NAMES, is_secret_name

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


@dataclass(frozen=True)
class Place:
    """A line of a traceback. `cell` is the number of its notebook cell, or None."""

    filename: str
    line: int
    frame: types.FrameType
    cell: int | None = None

    @property
    def function(self) -> str:
        return self.frame.f_code.co_qualname

    @cached_property
    def is_users(self) -> bool:
        """Whether it is in the user's own cell or module, not in a library."""
        if self.cell is not None or _CELL.search(self.filename):
            return True
        module = str(self.frame.f_globals.get("__name__", ""))
        if self.filename.startswith("<") or module.partition(".")[0] == "qwen_magic":
            return False
        return not (_INSTALLED.search(self.filename) or self.filename.startswith(_LIBRARIES))

    @property
    def where(self) -> str:
        """The place in words, without folders that may contain a person's name."""
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
    def source(self) -> Source:
        return source_of(self.filename, self.frame.f_globals)

    @cached_property
    def span(self) -> tuple[int, int]:
        """The first and last line of the function that the place is in, from 1."""
        code = self.frame.f_code
        last = max([self.line, *(line for _, _, line in code.co_lines() if line)])
        if code.co_name == "<module>":
            return 1, max(last, len(self.source.lines))
        return min(code.co_firstlineno, self.line), last

    @property
    def scopes(self) -> tuple[Mapping[str, object], ...]:
        """The variables visible there: local ones, then the module's."""
        return self.frame.f_locals, self.frame.f_globals

    def named(self) -> Iterator[tuple[str, object]]:
        """The names in the statement at this place, with their values, in the order of the source.

        `a.b` gives `a`, then `a.b`; of a compound statement only the header counts. Modules and
        builtins are left out.
        """
        pieces: list[range] = self.source.pieces  # type: ignore[misc]  # it has no types
        piece = next((piece for piece in pieces if self.line in piece), range(0))
        look_up = Evaluator.from_frame(self.frame)
        nodes = [
            node
            for node in ast.walk(self.source.tree or ast.Module([], []))
            if isinstance(node, ast.Name | ast.Attribute) and node.lineno in piece
        ]
        for node in sorted(nodes, key=lambda n: (n.lineno, n.col_offset, n.end_col_offset or 0)):
            name = ast.unparse(node)
            try:
                value = look_up[node]
            except CannotEval:  # not there, or only a property could tell
                continue
            is_known = value is vars(builtins).get(name, look_up)  # `sum`, unless it was bound anew
            if not (is_known or name in _NOBODYS or isinstance(value, types.ModuleType)):
                yield name, value


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


def source_of(filename: str, module: dict[str, object] | None = None) -> Source:
    """The source of a file or cell; `module`: the globals of its code. Without lines where it is
    not to be had, without a tree where it is no Python."""
    try:
        return cast(Source, Source.for_filename(filename, module))
    except Exception:  # a loader of the user's may fail in any way
        return Source(filename, [])


# What is told of the values -----------------------------------------------------------------------

MAX_VALUES: Final = 12
_LONGEST_VALUE: Final = 500  # characters
_LOOKED_AT: Final = 20_000  # characters of a text
_MOST_CELLS: Final = 200  # of an array or a series, in search of secrets
# Of these the name says nothing about what is in them.
_CODE_TYPES: Final = (bool, types.ModuleType, *CALLABLE)


def named_values(places: Iterable[Place], secrets: Secrets) -> dict[str, str]:
    """Descriptions by name, of the user's places in this order; each object once."""
    descriptions: dict[str, str] = {}
    seen: set[int] = set()
    for place in places:
        for name, value in place.named() if place.is_users else ():
            if id(value) in seen and name in descriptions:
                continue
            seen.add(id(value))
            label = name if name not in descriptions else f"{name} in {place.function}"
            if label not in descriptions:
                descriptions[label] = _typed_value(name, value, secrets)
            if len(descriptions) == MAX_VALUES:
                return descriptions
    return descriptions


def _typed_value(name: str, value: object, secrets: Secrets) -> str:
    """` = 5` for what fits a line, else the text in lines below; always with the type."""
    kind = secrets.mask(type(value).__name__)
    text = _described(name, value, secrets)
    if "\n" not in text:
        return f"{kind} = {text}"
    return "\n".join([kind, *(f"    {line}" for line in text.splitlines())])


def _described(name: str, value: object, secrets: Secrets) -> str:
    try:
        if _is_secret(name, value):
            return MASKED
        _search_table(value, secrets)
        _search_fields(value, secrets)
        secrets.search(value)
        given = (
            value[:_LOOKED_AT]
            if isinstance(value, str)
            else without_masked(without_secrets(value), SECRET_NAMES)
        )
        text = describe(given)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a `__repr__` may even raise SystemExit
        return "(it cannot be described)"
    masked = secrets.mask_cut(text.rstrip().partition("…\n(cut: ")[0])
    return masked if len(masked) <= _LONGEST_VALUE else f"{masked[:_LONGEST_VALUE]}… (cut)"


def _is_secret(name: str, value: object) -> bool:
    if value is None or isinstance(value, _CODE_TYPES):
        return False
    column = getattr(value, "name", None) if hasattr(type(value), "dtype") else None
    names = [*name.split("."), column if isinstance(column, str) else ""]
    return any(map(is_secret_name, names))


def _search_table(value: Any, secrets: Secrets) -> None:
    """Mask the first values of table columns with a secret name."""
    if not hasattr(type(value), "shape"):
        return
    arrow = hasattr(type(value), "column_names")  # whose `columns` are the data
    for name in list(value.column_names if arrow else getattr(value, "columns", ())):
        parts = name if isinstance(name, tuple) else (name,)
        if any(is_secret_name(part) for part in parts if isinstance(part, str)):
            column = value.column(name) if arrow else value[name]
            for cell in list(column[:10]):
                secrets.add(str(cell))


def _search_fields(value: Any, secrets: Secrets) -> None:
    """Mask values in array fields, and in an index, with a secret name."""
    names = getattr(getattr(value, "dtype", None), "names", None) or ()
    for name in names if hasattr(value, "ravel") else ():
        if is_secret_name(str(name)):
            for cell in value[name].ravel()[:_MOST_CELLS].tolist():
                secrets.add(cell)
    if hasattr(value, "index") and hasattr(value, "iloc") and not hasattr(value, "columns"):
        for place, label in enumerate(list(value.index[:_MOST_CELLS])):
            if isinstance(label, str) and is_secret_name(label):
                secrets.add(value.iloc[place])
