"""Which lesson or rule answers a turn, and the steps of the answer."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from qwen_magic.demo import rules
from qwen_magic.demo.lesson import Lesson, LessonError, LessonStep, MissingValueError, as_json, fill
from qwen_magic.demo.matching import Values, normalised, read_words
from qwen_magic.demo.response_writer import ResponseWriter
from qwen_magic.demo.runner import Run
from qwen_magic.demo.turn import AskedTurn
from qwen_magic.demo.wire import JSON

NOTE = "*(Offline demo: this is the model `demo` of qwen_magic, not Qwen.)*"
_CANNOT = (
    "The offline demo has no object for this prompt that has what the schema requires, and invents "
    "none: so there is no JSON in this answer."
)
_MOST_TURNS = 50  # before this one that are looked at

Answer: TypeAlias = Callable[[ResponseWriter], None]


def answer(turn: AskedTurn, lessons: Sequence[Lesson], signs: bool) -> tuple[Answer, str]:
    """Find the lesson or rule that answers; return what writes the answer, and the lesson's name.

    With `signs`, the text ends by saying that it comes from the offline demo.
    """
    rest = turn.previous.rest if turn.previous else ""
    name = rules.known_name(turn)
    turn.tools |= {"a name"} if name else set()
    found = find_lesson(turn, lessons)
    if rest and found and found[0].name == "continue":
        return lambda writer: writer.say(rest), ""

    def write(writer: ResponseWriter) -> None:
        if found is None:
            _rule(turn, lessons, writer)
        else:
            _play(turn, found[0], {"name": name, **found[1]}, writer)
        if writer.message and signs:
            writer.say(NOTE)

    return write, found[0].name if found else ""


def find_lesson(turn: AskedTurn, lessons: Sequence[Lesson]) -> tuple[Lesson, Values] | None:
    """The lesson for this prompt, with the values of its slots.

    If several match, in this order: the first folder's; one that follows the turn before; fewest
    missing tools; most tools used; most conditions on slots; fewest slots.
    """
    before: set[str] = set()
    for prompt, _ in turn.earlier[-_MOST_TURNS:]:
        before = {lesson.name for lesson, _ in _matching(prompt, before, lessons)}

    def order(found: tuple[Lesson, Values]) -> tuple[Any, ...]:
        lesson, values = found
        slots = [lesson.slots[name] for name in values]
        asks = sum(len(slot.has) + len(slot.columns) for slot in slots)
        lacks = len(set(lesson.needs) - turn.tools)
        texts = sum(slot.type == "text" for slot in slots)
        return (lesson.folder, not lesson.after, lacks, -len(lesson.needs), -asks, len(slots),
                texts, lesson.name)  # fmt: skip

    fitting = [
        (lesson, values)
        for lesson, values in _matching(turn.prompt, before, lessons)
        if "image" not in turn.tools or not {"image", "steps"}.isdisjoint(lesson.needs)
    ]
    return min(fitting, key=order, default=None)


def _matching(
    prompt: str, before: set[str], lessons: Sequence[Lesson]
) -> Iterator[tuple[Lesson, Values]]:
    words = read_words(prompt)
    for lesson in lessons if words.words else ():
        if lesson.after and before.isdisjoint(lesson.after):
            continue
        values = lesson.match(words)
        if values is not None:
            yield lesson, values


def _rule(turn: AskedTurn, lessons: Sequence[Lesson], writer: ResponseWriter) -> None:
    for rule in (rules.answer_call, rules.answer_name, rules.answer_summary):
        said = rule(turn, writer)
        if said is not None:
            said = _CANNOT if said and turn.schema is not None else said
            break
    else:
        said = rules.results_text(turn.results) or no_lesson(turn, lessons)
    if said:
        writer.say(said)


# A lesson, played.


def _play(turn: AskedTurn, lesson: Lesson, slots: Values, writer: ResponseWriter) -> None:
    """Write the lesson's steps. Those before a function call are skipped once its result is
    there.
    """
    lacking = [need for need in lesson.needs if need not in turn.tools]
    if lacking and not turn.results:
        writer.say(rules.needed(lacking))
        return
    values: Values = {**slots, "outputs": [result.value for result in turn.results]}
    values.update({result.name: result.value for result in turn.results})
    run = Run()
    try:
        for step in lesson.after_calls if turn.results else lesson.steps:
            match step.kind:
                case "run":
                    run = writer.run(step.block, values)
                    values.update(run.values)
                    if run.missing:
                        package = f"the package `{run.missing}`"
                        writer.say(f"This needs {package}: install it, and ask again.")
                        return
                case "call":
                    _call(step, values, turn, writer)
                    return
                case "think":
                    writer.think(fill(step.body, values))
                case "say" if turn.schema is None:
                    said = fill(step.body, values)
                    writer.say(said.partition("\n\n")[0] if turn.brief else said)
                case "object" if turn.schema is not None:
                    writer.say(_object(fill(step.block, values, as_json), turn.schema))
                case "search" | "read":
                    _look_up(step.kind, fill(step.body, values), writer)
    except MissingValueError as error:
        if not (run.failed or turn.results):
            raise LessonError(f"lesson {lesson.name}: {error}") from error
        failed = "The code that I ran for this ended with an error: there is no result to tell."
        writer.say(rules.results_text(turn.results) or failed)
        return
    if turn.schema is not None and all(step.kind != "object" for step in lesson.steps):
        writer.say(_CANNOT)


def _look_up(kind: str, text: str, writer: ResponseWriter) -> None:
    """A search, or reading pages, as the lesson describes it."""
    lines = text.splitlines()
    if kind == "search":
        queries = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
        urls = [line.removeprefix("> ") for line in lines if line.startswith("> ")]
        sources = [{"type": "url", "url": url} for url in urls]
        action = {"type": "search", "query": queries[0], "queries": queries, "sources": sources}
        phases = ("in_progress", "searching", "completed")
        writer.use_tool("web_search_call", {}, {"action": action}, phases)
    else:
        head, _, output = text.partition("\n\n")
        *urls, goal = head.splitlines()
        begun = {"urls": urls, "goal": goal.removeprefix("goal:").strip()}
        writer.use_tool("web_extractor_call", begun, {"output": output})


def _call(step: LessonStep, values: Values, turn: AskedTurn, writer: ResponseWriter) -> None:
    calls = []
    for line in filter(None, map(str.strip, step.body.splitlines())):
        written = fill(line, values, repr)
        name, _, _ = written.partition("(")
        _, arguments = rules.read_call(written, turn.functions.get(name, ()))
        if arguments is None:
            raise LessonError(f"this is no call: {line}")
        if name not in turn.tools:
            writer.say(rules.results_text(turn.results) or rules.needed([name]))
            return
        calls.append((name, arguments))
    rules.call(calls, writer)


def _object(written: str, schema: JSON) -> str:
    value, required = json.loads(written), schema.get("required")
    wanted = set(required) if isinstance(required, list) else set()
    if not wanted <= (set(value) if isinstance(value, dict) else set()):
        return _CANNOT
    line = as_json(value)
    spread = line if len(line) <= 80 else as_json(value, indent=1)
    return f"```json\n{spread}\n```"


def no_lesson(turn: AskedTurn, lessons: Sequence[Lesson]) -> str:
    """Say what this is, and name the three lessons that share the rarest words with the prompt."""
    open_to_all = [lesson for lesson in lessons if not lesson.hidden and not lesson.after]
    asked = set(normalised(turn.prompt))
    count = Counter(word for lesson in open_to_all for word in lesson.words & asked)

    def order(lesson: Lesson) -> tuple[float, int, str]:
        shared = asked & lesson.words
        score = math.fsum(math.log((1 + len(open_to_all)) / count[word]) for word in shared)
        return (-score / (1 + math.sqrt(len(lesson.words))), lesson.rank, lesson.name)

    tried: dict[str, str] = {}
    for lesson in sorted(open_to_all, key=order):
        prompt = re.sub(r"\s+", " ", lesson.patterns[0].example.replace("`", "'"))[:150]
        option = f" (`-t {','.join(lesson.needs)}`)" if lesson.needs else ""
        tried.setdefault(prompt, f"`{prompt}`{option}")
    first, second, third, *_ = tried.values()
    return (
        "This is the offline demo, a small server on your own machine: it plays prepared lessons, "
        "there is no language model behind it, and it has no lesson for this prompt. "
        f"You could try {first}, {second} or {third}."
    )
