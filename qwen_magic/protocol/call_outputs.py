"""Results of function calls, and item sequences in which each result is an item.

In the protocol the result of a call (`function_call_output`) follows the call as an item of its
own; here it is a field of the `FunctionCall`.
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
        """The result of a function that raised or could not run."""
        return cls(CALL_FAILED + why, "failed")

    @classmethod
    def refusal(cls, why: str) -> CallResult:
        """The result of a call that the user did not allow."""
        return cls(f"{CALL_FAILED}not allowed: {why}", "refused")


def server_result(raw: JSON) -> CallResult | None:
    """The result of a function that the server ran itself; None if it has none yet."""
    if raw.get("output") is None:
        return None
    failed = raw.get("status") in ("failed", "incomplete")
    return CallResult(_output_text(raw["output"]), "failed" if failed else "completed")


def parse_items(raws: Iterable[JSON]) -> tuple[Item, ...]:
    """Parse items, and put each `function_call_output` into the call it belongs to.

    Outputs without a call are kept as they are.
    """
    items: list[Item] = []
    for raw in raws:
        if raw.get("type") != CALL_OUTPUT or not _answer(items, raw):
            items.append(parse_item(raw))
    return tuple(items)


def items_json(items: Iterable[Item]) -> tuple[JSON, ...]:
    """Items in the form in which records store them.

    The result of a function call is an item of its own right after the call, with the way it ended.
    The service is sent `output_json`, without that.
    """
    written: list[JSON] = []
    for item in items:
        written.append(item_json(item))
        if isinstance(item, FunctionCall) and item.output is not None:
            written.append({**output_json(item), "status": item.output_status})
    return tuple(written)


def output_json(call: FunctionCall) -> JSON:
    """The `function_call_output` of a call, as it is sent."""
    return {"type": CALL_OUTPUT, "call_id": call.call_id, "output": call.output or ""}


def images_message(call: Item, images: Iterable[str]) -> JSON:
    """A message with the images that a call returned."""
    name = call.name if isinstance(call, FunctionCall) else "the function"
    parts = [{"type": "input_image", "image_url": image} for image in images]
    told = {"type": "input_text", "text": f"What {name} returned, as an image:"}
    return {"role": "user", "content": [told, *parts]}


def _answer(items: list[Item], raw: JSON) -> bool:
    """Put an output into its call; return False if there is no such call."""
    wanted = text(raw.get("call_id"))
    for place, item in enumerate(items):
        if isinstance(item, FunctionCall) and item.call_id == wanted and item.output is None:
            output = _output_text(raw.get("output"))
            items[place] = replace(item, output=output, output_status=_output_status(raw, output))
            return True
    return False


def _output_text(output: object) -> str:
    """The output's text, which may be in a list of content parts."""
    if isinstance(output, list):
        return "".join(text(part.get("text")) for part in mappings(output))
    return json_text(output)


def _output_status(raw: JSON, output: str) -> CallStatus:
    """How the call ended, which records store as `status`; for older records, guessed by the
    text.
    """
    match text(raw.get("status")):
        case "completed" | "failed" | "refused" as status:
            return status
    if output.startswith(f"{CALL_FAILED}not allowed"):
        return "refused"
    return "failed" if output.startswith(CALL_FAILED) else "completed"
