"""The function calls of one turn: which may run, what is sent back, when it is enough.

    answers(run) -> needs        Consult: wait for the user's word; Invoke: run a function

A generator of what it needs, so that a cell that awaits and one that blocks share it (`settling`
meets the needs in either way).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from qwen_magic.document.question import Question, Verdict
from qwen_magic.errors import QwenError
from qwen_magic.protocol.items import CallResult, FunctionCall
from qwen_magic.tools.definition import ArgumentsError, FunctionTool, failure_of
from qwen_magic.tools.permissions import Permissions, Standing
from qwen_magic.tools.results import MAX_RESULT_BYTES, result_text

if TYPE_CHECKING:
    from qwen_magic.protocol.state import Entry
    from qwen_magic.session.run import TurnRun

Prompt: TypeAlias = Callable[[Question], Verdict | None]
Decision: TypeAlias = Literal["run", "refused", "nobody"]

_MOST_CALLS: Final = 50  # in one response


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


@dataclass(frozen=True, slots=True)
class Consult:
    """Wait until `poll` gives a verdict."""

    poll: Callable[[], Verdict | None]


@dataclass(frozen=True, slots=True)
class Invoke:
    """Run a function with these arguments (JSON) for so many seconds; gives a `CallResult`."""

    tool: FunctionTool
    arguments: str
    seconds: float
    limits: CallLimits

    def result(self, value: object) -> CallResult:
        """What is sent for the value that it gave."""
        return CallResult(result_text(value, self.limits.size, self.limits.mask))


Need: TypeAlias = Consult | Invoke
Needs: TypeAlias = Generator[Need, Any, None]


class TurnCalls:
    """Answers the calls of one turn, round by round."""

    def __init__(
        self,
        tools: Sequence[FunctionTool],
        permissions: Permissions,
        limits: CallLimits,
        prompt: Prompt,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`prompt` asks the user where the view cannot; None: nobody can be asked."""
        self._tools = {tool.name: tool for tool in tools}
        self._permissions = permissions
        self._limits = limits
        self._prompt = prompt
        self._clock = clock
        self._left = limits.seconds
        self._rounds = 0
        self._said: dict[str, Standing] = {}  # of functions, outside any conversation

    def wanted(self, run: TurnRun) -> bool:
        """Whether the newest response waits for functions of ours. Tells `run` of a failure where
        the model goes on calling after its last round."""
        calls = run.state.calls
        if not self._tools or not calls or not run.ended_well:
            return False
        if any(self._is_foreign(run, entry) for entry in calls):
            return False  # whoever offered it answers it
        if self._is_last:
            run.fail(
                QwenError(
                    f"The model called functions again after {_rounds(self._limits.rounds)}, "
                    "though it was told to answer.",
                    hint="Ask more narrowly, or raise %config QwenMagics.tool_rounds.",
                )
            )
            return False
        return True

    @property
    def exhausted(self) -> bool:
        """Whether the model is now asked to answer with what it has."""
        return self._is_last or self._left <= 0

    @property
    def _is_last(self) -> bool:
        """Whether all rounds are used: calls are answered now, but not run."""
        return self._rounds > self._limits.rounds

    def answers(self, run: TurnRun) -> Needs:
        """Answer every call of the newest response, in order."""
        self._rounds += 1
        for place, entry in enumerate(run.state.calls):
            if place >= _MOST_CALLS:
                run.answer_call(entry, CallResult.failure("not run: too many calls at once"))
                continue
            run.answer_call(entry, (yield from self._answer(run, entry)))

    def _answer(self, run: TurnRun, entry: Entry) -> Generator[Need, Any, CallResult]:
        call = entry.finished()  # what is shown and recorded
        assert isinstance(call, FunctionCall)
        tool = self._tools.get(call.name)
        if tool is None:
            there_are = ", ".join(self._tools)
            return CallResult.failure(f"there is no function {call.name!r}; there are: {there_are}")
        why_not = self._why_not(call, tool)
        if why_not is not None:
            return why_not
        decision = yield from self._decide(run, entry, call, tool)
        if decision != "run":
            return self._refusal(run, tool, decision)
        if run.stop_asked:
            return CallResult.refusal("the turn was stopped")
        run.take_call(entry, "running")
        began = self._clock()
        result: CallResult = yield Invoke(tool, call.arguments, self._left, self._limits)
        self._left -= self._clock() - began
        return result

    def _why_not(self, call: FunctionCall, tool: FunctionTool) -> CallResult | None:
        """Why this call cannot run, whatever the user would say; None where it can."""
        if self._is_last:
            rounds = _rounds(self._limits.rounds)
            why = f"not run: the limit of {rounds} of calls is reached; answer now"
            return CallResult.failure(why)
        if self._left <= 0:
            seconds = f"{self._limits.seconds:.3g}"
            why = f"not run: the {seconds} s for functions are used; answer now"
            return CallResult.failure(why)
        try:
            tool.check_arguments(call.arguments)
        except ArgumentsError as error:
            return failure_of(error)
        return None

    def _decide(
        self, run: TurnRun, entry: Entry, call: FunctionCall, tool: FunctionTool
    ) -> Generator[Need, Any, Decision]:
        chat = run.plan.chat
        standing = self._permissions.standing(chat, tool) if chat else self._said.get(tool.name)
        if standing == "always":
            return "run"
        if standing == "never":
            if chat:
                run.tell(f"{tool.name} is refused in {chat} (%qwen_tools --forget asks again)")
            return "refused"
        about = tool.description.partition("\n\n")[0]
        question = Question(tool.name, call.arguments, about, chat)
        run.take_call(entry, "asking")
        poll = run.ask(entry, question)
        verdict: Verdict | None = (yield Consult(poll)) if poll is not None else "nobody"
        if verdict == "nobody":
            verdict = self._prompt(question)
        match verdict:
            case None | "nobody":
                return "run" if self._permissions.unattended == "allow" else "nobody"
            case "always" | "never":
                self._keep(chat, tool, verdict)
        return "run" if verdict in ("once", "always") else "refused"

    def _keep(self, chat: str, tool: FunctionTool, said: Standing) -> None:
        if chat:
            self._permissions.remember(chat, tool, said)
        else:
            self._said[tool.name] = said

    def _refusal(self, run: TurnRun, tool: FunctionTool, decision: Decision) -> CallResult:
        if decision == "refused":
            return CallResult.refusal(f"the user refused this call of {tool.name}")
        run.warn(
            f"{tool.name} was not run: nobody could be asked "
            "(%config QwenMagics.unattended = 'allow' lets it)"
        )
        return CallResult.refusal(f"nobody is there to allow this call of {tool.name}")

    def _is_foreign(self, run: TurnRun, entry: Entry) -> bool:
        """Whether the call is of a function that was offered as a bare dict."""
        name = entry.item.name if isinstance(entry.item, FunctionCall) else ""
        offered = (tool for tool in run.plan.ask.tools if tool.get("type") == "function")
        return name not in self._tools and any(tool.get("name") == name for tool in offered)


def _rounds(count: int) -> str:
    return f"{count} round{'' if count == 1 else 's'}"
