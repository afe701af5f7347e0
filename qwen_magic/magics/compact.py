"""`%qwen_fork NAME --compact`: a conversation that goes on from a summary of another."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import Final

from qwen_magic.conversation.chain import Chain, Turn
from qwen_magic.magics.asking import Asker
from qwen_magic.options import Options
from qwen_magic.session.view import NoView

_ASK: Final = (
    "Summarize our conversation so far, so that it can go on from the summary alone. Keep every "
    "fact, name, number, decision, definition and open question that later turns may need, and "
    "code that is still in use. Write only the summary."
)
_GIVEN: Final = "This is where our earlier conversation stands. Go on from it."


def compact(asker: Asker, name: str, chain: Chain, turn: Turn) -> None:
    """Have the model summarize `chain` up to `turn`, and begin `name` with what it writes.

    The question for the summary joins no conversation. The new one begins with a turn that was
    never sent: it goes as text with the next question. Raises `QwenError`.
    """
    conversations = asker.session.conversations
    conversations.new(name)
    options = Options(after=f"{chain.name}:{turn.response_id}", raw=True, tools=())
    plan = replace(asker.session.plan(asker.ask(options, _ASK)), chat="")
    answer = asker.session.run(plan, NoView())
    if answer.error is not None:
        raise answer.error
    conversations.adopt(name, [_beginning(name, turn, answer.text, answer.id)])


def _beginning(name: str, turn: Turn, summary: str, response_id: str) -> Turn:
    return Turn(
        key=uuid.uuid4().hex,
        chat=name,
        status="completed",
        response_id=response_id,
        prompt=f"(summary of {turn.chat})",
        input=_GIVEN,
        text=summary,
        items=(
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": summary}],
            },
        ),
        model=turn.model,
        host=turn.host,
        created_at=time.time(),
        stored=False,
    )
