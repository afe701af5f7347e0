"""The parts of a displayed answer, as values that each output format renders in its own way.

A `Step` is one action of the model; a `Block` is part of what an opened step shows. The others are
places and lines of the answer's tree (`tree`), beside `Note` and `Footer` (`footer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Label:
    """A heading above the next block: "Queries", "Goal", "Output"; `sent`: above an answer, what it
    answers.
    """

    text: str
    look: Literal["label", "sent"] = "label"


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text, in paragraphs as written."""

    text: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Short texts, one a line."""

    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """An address, shown whole."""

    url: str


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    language: str = "python"


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a code run or the result of a call, unchanged."""

    text: str


@dataclass(frozen=True, slots=True)
class Extract:
    """A long text in a scrolling box."""

    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure from code or a function. `data`: its data URI; if empty, `reason` says why."""

    url: str
    alt: str = ""
    data: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NumberedSource:
    """A web page. `number`: as `[n]` in the answer refers to it; 0 if the answer refers to it
    otherwise.
    """

    number: int
    url: str
    title: str
    host: str
    cited: bool = False


@dataclass(frozen=True, slots=True)
class SourceGroups:
    """Sources, shown by host."""

    sources: tuple[NumberedSource, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """A placeholder for content that has not arrived, or never will."""

    text: str


Block: TypeAlias = (
    Label | Text | Lines | Link | Code | Output | Extract | Figure | SourceGroups | Pending
)
StepState: TypeAlias = Literal["live", "done", "bad"]


@dataclass(frozen=True, slots=True)
class Tally:
    """How a step is counted in a summary of many: "2 pages"."""

    count: int = 1
    one: str = "call"
    many: str = "calls"


@dataclass(frozen=True, slots=True)
class Step:
    """One action of the model: a line (verb, detail, facts) that opens to blocks.

    `what_is_code`: the detail is code or output. `figures` are shown below the line even if it is
    closed. `seconds`: how long it took, 0 if unknown.
    """

    verb: str
    what: str = ""
    what_is_code: bool = False
    facts: tuple[str, ...] = ()
    state: StepState = "done"
    blocks: tuple[Block, ...] = ()
    figures: tuple[Figure, ...] = ()
    tally: Tally = Tally()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Panel:
    """The content that opens below its first child, the line of a step. `is_joined`: it contains
    steps.
    """

    is_open: bool = False
    is_joined: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A container for other nodes, or for Markdown, whose complete text is in `source`."""

    kind: Literal["steps", "body", "thought", "figures", "answer"]
    source: str = ""


@dataclass(frozen=True, slots=True)
class LiveLine:
    """The current activity, before there is a step: "Waiting for qwen3-max"."""

    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """Text for screen readers."""

    text: str


Place: TypeAlias = Panel | Box | LiveLine | Spoken


@dataclass(frozen=True, slots=True)
class SourceList:
    """The web pages that the answer is based on."""

    sources: tuple[NumberedSource, ...]

    @property
    def cited(self) -> tuple[NumberedSource, ...]:
        return tuple(source for source in self.sources if source.cited)

    @property
    def others(self) -> tuple[NumberedSource, ...]:
        return tuple(source for source in self.sources if not source.cited)
