"""Tasks that can be computed: Python written from the text of the request, one module a kind."""

from __future__ import annotations

import re
from collections.abc import Callable

from qwen_magic.demo.tasks import arithmetic, curve, given, numbers, simulation, table
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
    if task := write(turn.prompt):
        return task
    if _REFERS.search(turn.prompt):
        for earlier in reversed(turn.told[:-1]):
            if task := write(f"{turn.prompt}\n\n{given.without_blocks(earlier)}"):
                return task
    return None


def write(text: str) -> Task | None:
    return next((task for kind in KINDS if (task := kind(text)) is not None), None)
