"""Output item -> the step that the reader sees: thinking, searching, reading, running code.

The other calls are in `calls`. A step that was still running when the turn ended keeps its
present tense ("Running Python · stopped"): nothing is claimed that was not seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from qwen_magic.document import calls
from qwen_magic.document.blocks import (
    Block,
    Code,
    Extract,
    Figure,
    Label,
    Lines,
    Link,
    NumberedSource,
    Output,
    Pending,
    SourceGroups,
    Step,
    Tally,
    Text,
)
from qwen_magic.document.links import host_of
from qwen_magic.document.words import NO_BREAK, counted, duration, plural, shorten
from qwen_magic.protocol import items

if TYPE_CHECKING:
    from qwen_magic.protocol.state import Entry

LONGEST_DETAIL: Final = 120  # characters; the view cuts further, to its width
_THOUGHT: Final = Tally(1, "thought", "thoughts")
_SEARCH: Final = Tally(1, "search", "searches")
# Lines of code that say nothing of what it is about.
_SILENT: Final = re.compile(r"#|%|import\b|from\b.*\bimport\b|[\])}]|\"\"\"|'''|warnings\.")
# The block of Python that holds a frame's rows, from its first line (context/dataframe/row_block).
_REBUILDS: Final = re.compile(r"\s*# rebuilds (\w+): .*")
_DEFINING: Final = re.compile(r"\s|def\b|class\b|@")
_RUN: Final = Tally(1, "run", "runs")


@dataclass(frozen=True, slots=True)
class FigureState:
    """The state of a figure: its data URI, or why there is none."""

    data: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StepContext:
    """What a step needs beside its item.

    `cut`: how the turn ended during the step ("stopped"), else empty. `sources`: those of this
    search, numbered.
    """

    sources: tuple[NumberedSource, ...] = ()
    figures: Mapping[str, FigureState] = field(default_factory=dict)
    cut: str = ""


def make_step(entry: Entry, context: StepContext) -> Step:
    """The step for an item, except messages."""
    item = entry.item
    ended = _ended(entry, context)
    match item:
        case items.Message():
            raise TypeError("A message is prose, not a step.")
        case items.Reasoning():
            return thinking(entry, context)
        case items.WebSearchCall():
            step = _search(item, entry, context)
        case items.WebExtractorCall():
            step = _extract(item, entry, context)
        case items.CodeInterpreterCall():
            step = _code(item, entry, context)
        case items.FunctionCall():
            call = replace(item, arguments=entry.text or item.arguments)
            step = calls.function_step(call, phase=entry.phase, is_done=ended[0])
        case items.CustomToolCall():
            step = calls.custom_step(item.name, item.input or entry.text, ended[0])
        case items.AnswerAttempt():
            step = calls.attempt_step(item)
        case items.McpCall():
            step = calls.mcp_step(item, item.arguments or entry.text, *ended)
        case items.McpListTools():
            step = calls.mcp_tools_step(item, ended[0])
        case items.FileSearchCall():
            step = calls.file_search_step(item, *ended)
        case items.ImageSearchCall():
            step = calls.image_search_step(item, item.arguments or entry.text, *ended)
        case items.UnknownItem():
            step = calls.unknown_step(item, *ended)
        case _:
            assert_never(item)
    return _timed(replace(step, blocks=tuple(calls.bounded(step.blocks))), entry, context)


def thinking(entry: Entry, context: StepContext) -> Step:
    """The line of a reasoning item; its text is handled as Markdown."""
    if not entry.done and not context.cut:
        return Step("Thinking", state="live")
    took = _seconds(entry)
    if took < 0.5:
        return Step("Thought", tally=_THOUGHT)
    rounded = duration(max(1.0, float(round(took)))).replace(f".0{NO_BREAK}", NO_BREAK)
    return Step(f"Thought for {rounded}", tally=_THOUGHT, seconds=took)


def _timed(step: Step, entry: Entry, context: StepContext) -> Step:
    """Add the duration, or that the step was cut."""
    if context.cut:
        what = f"{step.what} · {context.cut}" if step.what else context.cut
        is_code = step.what_is_code and bool(step.what)
        blocks = _without_pending(step.blocks)
        return replace(step, what=what, what_is_code=is_code, state="done", blocks=blocks)
    seconds = _seconds(entry) if entry.done else 0.0
    took = duration(seconds)
    return replace(step, facts=(*step.facts, took), seconds=seconds) if took else step


def _without_pending(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """The blocks of a step that was cut, without placeholders."""
    if blocks and isinstance(blocks[-1], Pending):
        return (*blocks[:-1], Pending("Nothing came before the end"))
    return blocks


def _seconds(entry: Entry) -> float:
    return entry.ended_at - entry.started_at if entry.ended_at is not None else 0.0


def _ended(entry: Entry, context: StepContext) -> tuple[bool, bool]:
    """Whether the step has ended, and whether it failed."""
    return entry.done and not context.cut, entry.phase == "failed"


_SEARCH_VERBS: Final[Mapping[str, tuple[str, str, str]]] = {
    "open_page": ("Opening a page", "Opened a page", "Page not opened"),
    "find_in_page": ("Searching in a page", "Searched in a page", "Search failed"),
    "find": ("Searching in a page", "Searched in a page", "Search failed"),
}


def _search(item: items.WebSearchCall, entry: Entry, context: StepContext) -> Step:
    words = ("Searching the web", "Searched the web", "Search failed")
    words = _SEARCH_VERBS.get(item.action, words)
    verb, state = calls.verbs(*words, *_ended(entry, context))
    blocks: list[Block] = []
    if item.queries:
        blocks += [Label(plural(len(item.queries), "Query", "Queries")), Lines(item.queries)]
    facts: tuple[str, ...] = ()
    if context.sources:
        hosts = len({source.host for source in context.sources})
        found = counted(len(context.sources), "source")
        facts = (found,)
        of = f"{found} from {counted(hosts, 'host')}" if len(context.sources) > 1 else "Source"
        blocks += [Label(of), SourceGroups(context.sources)]
    else:
        blocks.append(Pending("No sources were named" if entry.done else "Waiting for sources"))
    what = calls.quoted(item.queries)
    if item.action in _SEARCH_VERBS and item.sources:
        what = " · ".join(part for part in (host_of(item.sources[0].url), what) if part)
    return Step(verb, what, False, facts, state, tuple(blocks), tally=_SEARCH)


def _extract(item: items.WebExtractorCall, entry: Entry, context: StepContext) -> Step:
    pages = f"{len(item.urls)} pages" if len(item.urls) > 1 else "a page"
    words = (f"Reading {pages}", f"Read {pages}", "Page not read")
    verb, state = calls.verbs(*words, *_ended(entry, context))
    hosts = ", ".join(dict.fromkeys(host_of(url) for url in item.urls))
    what = " · ".join(part for part in (hosts, item.goal) if part)
    blocks: list[Block] = []
    if item.goal:
        blocks += [Label("Goal"), Text(item.goal)]
    if item.urls:
        blocks += [Label(plural(len(item.urls), "Page")), *map(Link, item.urls)]
    if item.output.strip():
        length = counted(len(item.output), "character")
        blocks += [Label(f"Extract · {length}"), Extract(item.output.strip())]
    elif not entry.done:
        blocks.append(Pending("The extract comes when the page is read"))
    what = shorten(what, LONGEST_DETAIL)
    tally = Tally(max(1, len(item.urls)), "page", "pages")
    return Step(verb, what, False, (), state, tuple(blocks), tally=tally)


def _code(item: items.CodeInterpreterCall, entry: Entry, context: StepContext) -> Step:
    code = item.code or entry.text
    parts = _outputs(item)
    error = find_error(parts)
    running = "Writing Python" if code and entry.phase == "in_progress" else "Running Python"
    verb, state = calls.verbs(running, "Ran Python", "Python failed", *_ended(entry, context))
    if state != "live" and error:
        verb, state = "Python failed", "bad"
    blocks: list[Block] = [Code(code)] if code else []
    texts = [part.text for part in parts if isinstance(part, LogText)]
    drawn = [part for part in parts if isinstance(part, LogFigure)]
    figures = tuple(_figure(part, context) for part in drawn[: calls.MOST_ROWS])
    if texts:
        blocks += [Label("Output"), *map(Output, texts)]
    elif not entry.done:
        blocks.append(Pending("Output comes when the run ends"))
    elif not figures:
        blocks.append(Pending("No output was sent"))
    if (left := len(drawn) - len(figures)) > 0:
        blocks.append(Text(f"… {left:,} more figures"))
    what = error if error and entry.done else _code_detail(code, texts)
    what = shorten(what, LONGEST_DETAIL)
    return Step(verb, what, True, (), state, tuple(blocks), figures, _RUN)


def _outputs(item: items.CodeInterpreterCall) -> tuple[LogPart, ...]:
    parts: list[LogPart] = []
    for output in item.outputs:
        parts += parse_logs(output.logs)
        if output.image_url:
            parts.append(LogFigure(output.image_url))
    return tuple(parts)


def figure_urls(item: object) -> tuple[str, ...]:
    """The addresses of the figures of a code run."""
    if not isinstance(item, items.CodeInterpreterCall):
        return ()
    urls = (part.url for part in _outputs(item) if isinstance(part, LogFigure))
    return tuple(islice(urls, calls.MOST_ROWS))


def _figure(part: LogFigure, context: StepContext) -> Figure:
    known = context.figures.get(part.url, FigureState())
    data = part.url if part.url.startswith("data:") else known.data
    return Figure(part.url, part.alt, data, known.reason)


def _code_detail(code: str, texts: list[str]) -> str:
    """The first informative line of the code, and the last line of its output."""
    line = _telling_line(code)
    printed = texts[-1].rstrip().rpartition("\n")[2].strip() if texts else ""
    if line and printed:
        return f"{shorten(line, 48)} → {printed}"
    return line or printed


def _telling_line(code: str) -> str:
    """The first line that shows what the code does, after code that only rebuilds a frame."""
    rebuilt, rest = _after_rebuilding(code)
    lines = [line for line in rest.split("\n") if line.strip()]
    telling = [line for line in lines if not _SILENT.match(line.strip())]
    if rebuilt:  # what is done with the frame, before the functions that print it
        telling.sort(key=lambda line: _DEFINING.match(line) is not None)
    if rebuilt and not telling:
        return f"rebuilds {rebuilt}"
    return next(iter(telling or lines), "").strip().partition("  # ")[0]


def _after_rebuilding(code: str) -> tuple[str, str]:
    """The name of the last frame that the code rebuilds at its start, and the code after that."""
    name = ""
    while begins := _REBUILDS.match(code):
        name = begins[1]
        # Its rows may be of any text, so the call is looked for before any other assignment.
        ways = (rf"^{name} = {what}.*$" for what in (r"frame\(", ""))
        ends = next(filter(None, (re.search(way, code, re.MULTILINE) for way in ways)), None)
        code = code[ends.end() :] if ends else ""
    return name, code


# What a run printed -------------------------------------------------------------------------------
#
# DashScope sends logs as Markdown: what was printed in ``` fences (several, where there was output
# on both streams), figures as image links between them. Other servers send the bare text. A run
# that raised, or ran out of time, is "completed" on the wire all the same (recorded traffic, 2026).

HALF: Final = 200_000  # characters at the beginning, and at the end, of a log
_FENCE: Final = re.compile(r"^```\w*$")
_IMAGE: Final = re.compile(r"!\[([^\[\]\n]*)\]\((https?://[^\s()]+)\)")
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_TRACEBACK: Final = "Traceback (most recent call last)"
_ERROR_LINE: Final = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning)\b.*")
_SYNTAX_ERROR: Final = re.compile(r"^(?:Syntax|Indentation|Tab)Error: ")
_TIMEOUT: Final = "Timeout. No response after"
_LINES_OF_A_MESSAGE: Final = 8  # an error's message may go on below its first line


@dataclass(frozen=True, slots=True)
class LogText:
    text: str


@dataclass(frozen=True, slots=True)
class LogFigure:
    url: str
    alt: str = ""


LogPart: TypeAlias = LogText | LogFigure


def parse_logs(logs: str) -> tuple[LogPart, ...]:
    """The parts of a log in order, without empty texts.

    Of a very long log only the beginning and the end, where an error would be.
    """
    if (left := len(logs) - 2 * HALF) > 0:
        logs = f"{logs[:HALF]}\n… ({left:,} characters are not shown) …\n{logs[-HALF:]}"
    parts: list[LogPart] = []
    printed: list[str] = []
    fenced = False
    for line in logs.split("\n"):
        if _FENCE.match(line.rstrip()) and (fenced or line.startswith("```")):
            _flush(printed, parts)
            fenced = not fenced
        elif not fenced and _IMAGE.search(line):
            _flush([*printed, _IMAGE.sub("", line)], parts)
            printed.clear()
            parts += [LogFigure(found[2], found[1]) for found in _IMAGE.finditer(line)]
        else:
            printed.append(line)
    _flush(printed, parts)
    return tuple(parts)


def _flush(printed: list[str], parts: list[LogPart]) -> None:
    text = _as_terminals_show("\n".join(printed))
    if text.strip():
        parts.append(LogText(text))
    printed.clear()


def _as_terminals_show(text: str) -> str:
    """The text as a terminal shows it: no colours, and only the last state of overwritten lines."""
    lines = _ANSI.sub("", text).split("\n")
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    return "\n".join(shown).strip("\n").rstrip()


def find_error(parts: Sequence[LogPart]) -> str:
    """The line with the error that ended the run; empty if there is none."""
    texts = [part.text for part in parts if isinstance(part, LogText)]
    if not texts:
        return ""
    lines = texts[-1].split("\n")
    if lines[-1].startswith(_TIMEOUT):
        return lines[-1]
    if _SYNTAX_ERROR.match(lines[-1]):
        return lines[-1]
    if _TRACEBACK not in texts[-1]:
        return ""
    for line in reversed(lines[-_LINES_OF_A_MESSAGE - 1 :]):
        if _ERROR_LINE.match(line) and _TRACEBACK not in line:
            return line
    return ""
