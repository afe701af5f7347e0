"""A rule for each common exception: what was probably meant, and the cell that says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from qwen_magic.demo.mending import expressions, names
from qwen_magic.demo.mending.failure import Failure
from qwen_magic.demo.mending.mend import Mend

Rule: TypeAlias = Callable[[Failure], Mend | None]

RULES: dict[str, Rule] = {
    "NameError": names.name,
    "UnboundLocalError": names.name,
    "KeyError": names.key,
    "AttributeError": names.attribute,
    "ModuleNotFoundError": names.module,
    "ZeroDivisionError": expressions.division,
    "TypeError": expressions.sum_with_text,
    "IndexError": expressions.index,
    "SyntaxError": expressions.syntax,
}


def mend(failure: Failure) -> Mend | None:
    """The mended cell; None where no rule knows what was meant, or changes nothing."""
    rule = RULES.get(failure.kind)
    found = rule(failure) if rule is not None and failure.lines else None
    return found if found is not None and found.source != failure.source else None
