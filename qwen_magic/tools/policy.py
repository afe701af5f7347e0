"""What holds for the function calls of all turns: limits, what the user said, who can be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from qwen_magic.document.question import Question, Verdict
from qwen_magic.errors import UsageError
from qwen_magic.tools import nesting
from qwen_magic.tools.definition import FunctionTool
from qwen_magic.tools.results import MAX_RESULT_BYTES

Prompt: TypeAlias = Callable[[Question], Verdict | None]
Standing: TypeAlias = Literal["always", "never"]
Unattended: TypeAlias = Literal["refuse", "allow"]


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What the functions may take of one question. `rounds`: how often the model is asked on with
    what it called; `seconds`: of all functions together; `size`: bytes of one result; `mask`:
    columns and keys whose values are kept back (names or patterns). Besides, one response may call
    at most 50 times. A synchronous function is ended in time where the platform can (POSIX, the
    main thread); elsewhere it runs to its end.
    """

    rounds: int = 10
    seconds: float = 300.0
    size: int = MAX_RESULT_BYTES
    mask: tuple[str, ...] = ()


class ToolPolicy:
    """Which functions may be called, and how far.

    - `prompt` asks the user where the view cannot, and gives None where nobody can be asked;
    - `unattended`: what holds then;
    - `limits`: of each question;
    - `may_nest`: whether nest_asyncio2 may be used (`tools.nesting`).

    Lasting answers are each for one function in one conversation, for as long as the kernel lives:
    they are never written to a file, and no import or restored notebook brings any.
    """

    def __init__(self) -> None:
        self.prompt: Prompt = lambda question: None
        self.unattended: Unattended = "refuse"
        self.limits = CallLimits()
        self.may_nest = True
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

    def check_blocking(self, functions: Iterable[FunctionTool]) -> None:
        """Raises `UsageError` where an asynchronous function could not run in a blocking call."""
        waits = next((tool.name for tool in functions if tool.is_async), "")
        if waits and not self.may_nest and nesting.loop_runs():
            raise UsageError(
                f"{waits} is asynchronous, and this call blocks the event loop that it needs.",
                why="nest_asyncio2, which would help, is forbidden (QwenMagics.nest_asyncio).",
                hint="Ask at the top of a cell with %%qwen, or with await qwen.aask(…).",
            )


def _is_same(one: object, other: object) -> bool:
    """Whether it is the same function, also after its cell ran again: code compares by what it
    does. Where it stands in its cell counts too, so that moving it asks again."""
    if one is other:
        return True
    codes = getattr(one, "__code__", None), getattr(other, "__code__", None)
    return codes[0] is not None and codes[0] == codes[1]
