"""An ended turn as the output that once showed it, rebuilt from what is kept of it."""

from __future__ import annotations

from qwen_magic.conversation.chain import Turn
from qwen_magic.document.build import Document
from qwen_magic.document.facts import Outcome, TurnFacts
from qwen_magic.protocol.events import EndStatus, ResponseEnded
from qwen_magic.protocol.items import JSON
from qwen_magic.protocol.state import ResponseState


def document_of(turn: Turn, facts: TurnFacts) -> Document:
    """The document of `turn`: without its figures, which are not kept, and without durations."""
    state = ResponseState()
    ended: EndStatus = "completed" if turn.status == "completed" else "incomplete"
    state.apply(ResponseEnded(ended, _response(turn)))
    state.usage = turn.usage
    document = Document(facts)
    document.update(state, turn.seconds)
    document.finish(state, turn.seconds, Outcome(turn.status))
    return document


def _response(turn: Turn) -> JSON:
    return {"id": turn.response_id, "model": turn.model, "output": list(turn.items)}
