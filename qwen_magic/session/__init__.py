"""The story of one turn: a question is planned, sent, shown as it is answered, and recorded.

    Ask -> plan.plan -> Plan -> turn.TurnMachine -> Answer, Turn
                                  ^  Open, Invoke, Approve, Wait
                                  v
                        session.Session: run, arun, events; ask and aask for a whole question

The machine decides, without input and output; the session's shells do what it asks for. What the
model calls of the notebook is decided in `tools.loop` and run in `tools.execution`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the collector of garbage: what is imported stays, and to look through a notebook's
    objects again and again meanwhile costs a tenth of it, in pauses that every thread waits for."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
