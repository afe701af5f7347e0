"""Which functions may be called: what the user said, and what holds where nobody can be asked."""

from __future__ import annotations

from typing import Literal, TypeAlias

from qwen_magic.context.functions import FunctionTool

Standing: TypeAlias = Literal["always", "never"]
Unattended: TypeAlias = Literal["refuse", "allow"]


class Permissions:
    """Lasting answers, each for one function in one conversation, for as long as the kernel lives:
    they are never written to a file, and no import or restored notebook brings any."""

    def __init__(self) -> None:
        self.unattended: Unattended = "refuse"
        self._standing: dict[tuple[str, str], Standing] = {}

    def standing(self, chat: str, tool: FunctionTool) -> Standing | None:
        """What was said of `tool` in this conversation."""
        return self._standing.get((chat, tool.name))

    def remember(self, chat: str, tool: FunctionTool, said: Standing) -> None:
        self._standing[chat, tool.name] = said

    def forget(self) -> int:
        """Ask about every function again; how many answers were forgotten."""
        count = len(self._standing)
        self._standing.clear()
        return count
