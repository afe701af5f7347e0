"""What the reader is asked before a function of theirs runs."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Final, Literal, TypeAlias, get_args

from qwen_magic.document.calls import whole_call
from qwen_magic.document.markdown.inline import text_html

Choice: TypeAlias = Literal["once", "always", "never"]
_PADDED: Final = 'style="padding: 4px 0 4px 12px"'


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
        return {"once": "Allow once", "always": f"Always {scope}", "never": f"Never {scope}"}


def read_choice(text: str) -> Choice | None:
    """The choice of that name."""
    return next((choice for choice in get_args(Choice) if choice == text), None)


def question_html(question: Question, id: str) -> str:
    """The question with its buttons, whose values are `id:choice`. For the live view only."""
    buttons = "".join(
        f'<button type="button" class="qm-btn qm-choice" value="{escape(id)}:{choice}">'
        f"{escape(words)}</button>"
        for choice, words in question.words.items()
    )
    return (
        f'<div class="qm-note qm-ask" role="group" aria-label="{escape(question.title)}" {_PADDED}>'
        f'<p class="qm-note-title"><b>{_titled(question)}</b></p>'
        f'<pre class="qm-pre qm-call" tabindex="0" role="region" aria-label="The call">'
        f"{escape(question.call, quote=False)}</pre>"
        f'<p class="qm-note-text">{text_html(question.text)}</p>'
        f'<div class="qm-choices">{buttons}</div></div>'
    )


def _titled(question: Question) -> str:
    name = f'<code class="qm-c">{escape(question.name)}</code>'
    return text_html(question.title).replace(escape(question.name), name, 1)


def _visible(character: str) -> str:
    """Control and formatting characters as escapes."""
    if character != "\n" and unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp"):
        return f"\\u{ord(character):04x}"
    return character
