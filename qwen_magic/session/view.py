"""The seam between a turn and whoever shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from qwen_magic.document.footer import TurnFacts
from qwen_magic.document.words import counted, shorten
from qwen_magic.session.plan import NOT_FOUND, WITHOUT, Ask, Plan

if TYPE_CHECKING:
    from qwen_magic.document.footer import Outcome
    from qwen_magic.document.question import Question
    from qwen_magic.protocol.fields import JSON
    from qwen_magic.protocol.response import Usage
    from qwen_magic.protocol.state import Entry, ResponseState
    from qwen_magic.tools.loop import Poll

TICK: Final = 1 / 30  # seconds between two looks, and between updates of a view


class View(Protocol):
    """Shows one turn while it grows. All calls come from one thread, `begin` first, `finish`
    last.
    """

    def begin(self, stop: Callable[[], None], look: Callable[[], None] = lambda: None) -> None:
        """The request is being sent.

        `stop` ends it; `look` causes an immediate `tick`. Both may be called from any thread.
        """

    def update(self, state: ResponseState, now: float) -> None:
        """Something arrived. Called at most thirty times a second."""

    def tick(self, state: ResponseState, now: float) -> None:
        """Called about thirty times a second, also while nothing arrives."""

    def notice(self, text: str) -> None:
        """Show a line about the connection ("trying again in 4 s"); an empty text removes it."""

    def tell(self, text: str) -> None:
        """Add a fact to the footer that was not known at the start."""

    def restart(self) -> None:
        """The response is requested again: remove what was shown of it."""

    def figure(self, url: str, data: str, reason: str) -> None:
        """A figure arrived: its data URI, or the reason why it cannot be shown."""

    def ask(self, entry: Entry, question: Question) -> Poll | None:
        """Ask whether a function call may run.

        Return a function that polls for the verdict (None until there is one), or None if this view
        cannot ask.
        """

    def finish(
        self, state: ResponseState, now: float, outcome: Outcome, metadata: JSON
    ) -> Mapping[str, str]:
        """The turn has ended. Return the mime bundle that shows it, which may be empty."""


class NoView:
    """Shows nothing."""

    def begin(self, stop: Callable[[], None], look: Callable[[], None] = lambda: None) -> None:
        pass

    def update(self, state: ResponseState, now: float) -> None:
        pass

    def tick(self, state: ResponseState, now: float) -> None:
        pass

    def notice(self, text: str) -> None:
        pass

    def tell(self, text: str) -> None:
        pass

    def restart(self) -> None:
        pass

    def figure(self, url: str, data: str, reason: str) -> None:
        pass

    def ask(self, entry: Entry, question: Question) -> Poll | None:
        return None

    def finish(
        self, state: ResponseState, now: float, outcome: Outcome, metadata: JSON
    ) -> Mapping[str, str]:
        return {}


def facts_of(plan: Plan) -> TurnFacts:
    """The facts of a planned turn for its view's footer."""
    ask = plan.ask
    notice = ask.endpoint.capabilities.notice
    return TurnFacts(
        model=ask.model,
        chat=plan.chat,
        label=ask.label,
        sent=ask.sent,
        proposes=ask.proposes,
        turn_number=plan.number if plan.chat else 0,
        as_before=ask.as_before and plan.chat == ask.chat,
        sibling=plan.sibling,
        added=tuple(each for each in plan.added if not each.startswith(WITHOUT)),
        expanded=tuple(each for each in ask.expanded if not each.endswith(NOT_FOUND)),
        notices=tuple(words for words in (notice, plan.source) if words),
        warnings=(
            *(each for each in plan.added if each.startswith(WITHOUT)),
            *(each for each in ask.expanded if each.endswith(NOT_FOUND)),
            *plan.notes,
        ),
        endpoint="" if notice else ask.endpoint.name,
        request=_request_line(plan.request.body()),
        price=partial(_price, plan),
        key=plan.key if plan.chat else "",
    )


def _request_line(body: JSON) -> str:
    """The request in a line, by the protocol's names; long values by their length only."""
    return " · ".join(f"{name} {_brief(name, value)}" for name, value in body.items())


def _brief(name: str, value: object) -> str:
    if name == "tools" and isinstance(value, list | tuple):
        return ", ".join(str(tool.get("name") or tool.get("type")) for tool in value)
    if name in ("input", "instructions") and isinstance(value, str):
        return counted(len(value), "character")
    if isinstance(value, list | tuple):
        return counted(len(value), "item")
    return shorten(value if isinstance(value, str) else json.dumps(value), 80)


def _price(plan: Plan, usage: Usage) -> str:
    """The cost of the tokens, if the host's prices are known."""
    cost = plan.cost(usage)
    return "" if cost is None else str(cost)


def provisional_facts(ask: Ask) -> TurnFacts:
    """The facts of a turn that is not planned yet."""
    return TurnFacts(model=ask.model, chat=ask.chat, sent=ask.sent)
