"""How the server behaves: defaults, changed at its start, while it runs, or by a line in a prompt.

The same names serve everywhere: `DemoServer(delay=0)`, `--delay 0`, and a prompt's line
`demo: delay 0`. In a prompt several stand on one line with commas between them, and the lines are
taken out before the prompt is answered:

    demo: error 429, retry after 2     any name of `faults.yaml`
    demo: error 429, fail first 2      the first two requests with this prompt fail, then it works
    demo: error cut, after 3           a fault in mid-stream comes after so many deltas
    demo: delay 0.1                    seconds between deltas
    demo: reasoning old, chain forgets
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail (`faults.yaml` has all, and says what the kinds are)."""

    kind: str
    status: int = 200
    code: str = ""
    message: str = ""
    content_type: str = "text/html"
    retry_after: float | None = None


_TABLE = yaml.safe_load(Path(__file__).with_name("faults.yaml").read_text("utf-8"))
FAULTS: Mapping[str, Fault] = {name: Fault(**fields) for name, fields in _TABLE.items()}


class SwitchError(ValueError):
    """A switch or value that the demo server does not know."""


@dataclass(frozen=True, slots=True)
class Switches:
    """Every switch with its default."""

    delay: float = 0.028  # seconds between two deltas of a stream
    reasoning: str = "new"  # reasoning_text events; "old": reasoning_summary_text
    error: str = ""  # a name of `FAULTS`
    retry_after: float = -1.0  # seconds, sent as Retry-After with an error; negative: not sent
    fail_first: int = 0  # only the first N requests with a prompt get `error`; 0: all of them
    after: int = 5  # deltas before a fault in mid-stream
    chain: str = "keeps"  # what becomes of ids (`Player._previous`)
    forget_after: int = 2  # chain "forgets": ids of conversations of so many turns are unknown

    def changed(self, changes: Mapping[str, Any]) -> Switches:
        """These switches with the changes. Raises `SwitchError`."""
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})


_DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(Switches)}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "reasoning": ("new", "old"),
    "chain": ("keeps", "forgets", "refuses", "ignores", "unnamed"),
    "error": ("", *FAULTS),
}


def _checked(name: str, value: Any) -> Any:
    """The value in the type of the switch's default."""
    if name not in _DEFAULTS:
        raise SwitchError(f"The demo has no switch {name!r}; it has: {', '.join(_DEFAULTS)}.")
    if name in _CHOICES:
        if str(value) not in _CHOICES[name]:
            known = ", ".join(choice for choice in _CHOICES[name] if choice)
            raise SwitchError(f"The demo's {name} is one of: {known}; got {value!r}.")
        return str(value)
    try:
        number = type(_DEFAULTS[name])(value)
    except (TypeError, ValueError) as error:
        raise SwitchError(f"The demo's {name} is a number; got {value!r}.") from error
    if not 0 <= number <= 3600:
        raise SwitchError(f"The demo's {name} is between 0 and 3600; got {value!r}.")
    return number


_LINE = re.compile(r"^[ \t]*demo:[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)


def prompt_switches(prompt: str) -> dict[str, str]:
    """The changes that the prompt's `demo:` lines ask for, unchecked: the last word of each is the
    value, those before it are the switch's name."""
    commands = ",".join(_LINE.findall(prompt.replace(";", ","))).lower().split(",")
    pairs = (command.rpartition(" ") for command in map(str.strip, commands) if command)
    return {(name or value).strip().replace(" ", "_"): value for name, _, value in pairs}


def without_switches(text: str) -> str:
    """The text without its `demo:` lines, whatever they say."""
    return _LINE.sub("", text).strip() if _LINE.search(text) else text
