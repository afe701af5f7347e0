"""A lesson as a Markdown file: the prompts that it answers, what it needs, and its steps.

`lessons/README.md` has the form, with an example. Reading is strict: what is not known is a
`LessonError`, which names the file and says what is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from qwen_magic.demo.matching import Pattern, Slot, Values, Words

BUNDLED = Path(__file__).with_name("lessons")
_LARGEST = 1024 * 1024  # bytes of a lesson
_HEAD = re.compile(r"\A---\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_STEP = re.compile(r"## (think|search|read|run|call|say|object)\s*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_BLOCK = re.compile(r"(`{3,}|~{3,})[^\n]*\n(.*?)\n?\1\s*", re.DOTALL)
# A place for a value in a text, and a step on the path to it.
PLACE = re.compile(
    r"\{\{\s*(?P<len>len\()?(?P<name>[^\W\d]\w*)"
    r'(?P<path>(?:\[(?:-?\d+|"[^"\n]*")\])*)'
    r"(?(len)\))\s*(?::(?P<format>[^{}\n]*?))?\s*\}\}"
)
_KEY = re.compile(r'\[(?:(-?\d+)|"([^"\n]*)")\]')


class LessonError(ValueError):
    """The file is not a valid lesson."""


@dataclass(frozen=True, slots=True)
class LessonStep:
    """A step as written."""

    kind: str
    body: str

    @property
    def block(self) -> str:
        """The content of its code block."""
        match = _BLOCK.fullmatch(self.body)
        return match[2] if match else ""


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson. `folder`: the index of its folder."""

    name: str
    patterns: tuple[Pattern, ...]
    slots: Mapping[str, Slot]
    steps: tuple[LessonStep, ...]
    needs: tuple[str, ...]
    after: tuple[str, ...]
    rank: int
    hidden: bool
    folder: int

    @property
    def words(self) -> set[str]:
        return {word for pattern in self.patterns for word in pattern.words}

    @property
    def after_calls(self) -> tuple[LessonStep, ...]:
        calls = [place for place, step in enumerate(self.steps, 1) if step.kind == "call"]
        return self.steps[calls[0] :] if calls else self.steps

    def match(self, prompt: Words) -> Values | None:
        """The values of the slots if the prompt matches, else None."""
        found = (pattern.match(prompt) for pattern in self.patterns)
        return next((values for values in found if values is not None), None)


def read_lessons(folders: Iterable[Path]) -> list[Lesson]:
    """Read all lessons of the folders; names must be unique within a folder.

    Unchanged files are not read again. Raises `LessonError`, `OSError`.
    """
    found: list[Lesson] = []
    for place, folder in enumerate(folders):
        if not folder.is_dir():
            raise LessonError(f"There is no folder of lessons {folder}.")
        names: set[str] = set()
        for file in sorted(folder.rglob("*.md")):
            if file.name == "README.md":
                continue
            if file.stem in names:
                raise LessonError(f"{file}: there is another lesson {file.stem} in {folder}.")
            names.add(file.stem)
            if not file.is_file():  # to open a pipe may wait for ever
                raise LessonError(f"{file} is no file.")
            status = file.stat()
            found.append(_read_file(file, place, status.st_mtime_ns, status.st_size))
    return found


@lru_cache(maxsize=1000)
def _read_file(file: Path, place: int, changed: int, size: int) -> Lesson:
    try:
        if size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        return parse_lesson(file.stem, file.read_text("utf-8"), place)
    except (ValueError, TypeError, ArithmeticError, RecursionError, yaml.YAMLError) as error:
        raise LessonError(f"{file}: {error}") from error


def parse_lesson(name: str, text: str, folder: int = 0) -> Lesson:
    """Parse a lesson. Raises `ValueError` or `yaml.YAMLError`."""
    text = text.replace("\r\n", "\n")
    match = _HEAD.match(text)
    if match is None:
        raise LessonError("a lesson begins with a head between two lines of ---")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for event in yaml.parse(match[1], loader):
        # An alias in ten others in ten others … is a value without end.
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise LessonError("the head has an alias (*) or a tag (!)")
    head = yaml.load(match[1], loader) or {}
    if not isinstance(head, dict) or set(head) - _KEYS:
        raise LessonError(f"the head has other keys than {', '.join(sorted(_KEYS))}")
    slots = _slots(head.get("slots", {}))
    patterns = tuple(Pattern(prompt, slots) for prompt in _texts(head, "prompts"))
    if not patterns or not all(pattern.words for pattern in patterns):
        raise LessonError("the head has no prompts, or one without a word")
    steps = tuple(_steps(text[match.end() :]))
    needs, after = _texts(head, "needs"), _texts(head, "after")
    rank, hidden = int(head.get("rank", 100)), bool(head.get("hidden"))
    return Lesson(name, patterns, slots, steps, needs, after, rank, hidden, folder)


_KEYS = {"prompts", "slots", "needs", "after", "rank", "hidden"}


def _texts(head: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The value of a key as a tuple of texts; a single text counts as one."""
    value = head.get(key, [])
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _slots(specs: object) -> dict[str, Slot]:
    if not isinstance(specs, dict):
        raise LessonError("slots is a mapping of names to types")
    slots = {}
    for name, spec in specs.items():
        try:
            slots[str(name)] = Slot(**(spec if isinstance(spec, dict) else {"type": spec}))
        except (TypeError, ValueError) as error:
            raise LessonError(f"slot {name}: {error}") from error
    return slots


def _steps(text: str) -> Iterator[LessonStep]:
    """Split the text at the steps' headings, ignoring those in code blocks."""
    parts: list[tuple[str, list[str]]] = [("", [])]
    fence = ""
    for line in text.split("\n"):
        if not fence and (heading := _STEP.fullmatch(line)):
            parts.append((heading[1], []))
            continue
        parts[-1][1].append(line)
        if not fence:
            fence = mark[1] if (mark := _FENCE.match(line)) else ""
        elif line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
    if fence:
        raise LessonError("a fence is not closed")
    before = "\n".join(parts[0][1])
    if re.sub(r"<!--.*?(?:-->|\Z)", "", before, flags=re.DOTALL).strip():
        raise LessonError(f"text stands before the first step: {before.strip()[:60]}")
    for kind, lines in parts[1:]:
        step = LessonStep(kind, "\n".join(lines).strip("\n"))
        if kind in ("run", "object") and not step.block:
            raise LessonError(f"## {kind} holds one fence, and nothing else")
        if not step.body.strip():
            raise LessonError(f"## {kind} is empty")
        yield step


# Its texts, with values.


class MissingValueError(LookupError):
    """A text refers to a value that does not exist."""


def fill(text: str, values: Mapping[str, Any], written: Callable[[Any], str] | None = None) -> str:
    """The text with its values, as prose or as `written` writes each:

        {{NAME}}  {{NAME[0]}}  {{NAME["key"]}}  {{len(NAME)}}   each with :FORMAT

    FORMAT is Python's, or `table` (a list of objects as a Markdown table). There is no arithmetic,
    no attribute and no call. Raises `MissingValueError`.
    """

    def filled(place: re.Match[str]) -> str:
        try:
            value = _value(place, values)
            match place["format"]:
                case None:
                    return (written or _plain)(value)
                case "table":
                    return markdown_table(value)
                case spec if re.search(r"\d{4}", spec):
                    raise ValueError("it is too wide")
                case spec:
                    return format(value, spec)
        except (LookupError, TypeError, ValueError) as error:
            raise MissingValueError(f"{place[0]}: there is no such value: {error}") from error

    return PLACE.sub(filled, text)


def _value(place: re.Match[str], values: Mapping[str, Any]) -> Any:
    value = values[place["name"]]
    for number, key in _KEY.findall(place["path"]):
        value = value[int(number) if number else key]
    return len(value) if place["len"] else value


def _plain(value: Any) -> str:
    return str(value) if type(value) in (str, int, float) else as_json(value)


def as_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent).replace("```", "\\u0060" * 3)


def markdown_table(rows: Any) -> str:
    """A Markdown table of objects. Raises `TypeError`, `ValueError`."""
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError("a list of objects was expected")
    columns = {name: [row.get(name) for row in rows] for row in rows for name in row}
    rule = [
        "---:" if all(isinstance(cell, int | float | None) for cell in cells) else "---"
        for cells in columns.values()
    ]
    lines = [[*columns], rule, *([_cell(row.get(name)) for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:,.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
