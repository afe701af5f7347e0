"""A lesson as a Markdown file: the prompts that it answers, what it needs, and its steps.

    ---
    prompts: ["What is the variance of the first {n} primes?"]
    slots: {n: {type: integer, min: 2, max: 5000, example: "1,000"}}
    needs: [code_interpreter]
    after: primes
    ---
    ## think
    All {{n}} values are needed.
    ## run
    ```python
    result(variance=…)
    ```
    ## say
    The variance is **{{variance:,.2f}}**.

Reading is strict: what is not known is a `LessonError`, which names the file and says what is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from qwen_magic.demo.slots import Pattern, Slot, Values, read_slot
from qwen_magic.demo.words import Words

BUNDLED = Path(__file__).with_name("lessons")
KINDS = ("think", "search", "read", "run", "call", "say", "object")

_HEAD = re.compile(r"\A---\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_STEP = re.compile(rf"## ({'|'.join(KINDS)})(?: with (.+))?\s*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_BLOCK = re.compile(r"(`{3,}|~{3,})[^\n]*\n(.*?)\n?\1\s*", re.DOTALL)


class LessonError(ValueError):
    """A file that is no lesson."""


@dataclass(frozen=True, slots=True)
class LessonStep:
    """One step as written, played only where the request offers all of `tools`."""

    kind: str
    body: str
    tools: frozenset[str] = frozenset()

    @property
    def block(self) -> str:
        """What stands in its fence."""
        match = _BLOCK.fullmatch(self.body)
        return match[2] if match else ""


@dataclass(frozen=True, slots=True)
class Lesson:
    """`folder` is the place of its folder among those looked at."""

    name: str
    patterns: tuple[Pattern, ...]
    slots: Mapping[str, Slot]
    steps: tuple[LessonStep, ...]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    rank: int = 100
    hidden: bool = False
    folder: int = 0

    @property
    def title(self) -> str:
        return self.patterns[0].example

    def match(self, prompt: Words) -> Values | None:
        """The slots' values, where the prompt is this lesson's."""
        found = (pattern.match(prompt) for pattern in self.patterns)
        return next((values for values in found if values is not None), None)


def read_lessons(folders: Iterable[Path]) -> list[Lesson]:
    """All lessons of the folders, in which each name stands once. A file that has not changed is
    not read again. Raises `LessonError`, `OSError`."""
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
            status = file.stat()
            found.append(_read_file(file, place, status.st_mtime_ns, status.st_size))
    return found


@lru_cache(maxsize=1000)
def _read_file(file: Path, place: int, changed: int, size: int) -> Lesson:
    try:
        return parse_lesson(file.stem, file.read_text("utf-8"), place)
    except (ValueError, yaml.YAMLError) as error:
        raise LessonError(f"{file}: {error}") from error


def parse_lesson(name: str, text: str, folder: int = 0) -> Lesson:
    """Raises `ValueError` or `yaml.YAMLError` where it is none."""
    text = text.replace("\r\n", "\n")
    match = _HEAD.match(text)
    if match is None:
        raise LessonError("a lesson begins with a head between two lines of ---")
    head = yaml.load(match[1], getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
    if not isinstance(head, dict) or set(head) - _KEYS:
        raise LessonError(f"the head has other keys than {', '.join(sorted(_KEYS))}")
    slots = _slots(head.get("slots") or {})
    patterns = tuple(Pattern(prompt, slots) for prompt in _texts(head, "prompts"))
    if not patterns or not all(pattern.words for pattern in patterns):
        raise LessonError("the head has no prompts, or one without a word")
    return Lesson(
        name,
        patterns,
        slots,
        tuple(_steps(text[match.end() :])),
        needs=_texts(head, "needs"),
        after=_texts(head, "after"),
        rank=int(head.get("rank", 100)),
        hidden=bool(head.get("hidden", False)),
        folder=folder,
    )


_KEYS = {"prompts", "slots", "needs", "after", "rank", "hidden"}


def _texts(head: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A key's value as texts; one text alone is a list of it."""
    value = head.get(key)
    if value is None:
        return ()
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def _slots(specs: object) -> dict[str, Slot]:
    if not isinstance(specs, dict):
        raise LessonError("slots is a mapping of names to types")
    slots = {}
    for name, spec in specs.items():
        if not str(name).isidentifier():
            raise LessonError(f"{name!r} is no name for a slot")
        try:
            slots[str(name)] = read_slot(spec)
        except (TypeError, ValueError) as error:
            raise LessonError(f"slot {name}: {error}") from error
    return slots


def _steps(text: str) -> Iterator[LessonStep]:
    """The parts between the step's headings; headings in fences are text."""
    heading: re.Match[str] | None = None
    lines: list[str] = []
    fence = ""
    for line in [*text.split("\n"), None]:
        begins = None if line is None or fence else _STEP.fullmatch(line)
        if line is None or begins:
            body = "\n".join(lines).strip("\n")
            if heading is not None:
                yield _step(heading, body)
            elif re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL).strip():
                raise LessonError(f"text stands before the first step: {body.strip()[:60]}")
            heading, lines = begins, []
            continue
        lines.append(line)
        if (mark := _FENCE.match(line)) and not fence:
            fence = mark[1]
        elif fence and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
    if fence:
        raise LessonError("a fence is not closed")


def _step(heading: re.Match[str], body: str) -> LessonStep:
    kind, names = heading.groups()
    step = LessonStep(
        kind, body, frozenset(name.strip() for name in (names or "").split(",") if name)
    )
    if kind in ("run", "object") and not step.block:
        raise LessonError(f"## {kind} holds one fence, and nothing else")
    if not body.strip():
        raise LessonError(f"## {kind} is empty")
    return step
