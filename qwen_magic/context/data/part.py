"""What is handed over for one variable: the text for the model, the line for the reader."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# Characters a token, roughly: Qwen's tokenizer takes digits one by one.
_DIGIT: Final = re.compile(r"[0-9]")
_WIDE: Final = re.compile(r"[^\x00-\u024f]")
_REST_PER_TOKEN: Final = 3.5
_WIDE_PER_TOKEN: Final = 1.4


@dataclass(frozen=True, slots=True)
class DataPart:
    """`text` goes into the prompt; `summary` is the visible line about it; `warning` is a second
    one, or empty. `masked` names the columns whose values were kept back."""

    text: str
    summary: str
    warning: str = ""
    masked: tuple[str, ...] = ()


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` takes, to two figures: counted by kinds of characters, since no
    tokenizer is at hand. Expect it within a third of the truth."""
    digits = len(_DIGIT.findall(text))
    wide = len(_WIDE.findall(text))
    rest = len(text) - digits - wide
    count = digits + wide / _WIDE_PER_TOKEN + rest / _REST_PER_TOKEN
    return int(float(f"{count:.2g}"))


def size_words(text: str) -> str:
    """ "312 bytes, about 90 tokens"."""
    size = len(text.encode("utf-8", "replace"))
    return f"{size:,} bytes, about {estimate_tokens(text):,} tokens"


def counted(number: int, noun: str) -> str:
    """ "1 row", "1,204 rows"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
