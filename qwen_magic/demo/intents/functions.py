"""Function tools: calls those that the prompt names, round after round, and tells their results."""

from __future__ import annotations

import json
import re
from typing import Any, TypeAlias

from qwen_magic.demo.steps import Call, Think, Work
from qwen_magic.demo.tables.frames import without_frames
from qwen_magic.demo.turn import CallResult, Turn

JSON: TypeAlias = dict[str, Any]

UNKNOWN = "no_such_function"
MOST_READ = 20_000  # characters of prose behind a name
BAD_ARGUMENTS = '{"where": '

_PAIR = re.compile(r"(?<!\w)(\w+)\s*[=:]\s*(\"[^\"]*\"|'[^']*'|\[[^\]]*\]|\{[^}]*\}|[^\s,;)]+)")
# Before JSON: a parenthesis, or words that only lead to it, on the name's own line.
_JSON_BEGINS = re.compile(
    r"(?:\s*\(\s*|[ \t`]{0,3},?[ \t]{0,3}"
    r"(?:(?:with|on|using|from|by|passing|given|the|these|this|following|its"
    r"|arguments?|args|parameters?|params|input|JSON|object)[ \t]{1,3})*"
    r"(?:(?:arguments?|args|parameters?|params|input|JSON|object)\b)?"
    r"[ \t]{0,3}[:=]?[ \t`]{0,3})(?=\{)",
    re.IGNORECASE,
)
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n.*?^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_THEN = re.compile(r"\b(?:and then|then|after that|afterwards)\b", re.IGNORECASE)
_ENDLESS = re.compile(
    r"\b(?:again and again|for ?ever|without end|endlessly|keep(?: on)? calling)\b", re.IGNORECASE
)


def has_results(turn: Turn) -> bool:
    return bool(turn.results)


def tell_results(turn: Turn) -> Work:
    yield Think("The function calls are done. I tell the user what they gave back.")
    return "\n\n".join(_told(result) for result in turn.results)


def calls_next(turn: Turn) -> bool:
    return bool(_next_calls(turn))


def call_next(turn: Turn) -> Work:
    calls = _next_calls(turn)
    names = ", ".join(name for name, _ in calls)
    before = f"{len(turn.results)} result(s) are here. " if turn.results else ""
    yield Think(f"{before}The prompt names {names}: I call it.")
    for name, arguments in calls:
        written = json.dumps(arguments, ensure_ascii=False)
        yield Call(
            UNKNOWN if turn.unknown_function else name,
            BAD_ARGUMENTS if turn.bad_arguments else written,
        )
    return ""


def _told(result: CallResult) -> str:
    verb = "failed" if result.output.startswith("Error:") else "gave"
    call = f"{result.name}({_shown(result.arguments)})"
    return f"`{call}` {verb}:\n\n{_block(result.output)}"


def _next_calls(turn: Turn) -> list[tuple[str, JSON]]:
    """The calls of the round that comes after the results so far; empty when all are made."""
    rounds = _rounds(turn)
    done = len(turn.results)
    for calls in rounds:
        if done < len(calls):
            return calls
        done -= len(calls)
    if rounds and _ENDLESS.search(turn.prompt):
        return rounds[-1]
    if turn.functions and not turn.results and (turn.unknown_function or turn.bad_arguments):
        return [(turn.functions[0]["name"], {})]
    return []


def _rounds(turn: Turn) -> list[list[tuple[str, JSON]]]:
    """The calls that the prompt names; "then" between two begins another round. In a round a
    function is called once for each different list of arguments."""
    text = without_frames(turn.prompt)
    mentions = _mentions(text, turn.functions)
    ends = [*[start for start, _, _ in mentions][1:], len(text)]
    rounds: list[list[tuple[str, JSON]]] = []
    closed = 0  # where the mention before, with what stands in its parentheses, ends
    for (start, named, function), end in zip(mentions, ends, strict=False):
        if not rounds or _THEN.search(text[closed:start]):
            rounds.append([])
        call = (function["name"], read_arguments(text[named:end], function))
        rounds[-1] += [call] if call not in rounds[-1] else []
        closed = _closed(text, named)
    return rounds


def _mentions(text: str, functions: tuple[JSON, ...]) -> list[tuple[int, int, JSON]]:
    """Where functions are named, in the text's order: with arguments, or else the first place."""
    found: list[tuple[int, int, JSON]] = []
    for function in functions:
        places = list(re.finditer(rf"(?<!\w){re.escape(function['name'])}(?!\w)", text))
        written = [place for place in places if re.match(r"\s*[({]", text[place.end() :])]
        found += [(place.start(), place.end(), function) for place in written or places[:1]]
    kept: list[tuple[int, int, JSON]] = []
    for mention in sorted(found, key=lambda each: each[0]):
        if not kept or mention[0] >= _closed(text, kept[-1][1]):  # not among its arguments
            kept.append(mention)
    return kept


def _closed(text: str, named: int) -> int:
    """Where the arguments end that stand in parentheses behind a name, if they do."""
    inside = re.compile(r"\s*(?:\([^)\n]*\)|\{[^}\n]*\})").match(text, named)
    return inside.end() if inside else named


def read_arguments(after: str, function: JSON) -> JSON:
    """The arguments in the text behind the function's name: JSON that stands right there or in
    parentheses, `name=value` pairs, or values in parentheses."""
    if begins := _JSON_BEGINS.match(after):
        try:
            value, _ = json.JSONDecoder().raw_decode(after, begins.end())
        except ValueError:
            pass
        else:
            return value if isinstance(value, dict) else {}
    properties = _properties(function)
    inside = re.match(r"\s*\(([^)\n]*)\)", after)
    text = inside[1] if inside else _FENCED.sub("", after[:MOST_READ])
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
