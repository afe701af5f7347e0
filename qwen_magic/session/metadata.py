"""What an output's metadata says of its turn: a notebook alone can tell its conversations."""

from __future__ import annotations

from dataclasses import asdict

from qwen_magic.conversation.archive.metadata import METADATA_KEY, METADATA_VERSION, text_of
from qwen_magic.conversation.chain import Turn
from qwen_magic.protocol.fields import JSON
from qwen_magic.session.plan import Plan


def turn_metadata(turn: Turn, plan: Plan) -> JSON:
    """`{"qwen_magic": {…}}`: the turn as typed and answered, its ids and place. Never a key.

    The input as sent is left out where it is the prompt itself, or where braces put values of the
    notebook into it: those were asked to be sent, not to be kept. The text is the items', and the
    server continued after the parent, unless it is said otherwise.
    """
    parent_id = plan.parent.response_id if plan.parent else ""
    previous_id = turn.previous_response_id
    said: JSON = {
        "version": METADATA_VERSION,
        "key": turn.key,
        "chat": turn.chat,
        "number": plan.number,
        "parent": turn.parent,
        "parent_response_id": parent_id if plan.parent else None,
        "previous_response_id": previous_id if previous_id != parent_id else None,
        "response_id": turn.response_id,
        "status": turn.status,
        "prompt": turn.prompt,
        "items": list(turn.items),
        "text": turn.text if turn.text != text_of(turn.items) else None,
        "model": turn.model,
        "host": turn.host,
        "stored": None if turn.stored else False,
        "cell": asdict(turn.cell) if turn.cell else None,
        "usage": asdict(turn.usage) if turn.usage else None,
        "created_at": round(turn.created_at, 3),
        "seconds": round(turn.seconds, 3),
    }
    return {METADATA_KEY: {name: value for name, value in said.items() if value is not None}}
