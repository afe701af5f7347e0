"""Refuses a request that is wrong, with the service's own words (`request.yaml` has the rules)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from qwen_magic.demo.http import RefusedError
from qwen_magic.demo.wire import JSON


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(
        yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    )


def check_request(body: JSON) -> None:
    """Raises `RefusedError` for the first thing that is wrong."""
    sent = {name: value for name, value in body.items() if value not in (None, "", [])}
    for error in sorted(_validator().iter_errors(sent), key=lambda each: len(each.absolute_path)):
        path = list(error.absolute_path)
        if error.validator == "required":
            path.append(next(name for name in error.validator_value if name not in error.instance))
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        raise RefusedError(error.schema["message"].format(error.instance, place.lstrip(".")))
    if sent.get("previous_response_id") and sent.get("conversation"):
        raise RefusedError(
            "Mutually exclusive parameters: Ensure you are only providing one of: "
            "previous_response_id or conversation."
        )
    if sent.get("conversation"):
        raise RefusedError("The offline demo keeps no conversations: send previous_response_id.")
    if sent.get("tool_choice") == "required" and len(sent.get("tools") or []) != 1:
        raise RefusedError("Invalid 'tool_choice': required is supported with exactly one tool.")


def check_outputs(context: list[JSON]) -> None:
    """A function's output must follow its call. Raises `RefusedError`."""
    calls: set[Any] = set()
    for item in context:
        id = item.get("call_id")
        if item.get("type") == "function_call":
            calls.add(id)
        elif item.get("type") == "function_call_output" and id not in calls:
            raise RefusedError(f"No tool call found for function call output: {id}")
