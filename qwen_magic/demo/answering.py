"""Which lesson or rule answers a turn, and the steps of the answer."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from qwen_magic.demo.lesson import Lesson, LessonError, LessonStep
from qwen_magic.demo.response_writer import Read, RunCode, Say, Search, Steps, Think
from qwen_magic.demo.rules import (
    answer_call,
    answer_name,
    answer_summary,
    needed,
    play_calls,
    read_call,
    results_text,
)
from qwen_magic.demo.runner import Run
from qwen_magic.demo.slots import Values
from qwen_magic.demo.template import MissingValueError, as_json, fill
from qwen_magic.demo.turn import Turn
from qwen_magic.demo.wire import JSON
from qwen_magic.demo.words import normalised, read_words

NOTE = "*(Offline demo: this is the model `demo` of qwen_magic, not Qwen{}.)*"
_CANNOT = (
    "The offline demo has no object for this prompt that has what the schema requires, and invents "
    "none: so there is no JSON in this answer."
)
_MORE = frozenset(map(normalised, ("continue", "go on", "keep going", "more", "继续")))
_MOST_TURNS = 50  # before this one that are looked at


def answer(turn: Turn, lessons: Sequence[Lesson]) -> tuple[Steps, str]:
    """(the steps that answer, the name of their lesson): of a lesson, else of a rule."""
    rest = turn.previous.rest if turn.previous else ""
    if rest and normalised(turn.prompt) in _MORE:
        return _say(rest), ""
    wrong = turn.switches.unknown_function or turn.switches.bad_arguments
    found = None if wrong or turn.repairs else find_lesson(turn, lessons)
    if found is None:
        return _noted(_ruled(turn, lessons), turn), ""
    lesson, values = found
    lacking = [need for need in lesson.needs if need not in turn.tools]
    steps = _say(needed(lacking)) if lacking and not turn.results else play(lesson, values, turn)
    return _noted(steps, turn), lesson.name


def find_lesson(turn: Turn, lessons: Sequence[Lesson]) -> tuple[Lesson, Values] | None:
    """The lesson whose prompt this is, with the slots' values.

    Of several: that of the first folder; one that follows on the turn before; that lacks the fewest
    tools; that uses the most; that asks the most of its slots; that has the fewest.
    """
    before: set[str] = set()
    for prompt, _ in turn.earlier[-_MOST_TURNS:]:
        before = {lesson.name for lesson, _ in _matching(prompt, before, lessons)}

    def order(found: tuple[Lesson, Values]) -> tuple[Any, ...]:
        lesson, values = found
        slots = [lesson.slots[name] for name in values]
        asks = sum(len(slot.has) for slot in slots), sum(len(slot.columns) for slot in slots)
        return (
            *(lesson.folder, not lesson.after, len(set(lesson.needs) - turn.tools)),
            *(-len(lesson.needs), -asks[0], -asks[1], len(slots)),
            *(sum(slot.kind == "text" for slot in slots), lesson.name),
        )

    fitting = [
        (lesson, values)
        for lesson, values in _matching(turn.prompt, before, lessons)
        if "image" in lesson.needs or "image" not in turn.tools
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


def _say(text: str) -> Steps:
    yield Say(text)


def _noted(steps: Steps, turn: Turn) -> Steps:
    """The steps, with what every answer ends with: that it is the offline demo's."""
    outcome: Run | None = None
    said = False
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration:
            break
        said = said or isinstance(step, Say)
        outcome = yield step
    if said:
        unheard = "; it follows no instructions" if turn.instructed else ""
        yield Say(NOTE.format(unheard))


def _ruled(turn: Turn, lessons: Sequence[Lesson]) -> Steps:
    if turn.repairs:
        return _say(_CANNOT)
    for rule in (answer_call, answer_name, answer_summary):
        steps = rule(turn)
        if steps is not None:
            return steps if turn.schema is None else _without_text(steps)
    if turn.results:
        return _say(results_text(turn.results))
    if normalised(turn.prompt) in _MORE:
        return _say("There is nothing to go on with: the answer before was not cut short.")
    return _say(no_lesson(turn, lessons))


def _without_text(steps: Steps) -> Steps:
    """The steps; where they say something, that they have no JSON."""
    for step in steps:
        yield Say(_CANNOT) if isinstance(step, Say) else step


# A lesson, played.


def play(lesson: Lesson, slots: Values, turn: Turn) -> Steps:
    """The lesson's steps from where the turn stands: up to the calls made, they are done."""
    values: Values = {**slots, "outputs": [result.value for result in turn.results]}
    values.update({result.name: result.value for result in turn.results})
    run: Run | None = None
    objects = False
    for step in _open_steps(lesson, turn):
        try:
            if step.kind == "run":
                run = yield RunCode(step.block, values, "code_interpreter" in turn.tools)
                values.update(run.values if run is not None else {})
                if run is not None and run.missing:
                    yield Say(f"This needs the package `{run.missing}`: install it, and ask again.")
                    return
            elif step.kind == "call":
                yield from _call(step, values, turn)
                return
            elif step.kind == "object":
                objects = turn.schema is not None
                yield from _object(step, values, turn.schema)
            elif step.kind != "say" or turn.schema is None:
                yield _plain_step(step, values)
        except MissingValueError as error:
            yield Say(_why_missing(lesson, error, run, turn))
            return
    if turn.schema is not None and not objects:
        yield Say(_CANNOT)


def _open_steps(lesson: Lesson, turn: Turn) -> Sequence[LessonStep]:
    steps = [step for step in lesson.steps if step.tools <= turn.tools]
    made, start = 0, 0
    for place, step in enumerate(steps, 1):
        if step.kind == "call":
            made += len(_lines(step))
            if made > len(turn.results):
                break
            start = place
    return steps[start:]


def _lines(step: LessonStep) -> list[str]:
    return [line.strip() for line in step.body.splitlines() if line.strip()]


def _plain_step(step: LessonStep, values: Values) -> Think | Search | Read | Say:
    text = fill(step.body, values)
    if step.kind == "think":
        return Think(text)
    if step.kind == "say":
        return Say(text)
    lines = text.splitlines()
    if step.kind == "search":
        queries, urls = (
            tuple(line.removeprefix(mark).strip() for line in lines if line.startswith(mark))
            for mark in ("- ", "> ")
        )
        return Search(queries or ("",), urls)
    head, _, output = text.partition("\n\n")
    *urls_read, goal = head.splitlines()
    return Read(tuple(urls_read), goal.removeprefix("goal:").strip(), output)


def _call(step: LessonStep, values: Values, turn: Turn) -> Steps:
    calls = []
    for line in _lines(step):
        written = fill(line, values, repr)
        name, _, _ = written.partition("(")
        _, arguments = read_call(written, len(name), turn.functions.get(name, ()))
        if arguments is None:
            raise LessonError(f"this is no call: {line}")
        if name not in turn.tools:
            yield Say(results_text(turn.results) or needed([name]))
            return
        calls.append((name, arguments))
    yield from play_calls(calls, turn)


def _object(step: LessonStep, values: Values, schema: JSON | None) -> Iterator[Say]:
    if schema is None:
        return
    value = json.loads(fill(step.block, values, as_json))
    required = schema.get("required")
    wanted = set(required) if isinstance(required, list) else set()
    there = set(value) if isinstance(value, dict) else set()
    if wanted <= there:
        line = json.dumps(value, ensure_ascii=False)
        spread = line if len(line) <= 80 else json.dumps(value, ensure_ascii=False, indent=1)
        written = spread.replace("```", "\\u0060" * 3)
        yield Say(f"```json\n{written}\n```")
    else:
        yield Say(_CANNOT)


def _why_missing(lesson: Lesson, error: MissingValueError, run: Run | None, turn: Turn) -> str:
    if run is not None and run.failed:
        return (
            "The code that I ran for this ended with an error, so that there is no result to tell."
        )
    if turn.results:
        return results_text(turn.results)
    raise LessonError(f"lesson {lesson.name}: {error}") from error


# No lesson.


def no_lesson(turn: Turn, lessons: Sequence[Lesson]) -> str:
    """What this is, and the three lessons whose words come nearest."""
    prompts = [_suggestion(lesson) for lesson in nearest(turn.prompt, lessons)]
    tried = ", ".join(prompts[:-1]) + f" or {prompts[-1]}" if len(prompts) > 1 else "".join(prompts)
    return (
        "This is the offline demo, a small server on your own machine: it plays prepared lessons, "
        "there is no language model behind it, and it has no lesson for this prompt. "
        + (f"You could try {tried}." if tried else "It has no lessons here.")
    )


def nearest(prompt: str, lessons: Sequence[Lesson], most: int = 3) -> list[Lesson]:
    """The lessons that share the rarest words with the prompt; those of the lowest rank first."""
    told: dict[str, tuple[Lesson, set[str]]] = {}
    for lesson in lessons:
        if not lesson.hidden and not lesson.after:
            told.setdefault(lesson.title, (lesson, {w for p in lesson.patterns for w in p.words}))
    asked = set(normalised(prompt))
    count = {word: sum(word in words for _, words in told.values()) for word in asked}

    def order(each: tuple[Lesson, set[str]]) -> tuple[float, int, str]:
        lesson, words = each
        score = math.fsum(math.log((1 + len(told)) / count[word]) for word in asked & words)
        return (-score / (1 + math.sqrt(len(words))), lesson.rank, lesson.name)

    return [lesson for lesson, _ in sorted(told.values(), key=order)[:most]]


def _suggestion(lesson: Lesson) -> str:
    prompt = re.sub(r"\s+", " ", lesson.title.replace("`", "'"))
    option = f" (`-t {','.join(lesson.needs)}`)" if lesson.needs else ""
    return f"`{prompt[:150]}`{option}"
