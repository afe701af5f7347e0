"""What is sent back for function calls; and sequences of items, in which each output is an item.

On the wire the output of a call (`function_call_output`) follows the call as an item of its own;
here it is a field of the `FunctionCall`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from qwen_magic.protocol.fields import JSON, json_text, mappings, text
from qwen_magic.protocol.items import CallStatus, FunctionCall, Item, item_json, parse_item

CALL_OUTPUT: Final = "function_call_output"
CALL_FAILED: Final = "Error: "  # how the model is told so; the status is what counts here


@dataclass(frozen=True, slots=True)
class CallResult:
    """What is sent back for a function call, and how the call ended.

    The wire has the text alone, so that a failure's text says what it is; nothing here reads that
    back: what a function gives may begin with "Error:" too. `images` are addresses (`data:`) of
    figures that it gave; an output holds none everywhere, so that they go in a message behind it.
    `figures` are those that the reader sees, also where the model does not.
    """

    text: str
    status: CallStatus = "completed"
    images: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()

    @classmethod
    def failure(cls, why: str) -> CallResult:
        """The function raised, or could not be run."""
        return cls(CALL_FAILED + why, "failed")

    @classmethod
    def refusal(cls, why: str) -> CallResult:
        """Nobody allowed the call."""
        return cls(f"{CALL_FAILED}not allowed: {why}", "refused")


def server_result(raw: JSON) -> CallResult | None:
    """What a server says that a function gave which it ran itself; None while it says nothing."""
    if raw.get("output") is None:
        return None
    failed = raw.get("status") in ("failed", "incomplete")
    return CallResult(_output_text(raw["output"]), "failed" if failed else "completed")


def parse_items(raws: Iterable[JSON]) -> tuple[Item, ...]:
    """Items in order, with each `function_call_output` put into the call that it answers (kept
    whole where there is none)."""
    items: list[Item] = []
    for raw in raws:
        if raw.get("type") != CALL_OUTPUT or not _answer(items, raw):
            items.append(parse_item(raw))
    return tuple(items)


def items_json(items: Iterable[Item]) -> tuple[JSON, ...]:
    """Items as records keep them. The output of a function call is an item of its own, directly
    behind the call, with how the call ended; the service is sent `output_json`, without."""
    written: list[JSON] = []
    for item in items:
        written.append(item_json(item))
        if isinstance(item, FunctionCall) and item.output is not None:
            written.append({**output_json(item), "status": item.output_status})
    return tuple(written)


def output_json(call: FunctionCall) -> JSON:
    """The `function_call_output` of an answered call, as it is sent."""
    return {"type": CALL_OUTPUT, "call_id": call.call_id, "output": call.output or ""}


def images_message(call: Item, images: Iterable[str]) -> JSON:
    """The message that shows the model what a call gave."""
    name = call.name if isinstance(call, FunctionCall) else "the function"
    parts = [{"type": "input_image", "image_url": image} for image in images]
    told = {"type": "input_text", "text": f"What {name} returned, as an image:"}
    return {"role": "user", "content": [told, *parts]}


def _answer(items: list[Item], raw: JSON) -> bool:
    """Put an output into its call. False where there is no such call."""
    wanted = text(raw.get("call_id"))
    for place, item in enumerate(items):
        if isinstance(item, FunctionCall) and item.call_id == wanted and item.output is None:
            output = _output_text(raw.get("output"))
            items[place] = replace(item, output=output, output_status=_output_status(raw, output))
            return True
    return False


def _output_text(output: object) -> str:
    """Text, or the text of its parts (OpenAI also takes a list of content parts)."""
    if isinstance(output, list):
        return "".join(text(part.get("text")) for part in mappings(output))
    return json_text(output)


def _output_status(raw: JSON, output: str) -> CallStatus:
    """How the call ended, which records keep as `status`.

    Records of earlier versions have none: of those the text tells.
    """
    match text(raw.get("status")):
        case "completed" | "failed" | "refused" as status:
            return status
    if output.startswith(f"{CALL_FAILED}not allowed"):
        return "refused"
    return "failed" if output.startswith(CALL_FAILED) else "completed"
