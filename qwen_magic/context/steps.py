"""A goal in a notebook: where it stands, what the model is told of its steps, what it proposes.

goal      ->  a plan, and a cell of code                    `proposed` reads it out of the answer
a cell was run, skipped, …  ->  `StepReport`: text for the model, and in words for the reader

I ran step 2, after editing it. It ended with an error.      your cell, edited ·
                                                             72 characters of output · an error
The cell as I ran it:
…
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from qwen_magic.document.words import counted, fenced, number_of, revealed, shorten

ASKED: Final = "%qwen_step"  # begins the prompt of each turn of a goal,
GOAL: Final = f"{ASKED} goal "  # and this that of the first
_GO_ON: Final = (
    "Say in a sentence or two what came of it, then propose the next cell, or say that the goal is "
    "reached."
)
_DONE: Final = re.compile(r"^\W*done\b", re.IGNORECASE | re.MULTILINE)
# The first line of a proposal where no page says which cell is one: in terminals and consoles.
_MARKER: Final = re.compile(r"\A\s*# Qwen proposes step (\d+) of (\w+)[^\n]*\n?")


State = Literal["asking", "proposed", "waiting", "done", "stopped"]


@dataclass(eq=False)
class Goal:
    """One goal, in the conversation `chat`. `home`: the id of the cell that began it; `below`: of
    the one in whose output the newest words stand; `cell`: of the open proposal, "" where no page
    knows it; `code`: what is proposed, or was last. `paged`: a page takes the proposals; `session`:
    its name to the kernel. `last`: the key of the newest turn; `asked`: how many steps since it
    began or was resumed; `sees`: figures are sent; `between`: the number and id of each cell that
    the reader has run besides since the newest words."""

    words: str
    chat: str
    home: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:4])
    state: State = "asking"
    number: int = 0
    code: str = ""
    cell: str = ""
    below: str = ""
    paged: bool = True
    session: str = ""
    last: str = ""
    asked: int = 0
    sees: bool = False
    between: list[tuple[int, str]] = field(default_factory=list)

    @property
    def step(self) -> str:
        """The id of the goal's newest step, as cells are marked with it."""
        return f"{self.id}:{self.number}"

    @property
    def is_live(self) -> bool:
        return self.state in ("asking", "proposed", "waiting")

    def standing(self) -> str:
        """The state of the goal, in a line."""
        number = self.number
        after = (
            f"after step {number}: %qwen_step resume goes on" if number else "before its first step"
        )
        where = {
            "asking": f"step {number + 1} is being written",
            "proposed": f"step {number} is proposed, not run",
            "waiting": f"it waits {after}",
            "stopped": f"it was stopped {after}",
            "done": f"it is reached, after step {number}",
        }[self.state]
        return f"“{shorten(self.words, 60)}”: {where}."

    def take_answer(self, text: str, turn_key: str) -> None:
        """Update the state by the model's answer: a proposal, the goal reached, or neither
        (waiting).
        """
        self.last = turn_key or self.last
        self.between.clear()
        code = proposed(text)
        if code:
            self.number, self.asked, self.code = self.number + 1, self.asked + 1, code
            self.state = "proposed"
        elif is_done(text):
            self.state = "done"

    def is_proposal(self, source: str, cell: str, mark: Mapping[str, object]) -> bool:
        """Whether a cell is the open proposal.

        It is recognized by its id and the page's `mark`, or without a page by its first line or its
        source.
        """
        if self.state != "proposed":
            return False
        if self.cell:
            return mark.get("step") == self.step and cell in (self.cell, mark.get("cell"))
        marker = read_marker(source)
        return marker[:2] == (self.id, self.number) or not is_edited(source, self.code)


@dataclass(frozen=True, slots=True)
class StepReport:
    """The result of a step: `text` for the model, `about` for the user."""

    text: str
    about: str


@dataclass(frozen=True, slots=True)
class RanCell:
    """A cell that was run.

    `source`, and `shown`, the text of its outputs: both cut and without secrets. `size`: characters
    of output in full; `edited`: it differs from the proposal; `known`: the model has seen the
    proposal; `number`: its execution count.
    """

    source: str
    shown: str
    size: int
    failed: bool = False
    figures: int = 0
    edited: bool = False
    known: bool = True
    number: int | None = None


def proposed(answer: str) -> str:
    """The code that an answer proposes: its first Python block, else its first that may be Python;
    or "".

    Invisible characters in it are spelled out.
    """
    # Here: the first question of a kernel looks for `GOAL` before it is sent.
    from qwen_magic.document.extract import code_blocks

    blocks = [block for block in code_blocks(answer) if block.is_python]
    named = [block for block in blocks if block.language]
    return revealed((named or blocks)[0].code).strip("\n") if blocks else ""


def is_done(answer: str) -> bool:
    """Whether the answer says that the goal is reached."""
    return bool(_DONE.search(answer))


def with_marker(code: str, number: int, goal: str) -> str:
    """`code` below a first line that identifies it as a step, for front ends without cell
    metadata.
    """
    if code.startswith("%%"):  # it must stand in the first line
        return code
    return f"# Qwen proposes step {number} of {goal}: read it, edit it, run it or not\n{code}"


def read_marker(source: str) -> tuple[str, int, str]:
    """Read the first line of a marked step: goal, number, and its code; "" and 0 for any other
    cell.
    """
    found = _MARKER.match(source)
    return (found[2], int(found[1]), source[found.end() :]) if found else ("", 0, source)


def is_edited(source: str, code: str) -> bool:
    """Whether a cell differs from the proposal, ignoring spaces at line ends."""
    return [line.rstrip() for line in source.strip().split("\n")] != [
        line.rstrip() for line in code.strip().split("\n")
    ]


def ran(
    number: int, cell: RanCell, between: Sequence[RanCell] = (), *, figure: bool = False
) -> StepReport:
    """The report that step `number` was run, with the user's own cells `between` it and the step
    before.

    `figure`: the step's last figure is sent too.
    """
    how = ", after editing it" if cell.edited else " as it stands"
    end = "It ended with an error." if cell.failed else "It ran without an error."
    text = [f"I ran step {number}{how}. {end}"]
    if cell.edited or not cell.known:
        text.append(f"The cell as I ran it:\n{fenced(cell.source, 'python')}")
    text.append(_outcome(cell))
    if cell.figures:
        seen = "the last of which comes along" if figure else "which you cannot see"
        text.append(f"It showed {number_of(cell.figures, 'figure')}, {seen}.")
    text += _between(between)
    text.append("Propose the same cell, corrected." if cell.failed else _GO_ON)
    about = (
        "your cell" + ", edited" * cell.edited,
        f"{counted(cell.size, 'character')} of output",
        "an error" * cell.failed,
        (counted(cell.figures, "figure") + ", not sent" * (not figure)) * bool(cell.figures),
        ", ".join(f"your cell [{other.number}]" for other in between),
    )
    return StepReport("\n\n".join(text), " · ".join(filter(None, about)))


def skipped(number: int) -> StepReport:
    return StepReport(
        f"I skipped step {number}: it was not run. Propose another way, or what comes after it.",
        f"that step {number} was skipped",
    )


def resumed(words: str, between: Sequence[RanCell], *, is_fresh: bool) -> StepReport:
    """The report that the goal continues, with the cells `between`. `is_fresh`: the kernel is a new
    one.
    """
    fresh = "The kernel was restarted: it has no variable and no import of the steps before. "
    text = [
        f"Let us go on with the goal: {words}",
        *_between(between),
        fresh * is_fresh + _GO_ON,
    ]
    about = ["that you go on", *(f"your cell [{other.number}]" for other in between)]
    return StepReport("\n\n".join(text), ", ".join(about))


def changed(words: str) -> StepReport:
    return StepReport(
        f"The goal is another now: {words}\n\nPropose the next cell for it.", "the new goal"
    )


def _between(cells: Sequence[RanCell]) -> list[str]:
    """The text about the user's own cells."""
    return [
        f"Besides I ran [{cell.number}], a cell of my own:\n{fenced(cell.source, 'python')}\n"
        f"{_outcome(cell)}"
        for cell in cells
    ]


def _outcome(cell: RanCell) -> str:
    return f"Its output:\n{fenced(cell.shown, 'text')}" if cell.shown else "It showed no text."
