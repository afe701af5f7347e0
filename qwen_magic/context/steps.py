"""What a model is told of the steps towards a goal, and what it proposes. Nothing is asked here.

goal      ->  a plan, and a cell of code                    `proposed` reads it out of the answer
a cell was run, skipped, …  ->  `Told`: text for the model, and the same in words for the reader

I ran step 2, after editing it. It ended with an error.      your cell, edited ·
                                                             72 characters of output · an error
The cell as I ran it:
…
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qwen_magic.document.words import counted, fenced, number_of, revealed

ASKED: Final = "%qwen_step"  # begins the prompt of each turn of a goal,
GOAL: Final = f"{ASKED} goal "  # and this that of the first
_GO_ON: Final = (
    "Say in a sentence or two what came of it, then propose the next cell, or say that the goal is "
    "reached."
)
_DONE: Final = re.compile(r"^\W*done\b", re.IGNORECASE | re.MULTILINE)
# The first line of a proposal where no page says which cell is one: in terminals and consoles.
_MARKER: Final = re.compile(r"\A\s*# Qwen proposes step (\d+) of (\w+)[^\n]*\n?")


@dataclass(frozen=True, slots=True)
class Told:
    """What is sent of a step: `text` for the model, `about` for the reader."""

    text: str
    about: str


@dataclass(frozen=True, slots=True)
class RanCell:
    """A cell that was run. `source` and `shown`, its outputs as text: cut, and without secrets.
    `size`: how many characters it showed; `edited`: whether it is another than was proposed;
    `known`: whether the model has been told what was; `number`: that of its prompt."""

    source: str
    shown: str
    size: int
    failed: bool = False
    figures: int = 0
    edited: bool = False
    known: bool = True
    number: int | None = None


def proposed(answer: str) -> str:
    """The cell that an answer proposes, every character of it plain to see: its first block that
    says it is Python, else the first that may be. "" where there is none."""
    # Here: the first question of a kernel looks for `GOAL` before it is sent.
    from qwen_magic.document.extract import code_blocks

    blocks = [block for block in code_blocks(answer) if block.is_python]
    named = [block for block in blocks if block.language]
    return revealed((named or blocks)[0].code).strip("\n") if blocks else ""


def is_done(answer: str) -> bool:
    """Whether an answer says that the goal is reached."""
    return bool(_DONE.search(answer))


def with_marker(code: str, number: int, goal: str) -> str:
    """`code` below the line by which it is known again where a cell has no more than its text."""
    if code.startswith("%%"):  # it must stand in the first line
        return code
    return f"# Qwen proposes step {number} of {goal}: read it, edit it, run it or not\n{code}"


def read_marker(source: str) -> tuple[str, int, str]:
    """The goal and the number of a marked proposal, and its code; "" and 0 for any other cell."""
    found = _MARKER.match(source)
    return (found[2], int(found[1]), source[found.end() :]) if found else ("", 0, source)


def is_edited(source: str, code: str) -> bool:
    """Whether a cell is another than was proposed; spaces at the ends of lines say nothing."""
    return [line.rstrip() for line in source.strip().split("\n")] != [
        line.rstrip() for line in code.strip().split("\n")
    ]


def ran(
    number: int, cell: RanCell, between: Sequence[RanCell] = (), *, figure: bool = False
) -> Told:
    """Step `number` was run, and the cells `between` it and the one before. `figure`: the last one
    that it showed is sent."""
    how = ", after editing it" if cell.edited else " as it stands"
    end = "It ended with an error." if cell.failed else "It ran without an error."
    text = [f"I ran step {number}{how}. {end}"]
    if cell.edited or not cell.known:
        text.append(f"The cell as I ran it:\n{fenced(cell.source, 'python')}")
    text.append(_outcome(cell))
    if cell.figures:
        seen = "the last of which comes along" if figure else "which you cannot see"
        text.append(f"It showed {number_of(cell.figures, 'figure')}, {seen}.")
    text += _besides(between)
    text.append("Propose the same cell, corrected." if cell.failed else _GO_ON)
    about = (
        "your cell" + ", edited" * cell.edited,
        f"{counted(cell.size, 'character')} of output",
        "an error" * cell.failed,
        (counted(cell.figures, "figure") + ", not sent" * (not figure)) * bool(cell.figures),
        ", ".join(f"your cell [{other.number}]" for other in between),
    )
    return Told("\n\n".join(text), " · ".join(filter(None, about)))


def skipped(number: int) -> Told:
    return Told(
        f"I skipped step {number}: it was not run. Propose another way, or what comes after it.",
        f"that step {number} was skipped",
    )


def resumed(words: str, between: Sequence[RanCell], *, is_fresh: bool) -> Told:
    """The goal goes on, after the cells `between`. `is_fresh`: in a kernel that has run nothing of
    it."""
    fresh = "The kernel was restarted: it has no variable and no import of the steps before. "
    text = [f"Let us go on with the goal: {words}", *_besides(between), fresh * is_fresh + _GO_ON]
    about = ["that you go on", *(f"your cell [{other.number}]" for other in between)]
    return Told("\n\n".join(text), ", ".join(about))


def changed(words: str) -> Told:
    return Told(
        f"The goal is another now: {words}\n\nPropose the next cell for it.", "the new goal"
    )


def _besides(cells: Sequence[RanCell]) -> list[str]:
    """What the reader ran that nobody proposed."""
    return [
        f"Besides I ran [{cell.number}], a cell of my own:\n{fenced(cell.source, 'python')}\n"
        f"{_outcome(cell)}"
        for cell in cells
    ]


def _outcome(cell: RanCell) -> str:
    return f"Its output:\n{fenced(cell.shown, 'text')}" if cell.shown else "It showed no text."
