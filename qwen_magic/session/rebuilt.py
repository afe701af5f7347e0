"""An ended turn as the output that once showed it, rebuilt from what is kept of it."""

from __future__ import annotations

from collections.abc import Iterable

from qwen_magic.conversation.chain import Turn
from qwen_magic.document.build import Document
from qwen_magic.document.facts import Outcome, TurnFacts
from qwen_magic.protocol.events import EndStatus, ResponseEnded
from qwen_magic.protocol.items import JSON, CallResult, FunctionCall, Item, item_json, parse_items
from qwen_magic.protocol.state import ResponseState


def document_of(turn: Turn, facts: TurnFacts) -> Document:
    """The document of `turn`: without its figures, which are not kept, and without durations."""
    state = ResponseState()
    ended: EndStatus = "completed" if turn.status == "completed" else "incomplete"
    items = parse_items(turn.items)
    state.apply(ResponseEnded(ended, _response(turn, items)))
    for entry, item in zip(state.entries, items, strict=True):
        if isinstance(item, FunctionCall) and item.output is not None:
            state.answer_call(entry, CallResult(item.output, item.output_status), 0.0)
    state.usage = turn.usage
    document = Document(facts)
    document.update(state, turn.seconds)
    document.finish(state, turn.seconds, Outcome(turn.status))
    return document


def _response(turn: Turn, items: Iterable[Item]) -> JSON:
    output = [item_json(item) for item in items]
    return {"id": turn.response_id, "model": turn.model, "output": output}
