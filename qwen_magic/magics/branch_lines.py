"""Reading the lines of the magics about conversations: a name, a reference, a file, a few words."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from qwen_magic.errors import OptionError, UsageError
from qwen_magic.magics.option_values import check_chat_name


@dataclass(frozen=True, slots=True)
class ForkLine:
    """`%qwen_fork NAME [--after REF] [--compact]`; `after` is empty for the head."""

    name: str
    after: str = ""
    compact: bool = False


def read_fork(line: str) -> ForkLine:
    """Raises `UsageError`."""
    words = _words(line)
    name, after, compact = "", "", False
    while words:
        word = words.pop(0)
        if word == "--compact":
            compact = True
        elif word == "--after" or word.startswith("--after="):
            after = word.partition("=")[2] or (words.pop(0) if words else "")
            if not after:
                raise OptionError("--after needs a turn: 3, main:3, -1 or a response id.")
        elif word.startswith("-"):
            raise OptionError(f"%qwen_fork has no option {word}; it has --after and --compact.")
        elif name:
            raise UsageError(f"%qwen_fork takes one name, and knows nothing to do with {word!r}.")
        else:
            name = check_chat_name(word)
    if not name:
        raise UsageError(
            "%qwen_fork needs a name for the new conversation.", hint="%qwen_fork other --after 3"
        )
    return ForkLine(name, after, compact)


def read_steps(line: str) -> int:
    """How many turns `%qwen_undo` steps back: 1 where nothing was typed. Raises `UsageError`."""
    word = line.strip()
    if not word:
        return 1
    if not word.isdecimal() or int(word) < 1:
        raise UsageError(
            f"%qwen_undo takes how many turns to step back, not {word!r}.",
            hint="%qwen_pick REF makes any turn the current one.",
        )
    return int(word)


def read_ref(line: str) -> str:
    """The REF of `%qwen_pick`. Raises `UsageError`."""
    words = line.split()
    if len(words) != 1:
        raise UsageError(
            "%qwen_pick needs one turn: 3, main:3, -1 or a response id.",
            hint="%qwen_history shows them.",
        )
    return words[0]


def read_name(line: str) -> str:
    """One name, or nothing. Raises `UsageError`."""
    words = line.split()
    if len(words) > 1:
        raise UsageError(f"One name is expected, not {line.strip()!r}.")
    return check_chat_name(words[0]) if words else ""


def read_file(line: str, magic: str) -> tuple[Path, str]:
    """A file and perhaps a conversation's name. Raises `UsageError`."""
    words = _words(line)
    if not 1 <= len(words) <= 2:
        raise UsageError(f"%{magic} needs a file, and perhaps a conversation's name after it.")
    return Path(words[0]).expanduser(), check_chat_name(words[1]) if len(words) == 2 else ""


def _words(line: str) -> list[str]:
    """The words of a line; quotes hold words with spaces together."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"A quote is not closed in {line.strip()!r}.") from error
