"""How the server behaves: defaults, changed at its start, by a request, or by words in a prompt.

The same names serve everywhere: `DemoServer(delay=0)`, `--delay 0`, `"demo": {"delay": 0}` in a
body, and a prompt's line `demo: delay 0`. In a prompt several commands stand on one line with
commas between them, and the lines are taken out before the prompt is answered:

    demo: error 429, retry after 2     any name of `faults.yaml`; `error 429 nested`: nested body
    demo: fail 2 429                   the first two requests with this prompt fail, then it works
    demo: error cut, after 3           a fault in mid-stream comes after so many deltas
    demo: delay 0.1                    seconds between deltas (`fast` = 0, `slow` = 0.15)
    demo: reasoning old · chain forgets · figures slow · zero usage · no usage · done only
    demo: done marker · plain json · forget · bad arguments · unknown function
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, get_args

from qwen_magic.demo.faults import FAULTS

ReasoningSpelling: TypeAlias = Literal["new", "old"]
ChainMode: TypeAlias = Literal["keeps", "forgets", "refuses", "ignores", "unnamed"]
UsageMode: TypeAlias = Literal["real", "zero", "none"]
FigureMode: TypeAlias = Literal["served", "slow", "huge", "html", "down", "elsewhere"]


class SwitchError(ValueError):
    """A switch or value that the demo server does not know."""


@dataclass(frozen=True, slots=True)
class Switches:
    """Every switch with its default."""

    delay: float = 0.028  # seconds between two deltas of a stream
    reasoning: ReasoningSpelling = "new"  # reasoning_text events, or reasoning_summary_text
    error: str = ""  # a name of `FAULTS`
    nested: bool = False  # {"error": {…}} in place of the flat body
    retry_after: float = -1.0  # seconds, sent as Retry-After with an error; negative: not sent
    fail_first: int = 0  # only the first N requests get `error`; 0: all of them
    after: int = 5  # deltas before a fault in mid-stream
    chain: ChainMode = "keeps"
    forget_after: int = 2  # chain "forgets": ids of conversations of so many turns are unknown
    forget: bool = False  # forget every response now
    usage: UsageMode = "real"  # zero: all counts 0; none: null
    done_only: bool = False  # text without deltas
    done_marker: bool = False  # a `data: [DONE]` after the terminal event
    plain_json: bool = False  # a JSON body although a stream was asked for
    figures: FigureMode = "served"  # how the links of figures behave (`faults.send_figure`)
    bad_arguments: bool = False  # function calls with arguments that are no JSON
    unknown_function: bool = False  # calls of a function that was not offered

    def changed(self, changes: Mapping[str, Any]) -> Switches:
        """These switches with the changes. Raises `SwitchError`."""
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})


_DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(Switches)}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "reasoning": get_args(ReasoningSpelling),
    "chain": get_args(ChainMode),
    "usage": get_args(UsageMode),
    "figures": get_args(FigureMode),
    "error": ("", *FAULTS),
}


def _checked(name: str, value: Any) -> Any:
    """The value in the type of the switch's default."""
    if name not in _DEFAULTS:
        raise SwitchError(f"The demo has no switch {name!r}; it has: {', '.join(_DEFAULTS)}.")
    default = _DEFAULTS[name]
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise SwitchError(f"The demo's {name} is true or false; got {value!r}.")
        return value
    if isinstance(default, str):
        if str(value) not in _CHOICES[name]:
            known = ", ".join(choice for choice in _CHOICES[name] if choice)
            raise SwitchError(f"The demo's {name} is one of: {known}; got {value!r}.")
        return str(value)
    try:
        number = type(default)(value)
    except (TypeError, ValueError) as error:
        raise SwitchError(f"The demo's {name} is a number; got {value!r}.") from error
    if not 0 <= number <= 3600:
        raise SwitchError(f"The demo's {name} is between 0 and 3600; got {value!r}.")
    return number


_LINE = re.compile(r"^[ \t]*demo:[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_WORDS: Mapping[str, Mapping[str, Any]] = {
    "fast": {"delay": 0.0},
    "slow": {"delay": 0.15},
    "zero usage": {"usage": "zero"},
    "no usage": {"usage": "none"},
    **{
        name.replace("_", " "): {name: True}
        for name, default in _DEFAULTS.items()
        if default is False
    },
}
_VALUED = ("error", "after", "delay", "reasoning", "chain", "figures")


def prompt_switches(prompt: str) -> dict[str, Any]:
    """The changes that the prompt's `demo:` lines ask for. Raises `SwitchError` for words that are
    none of the commands."""
    changes: dict[str, Any] = {}
    for line in _LINE.findall(prompt):
        for command in filter(None, map(str.strip, re.split(r"[,;]", line.lower()))):
            changes.update(_command(command))
    return changes


def without_switches(text: str) -> str:
    """The text without its `demo:` lines, whatever they say."""
    return _LINE.sub("", text).strip() if _LINE.search(text) else text


def _command(command: str) -> Mapping[str, Any]:
    match command.split():
        case _ if command in _WORDS:
            return _WORDS[command]
        case ["error", name, "nested"]:
            return {"error": name, "nested": True}
        case ["fail", count, name]:
            return {"error": name, "fail_first": count}
        case ["retry", "after", seconds]:
            return {"retry_after": seconds}
        case [name, value] if name in _VALUED:
            return {name: value}
    raise SwitchError(
        f"The demo does not know the command {command!r}; it knows: error NAME [nested], fail N "
        f"NAME, retry after S, {', '.join(f'{name} VALUE' for name in _VALUED[1:])}, "
        f"{', '.join(_WORDS)}."
    )
