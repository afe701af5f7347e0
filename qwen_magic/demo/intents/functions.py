"""Function tools: calls one that the prompt names, and tells what it gave back."""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

from qwen_magic.demo.steps import Call, Think, Work
from qwen_magic.demo.turn import Turn

JSON: TypeAlias = dict[str, Any]

_PAIR = re.compile(r"(\w+)\s*[=:]\s*(\"[^\"]*\"|'[^']*'|\[[^\]]*\]|[^\s,;)]+)")


def has_results(turn: Turn) -> bool:
    return bool(turn.results)


def tell_results(turn: Turn) -> Work:
    yield Think("The function calls are done. I tell the user what they gave back.")
    lines = [
        f"`{result.name}({_shown(result.arguments)})` gave:\n\n{_block(result.output)}"
        for result in turn.results
    ]
    return "\n\n".join(lines)


def names_function(turn: Turn) -> bool:
    return bool(_named(turn))


def call_function(turn: Turn) -> Work:
    named = _named(turn)
    yield Think(f"The prompt names {', '.join(f['name'] for f in named)}: I call it.")
    for function in named:
        arguments = read_arguments(turn.prompt, function)
        yield Call(function["name"], json.dumps(arguments, ensure_ascii=False))
    return ""


def _named(turn: Turn) -> list[JSON]:
    """The offered functions that the prompt names, in the order of the prompt."""
    found = []
    for function in turn.functions:
        if match := re.search(rf"(?<!\w){re.escape(function['name'])}(?!\w)", turn.prompt):
            found.append((match.start(), function))
    return [function for _, function in sorted(found, key=lambda pair: pair[0])]


def read_arguments(prompt: str, function: JSON) -> JSON:
    """The arguments that stand behind the function's name: JSON, `name=value` pairs, or values."""
    after = prompt.split(function["name"], 1)[1]
    if (brace := after.find("{")) >= 0:
        try:
            value, _ = json.JSONDecoder().raw_decode(after[brace:])
        except ValueError:
            pass
        else:
            return value if isinstance(value, dict) else {}
    properties = _properties(function)
    inside = re.match(r"\s*\(([^)\n]*)\)", after)
    text = inside[1] if inside else after
    pairs = {name: _value(raw) for name, raw in _PAIR.findall(text)}
    known = {name: value for name, value in pairs.items() if not properties or name in properties}
    if known or not inside:
        return known
    values = [part.strip() for part in text.split(",") if part.strip()]
    return {name: _value(raw) for name, raw in zip(properties, values, strict=False)}


def _properties(function: JSON) -> list[str]:
    parameters = function.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    return list(properties) if isinstance(properties, dict) else []


def _value(raw: str) -> Any:
    text = raw.strip().rstrip(".?!") if not raw.strip().endswith(("'", '"')) else raw.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shown(arguments: str) -> str:
    try:
        value = json.loads(arguments)
    except ValueError:
        return arguments
    if not isinstance(value, dict):
        return arguments
    return ", ".join(f"{name}={json.dumps(v, ensure_ascii=False)}" for name, v in value.items())


def _block(output: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", output)), default=0))
    text = output if len(output) <= 2000 else output[:2000] + f"\n… ({len(output)} characters)"
    return f"{fence}\n{text}\n{fence}"
