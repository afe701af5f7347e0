"""The rule that links `[n]` in an answer to the page it stands for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline

Citation: TypeAlias = Callable[[int], str | None]

CITATION = "citation"  # the key of the callback in a parser's env
_MARK = re.compile(r"\[(\d{1,3})\]")


def add_citations(md: MarkdownIt) -> None:
    """Teach a parser `[n]`, after the rules for links have had their chance."""
    md.inline.ruler.after("link", "citation", citation)


def citation(state: StateInline, silent: bool) -> bool:
    """Take a number in brackets for which the callback knows an address."""
    ask = state.env.get(CITATION)
    # Silent is the search for the end of a link's text, where a number in brackets is only text.
    if silent or ask is None or state.src[state.pos] != "[" or state.linkLevel > 0:
        return False
    found = _MARK.match(state.src, state.pos, state.posMax)
    url = ask(int(found.group(1))) if found is not None else None
    if found is None or url is None:
        return False
    token = state.push("citation", "a", 0)
    token.content = found.group()
    token.attrs = {"href": url}
    state.pos = found.end()
    return True
