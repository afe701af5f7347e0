"""Answers as JSON, and back: what is kept of a finished row.

No pickle: to open a file must not run what is in it. Without the terminal response (`raw`), which
may repeat the headers of a tool, and so a key.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict
from typing import get_args

from qwen_magic.answer import Answer
from qwen_magic.conversation.chain import TurnStatus
from qwen_magic.errors import UsageError
from qwen_magic.protocol.call_outputs import items_json, parse_items
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.response import Usage
from qwen_magic.session.plan import Plan


def request_key(plan: Plan, repeat: int = 0) -> str:
    """What a row's answer is kept under: a hash of its exact request and of the host that is asked.

    `repeat`: how many rows before it ask the very same. Raises `UsageError` for what JSON cannot
    carry.
    """
    body = {name: value for name, value in plan.request.body().items() if name != "stream"}
    asked = {"host": plan.ask.endpoint.host, "repeat": repeat, "body": body}
    try:
        text = json.dumps(asked, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "The request holds a value that JSON cannot carry.",
            why=str(error),
            hint="Look at the tools and parameters that were given.",
        ) from error
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def answer_json(answer: Answer) -> str:
    """In ASCII: half of a surrogate pair has no UTF-8."""
    return json.dumps(
        {
            "text": answer.text,
            "reasoning": answer.reasoning,
            "items": list(items_json(answer.items)),
            "figures": [base64.b64encode(figure).decode("ascii") for figure in answer.figures],
            "usage": asdict(answer.usage) if answer.usage else None,
            "id": answer.id,
            "status": answer.status,
            "model": answer.model,
            "seconds": answer.seconds,
        }
    )


def read_answer(text: str) -> Answer:
    """Raises `ValueError` where this is no answer."""
    try:
        said: JSON = json.loads(text)
        usage = said["usage"]
        if said["status"] not in get_args(TurnStatus):
            raise ValueError(f"status {said['status']!r}")
        return Answer(
            text=str(said["text"]),
            reasoning=str(said["reasoning"]),
            items=parse_items(said["items"]),
            figures=tuple(base64.b64decode(figure) for figure in said["figures"]),
            usage=Usage(**usage) if usage else None,
            id=str(said["id"]),
            status=said["status"],
            model=str(said["model"]),
            seconds=float(said["seconds"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an answer: {error}") from error
