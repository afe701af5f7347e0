"""The options of the magics, as one table: reading, help and completion are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "flag", "text", "list", "effort", "number", "integer", "variable", "chat", "rows"
]
# Where an option may stand: `%%qwen`, `%qwen`, or as a default in `%qwen_chat`.
Form: TypeAlias = Literal["cell", "line", "chat"]

_TURN: Final[tuple[Form, ...]] = ("cell", "line")
_EVERYWHERE: Final[tuple[Form, ...]] = ("cell", "line", "chat")


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `field` is its attribute in `Options`; a flag sets it to `value`."""

    long: str
    help: str
    field: str
    short: str = ""
    metavar: str = ""
    kind: Kind = "flag"
    repeatable: bool = False
    forms: tuple[Form, ...] = _TURN
    value: bool = True

    @property
    def takes_value(self) -> bool:
        return self.kind != "flag"

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.short, self.long) if self.short else (self.long,)


EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

OPTIONS: Final[tuple[Option, ...]] = (
    Option(
        "--model",
        "the model; any name goes through (%qwen_models lists known ones)",
        "model",
        "-m",
        "NAME",
        "text",
        forms=_EVERYWHERE,
    ),
    Option(
        "--tools",
        "web_search, web_extractor, code_interpreter, all (these three), none, "
        "a function of the notebook, or a variable that holds tool dicts; with commas, or repeated",
        "tools",
        "-t",
        "LIST",
        "list",
        repeatable=True,
        forms=_EVERYWHERE,
    ),
    Option("--think", "think before the answer", "think", forms=_EVERYWHERE),
    Option("--no-think", "answer at once", "think", forms=_EVERYWHERE, value=False),
    Option(
        "--effort",
        "how much to think: " + ", ".join(EFFORTS),
        "effort",
        "-e",
        "LEVEL",
        "effort",
        forms=_EVERYWHERE,
    ),
    Option(
        "--system",
        "instructions, sent with each turn of the conversation; @./file.md and {name} work",
        "system",
        "-s",
        "TEXT",
        "text",
        forms=_EVERYWHERE,
    ),
    Option("--chat", "this turn in that conversation", "chat", "-c", "NAME", "chat"),
    Option("--new", "this turn in a fresh conversation", "new"),
    Option(
        "--after",
        "continue after an earlier turn: 3, main:3, -1 or a response id",
        "after",
        metavar="REF",
        kind="text",
    ),
    Option("--no-history", "outside any conversation", "no_history"),
    Option("--carry", "take the conversation along to another host: all of it is sent", "carry"),
    Option(
        "--data",
        "describe these variables to the model; with commas, or repeated",
        "data",
        "-d",
        "NAMES",
        "list",
        repeatable=True,
    ),
    Option("--rows", "how many rows of them go along: a number, or all", "rows", "", "N", "rows"),
    Option(
        "--image",
        "path, URL or variable (figure, PIL image, array), for models with vision",
        "image",
        "-i",
        "REF",
        "list",
        repeatable=True,
    ),
    Option(
        "--schema",
        "the answer as an object: a pydantic model, dataclass, TypedDict or JSON schema",
        "schema",
        metavar="NAME",
        kind="variable",
    ),
    Option("--code", "put the answer's first Python block into the next cell", "code"),
    Option("--out", "bind the Answer to a variable", "out", "-o", "NAME", "variable"),
    Option(
        "--temperature",
        "from 0 up to, not including, 2",
        "temperature",
        metavar="X",
        kind="number",
        forms=_EVERYWHERE,
    ),
    Option(
        "--top-p",
        "above 0, up to 1",
        "top_p",
        metavar="X",
        kind="number",
        forms=_EVERYWHERE,
    ),
    Option(
        "--max-output-tokens",
        "the longest answer, at least 16",
        "max_output_tokens",
        metavar="N",
        kind="integer",
        forms=_EVERYWHERE,
    ),
    Option(
        "--timeout",
        "the longest silence in seconds (300)",
        "timeout",
        metavar="S",
        kind="number",
        forms=_EVERYWHERE,
    ),
    Option("--bg", "return at once, stream on in this cell's output", "bg"),
    Option("--dry-run", "show the exact request, send nothing", "dry_run"),
    Option("--raw", "leave {name} as typed", "raw"),
    Option("--quiet", "show nothing; the Answer is the value", "quiet"),
    Option("--help", "this text", "help", "-h", forms=_EVERYWHERE),
)

BY_SPELLING: Final = {name: option for option in OPTIONS for name in option.spellings}

# Known names that this version does not have: refused by name, and never guessed at.
LATER: Final = ("--compare",)
