"""What a document is told about its turn from outside the response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from qwen_magic.errors import APIError, QwenError

OutcomeStatus: TypeAlias = Literal["completed", "incomplete", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """The turn that an answer belongs to, in the words of the footer.

    `sibling`: (this one's place, how many) where the cell was run more than once. `added`: what
    was sent though nobody typed it ("web_search for web_extractor"). `expanded`: what the prompt's
    braces became ("{df} → 3 columns, 120 rows"). `notices`: what must always be said ("offline
    demo"). `key`: the turn's own, by which the page's actions name it; empty where there are none.
    """

    model: str
    chat: str = ""
    turn_number: int = 0
    sibling: tuple[int, int] | None = None
    added: tuple[str, ...] = ()
    expanded: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    endpoint: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended, as the reader is told.

    `title`, `why` and `hint` are one line each and may be empty: `stopped` and `incomplete` then
    use words of their own. `limit`: the output tokens that were asked for, 0 where none were.
    `is_raised`: a failure that the cell fails with as well: here it is only named, and nothing is
    said where nothing came.
    """

    status: OutcomeStatus = "completed"
    title: str = ""
    why: str = ""
    hint: str = ""
    request_id: str = ""
    limit: int = 0
    is_raised: bool = False


def failure(error: QwenError, *, is_raised: bool = False) -> Outcome:
    """The outcome of a turn that this error ended."""
    request_id = error.request_id if isinstance(error, APIError) else ""
    return Outcome("failed", error.message, error.why, error.hint, request_id, is_raised=is_raised)
