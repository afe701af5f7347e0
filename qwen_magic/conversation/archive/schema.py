"""The JSON file of a conversation, described as a JSON Schema.

    {"format": "qwen_magic conversation", "version": 1, "name": "main",
     "base": [turn, …], "records": [turn or mark, …]}

`records` are in the order in which they were made: replaying them gives the same conversation with
the same head. A parent always stands before its children. `base` is there for a fork only: the
turns that it shares with the conversation it leaves, first to last, so that the file stands alone.

A field that is absent or null has its default (an empty text, 0, none); fields that are not named
here are ignored, so a version may gain some. What an older reader would misread needs a new
`version`; a file of a newer one is refused.
"""

from __future__ import annotations

from typing import Final

from qwen_magic.protocol.fields import JSON

FORMAT: Final = "qwen_magic conversation"
VERSION: Final = 1
STATUSES: Final = ("completed", "incomplete", "failed", "stopped")
MARKS: Final = ("head", "fork")

_TEXT: Final[JSON] = {"type": "string"}
_COUNT: Final[JSON] = {"type": "integer", "minimum": 0}
_OBJECTS: Final[JSON] = {"type": "array", "items": {"type": "object"}}


def _said(kind: JSON, description: str) -> JSON:
    return {**kind, "description": description}


_CELL: Final[JSON] = {
    "type": ["object", "null"],
    "description": "The notebook cell that it belongs to: turns of one cell are siblings.",
    "required": ["cell_id"],
    "properties": {
        "cell_id": _TEXT,
        "call": _said(_COUNT, "How many calls came before in one execution of the cell."),
    },
}

_USAGE: Final[JSON] = {
    "type": ["object", "null"],
    "description": "Tokens, and calls of the service's tools, of this turn alone.",
    "properties": {
        "input_tokens": _COUNT,
        "output_tokens": _COUNT,
        "total_tokens": _COUNT,
        "cached_tokens": _said(_COUNT, "Of the input."),
        "reasoning_tokens": _said(_COUNT, "Of the output."),
        "tools": {"type": "object", "additionalProperties": _COUNT},
    },
}

_TURN: Final[JSON] = {
    "type": "object",
    "description": "One question with its answer, as it ended.",
    "required": ["record", "key", "chat", "status"],
    "properties": {
        "record": {"const": "turn"},
        "key": _said(_TEXT, "Unique in the file."),
        "chat": _said(_TEXT, "The conversation it was asked in: in `records`, the file's `name`."),
        "status": {"enum": list(STATUSES)},
        "parent": {"type": ["string", "null"], "description": "The key of the turn before it."},
        "response_id": _said(_TEXT, "The server's."),
        "previous_response_id": _said(_TEXT, "What the server was asked to continue after."),
        "cell": _CELL,
        "prompt": _said(_TEXT, "As typed."),
        "input": {
            "description": "As sent: a text, or message items of the Responses API.",
            "anyOf": [_TEXT, _OBJECTS],
        },
        "text": _said(_TEXT, "The answer, in Markdown."),
        "items": _said(_OBJECTS, "Output items of the Responses API."),
        "model": _TEXT,
        "host": _said(_TEXT, "The server's host and port."),
        "stored": {"type": "boolean", "description": "Whether the server was asked to keep it."},
        "usage": _USAGE,
        "created_at": {"type": "number", "description": "Seconds since 1970."},
        "seconds": {"type": "number", "description": "How long it took."},
        "raw": {"type": "object", "description": "The server's last word as it came."},
    },
}

_MARK: Final[JSON] = {
    "type": "object",
    "description": (
        "A decision. head: `key` is the head from here on (null: before the first turn). fork: "
        "the conversation begins after `key`, a turn of `base`; only as the first record."
    ),
    "required": ["record", "chat", "kind"],
    "properties": {
        "record": {"const": "mark"},
        "chat": _TEXT,
        "kind": {"enum": list(MARKS)},
        "key": {"type": ["string", "null"]},
        "at": {"type": "number", "description": "Seconds since 1970."},
    },
}

SCHEMA: Final[JSON] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": FORMAT,
    "type": "object",
    "required": ["format", "version", "name", "records"],
    "properties": {
        "format": {"const": FORMAT},
        "version": {"const": VERSION},
        "name": {"type": "string", "minLength": 1, "maxLength": 512},
        "base": {"type": "array", "items": _TURN},
        "records": {"type": "array", "items": {"anyOf": [_TURN, _MARK]}},
    },
}
