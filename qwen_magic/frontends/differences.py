"""How one text differs from another, word by word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from html import escape
from typing import Final, Literal, TypeAlias

from qwen_magic.document.words import revealed
from qwen_magic.frontends.plain import printable

# " ": both have it, "-": only the old text, "+": only the new.
Sign: TypeAlias = Literal[" ", "-", "+"]

_WORD: Final = re.compile(r"\s+|\w+|[^\w\s]")
_LARGE: Final = 4_000_000  # pairs of words above which whole lines are compared
_TAGS: Final[Mapping[str, str]] = {"-": "del", "+": "ins"}
_PLAIN: Final[Mapping[str, str]] = {" ": "{}", "-": "[-{}-]", "+": "{{+{}+}}"}


def differences(old: str, new: str) -> list[tuple[Sign, str]]:
    """What turns `old` into `new`, by words; of long texts by lines, since the time grows with the
    product of both."""
    before, after = _WORD.findall(old), _WORD.findall(new)
    if len(before) * len(after) > _LARGE:
        before, after = old.splitlines(keepends=True), new.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    pieces: list[tuple[Sign, str]] = []
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind == "equal":
            pieces.append((" ", "".join(before[i:j])))
        else:
            pieces += [("-", "".join(before[i:j])), ("+", "".join(after[k:m]))]
    return [piece for piece in pieces if piece[1]]


def differences_text(old: str, new: str) -> str:
    """In plain text: [-taken out-] and {+put in+}."""
    pieces = differences(old, new)
    return printable("".join(_PLAIN[sign].format(text) for sign, text in pieces))


def differences_html(summary: str, old: str, new: str) -> str:
    """Behind a disclosure that says `summary`; all of it is text."""
    pieces = "".join(_marked(sign, text) for sign, text in differences(old, new))
    return f"<details><summary>{escape(summary)}</summary><pre>{pieces}</pre></details>"


def _marked(sign: Sign, text: str) -> str:
    shown = escape(revealed(text)).replace("\n", "&#10;")  # no blank line ends the HTML
    tag = _TAGS.get(sign)
    return f"<{tag}>{shown}</{tag}>" if tag else shown
