"""Asks the rows of a map, as many at once as its rate allows, on an event loop of their own.

    queued --begun--> running --answer--> kept, answered
      ^                  |----rate limit, nothing said yet--> queued again, first in the line
      |                  |----another failure, with `retry_errors`--> queued again, last in the line
      '------------------|----another error--> failed
                         '----stop--> neither

After an error that every other row would meet too (no quota, a key that is refused), or where an
answer cannot be kept, nothing more is begun; what runs is answered, since it is paid for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qwen_magic.errors import (
    AuthenticationError,
    ConnectionLostError,
    MissingKeyError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
    QwenError,
    RateLimitError,
)
from qwen_magic.protocol.response import Usage
from qwen_magic.session.view import NoView
from qwen_magic.tools.validation import SchemaMismatchError

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.batch.rows import MapResult
    from qwen_magic.session.plan import Plan
    from qwen_magic.session.session import Session

_SHARED: Final = (
    AuthenticationError,
    MissingKeyError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
)
_MOST: Final = 5  # times that a row is asked which meets the rate limit
_TICK: Final = 0.05  # seconds between two looks at the rate limiter
_PATIENCE: Final = 1.0  # seconds that streams have to end after a stop
LONGEST_REST: Final = 60.0  # seconds; DashScope's limits recover within a minute
_REST: Final = 4.0  # seconds of the first rest, at most

Keep = Callable[[int, "Answer"], None]


class Scheduler:
    """Asks all rows; runs once. `fatal`: the error that ended the map early, or None."""

    def __init__(
        self,
        session: Session,
        plans: Sequence[Plan],
        result: MapResult,
        *,
        limiter: RateLimiter,
        keep: Keep,
        retry_errors: int = 0,
        prompts: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`plans`: one for each row of `result`, outside any conversation; rows that have an answer
        are left alone. `keep` is given each answer before it counts; what it raises is fatal.
        `retry_errors`: how often a row that failed is asked again, after all others. `prompts`:
        whether the policy's `prompt` is asked about calls of functions."""
        self.fatal: QwenError | None = None
        self._session = session
        self._plans = plans
        self._result = result
        self._limiter = limiter
        self._keep = keep
        self._clock = clock
        self._queue = deque(row.number for row in result if row.answer is None)
        self._tries: Counter[int] = Counter()
        self._left = dict.fromkeys(self._queue, retry_errors)  # times that a row may still fail
        self._spent: dict[int, list[Answer]] = {}  # answers that did not fit, by row
        self._prompts = prompts
        self._running: dict[asyncio.Task[Answer], _RunningRow] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self._fault: BaseException | None = None

    async def run(self) -> None:
        """Run until every row has an answer or an error, or until `stop`."""
        self._loop = asyncio.get_running_loop()
        while self._running or (self._queue and not self._stopping):
            self._begin()
            await self._next()
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """Close all streams, and start no more. Thread-safe; idempotent."""
        self._stopping = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended meanwhile
                self._loop.call_soon_threadsafe(self._stop_here)

    # on the loop

    def _stop_here(self) -> None:
        for row in self._running.values():
            row.stop()
        loop = asyncio.get_running_loop()
        loop.call_later(_PATIENCE, lambda: [task.cancel() for task in self._running])

    def _begin(self) -> None:
        while self._queue and not self._stopping:
            now = self._clock()
            if len(self._running) >= self._limiter.allowed(now):
                return
            number = self._queue.popleft()
            self._tries[number] += 1
            row = _RunningRow(number, self._limiter, self._clock)
            asked = self._session.arun(self._plans[number], row.of, report_errors=self._prompts)
            self._running[asyncio.ensure_future(asked)] = row

    async def _next(self) -> None:
        if not self._running:
            await asyncio.sleep(_TICK)
            return
        done, _ = await asyncio.wait(
            self._running, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            row = self._running.pop(task)
            row.end()
            self._settle(row, task)

    def _settle(self, row: _RunningRow, task: asyncio.Task[Answer]) -> None:
        if task.cancelled():
            return
        failure = task.exception()
        if isinstance(failure, QwenError):
            self._fail(row, failure)
        elif failure is not None:
            self._fault = failure  # our own: what runs is stopped, what was answered stays
            self.stop()
        else:
            self._take(row, task.result())

    def _take(self, row: _RunningRow, answer: Answer) -> None:
        if answer.error is not None and not isinstance(answer.error, SchemaMismatchError):
            self._fail(row, answer.error, said=bool(answer.text or answer.items))
        elif answer.status in ("stopped", "failed"):
            if not self._stopping:
                self._fail(row, ConnectionLostError("The answer was stopped before its end."))
        else:
            self._limiter.answered()
            self._settle_answer(row.number, answer)

    def _settle_answer(self, number: int, answer: Answer) -> None:
        if answer.error is not None and self._ask_again(number):
            self._spent.setdefault(number, []).append(answer)
            return
        answer = _with_all_spent(answer, self._spent.pop(number, []))
        self._result.set_answer(number, answer)
        try:
            self._keep(number, answer)
        except QwenError as error:
            self._end_early(error)

    def _ask_again(self, number: int) -> bool:
        """Queue a failed row again, after all others; return whether it has attempts left."""
        if self._stopping or self.fatal is not None or not self._left[number]:
            return False
        self._left[number] -= 1
        self._tries[number] = 0
        self._queue.append(number)
        return True

    def _fail(self, row: _RunningRow, error: QwenError, *, said: bool = False) -> None:
        if isinstance(error, RateLimitError):
            self._limiter.refused(row.begun_at, self._clock())
            if not said and _passes(error) and self._tries[row.number] < _MOST:
                self._queue.appendleft(row.number)
                return
        if isinstance(error, _SHARED):
            self._end_early(error)
        elif self._ask_again(row.number):
            return
        self._result.set_error(row.number, error)

    def _end_early(self, error: QwenError) -> None:
        self.fatal = self.fatal or error
        self._queue.clear()


class _RunningRow(NoView):
    """A row being asked. It can be stopped, and reports when the client waits before a retry."""

    def __init__(self, number: int, limiter: RateLimiter, clock: Callable[[], float]) -> None:
        self.number = number
        self.begun_at = clock()
        self._limiter = limiter
        self._clock = clock
        self._waits = False
        self._stop: Callable[[], None] | None = None

    def of(self, plan: Plan, started: float) -> _RunningRow:
        """The view for its turn."""
        return self

    def begin(self, stop: Callable[[], None], look: Callable[[], None] = lambda: None) -> None:
        self._stop = stop

    def stop(self) -> None:
        if self._stop is not None:
            self._stop()

    def end(self) -> None:
        """It is in no cycle any more with the turn that it was the view of."""
        self.notice("")
        self._stop = None

    def notice(self, text: str) -> None:
        if bool(text) == self._waits:
            return
        self._waits = bool(text)
        if self._waits:
            self._limiter.wait(self.begun_at, self._clock())
        else:
            self._limiter.resume()


def _with_all_spent(answer: Answer, before: Sequence[Answer]) -> Answer:
    """The answer with the tokens and seconds of earlier attempts added."""
    if not before:
        return answer
    usages = [each.usage for each in (*before, answer) if each.usage]
    seconds = sum(each.seconds for each in (*before, answer))
    return replace(answer, usage=sum(usages, Usage()) if usages else None, seconds=seconds)


def _passes(error: RateLimitError) -> bool:
    """Whether waiting helps; it does not if one request exceeds the tokens of a minute."""
    return "too large" not in error.why.lower()


class RateLimiter:
    """How many prompts may be asked at once, and when: slower when the service says so.

    Additive increase, multiplicative decrease. `at` and `now` are seconds that only grow.

        full speed --overload--> half as many at once, and a rest --answers--> one more at a time

    An overload is a rate limit, or the client's waiting to ask again. What was asked before the
    last slowing down tells nothing new: of many refusals at once only the first halves. While the
    client waits to repeat one request, no other is begun.
    """

    def __init__(
        self,
        limit: int,
        *,
        base: float = _REST,
        random: Callable[[], float] = random.random,  # in [0, 1)
    ) -> None:
        self.limit = limit
        self._base = base
        self._random = random
        self._window = float(limit)
        self._slowed_at = float("-inf")
        self._rest_until = float("-inf")
        self._refusals = 0  # slowings down since the last answer
        self._waiting = 0

    def allowed(self, now: float) -> int:
        """How many rows may run at once now; with 0 none is started, and running ones continue."""
        if self._waiting or now < self._rest_until:
            return 0
        return max(1, int(self._window))

    def answered(self) -> None:
        """A row was answered; after as many as run at once, the limit grows by one."""
        self._refusals = 0
        self._window = min(float(self.limit), self._window + 1 / self._window)

    def wait(self, begun_at: float, now: float) -> None:
        """The client waits before it repeats a request that was sent at `begun_at`."""
        self._waiting += 1
        self._slow(begun_at, now)

    def resume(self) -> None:
        """The client's wait is over."""
        self._waiting -= 1

    def refused(self, begun_at: float, now: float) -> None:
        """A request sent at `begun_at` met the rate limit in all the client's attempts."""
        if self._slow(begun_at, now):
            longest = min(self._base * 2.0**self._refusals, LONGEST_REST)
            self._rest_until = now + longest * (0.5 + self._random() / 2)
            self._refusals += 1

    def _slow(self, begun_at: float, now: float) -> bool:
        """Halve the limit, once for all requests sent before; a later overload adds another
        rest.
        """
        if begun_at > self._slowed_at:
            self._slowed_at = now
            self._window = max(1.0, self._window / 2)
            return True
        return now >= self._rest_until and not self._waiting
