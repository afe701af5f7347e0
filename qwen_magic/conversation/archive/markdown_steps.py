"""The steps of an answer (thoughts, searches, code) as folded Markdown."""

from __future__ import annotations

import html
from typing import assert_never

from qwen_magic.conversation.archive.contained import as_line, contained
from qwen_magic.document.logs import LogFigure, parse_logs
from qwen_magic.document.words import counted, fenced, shorten
from qwen_magic.protocol.items import (
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

LONGEST_OUTPUT = 4_000  # characters of a tool's output; a page that was read can be a book


def step_markdown(item: Item) -> str:
    """One step: what happened as a line, the rest folded below; empty for messages."""
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
            return _folded(f"{_called(item)} {item.name}", body)
        case CustomToolCall():
            return _folded(f"Called {item.name}", fenced(item.input))
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
    # Inside an HTML block backslashes escape nothing.
    summary = html.escape(shorten(line, 200)).replace("`", "&#96;").replace("*", "&#42;")
    inside = body.strip("\n")
    return f"<details><summary>{summary}</summary>\n\n{inside}\n\n</details>"


def _list(texts: tuple[str, ...]) -> str:
    return "\n".join(f"- {as_line(text)}" for text in texts)


def _output(text: str) -> str:
    if not text.strip():
        return ""
    cut = text if len(text) <= LONGEST_OUTPUT else text[:LONGEST_OUTPUT] + "…"
    return fenced(cut)


def _logs(logs: str) -> str:
    """What a run printed. The addresses of its figures die within hours: only their names stay."""
    parts = []
    for part in parse_logs(logs):
        if isinstance(part, LogFigure):
            parts.append(f"*Figure: {as_line(part.alt or 'drawn by the code')}*")
        else:
            parts.append(_output(part.text))
    return "\n\n".join(part for part in parts if part)
