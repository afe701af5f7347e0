"""`%qwen_fix`: explains the reported exception, and mends the cell where a rule can."""

from __future__ import annotations

import re

from qwen_magic.demo.mending.failure import Failure, read_failure
from qwen_magic.demo.mending.meanings import meaning
from qwen_magic.demo.mending.mend import Mend
from qwen_magic.demo.mending.rules import mend
from qwen_magic.demo.sandbox.runner import fenced
from qwen_magic.demo.steps import Think, Work
from qwen_magic.demo.turn import Turn

_MASKED = "[masked]"


def matches(turn: Turn) -> bool:
    return not turn.results and read_failure(turn.prompt) is not None


def work(turn: Turn) -> Work:
    failure = read_failure(turn.prompt)
    if failure is None:
        return ""
    found = mend(failure) if failure.whole and not failure.place else None
    yield Think(
        f"A {failure.kind} in {failure.cell}. I have a rule for some exceptions, "
        + ("and it applies here." if found else "but none that applies here.")
    )
    parts = [_explained(failure), _changed(failure, found), *_code(failure, found)]
    return "\n\n".join(part for part in parts if part)


def _explained(failure: Failure) -> str:
    told = meaning(failure.kind)
    sense = f": {told}" if told else " is an exception that I know nothing about"
    message = " ".join(failure.message.split())[:300].replace("`", "'")
    where = f" It was raised in {failure.place}." if failure.place else ""
    return f"**{failure.kind}**{sense}. It says: “{message}”.{where}"


def _changed(failure: Failure, found: Mend | None) -> str:
    lead = "I am only the offline demo and go by simple rules."
    if found is not None:
        return f"{lead} {found.words} Nothing was run: please check it."
    if failure.place:
        return f"{lead} I mend only the cell that was run, and the fault is in another."
    if not failure.whole:
        return f"{lead} I mend only cells that I see whole, and of this one lines are missing."
    return f"{lead} None of them says how to mend this, so that I leave the cell as it is."


def _code(failure: Failure, found: Mend | None) -> list[str]:
    if not failure.lines or not failure.whole:
        return []
    source = found.source if found else f"{_remark(failure)}\n{failure.source}"
    block = re.sub(r"\A(`+)", r"\1python", fenced(source))
    masked = f"Put your secret back where `{_MASKED}` stands: it was not sent."
    return [block, masked if _MASKED in source else ""]


def _remark(failure: Failure) -> str:
    lines = ", ".join(map(str, sorted(failure.marked)))
    where = failure.place or (f"line {lines}" if lines else failure.cell)
    return f"# {failure.kind} in {where}: still to be mended"
