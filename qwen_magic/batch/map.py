"""Runs a map: the conductor on a thread of its own, progress and interrupts on the caller's."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Final

from qwen_magic.answer import Answer
from qwen_magic.batch.progress import NoProgress, Progress
from qwen_magic.batch.rate_limiter import Pace
from qwen_magic.batch.result import MapResult
from qwen_magic.batch.result_cache import KeptAnswers
from qwen_magic.batch.scheduler import Conductor, Keep
from qwen_magic.batch.serialization import request_key
from qwen_magic.batch.table import summary
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.session.plan import Plan, check_key
from qwen_magic.session.session import Session

_TICK: Final = 0.1  # seconds between two looks at the progress
_PATIENCE: Final = 3.0  # seconds that an interrupt waits for the streams' end
_CONVERSATION: Final = ("chat", "new", "after", "history", "carry")


def check_options(options: Mapping[str, object]) -> None:
    """Raises `UsageError` for those of a conversation: each prompt of a map is outside any."""
    for name in _CONVERSATION:
        if name in options:
            raise UsageError(
                f"{name!r} does not go with many prompts.",
                why="Each of them is asked outside any conversation.",
                hint="Give what they share as system=, or in the template.",
            )


def check_plans(plans: Sequence[Plan]) -> None:
    """Raises `UsageError` for functions among the tools: with many rows at once, nobody could be
    asked about each call."""
    if plans and plans[0].ask.functions:
        raise UsageError(
            f"map takes no functions as tools, such as {plans[0].ask.functions[0].name}.",
            hint="Ask row by row with ask(), or call the function on the results.",
        )


def check_concurrency(concurrency: int) -> None:
    """Raises `UsageError` where it is no number of prompts at once."""
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise UsageError(
            f"concurrency is a whole number from 1, not {concurrency!r}.",
            hint="It is how many prompts are asked at once, at most.",
        )


def run_map(
    session: Session,
    plans: Sequence[Plan],
    table: MapResult,
    *,
    pace: Pace,
    progress: Callable[[], Progress] = NoProgress,
    kept: KeptAnswers | None = None,
) -> None:
    """Answer the rows of `table`, each by its plan; blocks, in a running event loop as well.

    Rows that `kept` has are taken from there, and every new answer is kept at once. A row's error
    is in the table. Raises `QwenError` for what ends the whole map; a Ctrl-C closes every stream.
    Either way the table has what was done.
    """
    if plans:
        check_key(plans[0].ask.endpoint)
    keep = _reuse(plans, table, kept) if kept else _forget
    conductor = Conductor(session, plans, table, pace=pace, keep=keep)
    shown = progress()
    try:
        _conduct(conductor, lambda: shown.show(table))
    finally:
        shown.close(table)
    if conductor.fatal is not None:
        raise _ended_early(conductor.fatal, table, kept)


def _reuse(plans: Sequence[Plan], table: MapResult, kept: KeptAnswers) -> Keep:
    """Take over what is kept; a function that keeps what comes."""
    seen: Counter[str] = Counter()
    keys = []
    for plan in plans:
        key = request_key(plan)
        keys.append(request_key(plan, seen[key]) if seen[key] else key)
        seen[key] += 1
    found = kept.find(keys)
    for number, (plan, key) in enumerate(zip(plans, keys, strict=True)):
        if key in found:
            output, answer = plan.ask.output, found[key]
            table.set_answer(number, output.parse(answer) if output else answer, reused=True)
    return lambda number, answer: kept.keep(keys[number], answer)


def _forget(number: int, answer: Answer) -> None:
    """Keep it in the table only."""


def _conduct(conductor: Conductor, look: Callable[[], None]) -> None:
    """Run the conductor in a thread, and look at it until it ends."""
    ended: Future[None] = Future()

    def work() -> None:
        try:
            asyncio.run(conductor.run())
        except BaseException as fault:
            ended.set_exception(fault)
        else:
            ended.set_result(None)

    thread = threading.Thread(target=work, name="qwen-map", daemon=True)
    try:
        thread.start()
        while not wait([ended], timeout=_TICK).done:
            look()
    except BaseException:  # an interrupt
        conductor.stop()
        thread.join(_PATIENCE)
        raise
    thread.join()
    ended.result()


def _ended_early(error: QwenError, table: MapResult, kept: KeptAnswers | None) -> QwenError:
    """The same error, which also says how far the map came and how it goes on."""
    told = copy.copy(error)
    told.message = f"{error.message} The map ended early: {summary(table)}."
    again = "the same call asks only the rest" if kept else "resume= would have kept them in a file"
    told.hint = f"{error.hint} What is done is in .mapped; {again}.".strip()
    return told
