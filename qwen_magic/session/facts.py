"""What the view is told of a turn: the words of its footer."""

from __future__ import annotations

from qwen_magic.document.facts import TurnFacts
from qwen_magic.session.plan import Ask, Plan


def facts_of(plan: Plan) -> TurnFacts:
    """The facts of a planned turn."""
    ask = plan.ask
    notice = ask.endpoint.capabilities.notice
    return TurnFacts(
        model=ask.model,
        chat=plan.chat,
        turn_number=plan.number if plan.chat else 0,
        sibling=plan.sibling,
        added=plan.added,
        expanded=(*ask.expanded, *plan.notes),
        notices=(notice,) if notice else (),
        endpoint="" if notice else ask.endpoint.name,
        key=plan.key if plan.chat else "",
    )


def provisional_facts(ask: Ask) -> TurnFacts:
    """What is known of a turn whose place is not settled yet."""
    return TurnFacts(model=ask.model, chat=ask.chat)
