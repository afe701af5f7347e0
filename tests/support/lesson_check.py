"""What is wrong with lessons that can be read: between them, and in their steps."""

import ast
import re

from qwen_magic.demo.lesson import PLACE


def check(lessons):
    names = {lesson.name for lesson in lessons}
    problems = [
        f"{lesson.name}: after {name}, which there is not"
        for lesson in lessons
        for name in set(lesson.after) - names
    ]
    seen = {}
    for lesson in lessons:
        for pattern in lesson.patterns:
            asks = repr(sorted(lesson.slots.items()))
            key = (pattern.words, asks, lesson.needs, lesson.after)
            if (other := seen.setdefault((lesson.folder, key), lesson.name)) != lesson.name:
                problems.append(f"{lesson.name}: {pattern.prompt!r} is {other}'s too")
        problems += [f"{lesson.name}: {problem}" for problem in _step_problems(lesson)]
    return problems


def _step_problems(lesson):
    """Names that no step before gives, code that does not compile, calls that are none."""
    known = {*lesson.slots, "outputs", "name"}
    for step in lesson.steps:
        if step.kind == "run":
            try:
                tree = ast.parse(step.block)
            except SyntaxError as error:
                yield f"its code does not compile: {error}"
                continue
            calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
            named = [call for call in calls if ast.unparse(call.func) == "result"]
            known |= {word.arg for call in named for word in call.keywords if word.arg}
            continue
        for name in names_in(step.body):
            if name not in known:
                yield f"## {step.kind} names {name}, which no step before it gives"
        if step.kind == "call":
            known |= {line.partition("(")[0].strip() for line in step.body.splitlines()}


def names_in(text):
    """The names that a text's places begin with; for what is no place, all of it."""
    for match in re.finditer(r"\{\{(.*?)\}\}", text):
        place = PLACE.match(text, match.start())
        yield place["name"] if place else match[0]
