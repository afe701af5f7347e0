"""A frame that the prompt rebuilds: what is asked about it, as code for the sandbox."""

from __future__ import annotations

from qwen_magic.demo.tables.asking import Asked, take_apart
from qwen_magic.demo.tables.frames import Frame, preamble_of
from qwen_magic.demo.tables.operations import Operation, operations, usual
from qwen_magic.demo.tasks.frame_figures import Figure, figure
from qwen_magic.demo.tasks.task import Task

_SHOW = """\
def show(name, value):
    value = value.item() if hasattr(value, "item") else value
    number = f"{value:,.10g}" if isinstance(value, float) else value
    print(f"{name} = {number:,}" if isinstance(value, int) else f"{name} = {number}")


"""
_TABLE = """\
def table(name, result, rows):
    result = result.to_frame(result.name or name) if result.ndim == 1 else result
    result = result.rename_axis(rows) if rows else result
    print(f"{name}:")
    print(result.to_csv(float_format="%.10g"))


"""
CONDITION = (
    "I read no more than names of columns and a few words: if your question is about some of the "
    "rows only, that is not in these results, which are about all of them."
)


def write(question: str, frames: tuple[Frame, ...]) -> Task | None:
    """What the question asks about one of the frames; None when nothing is recognised."""
    asked = take_apart(question, frames)
    found, drawn = operations(asked), figure(asked)
    return _task(asked, found, drawn, frames) if found or drawn else None


def write_usual(question: str, frames: tuple[Frame, ...]) -> Task:
    """What is told of a frame when the question asks nothing that is recognised."""
    asked = take_apart(question, frames)
    return _task(asked, usual(asked), None, frames)


def _task(
    asked: Asked,
    found: tuple[Operation, ...],
    drawn: Figure | None,
    frames: tuple[Frame, ...],
) -> Task:
    preamble = preamble_of(frames)
    codes = [f"{preamble}\n\n{_program(found)}"] if found else []
    codes += [f"{preamble}\n\n{drawn.code}"] if drawn else []
    names = [each.name for each in found] + ([f"a figure: {drawn.title}"] if drawn else [])
    plan = (
        f"The prompt has code that rebuilds `{asked.frame.name}`. I put it before my own, whole "
        f"and unchanged, and compute: {', '.join(names)}."
    )
    return Task(
        plan,
        f"`{asked.frame.name}`",
        tuple(codes),
        tuple(each.name for each in found if each.kind == "value"),
        tables=tuple(each.name for each in found if each.kind == "table"),
        note=CONDITION if asked.has_condition else "",
        framed=True,
    )


def _program(found: tuple[Operation, ...]) -> str:
    kinds = {each.kind for each in found}
    helpers = (_SHOW if "value" in kinds else "") + (_TABLE if "table" in kinds else "")
    return f"\n{helpers}" + "".join(f"{_line(each)}\n" for each in found)


def _line(each: Operation) -> str:
    if each.kind == "value":
        return f"show({each.name!r}, {each.code})"
    return f"table({each.name!r}, {each.code}, {each.rows!r})"
