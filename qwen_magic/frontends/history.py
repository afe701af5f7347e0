"""The history of a conversation: static HTML for a notebook, text elsewhere.

    main · 3 turns on the current path, 3 beside it · 120 tokens
      1  ask a                                        (m · 100 tokens · 1 min ago)
      2  ask f                                        (answer 3/3 · m · 2 h ago)
         2 earlier answers, and 1 turn after them
           bbbbbb  ask b                              (answer 1/3 · m · 1 min ago)
           …
      3  ask h                                        (m · 1 min ago)
      →  The next question continues after turn 3.

The path is numbered as `Chain.find` counts and footers do; a turn beside it is named by the
beginning of its response id. In HTML what stands beside the path is folded, and the words of a
prompt lead to its cell: JupyterLab, Notebook 7 and nbconvert's pages follow `#cell-id=…`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from qwen_magic.conversation.chain import CellKey, TurnSummary
from qwen_magic.conversation.outline import Outline, OutlineFold, OutlineLine, OutlineStep
from qwen_magic.document.html import SEP
from qwen_magic.document.markdown.render import shown_html
from qwen_magic.document.words import NO_BREAK, counted, plural, shorten
from qwen_magic.frontends.display import page
from qwen_magic.frontends.plain import printable

PREVIEW: Final = 140  # characters of a prompt; how many of them are seen is the view's affair

_NO_REF: Final = "–"
_STATUS: Final = {"stopped": "stopped", "failed": "failed", "incomplete": "cut off"}
_FOLLOWED: Final = "the cells below it follow this one"
_CELL_ID: Final = re.compile(r"[\w-]{1,64}", re.ASCII)  # as nbformat has them
_DEEPEST: Final = 6  # levels that are drawn
_TEXT_PREVIEW: Final = 60  # characters of a prompt as text
_EMPTY: Final = "No turns yet."


def age_words(seconds: float) -> str:
    """ "just now", "5 min ago", "2 h ago", "3 d ago"."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size):,}{NO_BREAK}{unit}{NO_BREAK}ago"
    return f"just{NO_BREAK}now"


def next_words(number: int, prompt: str = "") -> str:
    """Where the next question goes: after the turn of that number, 0 for the start."""
    if not number:
        return "the next question begins the conversation"
    named = f" “{shorten(prompt, 60)}”" if prompt else ""
    return f"the next question continues after turn{NO_BREAK}{number}{named}"


# Words ------------------------------------------------------------------------------------------


def _summary(outline: Outline) -> str:
    beside = outline.turns - outline.on_path
    turns = counted(outline.on_path, "turn")
    facts = [f"{turns} on the current path, {beside:,} beside it" if beside else turns]
    if outline.tokens:
        facts.append(counted(outline.tokens, "token"))
    return " · ".join(facts)


def _next(outline: Outline) -> str:
    words = next_words(outline.on_path)
    return f"{words[0].upper()}{words[1:]}."


def _not_told(outline: Outline) -> str:
    hidden = outline.turns - outline.told
    return f"… {counted(hidden, 'turn')} not shown." if hidden else ""


def _skipped(step: OutlineStep) -> str:
    return f"… {counted(step.skipped, 'turn')} between"


def _more(fold: OutlineFold) -> str:
    hidden = fold.turns - len(fold.lines)
    return f"… {hidden:,} more" if hidden else ""


def _answers(step: OutlineStep, fold: OutlineFold) -> str:
    """ "2 earlier answers, and 1 turn after them"."""
    kind = "earlier" if step.line.place > fold.first else "other"
    words = f"{fold.first:,} {kind} {plural(fold.first, 'answer')}"
    after = fold.turns - fold.first
    them = plural(fold.first, "it", "them")
    return f"{words}, and {counted(after, 'turn')} after {them}" if after else words


def _others(after: str, fold: OutlineFold) -> str:
    where = f"after turn{NO_BREAK}{after}" if after else "at the beginning"
    return f"{fold.turns:,} other {plural(fold.turns, 'turn')} {where}"


def _facts(line: OutlineLine, now: float) -> list[str]:
    turn = line.turn
    sibling = f"answer{NO_BREAK}{line.place}/{line.made}" if line.made > 1 else ""
    facts = [sibling, _STATUS.get(turn.status, ""), turn.model]
    if turn.tokens:
        facts.append(counted(turn.tokens, "token"))
    if turn.created_at:
        facts.append(age_words(now - turn.created_at))
    if line.is_current:
        facts.append(_FOLLOWED)
    return [fact for fact in facts if fact]


def _prompt(turn: TurnSummary, length: int) -> str:
    return shorten(turn.prompt, length) or "(no text)"


# HTML -------------------------------------------------------------------------------------------
#
# It needs nothing and trusts nothing: all that came from a prompt or a server is escaped. Where a
# notebook is not trusted its style sheet is dropped; what is left is one line per turn, its parts
# separated by dots, and folds that are indented by inline padding.


def history_html(outline: Outline, *, now: float, kept: str = "") -> str:
    """The tree with its style, for a `text/html` output.

    `now`: seconds since 1970; `kept`: says where the turns are stored.
    """
    body = "".join(_nodes(outline, now)) if outline.turns else _gap(_EMPTY)
    body += _gap(_not_told(outline)) + _gap(kept)
    told = shown_html(_summary(outline))
    return page(outline.name, [told], body, label=f"History of {outline.name}")


def _nodes(outline: Outline, now: float) -> Iterator[str]:
    if outline.beside:
        yield _fold(_others("", outline.beside), outline.beside, now)
    for step in outline.steps:
        if step.skipped:
            yield _gap(_skipped(step))
        is_head = step is outline.steps[-1]
        yield _node(step.line, now, is_head=is_head)
        if step.answers:
            yield _fold(_answers(step, step.answers), step.answers, now)
        if is_head:
            yield _next_html(outline)
        if step.beside:
            yield _fold(_others(step.line.ref, step.beside), step.beside, now)
    if not outline.steps:
        yield _next_html(outline)


def _next_html(outline: Outline) -> str:
    words = shown_html(_next(outline))
    return f'<div class="qm-next"><span class="qm-ref">→</span> <b>{words}</b></div>'


def _fold(words: str, fold: OutlineFold, now: float) -> str:
    """The turns of a fold below their count; only the count if none has a line."""
    if not fold.lines:
        return _gap(words)
    rows = "".join(_row(line, now) for line in fold.lines)
    return (
        f'<details class="qm-fold" style="padding: 0 0 0 24px"><summary class="qm-head">'
        f"{shown_html(words)}</summary>"
        f'<div class="qm-beside">{rows}{_gap(_more(fold))}</div></details>'
    )


def _row(line: OutlineLine, now: float) -> str:
    """A turn beside the path; those that follow it are indented."""
    depth = min(line.depth, _DEEPEST)
    opening, closing = '<div class="qm-in" style="padding: 0 0 0 24px">', "</div>"
    return opening * depth + _node(line, now) + closing * depth


def _node(line: OutlineLine, now: float, *, is_head: bool = False) -> str:
    href = _href(line.turn.cell)
    tag = "a" if href else "span"
    prompt = shown_html(_prompt(line.turn, PREVIEW))
    asked = f'<{tag} class="qm-ask" dir="auto"{href}>{prompt}</{tag}>'
    facts = " · ".join(map(_fact, _facts(line, now)))
    ref = f'<span class="qm-ref">{shown_html(line.ref or _NO_REF)}</span>'
    if is_head:
        asked = f"<b>{asked}</b>"
    return f'<div class="qm-node">{ref} {asked}{SEP}<small class="qm-meta">{facts}</small></div>'


def _href(cell: CellKey | None) -> str:
    """The link to the cell, if its id is valid in a page."""
    return f' href="#cell-id={cell.cell_id}"' if cell and _CELL_ID.fullmatch(cell.cell_id) else ""


def _fact(fact: str) -> str:
    return f'<span class="qm-bad">{fact}</span>' if fact == "failed" else shown_html(fact)


def _gap(words: str) -> str:
    return f'<div class="qm-gap">{shown_html(words)}</div>' if words else ""


# Text -------------------------------------------------------------------------------------------


def history_text(outline: Outline, *, now: float, kept: str = "") -> str:
    """The tree as text, safe to print to a terminal."""
    lines = [f"{outline.name} · {_summary(outline)}"]
    lines += _lines(outline, now) if outline.turns else [_EMPTY]
    lines += [words for words in (_not_told(outline), kept) if words]
    return printable("\n".join(lines)).replace(NO_BREAK, " ")


def _lines(outline: Outline, now: float) -> Iterator[str]:
    following = f"   →  {_next(outline)}"
    if outline.beside:
        yield from _fold_lines(_others("", outline.beside), outline.beside, now)
    for step in outline.steps:
        if step.skipped:
            yield f"      {_skipped(step)}"
        yield f"{step.line.ref:>4}  {_asked(step.line, now)}"
        if step.answers:
            yield from _fold_lines(_answers(step, step.answers), step.answers, now)
        if step is outline.steps[-1]:
            yield following
        if step.beside:
            yield from _fold_lines(_others(step.line.ref, step.beside), step.beside, now)
    if not outline.steps:
        yield following


def _fold_lines(words: str, fold: OutlineFold, now: float) -> Iterator[str]:
    yield f"      {words}{':' if fold.lines else ''}"
    for line in fold.lines:
        indent = "   " * min(line.depth, _DEEPEST)
        yield f"        {indent}{line.ref or _NO_REF}  {_asked(line, now)}"
    if more := _more(fold):
        yield f"        {more}"


def _asked(line: OutlineLine, now: float) -> str:
    facts = " · ".join(_facts(line, now))
    asked = _prompt(line.turn, _TEXT_PREVIEW)
    return f"{asked}  ({facts})" if facts else asked
