"""The steps of other calls than the service's three tools: functions, MCP, files, images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from qwen_magic.document.blocks import (
    Block,
    Code,
    Extract,
    Figure,
    Label,
    Lines,
    NumberedSource,
    Output,
    Pending,
    SourceGroups,
    Step,
    StepState,
    Text,
)
from qwen_magic.document.links import host_of, page_of
from qwen_magic.document.words import counted, own_name, shorten
from qwen_magic.protocol import items
from qwen_magic.protocol.call_outputs import CALL_FAILED
from qwen_magic.protocol.fields import json_value

LONGEST_DETAIL: Final = 120
LONGEST_RAW: Final = 20_000  # characters of an unknown item, or a result, that are shown …
LONGEST_BLOCK: Final = 100_000  # … and of any other block; of all that a step opens to …
LONGEST_STEP: Final = 400_000
MOST_ROWS: Final = 400  # … and so many queries, sources, blocks or figures


def quoted(queries: tuple[str, ...]) -> str:
    """ "“first query” and 2 more"."""
    if not queries:
        return ""
    first = f"“{shorten(queries[0], LONGEST_DETAIL)}”"
    return first if len(queries) == 1 else f"{first} and {len(queries) - 1} more"


def call_text(name: str, arguments: str) -> str:
    """A call as code: `rows(where="region = 'EMEA'")`; arguments that are not an object stay
    unchanged.
    """
    return shorten(whole_call(name, arguments), LONGEST_DETAIL)


def whole_call(name: str, arguments: str) -> str:
    """`call_text` without a limit of length."""
    name, values = own_name(name), json_value(arguments or "{}")
    if not isinstance(values, dict):
        return f"{name}({arguments})"
    inside = ", ".join(
        f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items()
    )
    return f"{name}({inside})"


def function_step(item: items.FunctionCall, *, phase: str, is_done: bool) -> Step:
    """The step of a function call that runs here. `phase` is the entry's."""
    arguments = item.arguments
    verb, state = _function_verb(item, phase, is_done)
    what = call_text(item.name, arguments)
    blocks = _arguments(arguments) or (Pending("Without arguments"),)
    if item.output is not None:
        if not item.refused:
            what = f"{shorten(what, 72)} → {_first_line(item)}"
        label = "Sent back" if item.refused else "Error" if item.failed else "Result"
        blocks = (*blocks, Label(label), Output(cut(_pretty(item.output))))
    name = f"returned by {own_name(item.name)}"
    figures = tuple(Figure("", name, data) for data in item.figures)
    return Step(verb, shorten(what, LONGEST_DETAIL), True, (), state, blocks, figures)


def _function_verb(item: items.FunctionCall, phase: str, is_done: bool) -> tuple[str, StepState]:
    match phase:
        case "asking":
            return "Asks to run", "live"
        case "running":
            return "Calling", "live"
    if not is_done:
        return "Asking for a function", "live"
    if item.output is None:
        return "Asked for a function", "done"
    if item.refused:
        return "Refused", "done"
    return ("Function failed", "bad") if item.failed else ("Called", "done")


def _first_line(item: items.FunctionCall) -> str:
    line = (item.output or "").strip().partition("\n")[0]
    return (line.removeprefix(CALL_FAILED) if item.failed else line) or "nothing"


def cut(text: str, longest: int = LONGEST_RAW) -> str:
    """`text`, or its beginning and how much is left out."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}\n… ({len(text) - longest:,} more characters)"


def bounded(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks of a step, with long ones cut: a step is sent to the view as one message, and
    stored in the notebook.
    """
    left, every = LONGEST_STEP, tuple(blocks)
    for block in every[:MOST_ROWS]:
        match block:
            case Code(code=text):
                text = cut(text, min(LONGEST_BLOCK, left))
                left = max(0, left - len(text))
                yield replace(block, code=text)
            case Output(text=text) | Extract(text=text) | Text(text=text) | Label(text=text):
                text = cut(text, min(LONGEST_BLOCK, left))
                left = max(0, left - len(text))
                yield replace(block, text=text)
            case Lines(texts=texts):
                shown = tuple(cut(text, LONGEST_RAW // 10) for text in texts[:MOST_ROWS])
                yield Lines((*shown, *_more(len(texts))))
            case SourceGroups(sources=sources):
                yield SourceGroups(sources[:MOST_ROWS])
                yield from map(Pending, _more(len(sources)))
            case _:
                yield block
    yield from map(Text, _more(len(every)))


def _more(count: int) -> tuple[str, ...]:
    return (f"… {count - MOST_ROWS:,} more",) if count > MOST_ROWS else ()


def custom_step(name: str, given: str, is_done: bool) -> Step:
    verb, state = verbs("Asking for a tool", "Asked for a tool", "", is_done, False)
    blocks: tuple[Block, ...] = (
        (Label("Input"), Output(given)) if given else (Pending("Without input"),)
    )
    return Step(verb, shorten(f"{name}({given})", LONGEST_DETAIL), True, (), state, blocks)


def attempt_step(item: items.AnswerAttempt) -> Step:
    blocks = (Output(cut(item.text)),) if item.text else (Pending("Without text"),)
    return Step("Did not fit", shorten(item.fault, LONGEST_DETAIL), False, (), "done", blocks)


def mcp_step(item: items.McpCall, arguments: str, is_done: bool, is_bad: bool) -> Step:
    server = item.server_label or "an MCP server"
    words = (f"Calling {server}", f"Called {server}", f"{server} failed")
    verb, state = verbs(*words, is_done, is_bad or bool(item.error))
    blocks = list(_arguments(arguments))
    if item.output:
        blocks += [Label("Result"), Extract(_pretty(item.output))]
    if item.error:
        blocks += [Label("Error"), Output(item.error)]
    if not blocks:
        blocks.append(
            Pending("Nothing was sent back" if is_done else "The result comes when it ends")
        )
    return Step(verb, call_text(item.name, arguments), True, (), state, tuple(blocks))


def mcp_tools_step(item: items.McpListTools, is_done: bool) -> Step:
    server = item.server_label or "an MCP server"
    now, then = f"Asking {server} for its tools", f"Asked {server} for its tools"
    verb, state = verbs(now, then, f"{server} failed", is_done, bool(item.error))
    if state == "live":
        return Step(verb, state=state, blocks=(Pending("The list comes when it ends"),))
    if state == "bad":
        blocks = (Label("Error"), Output(item.error))
        return Step(verb, shorten(item.error, LONGEST_DETAIL), state=state, blocks=blocks)
    names = tuple(str(tool.get("name", "")) for tool in item.tools)
    offered = Lines(names) if names else Pending("It offers none")
    return Step(verb, facts=(counted(len(names), "tool"),), blocks=(offered,))


def file_search_step(item: items.FileSearchCall, is_done: bool, is_bad: bool) -> Step:
    verb, state = verbs("Searching files", "Searched files", "File search failed", is_done, is_bad)
    blocks: list[Block] = [Label("Queries"), Lines(item.queries)] if item.queries else []
    for result in item.results:
        score = f" · score {result.score:.2f}" if result.score else ""
        blocks += [Label(f"{result.filename or result.file_id}{score}"), Extract(result.text)]
    if not blocks:
        blocks.append(Pending("Nothing was named" if is_done else "Waiting for passages"))
    facts = (counted(len(item.results), "passage"),) if item.results else ()
    return Step(verb, quoted(item.queries), False, facts, state, tuple(blocks))


def image_search_step(
    item: items.ImageSearchCall, arguments: str, is_done: bool, is_bad: bool
) -> Step:
    what = "by image" if item.type == "image_search_call" else "images"
    now, then = f"Searching {what}", f"Searched {what}"
    verb, state = verbs(now, then, "Image search failed", is_done, is_bad)
    queries = _queries(arguments)
    found = _found_images(item.output)
    blocks: list[Block] = [Label("Queries"), Lines(queries)] if queries else []
    if found:
        blocks += [Label(counted(len(found), "image")), SourceGroups(found)]
    elif item.output:
        blocks += [Label("Result"), Extract(_pretty(item.output))]
    if not blocks:
        blocks.append(Pending("Nothing was named" if is_done else "Waiting for images"))
    facts = (counted(len(found), "image"),) if found else ()
    return Step(verb, quoted(queries), False, facts, state, tuple(blocks))


def unknown_step(item: items.UnknownItem, is_done: bool, is_bad: bool) -> Step:
    kind = shorten(item.type.removesuffix("_call"), 60) or "unknown"
    verb, state = verbs("Using a tool", "Used a tool", "A tool failed", is_done, is_bad)
    if not item.type.endswith("_call"):
        verb = "Something new"
    raw = json.dumps(item.raw, indent=2, ensure_ascii=False, default=str)
    return Step(verb, kind, True, (), state, (Label("As it came"), Code(cut(raw), "json")))


def verbs(now: str, then: str, failed: str, is_done: bool, is_bad: bool) -> tuple[str, StepState]:
    if not is_done:
        return now, "live"
    return (failed, "bad") if is_bad else (then, "done")


def _arguments(arguments: str) -> tuple[Block, ...]:
    if not arguments.strip() or arguments.strip() == "{}":
        return ()
    return (Label("Arguments"), Code(_pretty(arguments), "json"))


def _pretty(text: str) -> str:
    """JSON text, indented; other text unchanged."""
    value = json_value(text)
    return text if value is None else json.dumps(value, indent=2, ensure_ascii=False)


def _queries(arguments: str) -> tuple[str, ...]:
    values = json_value(arguments)
    queries = values.get("queries") if isinstance(values, dict) else None
    if not isinstance(queries, list):
        return ()
    return tuple(query for query in queries if isinstance(query, str))


def _found_images(output: str) -> tuple[NumberedSource, ...]:
    """The list of `{title, url, index}` in the text that image tools return."""
    values = json_value(output)
    return tuple(
        NumberedSource(0, url, str(value.get("title") or page_of(url)), host_of(url))
        for value in (values if isinstance(values, list) else ())
        if isinstance(value, dict) and isinstance(url := value.get("url"), str)
    )
