"""Which functions may be called: what the user said, and what holds where nobody can be asked."""

from __future__ import annotations

from typing import Literal, TypeAlias

from qwen_magic.tools.definition import FunctionTool

Standing: TypeAlias = Literal["always", "never"]
Unattended: TypeAlias = Literal["refuse", "allow"]


class Permissions:
    """Lasting answers, each for one function in one conversation, for as long as the kernel lives:
    they are never written to a file, and no import or restored notebook brings any."""

    def __init__(self) -> None:
        self.unattended: Unattended = "refuse"
        self._standing: dict[tuple[str, str], tuple[Standing, object]] = {}

    def standing(self, chat: str, tool: FunctionTool) -> Standing | None:
        """What was said of `tool` in this conversation. Another function of the same name is
        another function."""
        said, function = self._standing.get((chat, tool.name), (None, None))
        return said if said is not None and _is_same(function, tool.function) else None

    def remember(self, chat: str, tool: FunctionTool, said: Standing) -> None:
        self._standing[chat, tool.name] = (said, tool.function)

    def forget(self) -> int:
        """Ask about every function again; how many answers were forgotten."""
        count = len(self._standing)
        self._standing.clear()
        return count


def _is_same(one: object, other: object) -> bool:
    """Whether it is the same function, also after its cell ran again: code compares by what it
    does. Where it stands in its cell counts too, so that moving it asks again."""
    if one is other:
        return True
    codes = getattr(one, "__code__", None), getattr(other, "__code__", None)
    return codes[0] is not None and codes[0] == codes[1]
