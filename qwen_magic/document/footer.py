"""Below an answer: a note if it did not simply complete, and the footer with cost and place.

A new fact of the footer is a field of `TurnFacts`, filled by `session.view.facts_of`, and a line of
`make_footer`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from qwen_magic.document.words import NO_BREAK, counted, duration, own_name, sentence
from qwen_magic.errors import APIError, QwenError
from qwen_magic.protocol.items import FunctionCall, Item, McpCall, item_type
from qwen_magic.protocol.response import Usage

if TYPE_CHECKING:
    from qwen_magic.protocol.state import ResponseState

OutcomeStatus: TypeAlias = Literal["completed", "incomplete", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """The turn that an answer belongs to, in the words of the footer.

    `label`: what stands above the answer, where it is one of several to a question; `sent`: there
    too, what of a step it answers; `proposes`: its code becomes a cell. `thoughts`:
    whether its thinking is shown. `stage`: it is shown before an audience: larger, without ids.
    `as_before`: its cell stayed in this conversation, and another one is the current one.
    `sibling`: (this one's place, how many) where the cell was run more than once. `added`: what
    was sent though nobody typed it ("web_search for web_extractor"). `expanded`: what the prompt's
    braces became ("{df} → 3 columns, 120 rows"). `notices`: who answered, where it was no model
    ("offline demo"). `warnings`: what the reader must know besides ("--think has no effect: …").
    `request`: what was sent, on one line. `price`: what such usage costs, empty where that is not
    known. `key`: the turn's own, by which the page's actions name it; empty where there are none.
    """

    model: str
    chat: str = ""
    turn_number: int = 0
    sibling: tuple[int, int] | None = None
    added: tuple[str, ...] = ()
    expanded: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    endpoint: str = ""
    key: str = ""
    as_before: bool = False
    warnings: tuple[str, ...] = ()
    request: str = ""
    price: Callable[[Usage], str] = field(default=lambda usage: "", compare=False)
    label: str = ""
    sent: str = ""
    proposes: bool = False
    thoughts: bool = True
    stage: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended, as the reader is told.

    `title`, `why` and `hint` are one line each and may be empty: `stopped` and `incomplete` then
    use words of their own. `limit`: the output tokens that were asked for, 0 where none were.
    `lacks`: what an answer that was not stopped has not got: its text, where it has only thinking,
    or all. `is_raised`: a failure that the cell fails with as well: here it is only named, and
    nothing is said where nothing came.
    """

    status: OutcomeStatus = "completed"
    title: str = ""
    why: str = ""
    hint: str = ""
    request_id: str = ""
    limit: int = 0
    lacks: Literal["", "text", "all"] = ""
    is_raised: bool = False


def failure(error: QwenError, *, is_raised: bool = False) -> Outcome:
    """The outcome of a turn that ended with this error."""
    request_id = error.request_id if isinstance(error, APIError) else ""
    return Outcome("failed", error.message, error.why, error.hint, request_id, is_raised=is_raised)


_TOOLS: Mapping[str, tuple[str, str]] = {
    "web_search": ("search", "searches"),
    "web_extractor": ("page", "pages"),
    "code_interpreter": ("run", "runs"),
    "web_search_image": ("image search", "image searches"),
    "image_search": ("search by image", "searches by image"),
    "file_search": ("file search", "file searches"),
}


@dataclass(frozen=True, slots=True)
class Footer:
    """Short facts below an answer: what it cost, where it belongs, and `warnings`, always visible.

    Folded are `id` (the response's), `more`, and the `request`.
    """

    cost: tuple[str, ...]
    place: tuple[str, ...]
    id: str
    more: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    request: str = ""

    @property
    def line(self) -> tuple[str, ...]:
        return (*self.cost, *self.place)

    @property
    def rest(self) -> tuple[str, ...]:
        return (*self.more, self.id) if self.id else self.more

    def text(self) -> str:
        """Plain text, a line for each group; without the request."""
        lines = (self.line, self.warnings, self.rest)
        return "\n".join(" · ".join(line) for line in lines if line)


def make_footer(
    turn: TurnFacts,
    *,
    model: str,
    seconds: float,
    usage: Usage | None,
    items: Sequence[Item],
    id: str,
) -> Footer:
    """`model`: as the response names it, else the turn's. Calls are counted in `items`, unless
    the service counts them itself."""
    price = turn.price(usage) if usage is not None and usage.known else ""
    cost = [*(turn.notices or (model or turn.model,)), duration(seconds), _tokens(usage), price]
    counts = Counter(name for item in items if (name := _tool(item)))
    tools = dict(counts) | (dict(usage.tools) if usage else {})
    calls = [
        counted(tools[name], *_TOOLS[name]) for name in tools if name in _TOOLS and tools[name]
    ]
    others = sum(count for name, count in tools.items() if name not in _TOOLS)
    if others:  # their names are told above, and may be long
        calls.append(counted(others, "call"))
    cost.append(", ".join(calls))
    added = (f"added {text}" for text in turn.added)
    more = [*_kinds(usage), *added, *turn.expanded, turn.endpoint]
    said, rest = (tuple(fact for fact in facts if fact) for facts in (cost, more))
    request = "" if turn.stage else turn.request
    return Footer(said, _place_in_words(turn), id, rest, turn.warnings, request)


def _tool(item: Item) -> str:
    """The tool of a call, by the service's name in its counts; empty for other items."""
    if isinstance(item, McpCall | FunctionCall):
        return own_name(item.name)
    name = item_type(item).removesuffix("_call")
    return name if name in _TOOLS else ""


def _tokens(usage: Usage | None) -> str:
    if usage is None or not usage.known:
        return "tokens not reported"
    told, answered = f"{usage.input_tokens:,}", f"{usage.output_tokens:,}"
    return f"{told}{NO_BREAK}in, {answered}{NO_BREAK}out"


def _kinds(usage: Usage | None) -> Iterator[str]:
    """Tokens of special kinds (cached, reasoning), in words."""
    if usage is not None and usage.cached_tokens:
        yield f"{usage.cached_tokens:,}{NO_BREAK}in from the cache"
    if usage is not None and usage.reasoning_tokens:
        yield f"{usage.reasoning_tokens:,}{NO_BREAK}out for thinking"


def _place_in_words(turn: TurnFacts) -> tuple[str, ...]:
    place = []
    if turn.chat and turn.turn_number:
        chat = f"in {turn.chat}, as before" if turn.as_before else turn.chat
        place.append(f"{chat}, turn{NO_BREAK}{turn.turn_number}")
    elif turn.chat:
        place.append(turn.chat)
    if turn.sibling is not None and turn.sibling[1] > 1:
        place.append(f"answer{NO_BREAK}{turn.sibling[0]}/{turn.sibling[1]}")
    return tuple(place)


_ANSWER_NOW = (
    "Ask it to answer in the next cell, or run this one with --no-think or a higher "
    "--max-output-tokens."
)
_ANOTHER_MODEL = "Run the cell again, or choose another model with -m."


@dataclass(frozen=True, slots=True)
class Note:
    """`text`: sentences after the title. `is_error`: red, and announced by screen readers at
    once.
    """

    title: str
    text: str = ""
    request_id: str = ""
    is_error: bool = False


def turn_end(
    turn: TurnFacts, outcome: Outcome, state: ResponseState, seconds: float
) -> tuple[Note | None, Footer]:
    """The note and footer below an answer with this outcome."""
    usage, items = state.usage, [entry.item for entry in state.entries]
    note = make_note(outcome, turn, seconds, usage, state.incomplete_reason)
    model, id = state.model, "" if turn.stage else state.id
    return note, make_footer(turn, model=model, seconds=seconds, usage=usage, items=items, id=id)


def make_note(
    outcome: Outcome, turn: TurnFacts, seconds: float, usage: Usage | None, reason: str
) -> Note | None:
    """The note for this outcome, or None. `reason`: the response's `incomplete_details.reason`."""
    match outcome.status:
        case "completed" if outcome.lacks == "text":
            return Note("Only thinking came, no answer", _ANSWER_NOW)
        case "completed" if outcome.lacks:
            return Note("The answer is empty", _ANOTHER_MODEL)
        case "completed":
            return None
        case "stopped":
            after = duration(seconds)
            title = outcome.title or (f"Stopped after {after}" if after else "Stopped")
            return Note(title, _sentences(outcome.why, outcome.hint or _kept_words(turn)))
        case "incomplete":
            title = outcome.title or _cut_off(outcome, usage, reason)
            return Note(title, _sentences(outcome.why, outcome.hint or _continue(reason)))
        case "failed" if outcome.is_raised:
            return Note(outcome.title, _kept_words(turn), "", True)
        case "failed":
            text = _sentences(outcome.why, outcome.hint)
            return Note(outcome.title or "The turn failed", text, outcome.request_id, True)


def _sentences(*texts: str) -> str:
    return " ".join(sentence(text) for text in texts if text.strip())


def _kept_words(turn: TurnFacts) -> str:
    if not turn.turn_number:
        return "What came is kept here."
    if turn.turn_number == 1:
        return "What came is kept here. The next question begins the conversation."
    return f"What came is kept here. The next question continues after turn {turn.turn_number - 1}."


def _cut_off(outcome: Outcome, usage: Usage | None, reason: str) -> str:
    if "filter" in reason:
        return "Cut off by the content filter"
    tokens = outcome.limit or (usage.output_tokens if usage and usage.known else 0)
    cut = "Cut off while it was thinking," if outcome.lacks == "text" else "Cut off"
    if not tokens:
        return cut.rstrip(",")
    return f"{cut} at {tokens:,}{NO_BREAK}output{NO_BREAK}tokens"


def _continue(reason: str) -> str:
    if "filter" in reason:
        return "What came is kept here."
    return "Ask it to continue in the next cell, or run this one with a higher --max-output-tokens."
