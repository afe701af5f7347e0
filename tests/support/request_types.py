"""Whether a body is one that the official client's types accept."""

from __future__ import annotations

import collections.abc
from functools import cache
from typing import Any

from qwen_magic.endpoints import TABLE


def check_body(body: dict[str, Any]) -> str:
    """What is wrong with a request's body by the types of the official client, in a line; "" where
    nothing is, after what the table of endpoints declares as a service's own is taken out."""
    from pydantic import ValidationError

    try:
        _walk(_adapter().validate_python(_without_own(body)))
    except ValidationError as error:
        return _most_telling(error)
    return ""


@cache
def _adapter() -> Any:
    from openai.types.responses import ResponseCreateParams
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(ResponseCreateParams, config=ConfigDict(extra="forbid"))


def _without_own(body: dict[str, Any]) -> dict[str, Any]:
    parameters = {name for row in TABLE for name in row.capabilities.own_parameters}
    tools = {name for row in TABLE for name in row.capabilities.own_tools}
    kept = {name: value for name, value in body.items() if name not in parameters}
    if isinstance(body.get("tools"), list):
        kept["tools"] = [
            tool
            for tool in body["tools"]
            if tool.get("type") not in tools or "container" in tool or "vector_store_ids" in tool
        ]
    return kept


def _walk(value: Any) -> None:
    """Read what pydantic reads lazily: it checks the elements of an `Iterable` as they are asked
    for."""
    if isinstance(value, dict):
        for each in value.values():
            _walk(each)
    elif isinstance(value, collections.abc.Iterable) and not isinstance(value, str | bytes):
        for each in value:
            _walk(each)


def _most_telling(error: Any) -> str:
    """Of the many complaints about a union, the one that got deepest."""
    deepest = max(error.errors(include_url=False), key=lambda each: len(each["loc"]))
    where = ".".join(str(part)[:40] for part in deepest["loc"][-4:])
    return f"{where}: {deepest['msg']} (got {str(deepest['input'])[:200]})"
