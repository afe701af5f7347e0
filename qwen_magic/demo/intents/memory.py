"""Remembers what it was told in the chain: names, favourites, numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwen_magic.demo.steps import Think, Work
from qwen_magic.demo.turn import Turn

MAX_READ = 2000  # characters of a prompt: what is told stands at its beginning

_NAME = re.compile(
    r"\b(?i:my name is|my name's|i am called|i'm called|call me)\s+([\w'’-]+(?: [A-Z][\w'’-]+)*)"
    r"|(?:^|[.!?,]\s*|\b(?i:hi|hello|hey)[,!]?\s+)(?:I am|I'm|I’m) ([A-Z][\w'’-]+)(?=[.,!?\s]|$)"
)
_FACT = re.compile(r"\bmy ([a-z][a-z -]{1,40}?) (?:is|are|=) ([^.!?\n]{1,80})", re.IGNORECASE)
_NOTED = re.compile(
    r"\b(?:remember|note|keep in mind)(?: that| this)?:?\s+((?!my\b|me\b|what\b)[^.!?\n]{2,120})",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"\b(?:do you (?:still )?(?:remember|know|recall)|what(?:'s| is| was| are| were)|tell me)\b"
    r"[^.!\n]*?\bmy ([a-z][a-z -]{1,40}?)(?:\?|$|,|\bagain\b| is\b)",
    re.IGNORECASE,
)
_WHO = re.compile(r"\bwho am i\b", re.IGNORECASE)
_ALL = re.compile(
    r"what (?:do you (?:know|remember)|did i (?:tell|say)|have i told)|what numbers? did i"
    r"|do you remember (?:me|what|the number)|what was the number",
    re.IGNORECASE,
)


def matches(turn: Turn) -> bool:
    return _asked(turn.prompt) is not None or bool(facts([turn.prompt]))


def asks_what_was_told(turn: Turn) -> bool:
    return _asked(turn.prompt) is not None


def work(turn: Turn) -> Work:
    asked = _asked(turn.prompt)
    known = facts(turn.told)
    if asked is None:
        yield Think("The user tells me something. I keep it in mind: the chain carries it on.")
        return _thanks(turn)
    yield Think(
        f"The user asks what I was told about “{asked or 'everything'}”. "
        f"I look through the {turn.number} turns of this conversation."
    )
    if not asked:
        return _everything(turn, known)
    value = known.get(asked)
    if value is None:
        return _unknown(turn, asked)
    if asked == "name":
        return f"Yes, {value}! I remember your name. How can I help you today?"
    return f"Yes! Your {asked} is **{value}**: you told me so earlier in this conversation."


def facts(told: Sequence[str]) -> dict[str, str]:
    """What was told, by what it is about; the newest word counts."""
    known: dict[str, str] = {}
    for text in (whole[:MAX_READ] for whole in told):
        for thing, value in _FACT.findall(text):
            if thing.lower() != "name" and not text.rstrip().endswith("?"):
                known[_thing(thing)] = value.strip(" ,'\"")
        for match in _NAME.finditer(text):
            known["name"] = _proper(match[1] or match[2])
        for noted in _NOTED.findall(text):
            known.setdefault(noted.strip(), "")
    return known


def _proper(name: str) -> str:
    first = re.split(r" (?=and\b|I\b)", name)[0]
    return first if first[:1].isupper() else first.capitalize()


def _thing(text: str) -> str:
    return " ".join(text.lower().replace("favorite", "favourite").split())


def _asked(prompt: str) -> str | None:
    """The thing that the prompt asks after; empty for everything; None when it does not ask."""
    prompt = prompt[:MAX_READ]
    if _WHO.search(prompt):
        return "name"
    if match := _ASKS.search(prompt):
        return _thing(match[1])
    return "" if _ALL.search(prompt) else None


def _thanks(turn: Turn) -> str:
    told = facts([turn.prompt])
    name = told.pop("name", None)
    start = f"Hello, {name}! Nice to meet you." if name else "Thank you."
    rest = [f"your {k} is **{v}**" if v else f"“{k}”" for k, v in told.items()]
    noted = ["your name"] if name else []
    return f"{start} I will remember {_and(noted + rest)} as long as this conversation goes on."


def _everything(turn: Turn, known: dict[str, str]) -> str:
    if not known:
        return f"In the {turn.number} turns of this conversation you told me nothing to remember."
    lines = [f"- your {k}: **{v}**" if v else f"- {k}" for k, v in known.items()]
    return "You told me:\n\n" + "\n".join(lines)


def _unknown(turn: Turn, asked: str) -> str:
    turns = (
        "This is the first turn" if turn.number == 1 else f"I looked through {turn.number} turns"
    )
    return (
        f"No: you have not told me your {asked} in this conversation. {turns} of it. "
        f"Say “my {asked} is …”, and ask me again."
    )


def _and(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
