"""What a request to `/responses` must be, with the service's own words for what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from qwen_magic.demo.http import RefusedError
from qwen_magic.demo.wire import JSON

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
ROLES = ("user", "assistant", "system", "developer")
_MISSING = "[400] missing_required_parameter: Missing required parameter: '{}'."
_Rule: TypeAlias = tuple[str, Callable[[Any], bool], str]


def check_request(body: JSON) -> None:
    """Raises `RefusedError` for the first thing that is wrong."""
    for problem in _problems(body):
        raise RefusedError(problem)


def check_outputs(context: list[JSON]) -> None:
    """A function's output must follow its call. Raises `RefusedError`."""
    calls: set[Any] = set()
    for item in context:
        id = item.get("call_id")
        if item.get("type") == "function_call":
            calls.add(id)
        elif item.get("type") == "function_call_output" and id not in calls:
            raise RefusedError(f"No tool call found for function call output: {id}")


def _problems(body: JSON) -> Iterator[str]:
    for name in ("model", "input"):
        if body.get(name) in (None, "", []):
            yield _MISSING.format(name)
            return
    for name, holds, words in _RULES:
        value = body.get(name)
        if value is not None and not holds(value):
            yield words.format(value)
            return
    if isinstance(body["input"], list):
        for number, item in enumerate(body["input"]):
            yield from _item_problems(f"input[{number}]", item)
    for number, tool in enumerate(body.get("tools") or ()):
        # Chat Completions nests the function; Responses has it flat.
        for name in ("type", "name") if tool.get("type") == "function" else ("type",):
            if not isinstance(tool.get(name), str):
                yield _MISSING.format(f"tools[{number}].{name}")
    if body.get("previous_response_id") and body.get("conversation"):
        yield (
            "Mutually exclusive parameters: Ensure you are only providing one of: "
            "previous_response_id or conversation."
        )
    if body.get("conversation"):
        yield "The offline demo keeps no conversations: send previous_response_id."
    if body.get("tool_choice") == "required" and len(body.get("tools") or []) != 1:
        yield "Invalid 'tool_choice': required is supported with exactly one tool."


def _item_problems(place: str, item: Any) -> Iterator[str]:
    if not isinstance(item, dict):
        yield f"Invalid '{place}': must be an object."
    elif item.get("type") == "reasoning" and not isinstance(item.get("summary"), list):
        yield "Invalid 'summary': summary is required and must be a list for reasoning."
    elif item.get("type", "message") == "message" and item.get("role") not in ROLES:
        yield f"Invalid '{place}.role': {item.get('role')}. Must be one of: {', '.join(ROLES)}."
    elif "role" in item and not isinstance(item.get("content"), str | list):
        yield f"Invalid '{place}.content': must be a string or a list of parts."


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_effort(value: Any) -> bool:
    return isinstance(value, dict) and value.get("effort") in (None, *EFFORTS)


def _is_served(model: Any) -> bool:
    """Any other name is answered, by `demo`: a notebook written for a real model runs."""
    return isinstance(model, str) and model != "unknown-model" and not model.startswith("no-such")


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _is_str(value: Any) -> bool:
    return isinstance(value, str)


_RULES: tuple[_Rule, ...] = (
    ("model", _is_served, "Unsupported model: '{}'"),
    (
        "input",
        lambda v: isinstance(v, str | list),
        "Invalid 'input': must be a string or a list of items.",
    ),
    (
        "temperature",
        lambda v: _is_number(v) and 0 <= v < 2,
        "Invalid 'temperature': {0}. Expected a value between [0,2), but got {0} instead.",
    ),
    (
        "top_p",
        lambda v: _is_number(v) and 0 < v <= 1,
        "Invalid 'top_p': {0}. Expected a value between (0,1], but got {0} instead.",
    ),
    (
        "max_output_tokens",
        lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 16,
        "Invalid 'max_output_tokens': must be greater than or equal to 16, got {}.",
    ),
    (
        "reasoning",
        _is_effort,
        f"Invalid 'reasoning.effort': {{}}. Must be one of: {', '.join(EFFORTS)}.",
    ),
    (
        "tool_choice",
        lambda v: not isinstance(v, str) or v in ("auto", "none", "required"),
        "Invalid 'tool_choice': {}. Must be one of: auto, none, required.",
    ),
    (
        "tools",
        lambda v: isinstance(v, list) and all(isinstance(tool, dict) for tool in v),
        "Invalid 'tools': must be a list of objects.",
    ),
    *((name, _is_bool, f"Invalid '{name}': {{}}. Must be a boolean.")
      for name in ("store", "stream", "enable_thinking")),
    *((name, _is_str, f"Invalid '{name}': {{}}. Must be a string.")
      for name in ("instructions", "previous_response_id")),
)  # fmt: skip
