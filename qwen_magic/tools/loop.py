"""The function calls of one turn: which may run, what is sent back, when it is enough.

    pending(calls)           whether the newest response waits for functions of ours
    answers(calls, turn)     answers them, in order: a generator of what has to be done meanwhile,
                             which is sent what came of it

        asking --(a button of the view: `Wait`; else a line of text: `Approve`)--> running | refused
        running --(`Invoke`)--> answered

Nothing here waits, asks or runs: whoever drives the turn does that in its own way. A turn that was
stopped ends where it stands; its calls stay unanswered.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

from qwen_magic.document.question import Question, Unanswered, Verdict
from qwen_magic.document.words import own_name, plural
from qwen_magic.errors import QwenError
from qwen_magic.masking import redact, without_named
from qwen_magic.protocol.call_outputs import CallResult
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import FunctionCall
from qwen_magic.tools.definition import FunctionTool, failure_of
from qwen_magic.tools.policy import CallLimits, ToolPolicy
from qwen_magic.tools.results import PlainValues, result_images, result_text

if TYPE_CHECKING:
    from qwen_magic.protocol.entry import CallPhase, Entry

Poll: TypeAlias = Callable[[], Verdict | None]
Decision: TypeAlias = Literal["run", "refused"] | Unanswered

_MOST_CALLS: Final = 50  # in one response
LONGEST_ASKED: Final = 400_000  # characters of arguments that somebody is asked about


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for a thirtieth of a second. Sends nothing."""


@dataclass(frozen=True, slots=True)
class Approve:
    """Ask the user by a line of input. Sends the `Verdict`; None if nobody can be asked."""

    question: Question


@dataclass(frozen=True, slots=True)
class Invoke:
    """Run a function with these arguments (JSON) for at most so many seconds. Sends a
    `CallResult`.
    """

    tool: FunctionTool
    arguments: str
    seconds: float
    limits: CallLimits
    sees: bool = False  # the model may be sent images
    call_id: str = ""

    def result(self, value: object) -> CallResult:
        """The call's result for the model, made from the value that the function returned."""
        limits = self.limits
        text = result_text(value, limits.size, limits.mask, self.seconds)
        figures = result_images(value)
        shows = self.sees and not limits.mask  # who knows what a figure shows
        return CallResult(text, images=figures if shows else (), figures=figures)

    def plain(self) -> PlainValues:
        """To make JSON of what it yields, one by one."""
        return PlainValues(self.limits.size, self.limits.mask, self.seconds)


Action: TypeAlias = Wait | Approve | Invoke


class CallingTurn(Protocol):
    """The interface of a turn that `TurnCalls` needs: it shows the state of each call."""

    stop_asked: bool

    def take_call(self, entry: Entry, phase: CallPhase) -> None:
        """The call is being asked about, or runs."""

    def answer_call(self, entry: Entry, result: CallResult) -> None:
        """This result is sent back for the call."""

    def ask_about(self, entry: Entry, question: Question) -> Poll | None:
        """Ask by buttons; return a function that polls for the verdict, or None if there are no
        buttons.
        """

    def tell(self, fact: str) -> None:
        """Show a fact in the footer."""

    def warn(self, fact: str) -> None:
        """Show a fact where the user can read it, even without a view."""


class TurnCalls:
    """Runs the function calls of one turn, round by round."""

    def __init__(
        self,
        tools: Sequence[FunctionTool],
        policy: ToolPolicy,
        *,
        chat: str,
        offered: Sequence[JSON],
        prompts: bool,
        sees: bool = False,
        clock: Callable[[], float],
    ) -> None:
        """The turn's limits and conditions.

        - `chat`: the conversation, empty outside any;
        - `offered`: all tools of the request, also those that do not run here;
        - `prompts`: the user waits for this turn, and can be asked by a line of input;
        - `sees`: the model accepts images;
        - `clock`: monotonic seconds.
        """
        self._tools = {tool.name: tool for tool in tools}
        self._policy = policy
        self._limits = policy.limits
        self._chat = chat
        named = {tool.get("name") for tool in offered if tool.get("type") == "function"}
        self._foreign = named - set(self._tools)
        self._prompts = prompts
        self._sees = sees
        self._clock = clock
        self._left = self._limits.seconds
        self._rounds = 0
        # What was said of functions, outside any conversation for this answer only.
        self._memory = policy if chat else ToolPolicy()

    def pending(self, calls: Sequence[Entry]) -> bool:
        """Whether `calls` have to be answered here.

        If a function that was offered as a bare dict is among them, the caller answers all of them.
        """
        names = [entry.item.name for entry in calls if isinstance(entry.item, FunctionCall)]
        return bool(self._tools and names) and self._foreign.isdisjoint(names)

    @property
    def exhausted(self) -> bool:
        """Whether the model now has to answer without further calls."""
        return self.is_last or self._left <= 0

    @property
    def is_last(self) -> bool:
        """Whether all rounds are used: calls get an answer, but are not run."""
        return self._rounds > self._limits.rounds

    @property
    def rounds(self) -> str:
        """How many rounds there are, in words."""
        return f"{self._limits.rounds} {plural(self._limits.rounds, 'round')}"

    def answers(self, calls: Sequence[Entry], turn: CallingTurn) -> Generator[Action, Any, None]:
        """Answer every call of the newest response, in order."""
        self._rounds += 1
        for place, entry in enumerate(calls):
            if place < _MOST_CALLS:
                result = yield from self._answer(turn, entry)
            else:
                result = CallResult.failure("not run: too many calls at once")
            if turn.stop_asked:
                return
            turn.answer_call(entry, replace(result, text=without_named(redact(result.text))))

    def _answer(self, turn: CallingTurn, entry: Entry) -> Generator[Action, Any, CallResult]:
        call = entry.finished()  # what is shown and recorded
        assert isinstance(call, FunctionCall)
        tool = self._tools.get(call.name)
        if tool is None:
            there_are = ", ".join(self._tools)
            return CallResult.failure(f"there is no function {call.name!r}; there are: {there_are}")
        why_not = self._why_not(call, tool)
        if why_not is not None:
            return why_not
        decision = yield from self._decide(turn, entry, call, tool)
        if turn.stop_asked:
            return CallResult.refusal("the turn was stopped")
        if decision != "run":
            return _refusal(turn, tool, decision)
        is_allowed = self._memory.standing(self._chat, tool) == "always"
        turn.take_call(entry, "running")
        began = self._clock()
        result: CallResult = yield Invoke(
            tool, call.arguments, self._left, self._limits, self._sees, call.call_id
        )
        self._left -= self._clock() - began
        if is_allowed:
            self._memory.keep_up(self._chat, tool)
        return result

    def _why_not(self, call: FunctionCall, tool: FunctionTool) -> CallResult | None:
        """Why this call cannot run, whatever the user says; None if it can."""
        if self.is_last:
            why = f"not run: the limit of {self.rounds} of calls is reached; answer now"
            return CallResult.failure(why)
        length = len(call.arguments)
        if length > LONGEST_ASKED and self._memory.standing(self._chat, tool) != "always":
            why = f"not run: its {length:,} characters of arguments are more than anyone can read"
            return CallResult.failure(why)
        if self._left <= 0:
            seconds = f"{self._limits.seconds:.3g}"
            why = f"not run: the {seconds} s for functions are used; answer now"
            return CallResult.failure(why)
        try:
            tool.check_arguments(call.arguments)
        except QwenError as error:  # also for a server's schema that is none
            return failure_of(error)
        return None

    def _decide(
        self, turn: CallingTurn, entry: Entry, call: FunctionCall, tool: FunctionTool
    ) -> Generator[Action, Any, Decision]:
        chat = self._chat
        standing = self._memory.standing(chat, tool)
        if standing == "always":
            return "run"
        if standing == "never":
            if chat:
                turn.tell(
                    f"{own_name(tool.name)} is refused in {chat} (%qwen_tools --forget asks again)"
                )
            return "refused"
        about = tool.description.partition("\n\n")[0]
        is_other = self._memory.knows_another(chat, tool)
        name = own_name(tool.name)
        question = Question(name, call.arguments, about, chat, is_other, tool.server)
        turn.take_call(entry, "asking")
        match (yield from self._consult(turn, entry, question)):
            case "once":
                return "run"
            case "always" | "never" as said:
                self._memory.remember(chat, tool, said)
                return "run" if said == "always" else "refused"
            case None | "nobody" | "absent" as why:
                return "run" if self._policy.unattended == "allow" else why or "nobody"
            case _:
                return "refused"

    def _consult(
        self, turn: CallingTurn, entry: Entry, question: Question
    ) -> Generator[Action, Any, Verdict | None]:
        """Ask the user; return the verdict, None after a stop."""
        poll = turn.ask_about(entry, question)
        verdict = yield from consult(poll, question, self._prompts, lambda: turn.stop_asked)
        return verdict


def consult(
    poll: Poll | None, question: Question, prompts: bool, is_stopped: Callable[[], bool]
) -> Generator[Wait | Approve, Verdict | None, Verdict | None]:
    """Ask the user, by buttons of the view or by a line of input; None after a stop.

    `poll` looks for a button's click (None: there are no buttons). Without buttons, or a page that
    shows them, the user is asked by a line if `prompts`.
    """
    verdict: Verdict | None = "nobody"
    if poll is not None:
        while (verdict := poll()) is None and not is_stopped():
            yield Wait()
    if verdict == "nobody" and prompts:
        verdict = yield Approve(question)
    return verdict


def _refusal(turn: CallingTurn, tool: FunctionTool, decision: Decision) -> CallResult:
    if decision == "refused":
        return CallResult.refusal(f"the user refused this call of {tool.name}")
    why = "nobody could be asked" if decision == "nobody" else "no page is open to ask in"
    name = own_name(tool.name)
    turn.warn(f"{name} was not run: {why} (%config QwenMagics.unattended = 'allow' lets it)")
    return CallResult.refusal(f"nobody is there to allow this call of {tool.name}")
