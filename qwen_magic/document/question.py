"""The questions to the user before a function runs or a server starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from qwen_magic.document.calls import whole_call
from qwen_magic.document.words import exposed

Choice: TypeAlias = Literal["once", "always", "no", "never"]
# Why there is no choice: there is "nobody" to choose, or the reader who was there is "absent".
Unanswered: TypeAlias = Literal["nobody", "absent"]
# What became of a question.
Verdict: TypeAlias = Choice | Unanswered

_LONG: Final = 400  # characters of a call that are surely in sight


@dataclass(frozen=True, slots=True)
class Question:
    """Whether a call may run. `arguments` is the model's JSON; `about`, the function's own words;
    `chat`, the conversation that "always" and "never" hold for, empty outside any. `is_other`:
    either was said of a function of this name that was another, or held other values. `server`: the
    MCP server that would run it, empty for what runs here."""

    name: str
    arguments: str
    about: str = ""
    chat: str = ""
    is_other: bool = False
    server: str = ""

    @property
    def call(self) -> str:
        """The complete call: nothing is cut, and invisible or misleading characters are spelled
        out.
        """
        return exposed(whole_call(self.name, self.arguments))

    @property
    def waits(self) -> str:
        """The line that says that an answer is waited for."""
        return f"{exposed(self.name)}(…) waits for your word"

    @property
    def title(self) -> str:
        return f"Run {self.name} on {self.server}?" if self.server else f"Run {self.name} here?"

    @property
    def text(self) -> str:
        about = f"“{self.about}” " if self.about else ""
        length = len(self.call)
        long = f" The call is {length:,} characters long: read it to its end." * (length > _LONG)
        other = " It is not the one that you were asked about before." * self.is_other
        where = f"The MCP server {self.server} runs it" if self.server else "It runs in your kernel"
        return f"{about}{where}; what it returns is sent to the model.{other}{long}"

    @property
    def scope(self) -> str:
        """What the choices "always" and "never" apply to."""
        return f"in {self.chat}" if self.chat else "for this answer"

    @property
    def words(self) -> Mapping[Choice, str]:
        """The labels of the choices."""
        return {
            "once": "Allow once",
            "always": f"Always {self.scope}",
            "no": "Refuse",
            "never": f"Never {self.scope}",
        }


@dataclass(frozen=True, slots=True)
class StartQuestion(Question):
    """Whether an MCP server may be started (or, where it `is_remote`, connected to). `target`: the
    command or address; `passed`: names of the environment variables, or headers, that it gets;
    `about`: the file that names it; `arguments`: all of that as JSON."""

    target: str = ""
    passed: tuple[str, ...] = ()
    is_remote: bool = False

    @property
    def call(self) -> str:
        return exposed(self.target)

    @property
    def waits(self) -> str:
        return f"{exposed(self.name)} waits for your word"

    @property
    def title(self) -> str:
        return f"{'Connect to' if self.is_remote else 'Start'} {self.name}?"

    @property
    def text(self) -> str:
        kind = "headers" if self.is_remote else "environment variables"
        passed = f", with the {kind} {', '.join(self.passed)}" if self.passed else ""
        runs = "" if self.is_remote else " It runs on this machine, with your rights."
        other = " It is not the one that you were asked about before." * self.is_other
        return (
            f"{self.about} names it{passed}.{runs} The model is told its tools; each call of one "
            f"is asked about.{other}"
        )

    @property
    def scope(self) -> str:
        return "in this kernel"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about the call of the entry `key`, with buttons: for the live view only."""

    question: Question
    key: str


def read_choice(text: str) -> Choice | None:
    """The choice with that name."""
    return next((choice for choice in get_args(Choice) if choice == text), None)
