"""Conversations: turns linked to their parents, and where they are kept."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Disable the garbage collector inside the block.

    Imports and the rows of a large conversation create many objects and no cyclic garbage, so
    scanning a notebook's heap meanwhile can take as long as the work itself. Afterwards all objects
    count as old; otherwise the next allocation would trigger a scan.
    """
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
