"""Describe an exception to a model: the cell, the traceback and the values that it names.

The user has typed none of this, so secrets are masked, and the report lists what it contains.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from qwen_magic.context.secrets import Secrets, written_secrets
from qwen_magic.context.traceback_places import Place, named_values, places, source_of
from qwen_magic.document.words import fenced

MAX_CHARS: Final = 6_000  # of the traceback, and of the cell
_MESSAGE: Final = 1_000
_LINE: Final = 300
_NEAR: Final = 25  # lines shown around a failing one, where the whole is too long
_RELATED: Final = 8  # causes and members of groups
_REPEATS: Final = 2  # of one place, in a recursion
_PLACES: Final = 30


@dataclass(frozen=True, slots=True)
class ExceptionReport:
    """The report about an exception.

    `text`: Markdown for the model; `title`: the exception's type; `cell`: the failed cell's number,
    or None; `names`: variables whose values are included; `has_source`: the cell's source is
    included.
    """

    text: str
    title: str
    cell: int | None
    names: tuple[str, ...]
    has_source: bool

    @property
    def contents(self) -> str:
        """What the report includes: "cell 5, the traceback, the values of x, df"."""
        parts = ["the traceback"]
        if self.has_source:
            parts.insert(0, f"cell {self.cell}" if self.cell is not None else "the last input")
        if self.names:
            values = "the value of" if len(self.names) == 1 else "the values of"
            parts.append(f"{values} {', '.join(self.names)}")
        return ", ".join(parts)


def exception_report(
    error: BaseException,
    *,
    cells: Mapping[str, int] | None = None,
    typed: Mapping[int, str] | None = None,
    last_input: str = "",
    secrets: Iterable[str] = (),
) -> ExceptionReport:
    """Tell of `error`.

    `cells`: for each file name that `linecache` knows as a cell's, the cell's number. `typed`: the
    cells as typed, which are shown where they have the lines of what ran. `last_input`: shown where
    the error has no cell. `secrets`: texts to keep back besides those that look like some. Nothing
    is executed but what describing a value takes; never raises for what `error` is made of.
    """
    with warnings.catch_warnings():  # of sources that are parsed again, such as of "\\d"
        warnings.simplefilter("ignore")
        return _Telling(error, cells or {}, typed or {}, last_input, Secrets(secrets)).report()


@dataclass
class _Telling:
    """Builds one report."""

    error: BaseException
    cells: Mapping[str, int]
    typed: Mapping[int, str]
    last_input: str
    secrets: Secrets

    def __post_init__(self) -> None:
        self.masked: dict[str, list[str]] = {}  # sources without secrets, by file name
        self.related = list(_related(self.error))[:_RELATED]
        errors = [self.error, *(error for _, error in self.related)]
        self.places = {id(error): places(error, self.cells) for error in errors}
        self.own = self.places[id(self.error)]
        self.cell, self.source, self.marked = self._failing_cell()
        self._find_secrets()

    def report(self) -> ExceptionReport:
        values = named_values(self._innermost_first(), self.secrets)
        where = f"Cell {self.cell}" if self.cell is not None else "The input"
        sections = {
            "The exception:": self._message(self.error),
            f"{where} (`>>` marks what was running):": self._cell_text(),
            "The traceback, outermost first:": self._traceback(),
            "It belongs to:": self._related_text(),
            "Values now, of what the failing lines name:": "\n".join(
                f"{name}: {text}" for name, text in values.items()
            ),
        }
        text = "\n\n".join(
            f"{title}\n{fenced(body, 'text')}" for title, body in sections.items() if body
        )
        masked = self.secrets.mask(text, code=True)
        return ExceptionReport(
            masked, _title(self.error), self.cell, tuple(values), bool(self.source)
        )

    def _failing_cell(self) -> tuple[int | None, str, set[int]]:
        """The number, source and failing lines of the cell that was run."""
        first = next((place for place in self.own if place.cell is not None), None)
        if first is not None:
            lines = {p.line for p in self.own if p.filename == first.filename}
            return first.cell, self._as_typed(first.cell, first.source.lines), lines
        error = self.error
        if isinstance(error, SyntaxError) and (name := error.filename or "") in self.cells:
            self.own = self.places[id(error)] = []  # only what compiles cells
            number, ran = self.cells[name], source_of(name).lines
            return number, self._as_typed(number, ran) or self.last_input, {error.lineno or 0}
        return None, self.last_input, set()

    def _as_typed(self, number: int | None, ran: list[str]) -> str:
        """The cell as typed, if it differs from the executed code only in its magics."""
        lines = self.typed.get(number, "").rstrip().split("\n") if number is not None else [""]
        same = len(lines) == len(ran) and all(
            typed.rstrip() == line.rstrip() or "get_ipython()" in line or "__qwen__(" in line
            for typed, line in zip(lines, ran, strict=True)
        )
        return "\n".join(lines if same or not ran else ran)

    def _find_secrets(self) -> None:
        """Collect secrets of the sources and variables before any text is written."""
        users = [place for of in self.places.values() for place in of if place.is_users]
        sources = {"\n".join(place.source.lines) for place in users} | {self.source}
        for literal in (each for source in sources for each in written_secrets(source)):
            self.secrets.add(literal)
        scopes = {id(scope): scope for place in users[-50:] for scope in place.scopes}
        self.secrets.search([_of_user(scope) for scope in scopes.values()])

    def _innermost_first(self) -> list[Place]:
        """The places whose values are described; each line once, also in a recursion."""
        found: dict[tuple[str, int], Place] = {}
        for chain in self.places.values():  # in the order of `errors`
            for place in reversed(chain):
                found.setdefault((place.filename, place.line), place)
        return list(found.values())[:_PLACES]

    def _message(self, error: BaseException) -> str:
        try:
            if isinstance(error, SyntaxError) and error.msg:
                where = f" (line {error.lineno}, column {error.offset})" if error.lineno else ""
                message = f"{error.msg}{where}"
            else:
                message = str(error)
            notes = [str(note) for note in getattr(error, "__notes__", ())]
        except Exception as broken:  # `__str__` of a user's exception
            message, notes = f"(no message: it raises {type(broken).__name__})", []
        text = self.secrets.mask("\n".join([message, *notes])[:20_000])
        text = text if len(text) <= _MESSAGE else f"{text[:_MESSAGE]}… (cut)"
        return f"{_title(error)}: {text}" if text else _title(error)

    def _cell_text(self) -> str:
        if not self.source:
            return ""
        lines = self.secrets.mask(self.source, code=True).split("\n")
        return _numbered(lines, 1, self.marked)

    def _traceback(self) -> str:
        """The traceback: the user's functions complete, a library's in one line each."""
        lines: list[str] = []
        counts: Counter[tuple[str, int]] = Counter()
        for place in self.own:
            at = (place.filename, place.line)
            counts[at] += 1
            if counts[at] <= _REPEATS:
                lines.append(self._place_text(place, again=counts[at] > 1))
        if repeated := len(self.own) - len(lines):
            lines.append(f"(and {repeated:,} more times through these places)")
        return _middle_out("\n".join(lines) or "(none: it was not run)")

    def _place_text(self, place: Place, *, again: bool) -> str:
        if not place.is_users or not place.source.lines:
            return place.where
        if place.filename not in self.masked:
            text = self.secrets.mask("\n".join(place.source.lines), code=True)
            self.masked[place.filename] = text.split("\n")
        lines = self.masked[place.filename]
        first, last = place.span
        if again or (place.cell is not None and place.cell == self.cell):
            first = last = place.line  # it stands above
        return f"{place.where}\n{_numbered(lines[first - 1 : last], first, {place.line})}"

    def _related_text(self) -> str:
        return "\n".join(
            line
            for how, error in self.related
            for line in (
                f"{how}: {self._message(error)}",
                *(f"    {p.where}" for p in self.places[id(error)][-3:]),
            )
        )


def _title(error: BaseException) -> str:
    """The exception's type as Python's tracebacks name it."""
    module = type(error).__module__
    prefix = "" if module in ("builtins", "__main__") else f"{module}."
    return prefix + type(error).__qualname__


def _related(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """The exception's causes, contexts, and members of groups; each once."""
    seen = {id(error)}
    waiting = [error]
    while waiting:
        node = waiting.pop(0)
        found: list[tuple[str, BaseException | None]] = [("caused by", node.__cause__)]
        if not node.__suppress_context__ and node.__cause__ is None:
            found.append(("raised while handling", node.__context__))
        if isinstance(node, BaseExceptionGroup):
            found += [("one of the group", each) for each in node.exceptions]
        for how, each in found:
            if each is not None and id(each) not in seen:
                seen.add(id(each))
                waiting.append(each)
                yield how, each


def _of_user(scope: Mapping[str, object]) -> dict[str, object]:
    """The variables without those that IPython and Python define."""
    return {
        name: value
        for name, value in list(scope.items())
        if not name.startswith("_") and name not in ("In", "Out", "get_ipython", "exit", "quit")
    }


def _numbered(lines: list[str], first: int, marked: set[int]) -> str:
    """Lines with their numbers; of a long text only those near the marked ones."""
    near = {n for line in marked for n in range(line - _NEAR, line + _NEAR + 1)}
    whole = sum(min(len(line), _LINE) + 8 for line in lines) <= MAX_CHARS // 2
    numbered: list[str] = []
    for number, line in enumerate(lines, first):
        if whole or number in near or (not marked and number <= 2 * _NEAR):
            mark = ">>" if number in marked else "  "
            shown = line if len(line) <= _LINE else f"{line[:_LINE]}… (cut)"
            numbered.append(f"{mark} {number:>3}  {shown}".rstrip())
        elif numbered[-1:] != ["   …"]:
            numbered.append("   …")
    return _middle_out("\n".join(numbered))


def _middle_out(text: str) -> str:
    """The beginning and end of a text that is too long."""
    if len(text) <= MAX_CHARS:
        return text
    return f"{text[: MAX_CHARS // 3]}\n… (left out) …\n{text[-MAX_CHARS * 2 // 3 :]}"
