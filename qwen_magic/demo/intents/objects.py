"""A schema in the prompt: the work is done as ever, and its values told as JSON, or what lacks."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Sequence

from qwen_magic.demo.intents.memory import asks_what_was_told, facts
from qwen_magic.demo.sandbox.runner import Run
from qwen_magic.demo.schema.finding import Found, find
from qwen_magic.demo.schema.sources import (
    Source,
    pages_source,
    prompt_source,
    result_sources,
    run_source,
)
from qwen_magic.demo.steps import Call, Outcome, Step, Think, Work
from qwen_magic.demo.steps import Found as Pages
from qwen_magic.demo.tasks import find_task
from qwen_magic.demo.turn import Turn

ONE_LINE = 80  # characters of JSON


def work(turn: Turn, works: Sequence[Work]) -> Work:
    """The JSON of what the works gave; nothing where they call functions first."""
    seen: list[Outcome] = []
    texts = []
    for each in works:
        text, calls = yield from _watched(each, seen)
        if calls:
            return ""
        texts.append(text)
    yield Think(
        "The answer is to be JSON of a schema. I take its values by their names from what is "
        "really here, and invent none."
    )
    sources = _sources(turn, seen)
    found = find(turn.schema or {}, sources)
    if found.missing:
        return "\n\n".join([_lacking(found, sources), *_reasons(turn, texts, seen)])
    return _told(found)


def work_again(turn: Turn) -> Work:
    """A repair: the same sources once more, and no other values."""
    yield Think("My JSON is to be mended. I look again through what is really here.")
    if turn.schema is None:
        return "I cannot mend that: I do not see the schema that was asked for, and invent nothing."
    sources = _sources(turn, ())
    found = find(turn.schema, sources)
    return _lacking(found, sources, again=True) if found.missing else _told(found)


def _watched(each: Work, seen: list[Outcome]) -> Generator[Step, Outcome, tuple[str, bool]]:
    """Do the work, keep its outcomes in `seen`. Returns its text, and whether it makes calls."""
    outcome: Outcome = None
    calls = False
    while True:
        try:
            step = each.send(outcome)
        except StopIteration as end:
            return end.value, calls
        calls = calls or isinstance(step, Call)
        outcome = yield step
        seen.append(outcome)


def _sources(turn: Turn, seen: Sequence[Outcome]) -> list[Source]:
    runs = [each.stdout for each in seen if isinstance(each, Run)]
    pages = [page for each in seen if isinstance(each, Pages) for page in each.pages]
    task = find_task(turn) if runs else None
    printed = [*turn.logs, *runs]
    return [
        *result_sources(turn.results),
        *([run_source(printed, task.wanted if task else ())] if printed else []),
        *([pages_source(pages)] if pages else []),
        prompt_source(turn),
        *_told_before(turn),
    ]


def _told_before(turn: Turn) -> Iterator[Source]:
    """The name that the prompt tells; all that was told before, where the prompt asks after it."""
    told = facts([turn.prompt])
    yield Source("your prompt", pairs=tuple(pair for pair in told.items() if pair[0] == "name"))
    if asks_what_was_told(turn):
        yield Source("what you told me", pairs=tuple(facts(turn.told).items()))


def _told(found: Found) -> str:
    """One sentence with the JSON right under it, so that the shortest answer has it too."""
    lead = f"This is from {_and(found.where)}"
    if found.without:
        lead += f", without {_names(found.without)}, which I did not find"
    if not found.where:
        lead = "I found none of the values, and none is required"
    line = json.dumps(found.value, ensure_ascii=False)
    spread = (
        line if len(line) <= ONE_LINE else json.dumps(found.value, ensure_ascii=False, indent=1)
    )
    written = spread.replace("```", "\\u0060" * 3)
    return f"{lead}:\n```json\n{written}\n```"


def _lacking(found: Found, sources: Sequence[Source], *, again: bool = False) -> str:
    where = _and(tuple(dict.fromkeys(source.where for source in sources)))
    lead = "I still do not know" if again else "I do not know"
    known = f" I found only {_names(tuple(found.value))}." if found.value else ""
    return (
        f"{lead} {_names(found.missing)}: no value that fits is in {where}.{known} As the offline "
        "demo I invent none, so that there is no JSON in this answer."
    )


def _reasons(turn: Turn, texts: Sequence[str], seen: Sequence[Outcome]) -> list[str]:
    """Why work was not done, such as a tool that was not offered; or that it failed."""
    if failed := {each.name for each in turn.results if each.output.startswith("Error:")}:
        return [f"The call of {_names(sorted(failed))} failed."]
    if any(isinstance(each, Run) and each.failed for each in seen):
        return ["The code that I ran for it ended with an error."]
    if any(each is not None for each in seen):
        return []
    return [text for text in texts if text and not re.search(r"[{\[]|```", text)]


def _names(names: Sequence[str]) -> str:
    return _and([f"`{name}`" for name in names])


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
