"""A frame that only the notebook has: answered with pandas code to be run there."""

from __future__ import annotations

from dataclasses import replace

from qwen_magic.demo.intents import code
from qwen_magic.demo.steps import Think, Work
from qwen_magic.demo.tables.asking import Asked, take_apart
from qwen_magic.demo.tables.frames import Frame, without_frames
from qwen_magic.demo.tables.operations import Operation, operations, usual
from qwen_magic.demo.tasks import find_task, frame, frames_told
from qwen_magic.demo.tasks.frame import CONDITION
from qwen_magic.demo.tasks.frame_figures import Figure, figure
from qwen_magic.demo.turn import Turn


def matches(turn: Turn) -> bool:
    """A question that is understood, about a frame that cannot be computed with here."""
    told = frames_told(turn)
    if not told or _can_run(turn, told):
        return False
    task = find_task(turn)
    if task is not None and not task.framed:
        return False  # the prompt's own code, or a task that is not about the frame
    asked = take_apart(without_frames(turn.prompt), told)
    return bool(operations(asked) or figure(asked))


def matches_loosely(turn: Turn) -> bool:
    """Something else is said of a frame, in this very prompt."""
    return bool(frames_told(turn)) and without_frames(turn.prompt) != turn.prompt


def work(turn: Turn) -> Work:
    asked, lead = _in_notebook(take_apart(without_frames(turn.prompt), frames_told(turn)))
    return (yield from _tell(turn, asked, lead, operations(asked), figure(asked)))


def work_loosely(turn: Turn) -> Work:
    question, told = without_frames(turn.prompt), frames_told(turn)
    opening = (
        "I am only the offline demo and did not understand what you ask. The usual, then: "
        "I know `mean of COLUMN by GROUP`, `plot COLUMN`, `how many rows` and the like.\n\n"
    )
    if _can_run(turn, told):
        rebuilt = tuple(each for each in told if each.preamble)
        return opening + (yield from code.perform(turn, frame.write_usual(question, rebuilt)))
    asked, lead = _in_notebook(take_apart(question, told))
    return opening + (yield from _tell(turn, asked, lead, usual(asked), None))


def _can_run(turn: Turn, told: tuple[Frame, ...]) -> bool:
    return "code_interpreter" in turn.tools and any(each.preamble for each in told)


def _in_notebook(asked: Asked) -> tuple[Asked, str]:
    """The same question about the notebook's own variable, and a line that makes it a DataFrame of
    pandas; empty where it is one."""
    name, kind = asked.frame.name, asked.frame.kind.partition(",")[0]
    made = {"pandas DataFrame": "", "pandas Series": f"table = {name}.to_frame()"}
    lead = made.get(kind, f"table = {name}.to_pandas()") if kind else ""
    return replace(asked, frame=replace(asked.frame, variable="table" if lead else name)), lead


def _tell(
    turn: Turn, asked: Asked, lead: str, found: tuple[Operation, ...], drawn: Figure | None
) -> Work:
    name = asked.frame.name
    names = [each.name for each in found] + ([f"a figure: {drawn.title}"] if drawn else [])
    yield Think(
        f"The user has `{name}` in the notebook. I read the names of its columns, and write code "
        f"for: {', '.join(names)}."
    )
    caution = CONDITION.replace("these results, which are", "this code, which is")
    parts = [
        f"As the offline demo I compute nothing here: {_why(turn, asked)}. This code, made from "
        f"the names in its description, gives **{'**, **'.join(names)}** when you run it in your "
        "notebook:",
        f"```python\n{_code(lead, found, drawn)}\n```",
        caution if asked.has_condition else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _why(turn: Turn, asked: Asked) -> str:
    if not asked.frame.preamble:
        return f"the rows of `{asked.frame.name}` are in your notebook only"
    return (
        f"the rows of `{asked.frame.name}` came along, but no tool to run code with "
        "(`-t code_interpreter`)"
    )


def _code(lead: str, found: tuple[Operation, ...], drawn: Figure | None) -> str:
    """For a notebook's cell: a single result is its last expression, several are displayed."""
    alone = len(found) == 1 and drawn is None
    computing = [each.code if alone else f"display({each.code})" for each in found]
    needs_pandas = any("pd." in line for line in computing)
    first = ["import pandas as pd"] if needs_pandas else []
    return "\n\n".join(
        "\n".join(lines).strip()
        for lines in (first, [lead, *computing], [drawn.code] if drawn else [])
        if any(lines)
    )
