"""Tasks that can be computed: Python written from the text of the request, one module a kind."""

from __future__ import annotations

import re
from collections.abc import Callable

from qwen_magic.demo.tables.asking import take_apart
from qwen_magic.demo.tables.frames import Frame, preamble_of, read_frames, without_frames
from qwen_magic.demo.tasks import arithmetic, curve, frame, given, numbers, simulation, table
from qwen_magic.demo.tasks.task import Task
from qwen_magic.demo.turn import Turn

# The first kind that recognises the text writes the code.
KINDS: tuple[Callable[[str], Task | None], ...] = (
    given.write,
    table.write,
    simulation.write,
    numbers.write,
    curve.write,
    arithmetic.write,
)

_REFERS = re.compile(
    r"\b(?:it|them|these|those|that|the (?:same|data|numbers|values|table|csv))\b", re.IGNORECASE
)


def find_task(turn: Turn) -> Task | None:
    """The task of this turn's prompt; data that it only points at are taken from earlier turns."""
    question, frames = without_frames(turn.prompt), read_frames(turn.prompt)
    if frames:
        return _about_frames(question, frames) or write(question)
    earlier_frames = frames_told(turn)
    if earlier_frames and (task := _about_frames(question, earlier_frames, only_given=True)):
        return task
    if task := write(question):
        return task
    if earlier_frames and (task := _about_frames(question, earlier_frames)):
        return task
    if _REFERS.search(question):
        for earlier in reversed(turn.told[:-1]):
            if task := write(f"{question}\n\n{given.without_blocks(without_frames(earlier))}"):
                return task
    return None


def frames_told(turn: Turn) -> tuple[Frame, ...]:
    """The frames of this prompt; without any, those of the newest turn that had some, if this
    prompt names one, or a column of theirs, or points at them."""
    for number, told in enumerate(reversed(turn.told)):
        if frames := read_frames(told):
            return frames if number == 0 or _points_at(without_frames(turn.prompt), frames) else ()
    return ()


def write(text: str) -> Task | None:
    return next((task for kind in KINDS if (task := kind(text)) is not None), None)


def _points_at(question: str, frames: tuple[Frame, ...]) -> bool:
    named = any(re.search(rf"(?<!\w){re.escape(f.variable)}(?!\w)", question) for f in frames)
    return named or bool(_REFERS.search(question)) or take_apart(question, frames).names_column


def _about_frames(
    question: str, frames: tuple[Frame, ...], *, only_given: bool = False
) -> Task | None:
    """What can be run about those of the frames that the prompt rebuilds."""
    rebuilt = tuple(each for each in frames if each.preamble)
    if not rebuilt:
        return None
    if task := given.write(question, preamble_of(rebuilt)):
        return task
    return None if only_given else frame.write(question, rebuilt)
