"""What holds for the function calls of all turns of a session."""

from __future__ import annotations

from qwen_magic.document.question import Question, Verdict
from qwen_magic.errors import UsageError
from qwen_magic.session.plan import Ask, Plan
from qwen_magic.tools import nesting
from qwen_magic.tools.execution import interruptible
from qwen_magic.tools.loop import CallLimits, Prompt, TurnCalls
from qwen_magic.tools.permissions import Permissions


class Calling:
    """`may_nest`: whether nest_asyncio2 may be used. `prompt` asks the user where the view cannot,
    and gives None where nobody can be asked."""

    def __init__(self) -> None:
        self.permissions = Permissions()
        self.limits = CallLimits()
        self.may_nest = True
        self.prompt: Prompt = lambda question: None

    def check_blocking(self, ask: Ask) -> None:
        """Raises `UsageError` where an asynchronous function could not run in a blocking call."""
        waits = next((tool.name for tool in ask.functions if tool.is_async), "")
        if waits and not self.may_nest and nesting.loop_runs():
            raise UsageError(
                f"{waits} is asynchronous, and this call blocks the event loop that it needs.",
                why="nest_asyncio2, which would help, is forbidden (QwenMagics.nest_asyncio).",
                hint="Ask at the top of a cell with %%qwen, or with await qwen.aask(…).",
            )

    def of(self, plan: Plan, *, prompts: bool = True) -> TurnCalls:
        """The calls of one turn. `prompts`: whether somebody waits for it, and could be asked by a
        line of text."""
        prompt = self._asked if prompts else (lambda question: None)
        return TurnCalls(plan.ask.functions, self.permissions, self.limits, prompt)

    def _asked(self, question: Question) -> Verdict | None:
        with interruptible():  # ■ is to end the question, not only what comes after it
            return self.prompt(question)
