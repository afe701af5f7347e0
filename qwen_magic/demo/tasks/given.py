"""Python that stands in the prompt itself."""

from __future__ import annotations

import re

from qwen_magic.demo.tasks.task import Task

_BLOCK = re.compile(
    r"^[ \t]*(`{3,}|~{3,})[ \t]*(?:python|py|python3|ipython)[ \t]*\n(.*?)^[ \t]*\1[ \t]*$",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)


def write(text: str, preamble: str = "") -> Task | None:
    """The ```python blocks, each a run that begins with the preamble."""
    codes = tuple(match[2] for match in _BLOCK.finditer(text) if match[2].strip())
    if not codes:
        return None
    plan = "The prompt has Python in it. I run it as it stands, and report what it prints."
    if preamble:
        codes = tuple(f"{preamble}\n\n{code}" for code in codes)
        plan += " The code that rebuilds the user's data goes before it."
    return Task(plan, "your code", codes, given=True)


def without_blocks(text: str) -> str:
    return _BLOCK.sub("", text)
