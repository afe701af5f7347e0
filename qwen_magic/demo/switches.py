"""How the server behaves: defaults, changed at its start, by a request, or by words in a prompt.

The same names serve everywhere: `DemoServer(delay=0)`, `--delay 0`, a body's
`"demo": {"delay": 0}`, and a prompt's line `demo: delay 0`. In a prompt several commands stand on
one line with commas between them, and the lines are taken out before the prompt is answered:

    demo: error 429            any name of `faults.FAULTS`; `error 429 nested` for the nested body
    demo: fail 2 429           the first two requests with this prompt fail so, later ones succeed
    demo: after 3              a fault in mid-stream comes after so many deltas
    demo: retry after 2        send Retry-After with the error
    demo: delay 0.1            seconds between deltas (`fast` = 0, `slow` = 0.15)
    demo: reasoning old        reasoning_summary_text events (`new`: reasoning_text)
    demo: chain forgets        keeps, forgets, refuses, ignores
    demo: forget               forget every response, then answer
    demo: zero usage           all counts 0 (`no usage`: null)
    demo: done only            text without deltas
    demo: done marker          a `data: [DONE]` after the terminal event
    demo: plain json           a JSON body although a stream was asked for
    demo: figures slow         the links of figures drip a byte a second; `html`: give a web page;
                               `huge`: 50 MB, whose length is not announced; `down`: break the
                               connection; `elsewhere`: are on another host, which there is not
    demo: bad arguments        function calls with arguments that are no JSON
    demo: unknown function     calls of a function that was not offered: no_such_function
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias, get_args

from qwen_magic.demo.faults import FAULTS

ReasoningSpelling: TypeAlias = Literal["new", "old"]
ChainMode: TypeAlias = Literal["keeps", "forgets", "refuses", "ignores"]
UsageMode: TypeAlias = Literal["real", "zero", "none"]
FigureMode: TypeAlias = Literal["served", "slow", "huge", "html", "down", "elsewhere"]


class SwitchError(ValueError):
    """A switch or value that the demo server does not know."""


@dataclass(frozen=True, slots=True)
class Switches:
    """Every switch with its default."""

    delay: float = 0.028  # seconds between two deltas of a stream
    reasoning: ReasoningSpelling = "new"
    error: str = ""  # a name of `FAULTS`
    nested: bool = False  # {"error": {…}} in place of the flat body
    retry_after: float | None = None  # seconds, sent as Retry-After with an HTTP error
    fail_first: int = 0  # only the first N requests get `error`; 0: all of them
    after: int = 5  # deltas before a fault in mid-stream
    chain: ChainMode = "keeps"
    forget_after: int = 2  # chain "forgets": ids of conversations of so many turns are unknown
    forget: bool = False  # forget everything now
    usage: UsageMode = "real"
    done_only: bool = False
    done_marker: bool = False
    plain_json: bool = False
    figures: FigureMode = "served"
    bad_arguments: bool = False
    unknown_function: bool = False

    def changed(self, changes: Mapping[str, Any]) -> Switches:
        """These switches with the changes. Raises `SwitchError`."""
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})


_CHOICES: Mapping[str, tuple[str, ...]] = {
    "reasoning": get_args(ReasoningSpelling),
    "chain": get_args(ChainMode),
    "usage": get_args(UsageMode),
    "figures": get_args(FigureMode),
    "error": ("", *FAULTS),
}
_NUMBERS = {"delay": float, "retry_after": float, "fail_first": int, "after": int}
_NUMBERS["forget_after"] = int
_NAMES = tuple(field.name for field in fields(Switches))


def _checked(name: str, value: Any) -> Any:
    if name not in _NAMES:
        raise SwitchError(f"The demo has no switch {name!r}; it has: {', '.join(_NAMES)}.")
    if name in _CHOICES:
        if str(value) not in _CHOICES[name]:
            known = ", ".join(choice for choice in _CHOICES[name] if choice)
            raise SwitchError(f"The demo's {name} is one of: {known}; got {value!r}.")
        return str(value)
    if name in _NUMBERS:
        return _number(name, value)
    if not isinstance(value, bool):
        raise SwitchError(f"The demo's {name} is true or false; got {value!r}.")
    return value


def _number(name: str, value: Any) -> float | int | None:
    if value is None and name == "retry_after":
        return None
    try:
        number: float | int = _NUMBERS[name](value)
    except (TypeError, ValueError) as error:
        raise SwitchError(f"The demo's {name} is a number; got {value!r}.") from error
    if not 0 <= number <= 3600:
        raise SwitchError(f"The demo's {name} is between 0 and 3600; got {value!r}.")
    return number


_LINE = re.compile(r"^[ \t]*demo:[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)
_FLAGS: Mapping[str, Mapping[str, Any]] = {
    "fast": {"delay": 0.0},
    "slow": {"delay": 0.15},
    "forget": {"forget": True},
    "zero usage": {"usage": "zero"},
    "no usage": {"usage": "none"},
    "done only": {"done_only": True},
    "done marker": {"done_marker": True},
    "plain json": {"plain_json": True},
    "bad arguments": {"bad_arguments": True},
    "unknown function": {"unknown_function": True},
}


def prompt_switches(prompt: str) -> dict[str, Any]:
    """The changes that the prompt's `demo:` lines ask for. Raises `SwitchError` for words that are
    none of the commands."""
    changes: dict[str, Any] = {}
    for line in _LINE.findall(prompt):
        changes.update(command_switches(line))
    return changes


def command_switches(commands: str) -> dict[str, Any]:
    """The changes that one line of commands asks for. Raises `SwitchError`."""
    changes: dict[str, Any] = {}
    for command in re.split(r"[,;]", commands):
        if command.strip():
            changes.update(_command(command.strip().lower()))
    return changes


def without_switches(text: str) -> str:
    """The text without its `demo:` lines, whatever they say."""
    return _LINE.sub("", text).strip() if _LINE.search(text) else text


def _command(command: str) -> Mapping[str, Any]:
    if command in _FLAGS:
        return _FLAGS[command]
    match command.split():
        case ["error", name]:
            return {"error": name}
        case ["error", name, "nested"]:
            return {"error": name, "nested": True}
        case ["fail", count, name]:
            return {"error": name, "fail_first": count}
        case ["retry", "after", seconds]:
            return {"retry_after": seconds}
        case [("after" | "delay" | "reasoning" | "chain" | "figures") as name, value]:
            return {name: value}
        case _:
            raise SwitchError(
                f"The demo does not know the command {command!r}; it knows: error NAME, "
                "fail N NAME, after N, retry after S, delay S, reasoning old|new, chain MODE, "
                f"figures {'|'.join(get_args(FigureMode))}, "
                f"{', '.join(_FLAGS)}."
            )
