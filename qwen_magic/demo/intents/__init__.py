"""What the demo can do: a table of intents, and the answer composed from those that match."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qwen_magic.demo.intents import chat, code, fix, frames, functions, memory, objects, tour, web
from qwen_magic.demo.steps import Say, Steps, Work
from qwen_magic.demo.style import dress, read_style
from qwen_magic.demo.turn import Turn


@dataclass(frozen=True, slots=True)
class Intent:
    """`matches` tells whether a turn is of this kind; `work` makes its part of the answer."""

    matches: Callable[[Turn], bool]
    work: Callable[[Turn], Work]
    joins: bool = False  # together with the other joining intents that match
    finds: bool = False  # its work may give values for the JSON of a schema


# The first that matches answers; those that join answer together, in this order.
TABLE: tuple[Intent, ...] = (
    Intent(fix.matches, fix.work),
    Intent(functions.calls_next, functions.call_next, finds=True),
    Intent(functions.has_results, functions.tell_results, finds=True),
    Intent(chat.goes_on_with_nothing, chat.nothing_to_go_on_with),
    Intent(frames.matches, frames.work),
    Intent(web.matches, web.work, joins=True, finds=True),
    Intent(code.matches, code.work, joins=True, finds=True),
    Intent(memory.matches, memory.work),
    Intent(tour.matches, tour.work),
    Intent(frames.matches_loosely, frames.work_loosely, finds=True),
    Intent(web.matches_loosely, web.work, finds=True),
    Intent(lambda turn: True, chat.work),
)


def chosen(turn: Turn) -> list[Intent]:
    """The intents that answer this turn: at least one."""
    matching = [intent for intent in TABLE if intent.matches(turn)]
    if matching[0].joins:
        return [intent for intent in matching if intent.joins]
    return matching[:1]


def answer(turn: Turn) -> Steps:
    """The steps of the answer: work done, then one message, dressed as the instructions say."""
    if turn.rest and chat.wants_more(turn):
        yield Say(turn.rest)
        return
    text = yield from _text(turn)
    if text:
        yield Say(dress(text, read_style(turn.instructions)))


def _text(turn: Turn) -> Work:
    if turn.repairs:
        return (yield from objects.work_again(turn))
    intents = chosen(turn)
    if turn.schema is not None:
        works = [intent.work(turn) for intent in intents if intent.finds]
        return (yield from objects.work(turn, works))
    texts = []
    for intent in intents:
        texts.append((yield from intent.work(turn)))
    return "\n\n".join(text for text in texts if text)
