"""Everything else: a short honest answer that says what was understood and what to try."""

from __future__ import annotations

import re

from qwen_magic.demo.steps import Think, Work
from qwen_magic.demo.style import read_style
from qwen_magic.demo.turn import Turn

_MORE = re.compile(r"^\W*(?:please )?(?:continue|go on|carry on|keep going|more)\b", re.IGNORECASE)
_GREETING = re.compile(r"^\W*(?:hi|hello|hey|good (?:morning|day|evening)|你好)\b", re.IGNORECASE)
_WHO = re.compile(r"\bwho are you|what are you|introduce yourself|what model", re.IGNORECASE)
_THANKS = re.compile(r"^\W*(?:thanks|thank you|cheers)\b", re.IGNORECASE)


def wants_more(turn: Turn) -> bool:
    return bool(_MORE.search(turn.prompt))


def goes_on_with_nothing(turn: Turn) -> bool:
    return wants_more(turn) and not turn.rest and len(turn.prompt) < 40


def nothing_to_go_on_with(turn: Turn) -> Work:
    yield Think("I am to go on, but no answer before this one was cut.")
    return (
        "There is nothing to go on with: the answer before was not cut short. "
        "Try the tour with `--max-output-tokens 60`, then `continue`."
    )


def work(turn: Turn) -> Work:
    yield Think(
        f"The prompt is {_quoted(turn.prompt)}. It is none of the offline demo's tasks, so I say "
        f"what I understood, that this is turn {turn.number}, and what can be tried."
    )
    parts = [_opening(turn), _understood(turn), *_style(turn), _suggestions(turn)]
    return "\n\n".join(part for part in parts if part)


def _opening(turn: Turn) -> str:
    if _THANKS.search(turn.prompt):
        return "You are welcome!"
    if _WHO.search(turn.prompt):
        return (
            "I am the **offline demo** of qwen_magic: a small server on your own machine that "
            "speaks the Responses API. There is no language model behind me, only a few skills."
        )
    if _GREETING.search(turn.prompt):
        return "Hello! I am the offline demo, a small server on your own machine."
    return "I am only the offline demo, and this is beyond me."


def _understood(turn: Turn) -> str:
    size = len(turn.prompt.split())
    images = f", with {turn.images} picture(s) that I cannot see" if turn.images else ""
    return (
        f"You wrote {_quoted(turn.prompt)} ({size} word{'' if size == 1 else 's'}{images}). "
        f"This is turn {turn.number} of the conversation."
    )


def _style(turn: Turn) -> list[str]:
    style = read_style(turn.instructions)
    if style.unknown:
        return [
            f"Your instructions say “{style.unknown}”. I can follow only simple ones: "
            "*upper case*, *lower case*, *terse*, *pirate*."
        ]
    return (
        [f"As instructed, I answer in this style: {', '.join(style.names)}."] if style.names else []
    )


def _suggestions(turn: Turn) -> str:
    tries = [
        "`My name is John`, then `Do you remember my name?`",
        "`Show me the tour`",
        _with_tool(turn, "web_search", "`What is the prime number theorem?`"),
        _with_tool(turn, "code_interpreter", "`Plot sin(x)/x from -20 to 20`"),
    ]
    return "What I can do:\n\n" + "\n".join(f"- {line}" for line in tries)


def _with_tool(turn: Turn, tool: str, prompt: str) -> str:
    return prompt if tool in turn.tools else f"{prompt} with `-t {tool}`"


def _quoted(text: str) -> str:
    words = " ".join(text.split())
    return f"“{words[:120]}…”" if len(words) > 120 else f"“{words}”"
