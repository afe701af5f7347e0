"""The path to a conversation's head as a document to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Final, assert_never

from qwen_magic.conversation.chain import SHORTEST_ID, Chain, Turn
from qwen_magic.document.links import all_sources, source_line
from qwen_magic.document.markdown.written import safe_markdown
from qwen_magic.document.steps import LogFigure, parse_logs
from qwen_magic.document.words import (
    as_entities,
    counted,
    duration,
    escaped,
    fenced,
    own_name,
    plural,
    revealed,
    shorten,
)
from qwen_magic.protocol.call_outputs import parse_items
from qwen_magic.protocol.items import (
    AnswerAttempt,
    CodeInterpreterCall,
    CustomToolCall,
    FileSearchCall,
    FunctionCall,
    ImageSearchCall,
    Item,
    McpCall,
    McpListTools,
    Message,
    Reasoning,
    UnknownItem,
    WebExtractorCall,
    WebSearchCall,
)

TITLE_LENGTH: Final = 72  # characters of a prompt in a heading
LONGEST_OUTPUT: Final = 4_000  # characters of a tool's output; a page that was read can be a book
MOST_BRANCHES: Final = 5  # named after one turn
_CITED: Final = re.compile(r"\[(\d{1,3})\]")
_ENDINGS: Final = {
    "stopped": "Stopped before its end.",
    "failed": "Failed.",
    "incomplete": "Cut off at the limit of output tokens.",
}


def export_markdown(chain: Chain, *, zone: tzinfo = UTC) -> str:
    """The turns up to the head as a document: prompt, steps, answer, sources, facts.

    Turns on other branches are listed after the turn they follow. Dates are in `zone`.
    """
    path = chain.path(chain.head)
    beside = _branches(chain, path)
    parts = [f"# {escaped(chain.name)}", _about(chain, path)]
    if begun := beside.get(None):
        parts.append(_branch_note(begun, "before the first turn"))
    for number, turn in enumerate(path, 1):
        parts += _turn(number, turn, zone)
        if others := beside.get(turn.key):
            parts.append(_branch_note(others, "here"))
    return revealed("\n\n".join(part for part in parts if part)) + "\n"


def _about(chain: Chain, path: Sequence[Turn]) -> str:
    others = len(chain.turns) - len(path)
    facts = [counted(len(path), "turn")]
    if others:
        facts.append(f"{others:,} more on other branches")
    return f"*{' · '.join(facts)}*"


def _turn(number: int, turn: Turn, zone: tzinfo) -> list[str]:
    title = shorten(turn.prompt, TITLE_LENGTH)
    items = parse_items(turn.items)
    return [
        f"## {number}. {escaped(title)}".rstrip(),
        quoted(turn.prompt) if title != turn.prompt.strip() else "",
        *map(_step, items),
        contained(turn.text),
        f"**{_ENDINGS[turn.status]}**" if turn.status in _ENDINGS else "",
        _sources(items, turn.text),
        _facts(turn, zone),
    ]


def _sources(items: Sequence[Item], text: str) -> str:
    numbers = [int(found[1]) for found in _CITED.finditer(text)]
    cited = [source for source in all_sources(items, numbers) if source.cited]
    if not cited:
        return ""
    return "**Sources**\n\n" + "\n".join(map(source_line, cited))


def _facts(turn: Turn, zone: tzinfo) -> str:
    facts = [turn.model, _date(turn.created_at, zone), duration(turn.seconds)]
    if turn.usage is not None and turn.usage.known:
        facts.append(f"{turn.usage.input_tokens:,} tokens in")
        facts.append(f"{turn.usage.output_tokens:,} out")
    facts.append(turn.response_id)
    return f"*{' · '.join(escaped(fact) for fact in facts if fact)}*"


def _date(at: float, zone: tzinfo) -> str:
    if not at:
        return ""
    try:
        return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M %Z}"
    except (ValueError, OverflowError, OSError):  # a time that no calendar has
        return ""


def _branches(chain: Chain, path: Sequence[Turn]) -> dict[str | None, list[Turn]]:
    """The turns that are not on the path, by the key of the turn they follow."""
    on_path = {turn.key for turn in path}
    found: dict[str | None, list[Turn]] = {}
    for turn in chain.turns.values():
        if turn.key not in on_path and (turn.parent is None or turn.parent in on_path):
            found.setdefault(turn.parent, []).append(turn)
    return found


def _branch_note(turns: Sequence[Turn], where: str) -> str:
    named = [_turn_label(turn) for turn in turns[:MOST_BRANCHES]]
    if len(turns) > MOST_BRANCHES:
        named.append(f"{len(turns) - MOST_BRANCHES:,} more")
    leave = plural(len(turns), "branch leaves", "branches leave")
    return f"*{len(turns):,} other {leave} {where}:* {'; '.join(named)}"


def _turn_label(turn: Turn) -> str:
    ref = turn.response_id.removeprefix("resp_")[:SHORTEST_ID]
    return f"{escaped(ref)} {escaped(shorten(turn.prompt, 40))}".strip()


def _step(item: Item) -> str:
    """A step: a line about it, and its details folded below; empty for messages."""
    match item:
        case Message() | McpListTools():
            return ""
        case Reasoning():
            return _folded("Thought", contained(item.text)) if item.text.strip() else ""
        case WebSearchCall():
            found = counted(len(item.sources), "source")
            return _folded(f"Searched the web · {found}", _list(item.queries))
        case WebExtractorCall():
            return _folded("Read a page", _list(item.urls) + "\n\n" + _output(item.output))
        case CodeInterpreterCall():
            logs = "\n\n".join(_logs(output.logs) for output in item.outputs if output.logs)
            return _folded("Ran Python", fenced(item.code, "python") + "\n\n" + logs)
        case FunctionCall():
            body = fenced(item.arguments, "json") + "\n\n" + _output(item.output or "")
            return _folded(f"{_called(item)} {own_name(item.name)}", body)
        case CustomToolCall():
            return _folded(f"Called {item.name}", fenced(item.input))
        case AnswerAttempt():
            return _folded(f"Did not fit: {item.fault}", fenced(item.text))
        case McpCall():
            body = fenced(item.arguments, "json") + "\n\n" + _output(item.error or item.output)
            return _folded(f"Called {item.name}", body)
        case FileSearchCall():
            names = tuple(result.filename for result in item.results)
            return _folded("Searched files", _list((*item.queries, *names)))
        case ImageSearchCall():
            return _folded("Searched images", fenced(item.arguments, "json"))
        case UnknownItem():
            return _folded(f"Did something of the type {item.type}", "")
        case _:
            assert_never(item)


def _called(call: FunctionCall) -> str:
    if call.output is None:
        return "Asked for"
    return "Was refused" if call.refused else "Called"


def _folded(line: str, body: str) -> str:
    inside = body.strip("\n")
    return (
        f"<details><summary>{as_entities(shorten(line, 200))}</summary>\n\n{inside}\n\n</details>"
    )


def _list(texts: tuple[str, ...]) -> str:
    return "\n".join(f"- {escaped(text)}" for text in texts)


def _output(text: str) -> str:
    if not text.strip():
        return ""
    cut = text if len(text) <= LONGEST_OUTPUT else text[:LONGEST_OUTPUT] + "…"
    return fenced(cut)


def _logs(logs: str) -> str:
    """The output of a code run. Figures are only named, as their addresses expire within hours."""
    parts = []
    for part in parse_logs(logs):
        if isinstance(part, LogFigure):
            parts.append(f"*Figure: {escaped(part.alt or 'drawn by the code')}*")
        else:
            parts.append(_output(part.text))
    return "\n\n".join(part for part in parts if part)


def quoted(markdown: str) -> str:
    """Markdown as a block quotation."""
    return "\n".join(f"> {line}".rstrip() for line in contained(markdown).split("\n"))


def contained(markdown: str) -> str:
    """Markdown that cannot affect the document around it, nor load anything.

    A page that the model read may have chosen the addresses of images.
    """
    return safe_markdown(markdown.strip("\n").replace("\r\n", "\n"))
