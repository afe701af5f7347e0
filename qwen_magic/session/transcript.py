"""A conversation as input items, for where the server cannot continue after an id.

Every server takes messages. Alibaba Cloud and OpenAI also take the calls that were made in between
(responses-API documentation, September 2026): function calls with their outputs and searches tell
the model what it did. Reasoning and code are left out: they are long, and the answer says what came
of them. Only an answer that has nothing but its thinking is told by that.

Of a turn out of a file the words alone are told, and what its input has besides only after its
reader has seen it and said so (`beyond_words`, `%qwen_import`): a file is made by anybody, and what
it has as instructions or as a tool's output would go out unseen.

A call without its output, and an output without its call, are refused by every server that takes
calls: of those that were told, both go together (`paired`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from qwen_magic.conversation.chain import CALLS, Turn, is_call, is_output
from qwen_magic.protocol.call_outputs import output_json
from qwen_magic.protocol.fields import JSON, mappings, text
from qwen_magic.protocol.items import FunctionCall, Item, Message, item_json

_SPEAKERS: Final = ("user", "assistant")
_OF_WORDS: Final = frozenset({"type", "role", "content", "id", "status"})  # keys of such an item


def transcript(turns: Iterable[Turn], kinds: Collection[str], given: Sequence[JSON]) -> list[JSON]:
    """The turns as input items, oldest first, followed by the items `given` now.

    `kinds`: item types that the server accepts beside messages (`Capabilities.transcript_items`).
    Calls that a later turn's input answers are always included.
    """
    turns = list(turns)
    inputs = [each for turn in turns for each in as_items(turn.input)]
    answered = {text(each.get("call_id")) for each in (*inputs, *given) if is_output(each)}
    told = [item for turn in turns for item in _items(turn, kinds, answered)]
    return paired([*told, *given])


def as_items(given: str | tuple[JSON, ...]) -> list[JSON]:
    """A prompt as input items."""
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)


def as_read(item: JSON) -> str:
    """An input item as text for people: who says what."""
    content = item.get("content")
    if "role" not in item:
        return json.dumps(item, ensure_ascii=False)
    parts = [text(part.get("text")) or f"({text(part.get('type'))})" for part in mappings(content)]
    return f"{item['role']}: {content if isinstance(content, str) else ' '.join(parts)}"


def beyond_words(item: JSON) -> bool:
    """Whether an input item is more than a person's text and embedded images.

    That is instructions, tool output, anything the server would fetch, or unknown items.
    """
    content = item.get("content")
    is_message = item.get("type", "message") == "message" and item.get("role") in _SPEAKERS
    if not is_message or item.keys() - _OF_WORDS:
        return True
    parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    return not isinstance(parts, list) or not all(map(_is_words, parts))


def words_beside(turn: Turn) -> str:
    """The user's text that a turn sends besides its prompt."""
    contents = [each.get("content") for each in as_items(turn.input) if each.get("role") == "user"]
    texts = [
        [each] if isinstance(each, str) else [text(part.get("text")) for part in mappings(each)]
        for each in contents
    ]
    said = "\n".join(each for some in texts for each in some)
    return said.replace(turn.prompt.strip(), "", 1).strip()


def _is_words(part: object) -> bool:
    match part:
        case {"type": "input_text" | "output_text" | "text", "text": str(), **rest}:
            return not rest.keys() - {"annotations", "logprobs"}
        case {"type": "input_image", "image_url": str(url), **rest}:
            return url.startswith("data:image/") and not rest.keys() - {"detail"}
    return False


def own_items(items: Iterable[Item]) -> Iterator[JSON]:
    """The messages and calls of a running turn, in the form that any server accepts."""
    for item in items:
        if isinstance(item, FunctionCall):
            yield item_json(item)
            if item.output is not None:
                yield output_json(item)
        elif isinstance(item, Message) and item.text:
            yield {"role": "assistant", "content": item.text}


def paired(items: Sequence[JSON]) -> list[JSON]:
    """`items` without calls that have no output, and without outputs that have no call."""
    calls = {(CALLS[item["type"]], _call_id(item)) for item in items if is_call(item)}
    outputs = {(item["type"], _call_id(item)) for item in items if is_output(item)}
    return [
        item
        for item in items
        if not (is_call(item) and (CALLS[item["type"]], _call_id(item)) not in outputs)
        and not (is_output(item) and (item["type"], _call_id(item)) not in calls)
    ]


def _items(turn: Turn, kinds: Collection[str], answered: Collection[str]) -> Iterator[JSON]:
    yield from as_items(turn.input)
    if turn.status == "completed":  # half a call would be refused
        for item in turn.items:
            is_answered = is_call(item) and _call_id(item) in answered
            is_told = text(item.get("type")) in kinds and not turn.imported
            if is_told or is_answered:
                yield item
    if turn.text:
        yield {"role": "assistant", "content": turn.text}
    elif turn.may_be_head and (thought := _thinking(turn)):
        words = f"(Thinking, without an answer so far:)\n\n{thought}"
        yield {"role": "assistant", "content": words}


def _thinking(turn: Turn) -> str:
    return "\n\n".join(
        text(part.get("text"))
        for item in turn.items
        if item.get("type") == "reasoning"
        for part in mappings(item.get("summary"))
    )


def _call_id(item: JSON) -> str:
    return text(item.get("call_id")) or text(item.get("id"))
