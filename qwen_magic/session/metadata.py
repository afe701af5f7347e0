"""What an output's metadata says of its turn: a notebook alone can tell its conversations."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from qwen_magic.conversation.chain import Turn
from qwen_magic.protocol.items import JSON
from qwen_magic.session.plan import Plan

METADATA_KEY: Final = "qwen_magic"
METADATA_VERSION: Final = 1


def turn_metadata(turn: Turn, plan: Plan) -> JSON:
    """`{"qwen_magic": {…}}`: the turn as typed and answered, its ids and place. Never a key.

    The input as sent is left out where it is the prompt itself, or where braces put values of the
    notebook into it: those were asked to be sent, not to be kept.
    """
    said: JSON = {
        "version": METADATA_VERSION,
        "key": turn.key,
        "chat": turn.chat,
        "number": plan.number,
        "parent": turn.parent,
        "parent_response_id": plan.parent.response_id if plan.parent else None,
        "response_id": turn.response_id,
        "status": turn.status,
        "prompt": turn.prompt,
        "items": list(turn.items),
        "model": turn.model,
        "host": turn.host,
        "cell": asdict(turn.cell) if turn.cell else None,
        "usage": asdict(turn.usage) if turn.usage else None,
        "created_at": round(turn.created_at, 3),
        "seconds": round(turn.seconds, 3),
    }
    return {METADATA_KEY: {name: value for name, value in said.items() if value is not None}}
