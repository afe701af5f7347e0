"""What a request to `/responses` must be, with the service's own words for what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

JSON: TypeAlias = dict[str, Any]

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


class RefusedError(Exception):
    """A request that is answered with an HTTP error in DashScope's shape."""

    def __init__(
        self,
        message: str,
        code: str = "InvalidParameter",
        status: int = 400,
        *,
        nested: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.nested = nested


def check_request(body: JSON) -> None:
    """Raises `RefusedError` for the first thing that is wrong."""
    for name in ("model", "input"):
        if body.get(name) in (None, "", []):
            raise RefusedError(
                f"[400] missing_required_parameter: Missing required parameter: '{name}'."
            )
    _check_model(body["model"])
    for name, check in _CHECKS.items():
        if body.get(name) is not None:
            check(body[name])
    if body.get("previous_response_id") and body.get("conversation"):
        raise RefusedError(
            "Mutually exclusive parameters: Ensure you are only providing one of: "
            "previous_response_id or conversation."
        )
    if body.get("conversation"):
        raise RefusedError("The offline demo keeps no conversations: send previous_response_id.")
    _check_tool_choice(body)


def _check_model(model: Any) -> None:
    # Any other name is served, and answered by `demo`: a notebook written for a real model runs.
    if not isinstance(model, str) or model == "unknown-model" or model.startswith("no-such"):
        raise RefusedError(f"Unsupported model: '{model}'")


def _check_input(value: Any) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise RefusedError("Invalid 'input': must be a string or a list of items.")
    for number, item in enumerate(value):
        if not isinstance(item, dict):
            raise RefusedError(f"Invalid 'input[{number}]': must be an object.")
        if item.get("type") == "reasoning" and not isinstance(item.get("summary"), list):
            raise RefusedError(
                "Invalid 'summary': summary is required and must be a list for reasoning."
            )
        if item.get("type", "message") == "message":
            _check_message(number, item)


def _check_message(number: int, item: JSON) -> None:
    if item.get("role") not in ("user", "assistant", "system", "developer"):
        raise RefusedError(
            f"Invalid 'input[{number}].role': {item.get('role')}. "
            "Must be one of: user, assistant, system, developer."
        )
    if not isinstance(item.get("content"), str | list):
        raise RefusedError(
            f"Invalid 'input[{number}].content': must be a string or a list of parts."
        )


def _check_tools(tools: Any) -> None:
    if not isinstance(tools, list):
        raise RefusedError("Invalid 'tools': must be a list.")
    for number, tool in enumerate(tools):
        if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
            raise RefusedError(
                "[400] missing_required_parameter: "
                f"Missing required parameter: 'tools[{number}].type'."
            )
        # Chat Completions nests the function; Responses has it flat.
        if tool["type"] == "function" and not isinstance(tool.get("name"), str):
            raise RefusedError(
                "[400] missing_required_parameter: "
                f"Missing required parameter: 'tools[{number}].name'."
            )


def _check_tool_choice(body: JSON) -> None:
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        raise RefusedError(
            f"Invalid 'tool_choice': {choice}. Must be one of: auto, none, required."
        )
    if choice == "required" and len(body.get("tools") or []) != 1:
        raise RefusedError("Invalid 'tool_choice': required is supported with exactly one tool.")


def _check_temperature(value: Any) -> None:
    if not _is_number(value) or not 0 <= value < 2:
        raise RefusedError(
            f"Invalid 'temperature': {value}. "
            f"Expected a value between [0,2), but got {value} instead."
        )


def _check_top_p(value: Any) -> None:
    if not _is_number(value) or not 0 < value <= 1:
        raise RefusedError(
            f"Invalid 'top_p': {value}. Expected a value between (0,1], but got {value} instead."
        )


def _check_max_output_tokens(value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise RefusedError(f"Invalid 'max_output_tokens': {value}. Must be an integer.")
    if value < 16:
        raise RefusedError(
            f"Invalid 'max_output_tokens': must be greater than or equal to 16, got {value}."
        )


def _check_reasoning(value: Any) -> None:
    effort = value.get("effort") if isinstance(value, dict) else value
    if not isinstance(value, dict) or (effort is not None and effort not in EFFORTS):
        raise RefusedError(
            f"Invalid 'reasoning.effort': {effort}. Must be one of: {', '.join(EFFORTS)}."
        )


def _boolean(name: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not isinstance(value, bool):
            raise RefusedError(f"Invalid '{name}': {value}. Must be a boolean.")

    return check


def _string(name: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not isinstance(value, str):
            raise RefusedError(f"Invalid '{name}': {value}. Must be a string.")

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_CHECKS: Mapping[str, Callable[[Any], None]] = {
    "input": _check_input,
    "tools": _check_tools,
    "temperature": _check_temperature,
    "top_p": _check_top_p,
    "max_output_tokens": _check_max_output_tokens,
    "reasoning": _check_reasoning,
    "store": _boolean("store"),
    "stream": _boolean("stream"),
    "enable_thinking": _boolean("enable_thinking"),
    "instructions": _string("instructions"),
    "previous_response_id": _string("previous_response_id"),
}
