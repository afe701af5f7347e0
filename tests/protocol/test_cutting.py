"""However the bytes are cut, the events are the same, so every state is. Only the deltas of a text
are joined where they come together, and each event counts up a version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from fuzz import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_magic.protocol.body import EventDecoder, joined
from qwen_magic.protocol.events import Event
from qwen_magic.protocol.state import ResponseState

DATA = Path(__file__).parent.parent / "data"
FILES = sorted(DATA.glob("streams/*.sse")) + sorted(DATA.glob("bodies/*.json"))


INNER = ("_entries", "_texts", "version")  # what is in them is compared below


def state(pieces: Iterable[bytes]) -> tuple[object, ...]:
    """Everything a reader can see of the state after these pieces."""
    decoder, response, events = EventDecoder(), ResponseState(), list[Event]()
    for piece in pieces:
        events += decoder.feed(piece)
    events += decoder.finish()
    for event in events:
        response.apply(event)
    plain = {name: value for name, value in vars(response).items() if name not in INNER}
    entries = [
        (e.key, e.finished(), e.phase, e.done, "".join(e.chunks), e.revision)
        for e in response.entries
    ]
    return joined(events), plain, entries, response.text, response.reasoning, decoder.done


@cache
def whole(path: Path) -> tuple[object, ...]:
    return state([path.read_bytes()])


def cut(body: bytes, places: Sequence[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(ends)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_byte_at_a_time(path: Path) -> None:
    body = path.read_bytes()
    assert state(body[n : n + 1] for n in range(len(body))) == whole(path)


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.sampled_from(FILES),
    places=st.lists(st.integers(min_value=0, max_value=20_000), max_size=40),
)
def test_any_cutting(path: Path, places: list[int]) -> None:
    assert state(cut(path.read_bytes(), places)) == whole(path)


@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=st.binary(max_size=60), places=st.lists(st.integers(0, 60), max_size=8))
def test_any_bytes_at_all(body: bytes, places: list[int]) -> None:
    """Noise inside the frames: broken UTF-8 and stray line ends, wherever it is cut."""
    framed = b'data: {"a": "' + body + b'"}\n\ndata: {"type": "ping"}\r\r'
    assert outcome([framed]) == outcome(cut(framed, places))


def outcome(pieces: Iterable[bytes]) -> tuple[list[Event], str]:
    decoder, events = EventDecoder(), list[Event]()
    steps: list[Callable[[], list[Event]]] = [
        *((lambda piece=piece: decoder.feed(piece)) for piece in pieces),
        decoder.finish,
    ]
    try:
        for step in steps:
            events += step()
    except Exception as error:
        return joined(events), str(error)
    return joined(events), ""
