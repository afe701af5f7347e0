"""The one table of options: what may be typed after a magic's name, or given to `Qwen.ask`.

Everything else about options is derived from the fields of `Options` below:

    reading a line       magics/line.py, with the values read by magics/values.py
    `qwen-magic ask`     cli.py
    `--help`             magics/qwen.py
    Tab                  magics/completion.py
    traits               magics/settings.py: every option that has a `setting`
    defaults             of `%qwen_chat NAME`: every option whose `magics` name it
    keywords             session/keywords.py: every option that is no matter of the cell
    the question         `ask_fields`: every option whose `place` is "ask" or "request"
    README's table       tests/test_readme.py compares
    the labextension's   tests/frontends/test_labextension.py compares

It stands here and not in magics/, where most of its readers are, because `Qwen.ask` takes its
keywords from it too, and Python code reaches a question without any magic.

An option that the server takes as a plain parameter is one field here and nothing else:

    seed: int | None = _options(Option(
        "--seed", "N", "the same answer again", "", "integer", "request", allowed=(…)))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from qwen_magic.endpoints import DEFAULT_MODEL

Kind: TypeAlias = Literal[
    "flag", "text", "list", "choice", "number", "integer", "variable", "chat", "rows", "files",
    "cells",
]  # fmt: skip
# Where an option goes: it says something about the cell and not about the question; it is made
# into something else first (names into tool dicts); it is the field of that name in
# `session.plan.Ask`; it is the parameter of that name in the request's body.
Place: TypeAlias = Literal["cell", "made", "ask", "request"]
# What Tab offers as its value.
Offered: TypeAlias = Literal[
    "", "models", "tools", "choices", "chats", "names", "references", "compared"
]

# The documented ones. Any other word goes through: which model takes which changes by the month.
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
NO_EFFORT: Final = ("none", "0")
# What becomes of a question that a replayed recording does not have.
MISSING: Final = ("ask", "live", "fail")

_CELL: Final = ("qwen",)
_TURN: Final = ("qwen", "ask")
_DEFAULT: Final = ("qwen", "qwen_chat", "ask")


class Option(NamedTuple):  # made faster than a dataclass, and this is imported at load
    """One option as it is typed, with what is to be known about it.

    - `long`, `short`: its spellings; `metavar` stands for its value in the help;
    - `help`: a line of the help and of the README, where `code` stands in backticks;
    - `field`: its attribute in `Options`, which a flag sets to `value`;
    - `magics`: the magics that take it, the first of them for one turn, `qwen_chat` as a default,
      and `ask` for the command of a shell, where there are no cells and no variables;
    - `allowed`: which numbers it takes, and the same in words; `choices`: known words;
    - `setting`: default and help of the trait of `%config QwenMagics` that gives the option its own
      default, if there is one; the trait's type follows from `kind`.
    """

    long: str
    metavar: str
    help: str
    short: str = ""
    kind: Kind = "flag"
    place: Place = "cell"
    offers: Offered = ""
    magics: tuple[str, ...] = _TURN
    repeatable: bool = False
    value: bool = True
    allowed: tuple[Callable[[float], bool], str] | None = None
    choices: tuple[str, ...] = ()
    setting: tuple[Any, str] | None = None
    field: str = ""

    @property
    def takes_value(self) -> bool:
        return self.kind != "flag"

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.short, self.long) if self.short else (self.long,)


def _options(*options: Option, default: Any = None) -> Any:
    """A field of `Options`, and what can be typed to set it."""
    return field(default=default, metadata={"options": options})


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one turn; what was not typed is None, or the default of a flag.

    `tools` is `()` after `-t none`: no tools, where None leaves it to the defaults.
    """

    # fmt: off
    model: str | None = _options(Option(
        "--model", "NAME", "the model; any name goes through (`%qwen_models` lists known ones)",
        "-m", "text", "ask", offers="models", magics=_DEFAULT,
        setting=(DEFAULT_MODEL, "The model to ask.")))
    tools: tuple[str, ...] | None = _options(Option(
        "--tools", "LIST",
        "`web_search`, `web_extractor`, `code_interpreter`, `all` (these three), `none`, a "
        "function of the notebook, `mcp:NAME` (a server of `mcp.json`), or a variable that holds "
        "tool dicts; with commas, or repeated",
        "-t", "list", "made", offers="tools", magics=_DEFAULT, repeatable=True,
        setting=([], "Tools that every question may use.")))
    think: bool | None = _options(
        Option(
            "--think", "", "think before the answer", place="ask", magics=_DEFAULT,
            setting=(None, "enable_thinking; None leaves it to the service.")),
        Option("--no-think", "", "answer at once", place="ask", magics=_DEFAULT, value=False))
    effort: str | None = _options(Option(
        "--effort", "LEVEL",
        f"how much to think: {', '.join(EFFORTS)}, or a number of tokens (`thinking_budget`)",
        "-e", "choice", "ask", offers="choices", magics=_DEFAULT, choices=EFFORTS,
        setting=(None, "reasoning.effort, or a number: thinking_budget; None: not sent.")))
    system: str | None = _options(Option(
        "--system", "TEXT",
        "instructions, sent with each turn of the conversation; `@tutor` and others "
        "(`%qwen_prompt`), `@./file.md` and `{name}` work",
        "-s", "text", "ask", offers="references", magics=_DEFAULT,
        setting=("", "Instructions sent with every turn: text, @name, @file or {name}.")))
    hint: bool | None = _options(Option(
        "--hint", "", "a hint, not the solution", magics=_DEFAULT,
        setting=(False, "Every answer gives a hint, not the solution.")))
    chat: str | None = _options(Option(
        "--chat", "NAME", "this turn in that conversation", "-c", "chat", "ask", offers="chats"))
    new: bool = _options(
        Option("--new", "", "this turn in a fresh conversation", place="ask"), default=False)
    after: str | None = _options(Option(
        "--after", "REF", "continue after an earlier turn: `3`, `main:3`, `-1` or a response id",
        "", "text", "ask"))
    edit: bool = _options(
        Option(
            "--edit", "", "in place of the answer before: the cell's own, else the last; the "
            "differences are shown"),
        default=False)
    history: bool = _options(
        Option("--no-history", "", "outside any conversation", place="ask", value=False),
        default=True)
    carry: bool = _options(
        Option(
            "--carry", "", "take the conversation along to another host: all of it is sent",
            place="ask"),
        default=False)
    data: tuple[str, ...] | None = _options(Option(
        "--data", "NAMES",
        "describe these variables (`x`, `x.attr`, `x['key']`) to the model, a DataFrame by its "
        "schema, statistics and a sample; with commas, or repeated",
        "-d", "list", "made", offers="names", magics=_CELL, repeatable=True))
    rows: int | Literal["all"] | None = _options(Option(
        "--rows", "N", "so many rows go along exactly: a number, or `all`", "", "rows", "made"))
    send_all: bool = _options(
        Option("--send-all", "", "send values whole, and however large they are"), default=False)
    allow_secrets: bool = _options(
        Option("--allow-secrets", "", "send what looks like a key, too", place="ask"),
        default=False)
    notebook: str | None = _options(Option(
        "--notebook", "CELLS",
        "the notebook as you see it, for this question: `outline`, `errors`, `last` or `last:N` "
        "cells above, `cells:A-B` by their numbers, or `all`",
        "-n", "cells", offers="choices",
        choices=("outline", "errors", "last", "last:", "cells:", "all")))
    images: tuple[str, ...] | None = _options(Option(
        "--image", "REF",
        "path, URL, variable (figure, PIL image, array) or `last` (the figure shown last), for "
        "models with vision",
        "-i", "list", "made", offers="names", repeatable=True))
    files: tuple[str, ...] | None = _options(Option(
        "--file", "REF",
        "a file, told as what it is: text, CSV, Excel, Parquet, PDF, DOCX or image (path or URL)",
        "-f", "files", "made", offers="names", repeatable=True))
    schema: str | None = _options(Option(
        "--schema", "NAME",
        "the answer as an object (`answer.parsed`): a pydantic model, dataclass, TypedDict, JSON "
        "schema, or a type such as list[Item]; checked here, repaired at most twice",
        "", "variable", "made", offers="names"))
    compare: tuple[str, ...] | None = _options(Option(
        "--compare", "LIST",
        "answers side by side: of models (`A,B`), or with values of one option (`effort=low,high`, "
        "`system=@tutor,@reviewer`)",
        "", "list", offers="compared"))
    judge: str | None = _options(Option(
        "--judge", "MODEL", "let a model judge them, blind to their names", "", "text",
        offers="models"))
    code: bool = _options(
        Option(
            "--code", "", "put the answer's first Python block into the next cell", magics=_CELL),
        default=False)
    steps: bool = _options(
        Option(
            "--steps", "", "towards a goal: a plan, and one proposed cell; you run it or not, and "
            "what came of it goes back", magics=_CELL),
        default=False)
    out: str | None = _options(Option(
        "--out", "NAME", "bind the Answer to a variable", "-o", "variable", offers="names",
        magics=_CELL))
    temperature: float | None = _options(Option(
        "--temperature", "X", "from 0 up to, not including, 2",
        "", "number", "request", magics=_DEFAULT,
        allowed=(lambda x: 0 <= x < 2, "a number from 0 up to, not including, 2"),
        setting=(None, "0 to 2; None: not sent.")))
    top_p: float | None = _options(Option(
        "--top-p", "X", "above 0, up to 1", "", "number", "request", magics=_DEFAULT,
        allowed=(lambda x: 0 < x <= 1, "a number above 0, up to 1"),
        setting=(None, "Above 0, to 1; None: not sent.")))
    max_output_tokens: int | None = _options(Option(
        "--max-output-tokens", "N", "the longest answer, at least 16",
        "", "integer", "request", magics=_DEFAULT,
        allowed=(lambda x: x >= 16, "a whole number, at least 16"),
        setting=(None, "At least 16; None: not sent.")))
    timeout: float | None = _options(Option(
        "--timeout", "S", "the longest silence in seconds (300)",
        "", "number", "ask", magics=_DEFAULT,
        allowed=(lambda x: x > 0, "a number of seconds above 0"),
        setting=(300.0, "The longest silence between bytes, in seconds.")))
    cache: bool | None = _options(Option(
        "--cache", "", "an identical question is answered from the store, at no cost",
        place="ask", magics=_DEFAULT,
        setting=(False, "Answer identical questions from the store.")))
    fresh: bool = _options(
        Option("--fresh", "", "ask anew, whatever the store has", place="ask"), default=False)
    bg: bool = _options(
        Option("--bg", "", "return at once, stream on in this cell's output", magics=_CELL),
        default=False)
    dry_run: bool = _options(
        Option(
            "--dry-run", "", "show what would be sent, part by part and to the letter; send nothing"
        ), default=False)
    raw: bool = _options(
        Option("--raw", "", "leave `{name}` as typed", magics=_CELL), default=False)
    quiet: bool = _options(
        Option("--quiet", "", "show nothing; the Answer is the value"), default=False)
    help: bool = _options(
        Option("--help", "", "this text", "-h", magics=_DEFAULT), default=False)
    # fmt: on

    @classmethod
    def of(cls, settings: object) -> Options:
        """The defaults that the traits of `settings` hold."""
        held: dict[str, Any] = {o.field: getattr(settings, o.field) for o in SETTINGS}
        return cls(**{**held, "tools": tuple(held["tools"])})

    def merged_over(self, defaults: Options) -> Options:
        """These options, and from `defaults` what was not typed.

        Thinking is one matter in two options: a default that contradicts what was typed gives
        way (`--no-think` over a default `--effort high`, which the server would let win).
        """
        merged = {
            name: default
            for name in _DEFAULTABLE
            if getattr(self, name) is None and (default := getattr(defaults, name)) is not None
        }
        if disagree(self.think, merged.get("effort")):
            del merged["effort"]
        if disagree(merged.get("think"), self.effort):
            del merged["think"]
        return replace(self, **merged)


def disagree(think: object, effort: object) -> bool:
    """Whether they contradict each other: an effort means thinking, unless it is `none` or 0."""
    return think is not None and effort is not None and think == (str(effort) in NO_EFFORT)


def with_defaults(given: Mapping[str, Any], defaults: Options) -> dict[str, Any]:
    """The keywords of a question, and from `defaults` what is not among them (`merged_over`)."""
    named: dict[str, Any] = {name: given[name] for name in _DEFAULTABLE if name in given}
    merged = Options(**named).merged_over(defaults)
    found = {name: getattr(merged, name) for name in _DEFAULTABLE}
    return {name: value for name, value in found.items() if value is not None} | dict(given)


OPTIONS: Final[tuple[Option, ...]] = tuple(
    option._replace(field=each.name)
    for each in fields(Options)
    for option in each.metadata["options"]
)
_DEFAULTABLE: Final = tuple(
    dict.fromkeys(o.field for o in OPTIONS if "qwen_chat" in o.magics and o.field != "help")
)
SETTINGS: Final = tuple(option for option in OPTIONS if option.setting)
# The keywords of `Qwen.ask`: a name, and not what is done with the answer in a cell.
KEYWORDS: Final = tuple(dict.fromkeys(o.field for o in OPTIONS if o.place != "cell"))

# Pairs of fields that cannot both be meant. (`chat` with `after` can: after that turn, in there.)
CONTRADICTIONS: Final = (
    ("new", "after"),
    ("new", "history"),
    ("new", "chat"),
    ("history", "after"),
    ("history", "chat"),
    ("history", "carry"),
    ("new", "carry"),
    ("bg", "quiet"),
    ("bg", "schema"),
    ("bg", "code"),
    ("bg", "compare"),
    ("bg", "edit"),
    ("edit", "new"),
    ("edit", "after"),
    ("edit", "history"),
    ("edit", "compare"),
    ("code", "compare"),
    ("steps", "bg"),
    ("steps", "code"),
    ("steps", "compare"),
    ("steps", "edit"),
    ("steps", "history"),
    ("steps", "quiet"),
    ("steps", "schema"),
)

# Options of the other magics, which are no options of a turn. (`%qwen_fix`, `%qwen_edit` and
# `%qwen_prompt` take those of `%qwen`.)
OTHERS: Final[Mapping[str, tuple[Option, ...]]] = {
    "qwen_chat": (Option("--all", "", "list all conversations", field="all"),),
    "qwen_fork": (
        *(option for option in OPTIONS if option.field == "after"),
        Option("--compact", "", "from a summary that the model writes", field="compact"),
    ),
    "qwen_code": (
        Option(
            "-n",
            "N",
            "which code block",
            kind="integer",
            field="n",
            allowed=(lambda n: True, "the number of a code block, from 1 (-1 is the last)"),
        ),
    ),
    "qwen_key": (Option("--save", "", "keep it in the system's keyring", field="save"),),
    "qwen_doctor": (
        Option(
            "--endpoint", "URL", "which one; its server is tried out", kind="text", field="endpoint"
        ),
        *(option for option in OPTIONS if option.field == "model"),
    ),
    "qwen_local": (
        Option(
            "--threads",
            "N",
            "threads that compute; one by default",
            kind="integer",
            field="threads",
            allowed=(lambda n: n > 0, "a number of threads, from 1"),
        ),
    ),
    "qwen_replay": (
        Option(
            "--speed",
            "S",
            "original, 2 (twice as fast), … or instant",
            kind="text",
            offers="choices",
            choices=("original", "2", "instant"),
            field="speed",
        ),
        Option(
            "--missing",
            "M",
            "what of a question that it does not have: ask, live or fail",
            kind="choice",
            offers="choices",
            choices=MISSING,
            field="missing",
        ),
    ),
    "qwen_tools": (
        Option("--forget", "", "ask about every function and server again", field="forget"),
    ),
}


# What may differ between the answers of `--compare`: a conversation's default that has one value.
COMPARABLE: Final[Mapping[str, Option]] = {
    option.long.removeprefix("--"): option
    for option in OPTIONS
    if "qwen_chat" in option.magics and option.takes_value and option.kind != "list"
}


def compared_option(first: str) -> tuple[Option | None, str]:
    """Return what the first word of `--compare` names, and its first value: the model, or with
    `NAME=value` that option (None: no such option can differ)."""
    name, equals, value = first.partition("=")
    if not equals:
        return COMPARABLE["model"], first
    return COMPARABLE.get(name.strip().replace("_", "-")), value


def options_of(magic: str) -> tuple[Option, ...]:
    """The options that `%magic` takes, in the order of the help."""
    magic = "qwen" if magic in ("qwen_fix", "qwen_edit", "qwen_prompt") else magic
    return (*(o for o in OPTIONS if magic in o.magics), *OTHERS.get(magic, ()))


def ask_fields(given: Mapping[str, object]) -> dict[str, Any]:
    """Of the values that are `given` by field, those that `session.plan.Ask` takes as they are:
    its own fields, and under `extra` parameters of the request. None is "not asked"."""
    asked = {name: value for name, value in given.items() if value is not None}
    made: dict[str, Any] = {
        option.field: asked[option.field]
        for option in OPTIONS
        if option.place == "ask" and option.field in asked
    }
    made["extra"] = {
        option.field: asked[option.field]
        for option in OPTIONS
        if option.place == "request" and option.field in asked
    }
    return made
