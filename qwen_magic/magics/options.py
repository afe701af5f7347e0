"""What was typed after a magic's name: its options, then a prompt to the letter.

`%%qwen` takes a prompt in its first line too: it comes before the body, on a line of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from qwen_magic.errors import OptionError, UsageError
from qwen_magic.magics.option_scan import OptionScanner
from qwen_magic.magics.option_table import OPTIONS, Form, Option
from qwen_magic.magics.option_values import check_chat_name, read_value

# Pairs that cannot both be meant. (`--chat` with `--after` can: after that turn, in there.)
_CONTRADICTIONS: Final = (
    ("new", "after"),
    ("new", "no_history"),
    ("new", "chat"),
    ("no_history", "after"),
    ("no_history", "chat"),
    ("no_history", "carry"),
    ("new", "carry"),
    ("bg", "quiet"),
    ("bg", "schema"),
    ("bg", "code"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one magic; what was not typed is None, or False for a flag.

    `tools` is `()` after `-t none`: no tools, where None leaves it to the defaults.
    """

    model: str | None = None
    tools: tuple[str, ...] | None = None
    think: bool | None = None
    effort: str | None = None
    system: str | None = None
    chat: str | None = None
    new: bool = False
    after: str | None = None
    no_history: bool = False
    carry: bool = False
    data: tuple[str, ...] | None = None
    rows: int | Literal["all"] | None = None
    image: tuple[str, ...] | None = None
    schema: str | None = None
    code: bool = False
    out: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    timeout: float | None = None
    bg: bool = False
    dry_run: bool = False
    raw: bool = False
    quiet: bool = False
    help: bool = False

    def merged_over(self, defaults: Options) -> Options:
        """These options, and from `defaults` what was not typed.

        Thinking is one matter in two options: a default that contradicts what was typed gives
        way (`--no-think` over a default `--effort high`, which the server would let win).
        """
        merged = {
            field: default
            for field in _DEFAULTABLE
            if getattr(self, field) is None and (default := getattr(defaults, field)) is not None
        }
        if self.think is not None and _disagree(self.think, merged.get("effort")):
            del merged["effort"]
        if self.effort is not None and _disagree(merged.get("think"), self.effort):
            del merged["think"]
        return replace(self, **merged)


_DEFAULTABLE: Final = tuple(
    dict.fromkeys(o.field for o in OPTIONS if "chat" in o.forms and o.field != "help")
)


@dataclass(frozen=True, slots=True)
class ChatLine:
    """`%qwen_chat [NAME] [options]`: without a name and options it lists the conversations."""

    name: str | None
    defaults: Options


def read_line(line: str) -> tuple[Options, str]:
    """The options at the front of `line`, and the rest of it to the letter.

    The prompt may be empty. Raises `OptionError`, always one line.
    """
    scanner = OptionScanner(line)
    options = _read_options(scanner, "line")
    return options, scanner.rest()


def read_prompt(line: str) -> tuple[Options, str]:
    """As `read_line`, for `%qwen`. Raises `UsageError` where no prompt is left."""
    options, prompt = read_line(line)
    _require(options, prompt)
    return options, prompt


def read_cell(line: str, body: str) -> tuple[Options, str]:
    """The options and the prompt of a `%%qwen` cell.

    The prompt is the body without the blank lines around it; words of the line that are no options
    come before it, on a line of their own. Raises `OptionError`, and `UsageError` where both are
    empty (unless `--help` was asked for).
    """
    options, words = read_line(line)
    prompt = "\n".join(part for part in (words, _without_blank_edges(body)) if part.strip())
    _require(options, prompt)
    return options, prompt


def read_chat(line: str) -> ChatLine:
    """The name and the defaults in a line of `%qwen_chat`, in either order. Raises `UsageError`."""
    scanner = OptionScanner(line)
    before = _read_options(scanner, "chat")
    name = scanner.word() or None
    options = _read_options(scanner, "chat") if name else Options()
    if left := scanner.rest().strip():
        raise UsageError(
            f"%qwen_chat takes one name and options, and knows nothing to do with {left!r}.",
            hint="%qwen_chat -h shows them.",
        )
    return ChatLine(check_chat_name(name) if name else None, _joined(options, before))


def read_new(line: str) -> str | None:
    """The name in a line of `%qwen_new`, or None. Raises `UsageError`."""
    words = line.split()
    if len(words) > 1:
        raise UsageError(
            f"%qwen_new takes one name, without spaces, not {line.strip()!r}.",
            hint=f"Write %qwen_new {'-'.join(words)}",
        )
    return check_chat_name(words[0]) if words else None


def read_demo(line: str) -> str:
    """`on`, `off`, `auto`, or empty where nothing was typed. Raises `UsageError`."""
    word = line.strip()
    if word not in ("", "on", "off", "auto"):
        raise UsageError(f"%qwen_demo takes on, off or auto, not {word!r}.")
    return word


def _read_options(scanner: OptionScanner, form: Form) -> Options:
    read: dict[str, object] = {}
    typed: dict[str, str] = {}
    while found := scanner.next_option():
        option, name, attached = found
        if form not in option.forms:
            raise OptionError(f"{name} is for one turn, and cannot be a conversation's default.")
        value = _value(scanner, option, name, attached)
        if option.field == "think" and read.get("think", value) != value:
            raise OptionError("--think and --no-think contradict each other.")
        if option.repeatable and isinstance(value, tuple):
            value = _extended(read.get(option.field, ()), value)
        read[option.field] = value
        typed[option.field] = name
    options = replace(Options(), **read)  # type: ignore[arg-type]
    if not options.help:
        _check(options, typed)
    return options


def _value(scanner: OptionScanner, option: Option, name: str, attached: str | None) -> object:
    if not option.takes_value:
        return option.value
    return read_value(option, name, scanner.value(name, attached))


def _extended(earlier: object, names: tuple[str, ...]) -> tuple[str, ...]:
    """A repeated list, each name once; `none` drops what came before it."""
    assert isinstance(earlier, tuple)  # only lists repeat
    joined: list[str] = [*earlier, *names]
    if "none" in joined:
        joined = joined[len(joined) - joined[::-1].index("none") :]
    return tuple(dict.fromkeys(joined))


def _check(options: Options, typed: dict[str, str]) -> None:
    for one, other in _CONTRADICTIONS:
        if one in typed and other in typed:
            raise OptionError(
                f"{typed[one]} and {typed[other]} contradict each other: a turn has one place."
            )
    if _disagree(options.think, options.effort):
        switch = "--think" if options.think else "--no-think"
        raise OptionError(f"{switch} and {typed['effort']} {options.effort} contradict each other.")


def _disagree(think: object, effort: object) -> bool:
    """An effort means thinking, unless it is `none`."""
    return think is not None and effort is not None and think == (effort == "none")


def _without_blank_edges(body: str) -> str:
    """`body` without the blank lines around it; the indentation of its first line stays."""
    start = body.rfind("\n", 0, len(body) - len(body.lstrip())) + 1
    end = body.find("\n", len(body.rstrip()))
    return body[start:] if end < 0 else body[start:end].removesuffix("\r")


def _require(options: Options, prompt: str) -> None:
    if not prompt.strip() and not options.help:
        raise UsageError(
            "There is no prompt.",
            hint="Type one in the lines below %%qwen, or after %qwen; %qwen -h shows the options.",
        )


def _joined(options: Options, before: Options) -> Options:
    joined = options.merged_over(before)
    return replace(joined, help=options.help or before.help)
