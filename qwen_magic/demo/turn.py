"""A turn as requested: the request with its conversation, and the switches in its prompt."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from qwen_magic.demo.wire import JSON, read_json

# The words by which the product asks for JSON of a schema.
_SCHEMA = re.compile(
    r"(?:\n\n)?^Give the answer as JSON: [^\n]* this JSON Schema\.\n\n```json\n(.*?)\n```[ \t]*$",
    re.DOTALL | re.MULTILINE,
)

_HINT = "Give a hint, not the solution."  # what `--hint` says
_STEPS = "reach a goal in a notebook, one cell at a time"  # what `--steps` says
_BRIEF = ("-flash", "-turbo")  # how the names of quick models end
_BRIEFLY = re.compile(r"(?i)\b(?:brief|briefly|terse)\b")  # of instructions


@dataclass(frozen=True, slots=True)
class Kept:
    """A finished response. Its `parent` stays reachable even if that was deleted."""

    body: JSON  # the response object
    input: tuple[JSON, ...]  # this turn's own input items
    parent: Kept | None
    rest: str  # what an incomplete answer had still to say

    def chain(self) -> list[Kept]:
        """The turns up to this one, oldest first."""
        return [*(self.parent.chain() if self.parent else ()), self]

    def items(self) -> list[JSON]:
        """The input and output items of the whole chain, in order."""
        return [item for kept in self.chain() for item in (*kept.input, *kept.body["output"])]


@dataclass(frozen=True, slots=True)
class FunctionResult:
    """The result of a function call of this turn."""

    name: str
    arguments: str  # JSON
    output: str

    @property
    def value(self) -> Any:
        """The output, parsed if it is JSON."""
        return read_json(self.output, self.output)


class AskedTurn:
    """A valid request with everything that its answer depends on."""

    def __init__(
        self, body: JSON, items: Sequence[JSON], previous: Kept | None, switches: Switches
    ) -> None:
        self.body, self.switches, self.previous = body, switches, previous
        self.streams = bool(body.get("stream"))
        # Two voices, so that models can be compared: one says all, the other what comes first.
        told = str(body.get("instructions"))
        self.brief = str(body.get("model")).endswith(_BRIEF) or bool(_BRIEFLY.search(told))
        effort = (body.get("reasoning") or {}).get("effort")
        self.thinks = effort != "none" if effort else bool(body.get("enable_thinking"))
        self.items = tuple(items)  # this turn's own input
        self.context = [*(previous.items() if previous else ()), *items]  # the whole conversation
        asked = _asked(self.context)
        before = self.context[: max(asked, 0)]
        texts = [item_text(item) for item in self.context[len(before) :] if _is(item, "user")]
        # The newest user text, without `demo:` lines and the paragraph of a schema.
        self.prompt = _clean(texts[0]) if texts else ""
        self.earlier = _earlier(before)  # (prompt, answer) of the turns before, oldest first
        self.results = _results(self.context, asked)  # what functions gave after that text
        self.schema = _schema(body, texts)  # what the answer is to be JSON of
        tools = [] if body.get("tool_choice") == "none" else body.get("tools") or []
        named = [tool for tool in tools if tool["type"] == "function"]
        parameters = {tool["name"]: tool.get("parameters") or {} for tool in named}
        self.functions = {name: tuple(p.get("properties", ())) for name, p in parameters.items()}
        # What is offered: built-in types, names of functions, "image"; "hint", "steps" if wanted.
        self.tools = {tool["type"] for tool in tools if tool not in named} | set(self.functions)
        if asked >= 0 and any(p.get("type") == "input_image" for p in _parts(self.context[asked])):
            self.tools.add("image")
        if _HINT in told:
            self.tools.add("hint")
        if _STEPS in " ".join(str(body.get("instructions")).split()):
            self.tools.add("steps")


def newest_prompt(items: Sequence[JSON]) -> str:
    """The newest user text as sent; empty if there is none."""
    asked = _asked(items)
    return item_text(items[asked]) if asked >= 0 else ""


def item_text(item: JSON) -> str:
    content = item.get("content")
    texts = [content] if isinstance(content, str) else [part.get("text") for part in _parts(item)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _parts(item: JSON) -> list[JSON]:
    content = item.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _is(item: JSON, role: str) -> bool:
    return item.get("type", "message") == "message" and item.get("role") == role


def _clean(text: str) -> str:
    return _SCHEMA.sub("", without_switches(text)).strip()


def _asked(items: Sequence[JSON]) -> int:
    """The place of the newest user message; -1 without. One that is no more than a schema's
    paragraph belongs to the message before it."""
    places = [n for n, item in enumerate(items) if _is(item, "user")]
    if (
        len(places) > 1
        and places[-2] == places[-1] - 1
        and not _clean(item_text(items[places[-1]]))
    ):
        places.pop()
    return places[-1] if places else -1


def _earlier(items: Sequence[JSON]) -> tuple[tuple[str, str], ...]:
    turns: list[tuple[str, str]] = []
    for item in items:
        if _is(item, "user"):
            turns.append((_clean(item_text(item)), ""))
        elif _is(item, "assistant"):
            prompt, answer = turns.pop() if turns else ("", "")
            turns.append((prompt, f"{answer}\n\n{item_text(item)}".strip()))
    return tuple(turns)


def _schema(body: JSON, texts: Sequence[str]) -> JSON | None:
    """What the request (`text.format`), or the paragraph in the prompt, asks for."""
    form = (body.get("text") or {}).get("format") if isinstance(body.get("text"), dict) else None
    told = [form.get("schema")] if isinstance(form, dict) else []
    told += [read_json(match[1]) for text in texts for match in _SCHEMA.finditer(text)]
    return next((schema for schema in told if isinstance(schema, dict)), None)


def _results(context: Sequence[JSON], asked: int) -> tuple[FunctionResult, ...]:
    calls = {item.get("call_id"): item for item in context if item.get("type") == "function_call"}
    found = []
    for item in context[asked + 1 :]:
        if item.get("type") == "function_call_output":
            call, output = calls.get(item.get("call_id"), {}), item.get("output")
            text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
            found.append(FunctionResult(call.get("name", "?"), call.get("arguments", ""), text))
    return tuple(found)


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
    """An unknown switch, or an invalid value."""


@dataclass(frozen=True, slots=True)
class Switches:
    """How the server behaves: defaults, changed at its start, while it runs, or by a line in a
    prompt.

    The same names serve everywhere: `DemoServer(delay=0)`, `--delay 0`, and a prompt's line
    `demo: delay 0`. In a prompt several stand on one line with commas between them, and the lines
    are taken out before the prompt is answered:

        demo: error 429, retry after 2     any name of `faults.yaml`
        demo: error 429, fail first 2      the first two requests with this prompt fail
        demo: error cut, after 3           a fault in mid-stream comes after so many deltas
        demo: delay 0.1                    seconds between deltas
        demo: reasoning old, chain forgets
    """

    delay: float = 0.028  # seconds between two deltas of a stream
    reasoning: str = "new"  # reasoning_text events; "old": reasoning_summary_text
    error: str = ""  # a name of `FAULTS`
    retry_after: float = -1.0  # seconds, sent as Retry-After with an error; negative: not sent
    fail_first: int = 0  # only the first N requests with a prompt get `error`; 0: all of them
    after: int = 5  # deltas before a fault in mid-stream
    chain: str = "keeps"  # what becomes of ids (`Player._previous`)
    forget_after: int = 2  # chain "forgets": ids of conversations of so many turns are unknown

    def changed(self, changes: Mapping[str, Any]) -> Switches:
        """The switches with these changes. Raises `SwitchError`."""
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})


_DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(Switches)}
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "reasoning": ("new", "old"),
    "chain": ("keeps", "forgets", "refuses", "ignores", "unnamed"),
    "error": ("", *FAULTS),
}


def _checked(name: str, value: Any) -> Any:
    """The value converted to the type of the switch's default."""
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
    """The text without its `demo:` lines."""
    return _LINE.sub("", text).strip() if _LINE.search(text) else text
