"""code_interpreter: tasks computed by Python that is really run, told with its real results."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwen_magic.demo.intents.output_tables import read_tables, without_tables
from qwen_magic.demo.sandbox.runner import Run, fenced
from qwen_magic.demo.steps import Think, Work, run_code
from qwen_magic.demo.tasks import find_task
from qwen_magic.demo.tasks.task import Task
from qwen_magic.demo.turn import Turn

_RESULT = re.compile(r"^(.{1,80}?) = (.+)$", re.MULTILINE)
_RUN = re.compile(r"\b(?:run|execute|evaluate|output)\b", re.IGNORECASE)
PICTURE = "demo_chart.png"


def matches(turn: Turn) -> bool:
    task = find_task(turn)
    if task is None:
        return False
    if "code_interpreter" in turn.tools:
        return True
    # Without the tool, a frame is for the notebook, and code may be there for any reason.
    return not task.framed and (not task.given or bool(_RUN.search(turn.prompt)))


def work(turn: Turn) -> Work:
    task = find_task(turn)
    if task is None:
        return ""
    if "code_interpreter" not in turn.tools:
        yield Think(
            "This needs a computation, but code_interpreter was not offered in this request."
        )
        return (
            f"That is a task for Python ({task.subject}), and I may not run any: no tool was "
            "offered. With `-t code_interpreter` I write the code and really run it."
        )
    return (yield from perform(turn, task))


def perform(turn: Turn, task: Task) -> Work:
    """Run the task's code, which the tool was offered for, and report."""
    yield Think(task.plan)
    runs: list[Run] = []
    for number, code in enumerate(task.codes):
        if number and not task.given:
            yield Think(_between(runs[-1]))
        runs.append((yield from run_code(_with_file(code) if turn.dead_link else code)))
        if runs[-1].failed:
            break
    yield Think(
        "The run failed: I report that." if runs[-1].failed else "Done. I report the results."
    )
    return _report(task, runs, dead_link=turn.dead_link)


def _between(run: Run) -> str:
    lines = run.stdout.strip().splitlines()
    return (
        f"That gave {len(lines)} line(s), the first of them “{lines[0] if lines else ''}”. "
        "Now the figure. The sandbox keeps nothing between two runs, so I make the data again."
    )


def _with_file(code: str) -> str:
    """As real models do: the figure is also saved, to a file that the reader cannot reach."""
    return code.replace("plt.show()", f'plt.savefig("{PICTURE}")\nplt.show()')


def _report(task: Task, runs: Sequence[Run], *, dead_link: bool) -> str:
    times = "" if len(runs) == 1 else f" in {len(runs)} runs"
    printed = [without_tables(run.stdout, task.tables) for run in runs]
    results = [pair for text in printed for pair in _RESULT.findall(text)]
    parts = []
    if runs[-1].failed:
        parts.append(_failure(runs[-1]))
    if task.given:
        parts.append(_output(runs))
    elif results:
        alone = len(results) == 1 and task.wanted
        parts += [_headline(task, dict(results)), "" if alone else _table(results)]
    parts += [table for run in runs for table in read_tables(run.stdout, task.tables)]
    figures = sum(len(run.figures) for run in runs)
    shown = f" The figure{'s are' if figures > 1 else ' is'} with its output." if figures else ""
    if task.framed and figures and not any(parts):
        parts.append(f"The figure is about {task.subject}.")
    if dead_link and figures:
        parts.append(f"![{task.subject}]({PICTURE})")
    parts.append(f"I ran this with Python on your machine{times}, in the demo's sandbox.{shown}")
    parts.append(task.note)
    return "\n\n".join(part for part in parts if part)


def _failure(run: Run) -> str:
    if run.timed_out:
        return "The run took too long and was ended: see the last line of its output."
    lines = run.stderr.strip().splitlines() or ["ended by the system"]
    return f"The run ended with an error: `{lines[-1]}`"


def _output(runs: Sequence[Run]) -> str:
    text = "\n".join(run.stdout.rstrip() for run in runs if run.stdout.strip())
    if not text:
        return "" if runs[-1].failed else "Your code ran, and printed nothing."
    shown = text if len(text) <= 1500 else text[:1500] + "\n…"
    return f"Your code printed:\n\n{fenced(shown)}"


def _headline(task: Task, results: dict[str, str]) -> str:
    wanted = [f"**{name}** is **{results[name]}**" for name in task.wanted if name in results]
    return f"For {task.subject}: the {', the '.join(wanted)}." if wanted else f"For {task.subject}:"


def _table(results: Sequence[tuple[str, str]]) -> str:
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in dict(results).items()]
    return "| result | value |\n|:--|--:|\n" + "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").strip()
