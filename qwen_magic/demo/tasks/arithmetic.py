"""A calculation."""

from __future__ import annotations

import re

from qwen_magic.demo.tasks.expression import imports, to_python
from qwen_magic.demo.tasks.task import Task

_ASKS = re.compile(
    r"(?:what(?:'s| is)|how much is|calculate|compute|evaluate|work out)\s+([^?\n=]+)",
    re.IGNORECASE,
)
_OPERATOR = re.compile(r"[-+*/^%×÷−]|\*\*|[a-z]+\(|²|³")


def write(text: str) -> Task | None:
    if len(text) > 1000:
        return None  # no calculation is that long
    asked = (match[1] for match in _ASKS.finditer(text))
    for candidate in (*asked, text.strip().rstrip("=?")):
        if not _OPERATOR.search(candidate) or not re.search(r"\d", candidate):
            continue
        if (formula := to_python(candidate)) is not None:
            plan = f"A calculation: {formula}. I let Python do it."
            code = f'{imports(formula)}result = {formula}\nprint(f"result = {{result:,}}")\n'
            return Task(plan, f"`{formula}`", (code,), ("result",))
    return None
