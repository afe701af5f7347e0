"""Streams from tests/data, decoded and reduced by the real parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

import pytest

from qwen_magic.protocol.body import EventDecoder
from qwen_magic.protocol.events import Event
from qwen_magic.protocol.state import ResponseState

DATA = Path(__file__).parent.parent / "data"

Decode: TypeAlias = Callable[[Iterable[bytes]], list[Event]]
Reduce: TypeAlias = Callable[[Iterable[Event]], ResponseState]
Read: TypeAlias = Callable[[str], bytes]


def _decode(pieces: Iterable[bytes]) -> list[Event]:
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.finish()


def _reduce(events: Iterable[Event]) -> ResponseState:
    state = ResponseState()
    for at, event in enumerate(events):
        state.apply(event, float(at))
    return state


@pytest.fixture(scope="session")
def decode() -> Decode:
    """Pieces of a body -> its events."""
    return _decode


@pytest.fixture(scope="session")
def reduce() -> Reduce:
    """Events -> the state after them; the nth event comes at second n."""
    return _reduce


@pytest.fixture(scope="session")
def read() -> Read:
    """The bytes of a file in tests/data."""
    return lambda name: (DATA / name).read_bytes()


@pytest.fixture(scope="session")
def state_of(read: Read) -> Callable[[str], ResponseState]:
    """The final state of a file in tests/data, fed whole."""
    return lambda name: _reduce(_decode([read(name)]))
