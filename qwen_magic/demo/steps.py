"""What an answer is made of: steps that an intent yields and the stage performs.

An intent is a generator. It yields a step, gets its outcome back, and goes on with what really came
of it; so an answer can only quote a run that has been made.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

from qwen_magic.demo.pages import Page
from qwen_magic.demo.sandbox.runner import Run


@dataclass(frozen=True, slots=True)
class Think:
    """Reasoning; left out when thinking is off. Outcome: None."""

    text: str


@dataclass(frozen=True, slots=True)
class Search:
    """A web search over the bundled pages. Outcome: `Found`."""

    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Extract:
    """One page read for a goal. Outcome: `Extracted`."""

    url: str
    goal: str


@dataclass(frozen=True, slots=True)
class RunCode:
    """Python really run. Outcome: `Run`."""

    code: str


@dataclass(frozen=True, slots=True)
class Say:
    """Part of the answer's text. Outcome: None."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the client's to be called; ends the turn. Outcome: None."""

    name: str
    arguments: str  # JSON


@dataclass(frozen=True, slots=True)
class Found:
    """The pages found, best first; `first` is the number of the first in the `[n]` citations."""

    pages: tuple[Page, ...]
    first: int


@dataclass(frozen=True, slots=True)
class Extracted:
    """The evidence: passages of the page that serve the goal. `known`: there is such a page."""

    passages: tuple[str, ...]
    known: bool


Step: TypeAlias = Think | Search | Extract | RunCode | Say | Call
Outcome: TypeAlias = Found | Extracted | Run | None
Steps: TypeAlias = Generator[Step, Outcome, None]
Work: TypeAlias = Generator[Step, Outcome, str]  # returns Markdown for the answer


def search(*queries: str) -> Generator[Step, Outcome, Found]:
    found = yield Search(queries)
    assert isinstance(found, Found)
    return found


def extract(url: str, goal: str) -> Generator[Step, Outcome, Extracted]:
    extracted = yield Extract(url, goal)
    assert isinstance(extracted, Extracted)
    return extracted


def run_code(code: str) -> Generator[Step, Outcome, Run]:
    run = yield RunCode(code)
    assert isinstance(run, Run)
    return run
