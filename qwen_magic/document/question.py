"""What the reader is asked before a function of theirs runs."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from qwen_magic.document.calls import whole_call

Choice: TypeAlias = Literal["once", "always", "no", "never"]


@dataclass(frozen=True, slots=True)
class Question:
    """Whether a call may run. `arguments` is the model's JSON; `about`, the function's own words;
    `chat`, the conversation that "always" and "never" hold for, empty outside any."""

    name: str
    arguments: str
    about: str = ""
    chat: str = ""

    @property
    def call(self) -> str:
        """The whole call: nothing of what would run is cut away, or hidden by characters that
        show nothing or turn the direction of what follows."""
        return "".join(map(_visible, whole_call(self.name, self.arguments)))

    @property
    def title(self) -> str:
        return f"Run {self.name} here?"

    @property
    def text(self) -> str:
        about = f"“{self.about}” " if self.about else ""
        return f"{about}It runs in your kernel; what it returns is sent to the model."

    @property
    def words(self) -> Mapping[Choice, str]:
        """The choices as they are offered."""
        scope = f"in {self.chat}" if self.chat else "for this answer"
        return {
            "once": "Allow once",
            "always": f"Always {scope}",
            "no": "Refuse",
            "never": f"Never {scope}",
        }


def read_choice(text: str) -> Choice | None:
    """The choice of that name."""
    return next((choice for choice in get_args(Choice) if choice == text), None)


def _visible(character: str) -> str:
    """Control and formatting characters as escapes."""
    if character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
        return f"\\u{ord(character):04x}"
    return character
