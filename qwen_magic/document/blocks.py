"""What an answer shows, as values that every form of it renders in its own way.

A `Step` is one thing that the model did; a `Block` is a part of what an opened step shows. The rest
are places and lines of the answer's tree (`tree`), beside `Note` and `Footer` (`footer`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Label:
    """A word above the block that follows: "Queries", "Goal", "Output"; `sent`: above an answer,
    what it answers."""

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
    """What a run printed, or a call gave back: text to the letter."""

    text: str


@dataclass(frozen=True, slots=True)
class Extract:
    """A long text that scrolls inside itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that code drew, or a function gave. `data` is its data URI; where it is empty,
    `reason` says why."""

    url: str
    alt: str = ""
    data: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NumberedSource:
    """A page that was found. `number` is what `[n]` in the answer means by it; 0 where the answer
    names it in another way."""

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
    """What has not come yet, or never came."""

    text: str


Block: TypeAlias = (
    Label | Text | Lines | Link | Code | Output | Extract | Figure | SourceGroups | Pending
)
StepState: TypeAlias = Literal["live", "done", "bad"]


@dataclass(frozen=True, slots=True)
class Tally:
    """What a step counts as where many are told together: "2 pages"."""

    count: int = 1
    one: str = "call"
    many: str = "calls"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the model did: a line (verb, telling detail, facts) that opens to blocks.

    `what_is_code`: the detail is code or output. `figures` stand below the line even when it is
    folded: they were drawn to be seen. `seconds`: how long it took, 0 where that is not known.
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
    """What opens below its first child, the line of a step. `is_joined`: it holds steps."""

    is_open: bool = False
    is_joined: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A place for others, or for a Markdown text, whose `source` it has when that has ended."""

    kind: Literal["steps", "body", "thought", "figures", "answer"]
    source: str = ""


@dataclass(frozen=True, slots=True)
class LiveLine:
    """What goes on now, where there is nothing to open yet: "Waiting for qwen3-max"."""

    text: str


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a screen reader is told."""

    text: str


Place: TypeAlias = Panel | Box | LiveLine | Spoken


@dataclass(frozen=True, slots=True)
class SourceList:
    """The pages that the answer rests on."""

    sources: tuple[NumberedSource, ...]

    @property
    def cited(self) -> tuple[NumberedSource, ...]:
        return tuple(source for source in self.sources if source.cited)

    @property
    def others(self) -> tuple[NumberedSource, ...]:
        return tuple(source for source in self.sources if not source.cited)
