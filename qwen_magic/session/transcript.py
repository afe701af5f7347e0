"""A conversation as input items, for where the server cannot continue after an id.

Every server takes messages. Alibaba Cloud and OpenAI also take the calls that were made in between
(responses-API documentation, September 2026): function calls with their outputs and searches tell
the model what it did. Reasoning and code are left out: they are long, and the answer says what came
of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from qwen_magic.conversation.chain import Turn
from qwen_magic.protocol.call_outputs import CALL_OUTPUT, output_json
from qwen_magic.protocol.fields import JSON
from qwen_magic.protocol.items import FunctionCall, Item, Message, item_json


def transcript(turns: Iterable[Turn], kinds: Collection[str]) -> list[JSON]:
    """What was asked and answered, oldest first. `kinds`: types of items, beside messages, that the
    server takes (`Capabilities.transcript_items`)."""
    return [item for turn in turns for item in _items(turn, kinds)]


def as_items(given: str | tuple[JSON, ...]) -> list[JSON]:
    """A prompt as input items."""
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)


def own_items(items: Iterable[Item]) -> Iterator[JSON]:
    """What a turn that is not over has said and called, for any server that takes calls."""
    for item in items:
        if isinstance(item, FunctionCall):
            yield item_json(item)
            if item.output is not None:
                yield output_json(item)
        elif isinstance(item, Message) and item.text:
            yield {"role": "assistant", "content": item.text}


def _items(turn: Turn, kinds: Collection[str]) -> Iterator[JSON]:
    yield from as_items(turn.input)
    if turn.status == "completed":  # half a call would be refused
        yield from (_sent(item) for item in turn.items if item.get("type") in kinds)
    if turn.text:
        yield {"role": "assistant", "content": turn.text}


def _sent(item: JSON) -> JSON:
    """A recorded item without what only the record keeps: how a function call ended."""
    if item.get("type") != CALL_OUTPUT:
        return item
    return {key: value for key, value in item.items() if key != "status"}
