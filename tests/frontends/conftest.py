"""The turns of tests/document, finished."""

import importlib.util
from pathlib import Path

import pytest

from qwen_magic.document.build import Document
from qwen_magic.document.footer import Outcome, TurnFacts
from qwen_magic.protocol.state import ResponseState


def _load(path):
    spec = importlib.util.spec_from_file_location("document_turns", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def turns():
    return _load(Path(__file__).parents[1] / "document" / "conftest.py")


@pytest.fixture
def show(turns):
    """show(events, outcome=…, until=…, figure=…): the document that they lead to."""

    def make(events, *, outcome=None, until=float("inf"), figure=False, turn=None):
        document = Document(turn or TurnFacts("qwen3-max", "main", 4, (2, 3)))
        state = ResponseState()
        for at, event in events:
            if at <= until:
                state.apply(event, at)
                document.update(state, at)
        if figure:
            document.figure(turns.FIGURE_URL, turns.png())
            document.update(state, 22.0)
        if outcome is not None:
            document.finish(state, min(until, 21.4), outcome)
        return document

    return make


@pytest.fixture
def finished(turns, show):
    return show(turns.research_events(), outcome=Outcome(), figure=True)
