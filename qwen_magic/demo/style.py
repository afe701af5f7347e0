"""The simple instructions that the demo can really follow, and the note that every answer bears."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

NOTE = "*(Offline demo: this is the model `demo` of qwen_magic, not Qwen.)*"

_FENCE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\]\([^)]*\))", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Style:
    """How an answer is to be dressed. `unknown`: an instruction that the demo cannot follow."""

    upper: bool = False
    lower: bool = False
    terse: bool = False
    pirate: bool = False
    unknown: str = ""

    @property
    def names(self) -> list[str]:
        named = {"upper case": self.upper, "lower case": self.lower, "terse": self.terse}
        return [name for name, wanted in {**named, "pirate": self.pirate}.items() if wanted]


def read_style(instructions: Sequence[str]) -> Style:
    """What the instructions ask for, in the few words that the demo knows."""
    text = " ".join(instructions).lower()
    style = Style(
        upper=bool(re.search(r"\bupper[- ]?case|all caps|capital letters", text)),
        lower=bool(re.search(r"\blower[- ]?case", text)),
        terse=bool(re.search(r"\bterse|\bbrief|\bconcise|\bshort|one sentence", text)),
        pirate="pirate" in text,
    )
    if text.strip() and not style.names:
        return Style(unknown=" ".join(" ".join(instructions).split())[:120])
    return style


def dress(text: str, style: Style) -> str:
    """The answer's text in that style, with the note; code and links stay as they are."""
    if style.terse:
        text = _first_paragraph(text)
    if style.pirate:
        text = "Arrr! " + text
    text = f"{text}\n\n{NOTE}"
    if style.upper:
        text = _outside_code(text, str.upper)
    elif style.lower:
        text = _outside_code(text, str.lower)
    return text


def _first_paragraph(text: str) -> str:
    return text.strip().split("\n\n")[0]


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts = _FENCE.split(text)
    return "".join(part if n % 2 else change(part) for n, part in enumerate(parts))
