"""When a failed attempt may be made again.

Only where nothing can have begun: the connection never stood, or the service turned the request
away before any output. A request that may have been taken up is never sent twice: the answer
would be paid twice, and the code in it run twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, Literal, TypeAlias

from qwen_magic.errors import QwenError

Reason: TypeAlias = Literal["connection", "busy", "rate"]

# Mean first pause is half of this many seconds; DashScope's rate limits recover within a minute.
_BASE: Final[Mapping[Reason, float]] = {"connection": 0.5, "busy": 2.0, "rate": 4.0}
LONGEST: Final = 60.0


class AttemptError(Exception):
    """One attempt failed: `error` for the user, and why it may be made again (None: it may not).

    `retry_after`: seconds that the server asked to wait, or None.
    """

    def __init__(
        self,
        error: QwenError,
        retry: Reason | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry = retry
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter; the server's Retry-After goes before it."""

    random: Callable[[], float] = random.random  # in [0, 1)

    def pause(self, failure: AttemptError, attempt: int) -> float:
        """Seconds to wait after `attempt` (0 is the first) failed."""
        if failure.retry_after is not None:
            return min(failure.retry_after, LONGEST)
        base = _BASE[failure.retry or "connection"]
        return self.random() * min(base * 2.0**attempt, LONGEST)


def read_retry_after(value: str, now: Callable[[], float] = time.time) -> float | None:
    """Seconds out of a Retry-After header: a number, or an HTTP date against `now` (Unix time)."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now())
    except ValueError:
        return None
