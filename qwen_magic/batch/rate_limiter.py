"""How many prompts may be asked at once, and when: slower when the service says so.

    full speed --overload--> half as many at once, and a rest --answers--> one more at a time

An overload is a rate limit, or the client's waiting to ask again. What was asked before the last
slowing down tells nothing new: of many refusals at once only the first halves. While the client
waits to repeat one request, no other is begun.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

LONGEST: Final = 60.0  # seconds; DashScope's limits recover within a minute
_BASE: Final = 4.0  # seconds of the first rest, at most


class RateLimiter:
    """Additive increase, multiplicative decrease. `at` and `now` are seconds that only grow."""

    def __init__(
        self,
        limit: int,
        *,
        base: float = _BASE,
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
        """How many may run now. With 0 nothing is begun; what runs goes on."""
        if self._waiting or now < self._rest_until:
            return 0
        return max(1, int(self._window))

    def answered(self) -> None:
        """One was answered: after as many as run at once, one more may."""
        self._refusals = 0
        self._window = min(float(self.limit), self._window + 1 / self._window)

    def wait(self, begun_at: float, now: float) -> None:
        """The client begins to wait before it repeats what was asked at `begun_at`."""
        self._waiting += 1
        self._slow(begun_at, now)

    def resume(self) -> None:
        """That wait is over."""
        self._waiting -= 1

    def refused(self, begun_at: float, now: float) -> None:
        """What was asked at `begun_at` met the rate limit, after all that the client tried."""
        if self._slow(begun_at, now):
            longest = min(self._base * 2.0**self._refusals, LONGEST)
            self._rest_until = now + longest * (0.5 + self._random() / 2)
            self._refusals += 1

    def _slow(self, begun_at: float, now: float) -> bool:
        """Halve, once for all that was under way. A second look at the same one may rest again."""
        if begun_at > self._slowed_at:
            self._slowed_at = now
            self._window = max(1.0, self._window / 2)
            return True
        return now >= self._rest_until and not self._waiting
