"""Time limits and interrupts for the user's code on the main thread.

Without this, neither works in a cell that awaits: ipykernel's SIGINT handler cancels the cell's
task, which synchronous code notices only at its end (seen with 6.31 and 7.4).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

# Seconds after which what swallowed the end of its time is told again.
_AGAIN: Final = 1.0
_LONGEST: Final = 1e7  # seconds that a timer takes


class OutOfTimeError(TimeoutError):
    """A function took longer than allowed."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not finished after {seconds:.3g} s, and ended")


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OutOfTimeError` inside the block after so many seconds, and again every second if
    caught.

    Only where a timer signal exists (POSIX, main thread).
    """
    on_main = threading.current_thread() is threading.main_thread()
    if not on_main or not hasattr(signal, "setitimer"):
        yield
        return

    is_over = False

    def ring(number: int, frame: FrameType | None) -> None:
        if not is_over:
            raise OutOfTimeError(seconds)

    before, began = signal.getsignal(signal.SIGALRM), time.monotonic()
    left, every = signal.getitimer(signal.ITIMER_REAL)
    try:  # it may ring as soon as it is set: a busy machine may take that long for a line
        signal.signal(signal.SIGALRM, ring)
        # No longer than what is left to a limit around this one: many short ones add up.
        signal.setitimer(signal.ITIMER_REAL, min(seconds, left or _LONGEST, _LONGEST), _AGAIN)
        yield
    finally:
        is_over = True  # nothing below is left out because it rings
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            if before is not None:
                signal.signal(signal.SIGALRM, before)
            if left:  # a timer that ran already, such as of a function around this one, goes on
                goes_on = max(0.001, left - (time.monotonic() - began))
                signal.setitimer(signal.ITIMER_REAL, goes_on, every)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT raise `KeyboardInterrupt` at once (main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
