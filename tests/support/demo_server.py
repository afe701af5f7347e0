"""A demo server for a test, and what it was asked."""

import time
from pathlib import Path

from fuzz import patience

from qwen_magic.demo import DemoServer
from qwen_magic.demo.http import Connection

_LATE = 0.15  # seconds

LESSONS = Path(__file__).parents[1] / "data" / "lessons"


def demo_server(**switches):
    """A server that asks for no key, streams as fast as it can and knows the tests' own lessons; to
    be entered by `with`."""
    return DemoServer(**{"key": "", "delay": 0.0, "lessons": LESSONS, **switches})


def asked(server):
    """The records of its questions, in order of arrival."""
    return [record for record in server.requests if record.path.endswith("/responses")]


def pace(server, delay):
    """What is being streamed goes on with `delay` seconds between two deltas."""
    for connection in [*server._serving]:
        connection.pause = lambda *_, own=connection: Connection.pause(own, delay)


def wait_for_requests(server, done, timeout=5.0):
    """The records as soon as `done(records)` is true. Raises `TimeoutError` after so many seconds,
    or more on a busy machine."""
    end = time.monotonic() + patience(timeout)
    while not done(records := server.requests):
        if time.monotonic() > end:
            raise TimeoutError(f"The demo server saw nothing of the kind in {timeout} s.")
        time.sleep(0.01)
    return records


def most_at_once(records):
    """How many requests there were at a time. A client is done at an answer's last event; the
    server notes its end up to `_LATE` later."""
    changes = [(r.time, 1) for r in records] + [(r.ended_at - _LATE, -1) for r in records]
    running = most = 0
    for _at, change in sorted(changes):
        running += change
        most = max(most, running)
    return most
