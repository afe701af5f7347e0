"""Conversations: turns linked to their parents, and where they are kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of garbage. What is imported stays, and thousands of small objects that
    are read are soon gone: to look through a notebook's whole heap for cycles again and again
    meanwhile takes up to as long as the work, in pauses that every thread waits for. Afterwards all
    of it counts as old, or the next object that is made would have it looked through at once."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():  # else somebody keeps theirs apart
                gc.freeze()  # together these two move a list, and look at nothing
                gc.unfreeze()
            gc.enable()
