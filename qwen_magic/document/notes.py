"""The note under an answer that did not simply complete."""

from __future__ import annotations

from dataclasses import dataclass

from qwen_magic.document.facts import Outcome, TurnFacts
from qwen_magic.document.words import NO_BREAK, duration, sentence
from qwen_magic.protocol.items import Usage


@dataclass(frozen=True, slots=True)
class Note:
    """`text`: sentences after the title. `is_error`: red, and announced at once."""

    title: str
    text: str = ""
    request_id: str = ""
    is_error: bool = False


def make_note(
    outcome: Outcome, turn: TurnFacts, seconds: float, usage: Usage | None, reason: str
) -> Note | None:
    """The note for this outcome. `reason`: the response's `incomplete_details.reason`."""
    match outcome.status:
        case "completed":
            return None
        case "stopped":
            after = duration(seconds)
            title = outcome.title or (f"Stopped after {after}" if after else "Stopped")
            return Note(title, _sentences(outcome.why, outcome.hint or _kept(turn)))
        case "incomplete":
            title = outcome.title or _cut_off(outcome, usage, reason)
            return Note(title, _sentences(outcome.why, outcome.hint or _continue(reason)))
        case "failed" if outcome.told:
            return Note(outcome.title, _kept(turn), "", True)
        case "failed":
            text = _sentences(outcome.why, outcome.hint)
            return Note(outcome.title or "The turn failed", text, outcome.request_id, True)


def _sentences(*texts: str) -> str:
    return " ".join(sentence(text) for text in texts if text.strip())


def _kept(turn: TurnFacts) -> str:
    if not turn.turn_number:
        return "What came is kept here."
    if turn.turn_number == 1:
        return "What came is kept here. The conversation has not begun."
    return f"What came is kept here. The conversation goes on from turn {turn.turn_number - 1}."


def _cut_off(outcome: Outcome, usage: Usage | None, reason: str) -> str:
    if "filter" in reason:
        return "Cut off by the content filter"
    tokens = outcome.limit or (usage.output_tokens if usage and usage.known else 0)
    return f"Cut off at {tokens:,}{NO_BREAK}output{NO_BREAK}tokens" if tokens else "Cut off"


def _continue(reason: str) -> str:
    if "filter" in reason:
        return "What came is kept here."
    return "Ask it to continue in the next cell, or run this one with a higher --max-output-tokens."
