"""Run a map: the scheduler on a thread of its own, progress and interrupts on the caller's thread.

rows.read_rows -> a Plan for each
  -> scheduler.Scheduler, as many at once as its RateLimiter allows
  -> answers in result_cache.ResultCache; answers and errors by row in rows.MapResult
"""

from __future__ import annotations

import asyncio
import copy
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from qwen_magic.answer import Answer
from qwen_magic.batch.result_cache import ResultCache, open_cache, request_key
from qwen_magic.batch.rows import MapResult, Prompt, summary
from qwen_magic.batch.scheduler import Keep, RateLimiter, Scheduler
from qwen_magic.errors import QwenError, UsageError
from qwen_magic.session.plan import Plan, check_key
from qwen_magic.session.session import Session

_TICK: Final = 0.1  # seconds between two looks at the progress
_PATIENCE: Final = 3.0  # seconds that an interrupt waits for the streams' end
_CONVERSATION: Final = ("chat", "new", "after", "history", "carry")


def check_options(options: Mapping[str, object]) -> None:
    """Raise `UsageError` for options of a conversation: the prompts of a map are outside any."""
    for name in _CONVERSATION:
        if name in options:
            raise UsageError(
                f"{name!r} does not go with many prompts.",
                why="Each of them is asked outside any conversation.",
                hint="Give what they share as system=, or in the template.",
            )


@dataclass(frozen=True, slots=True)
class MapSettings:
    """How a map runs.

    `retry_errors`: how often a failed row is asked again, after all others. `prompts`: the policy's
    `prompt` decides on function calls, and works outside a cell.
    """

    concurrency: int = 8
    progress: bool = False
    resume: str | Path | None = None
    retry_errors: int = 0
    prompts: bool = False

    def __post_init__(self) -> None:
        """Raises `UsageError` for invalid numbers."""
        _check_number("concurrency", self.concurrency, 1)
        _check_number("retry_errors", self.retry_errors, 0)


def check_functions(plans: Sequence[Plan], *, decided: bool) -> None:
    """Raise `UsageError` for functions among the tools unless a policy has `decided` on their
    calls.

    With many rows at once the user cannot be asked about each call.
    """
    if plans and plans[0].ask.functions and not decided:
        name = plans[0].ask.functions[0].name
        raise UsageError(
            f"Nobody can be asked about each call of {name}, with many prompts at once.",
            hint='In map, Qwen(unattended="allow") lets them run, and Qwen(approve=…) decides; '
            "an asker, which may travel, takes no functions.",
        )


def _check_number(name: str, value: int, least: int) -> None:
    """Raise `UsageError` unless `value` is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name} is a whole number from {least}, not {value!r}.")


def run_map(
    session: Session,
    plans: Sequence[Plan],
    result: MapResult,
    settings: MapSettings,
    *,
    limiter: RateLimiter | None = None,
) -> None:
    """Answer the rows of `result`, each by its plan; blocks, in a running event loop as well.

    Rows that the file of `resume` has are taken from there (with `retry_errors` only where they
    fit), and every new answer is kept at once. A row's error is in the result. Raises `QwenError`
    for what ends the whole map; a Ctrl-C closes every stream. Either way the result has what was
    done.
    """
    allows = session.tool_policy.unattended == "allow"
    check_functions(plans, decided=settings.prompts or allows)
    if plans:
        check_key(plans[0].ask.endpoint)
    with open_cache(settings.resume) as cache:
        only_fitting = settings.retry_errors > 0
        scheduler = Scheduler(
            session,
            plans,
            result,
            limiter=limiter or RateLimiter(settings.concurrency),
            keep=_reuse(plans, result, cache, only_fitting=only_fitting) if cache else _forget,
            retry_errors=settings.retry_errors,
            prompts=settings.prompts,
        )
        if settings.progress:
            with closing(_Progress(result)) as progress:
                _run(scheduler, progress.show)
        else:
            _run(scheduler, lambda: None)
        if scheduler.fatal is not None:
            raise _ended_early(scheduler.fatal, result, cache)


def _reuse(
    plans: Sequence[Plan], result: MapResult, cache: ResultCache, *, only_fitting: bool
) -> Keep:
    """Take answers from the cache; return a function that stores an answer there.

    `only_fitting`: discard stored answers that lack the object which the schema describes.
    """
    seen: Counter[str] = Counter()
    keys = []
    for plan in plans:
        key = request_key(plan)
        keys.append(request_key(plan, seen[key]) if seen[key] else key)
        seen[key] += 1
    found, unfit = cache.find(keys), []
    for number, (plan, key) in enumerate(zip(plans, keys, strict=True)):
        if key in found:
            answer = plan.ask.parsed(found[key])
            if answer.error is not None and only_fitting:
                unfit.append(key)
            else:
                result.set_answer(number, answer, reused=True)
    cache.forget(unfit)
    return lambda number, answer: cache.keep(keys[number], answer)


def _forget(number: int, answer: Answer) -> None:
    """Keep an answer in the result only, without a cache."""


def _run(scheduler: Scheduler, look: Callable[[], None]) -> None:
    """Run the scheduler on a thread, and call `look` until it ends."""
    ended: Future[None] = Future()

    def work() -> None:
        try:
            asyncio.run(scheduler.run())
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
        scheduler.stop()
        thread.join(_PATIENCE)
        raise
    thread.join()
    ended.result()


def _ended_early(error: QwenError, result: MapResult, cache: ResultCache | None) -> QwenError:
    """The same error, with a note about how many rows are done and how to continue."""
    ended = copy.copy(error)
    ended.message = f"{error.message} The map ended early: {summary(result)}."
    again = (
        "the same call asks only the rest" if cache else "resume= would have kept them in a file"
    )
    ended.hint = f"{error.hint} What is done is in .mapped; {again}.".strip()
    return ended


class _Progress:
    """Progress, remaining time and cost: a tqdm bar if tqdm is installed, else a line on stderr at
    the end.
    """

    def __init__(self, result: MapResult) -> None:
        self._result = result
        try:
            from tqdm.auto import tqdm  # type: ignore[import-untyped]
        except ImportError:
            self._bar: Any = None
        else:
            done = result.answered + result.failed  # which says nothing of the time to come
            self._bar = tqdm(total=len(result), initial=done, unit="prompt")

    def show(self) -> None:
        """Update the bar."""
        if self._bar is None:
            return
        failed = self._result.failed
        grown = self._result.answered + failed - self._bar.n
        postfix: dict[str, object] = {"failed": failed} if failed else {}
        if spent := self._result.spent:
            postfix["cost"] = f"{spent} of about {self._result.expected_cost}"
        if postfix and grown:
            self._bar.set_postfix(postfix, refresh=False)
        if grown:
            self._bar.update(grown)

    def close(self) -> None:
        """Close the bar, however the map ended."""
        self.show()
        if self._bar is None:
            sys.stderr.write(summary(self._result) + "\n")
            sys.stderr.flush()
        else:
            self._bar.close()


# One prompt's share of a map as a picklable function, for Dask and other schedulers ---------------


class Asks(Protocol):
    """The methods that an `AskFunction` needs: those of a `Qwen`."""

    def ask(self, prompt: Prompt, **options: Any) -> Answer: ...

    def close(self) -> None: ...


class AskFunction:
    """A picklable function of one prompt, with its settings and without a key. Thread-safe.

    Where it is unpickled it uses the key of that process's environment, as a new `Qwen` does. Its
    connections are closed when it is garbage-collected.
    """

    def __init__(
        self,
        make: Callable[[str, str], Asks],
        model: str,
        endpoint: str,
        options: Mapping[str, Any],
    ) -> None:
        """`make` must be importable; it is called with model and endpoint (a name or URL).

        Raises `UsageError` for options of a conversation, and for tools that contain a secret.
        """
        check_options(options)
        _refuse_secrets(options.get("tools", ()))
        self._settings = (make, model, endpoint, dict(options))
        self._lock = threading.Lock()
        self._asks: Asks | None = None

    def __call__(self, prompt: Prompt) -> Answer:
        """The answer, outside any conversation. Raises `QwenError`."""
        return self._asks_here().ask(prompt, history=False, **self._settings[3])

    def __reduce__(self) -> tuple[object, ...]:
        return (AskFunction, self._settings)

    def __repr__(self) -> str:
        _make, model, endpoint, options = self._settings
        return f"AskFunction(model={model!r}, endpoint={endpoint!r}, options={sorted(options)})"

    def _asks_here(self) -> Asks:
        with self._lock:
            if self._asks is None:
                make, model, endpoint, _options = self._settings
                self._asks = make(model, endpoint)
            return self._asks


def _refuse_secrets(tools: object) -> None:
    given = tools if isinstance(tools, list | tuple) else ()
    for tool in given:
        if isinstance(tool, Mapping) and ("headers" in tool or "authorization" in tool):
            raise UsageError(
                "A tool with headers or an authorization cannot travel to workers.",
                why="They would be written into the pickle, and may hold a key.",
                hint="Make the Qwen and its tools in the function that the workers run.",
            )
