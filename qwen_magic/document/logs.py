"""What a code run printed: its logs, as text, figures and errors.

DashScope sends logs as Markdown: what was printed in ``` fences (several, where there was output
on both streams), figures as image links between them. Other servers send the bare text. A run
that raised, or ran out of time, is "completed" on the wire all the same (recorded traffic, 2026).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

HALF: Final = 200_000  # characters at the beginning, and at the end, of a log
_FENCE: Final = re.compile(r"^```\w*$")
_IMAGE: Final = re.compile(r"!\[([^\[\]\n]*)\]\((https?://[^\s()]+)\)")
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_TRACEBACK: Final = "Traceback (most recent call last)"
_ERROR_LINE: Final = re.compile(r"^[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit|Warning)\b.*")
_SYNTAX_ERROR: Final = re.compile(r"^(?:Syntax|Indentation|Tab)Error: ")
_TIMEOUT: Final = "Timeout. No response after"
_LINES_OF_A_MESSAGE: Final = 8  # an error's message may go on below its first line


@dataclass(frozen=True, slots=True)
class LogText:
    text: str


@dataclass(frozen=True, slots=True)
class LogFigure:
    url: str
    alt: str = ""


LogPart: TypeAlias = LogText | LogFigure


def parse_logs(logs: str) -> tuple[LogPart, ...]:
    """The parts of one log, in order; empty texts are left out. Of one that nobody reads to its end
    the beginning and the end: there an error stands."""
    if (left := len(logs) - 2 * HALF) > 0:
        logs = f"{logs[:HALF]}\n… ({left:,} characters are not shown) …\n{logs[-HALF:]}"
    parts: list[LogPart] = []
    printed: list[str] = []
    fenced = False
    for line in logs.split("\n"):
        if _FENCE.match(line.rstrip()) and (fenced or line.startswith("```")):
            _flush(printed, parts)
            fenced = not fenced
        elif not fenced and _IMAGE.search(line):
            _flush([*printed, _IMAGE.sub("", line)], parts)
            printed.clear()
            parts += [LogFigure(found[2], found[1]) for found in _IMAGE.finditer(line)]
        else:
            printed.append(line)
    _flush(printed, parts)
    return tuple(parts)


def _flush(printed: list[str], parts: list[LogPart]) -> None:
    text = _plain("\n".join(printed))
    if text.strip():
        parts.append(LogText(text))
    printed.clear()


def _plain(text: str) -> str:
    """As a terminal would leave it: no colours, and of a line drawn over only its last state."""
    lines = _ANSI.sub("", text).split("\n")
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    return "\n".join(shown).strip("\n").rstrip()


def find_error(parts: Sequence[LogPart]) -> str:
    """The line that names the error which ended the run; empty where none did."""
    texts = [part.text for part in parts if isinstance(part, LogText)]
    if not texts:
        return ""
    lines = texts[-1].split("\n")
    if lines[-1].startswith(_TIMEOUT):
        return lines[-1]
    if _SYNTAX_ERROR.match(lines[-1]):
        return lines[-1]
    if _TRACEBACK not in texts[-1]:
        return ""
    for line in reversed(lines[-_LINES_OF_A_MESSAGE - 1 :]):
        if _ERROR_LINE.match(line) and _TRACEBACK not in line:
            return line
    return ""
