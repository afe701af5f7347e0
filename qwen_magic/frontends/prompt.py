"""Asking by a line of text whether a function may run, or what a file tells may be sent:
terminals, cells without buttons."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from getpass import getpass
from typing import Any, Final

from qwen_magic.document.question import Choice, Question
from qwen_magic.frontends.kernel import kernel_of
from qwen_magic.frontends.plain import printable

_ANSWERS: Final[dict[str, Choice]] = {
    "y": "once",
    "yes": "once",
    "a": "always",
    "always": "always",
    "n": "no",
    "no": "no",
    "never": "never",
}
_TRIES: Final = 3


def prompt_for(question: Question) -> Choice | None:
    """The user's word, typed. None where nobody could type one: no terminal, or a front end that
    takes no input. What cannot be understood three times is a no, for this time."""
    if not _can_ask():
        return None
    scope = printable(question.scope)
    lines = (question.title, f"  {question.call}", f"  {question.text}")
    print("\n".join(printable(line) for line in lines))  # noqa: T201
    for _ in range(_TRIES):
        try:
            typed = input(f"[y]es, once · [a]lways {scope} · [n]o · never {scope}: ")
        except EOFError:  # Ctrl-D
            return "no"
        answer = _ANSWERS.get(typed.strip().lower())
        if answer is not None:
            return answer
    return "no"


def agreed(lines: Iterable[str], question: str) -> bool | None:
    """Whether the user, who is shown these lines, says yes; None where nobody could."""
    if not _can_ask():
        return None
    print("\n".join(map(printable, lines)))  # noqa: T201
    try:
        return input(f"{question} [y/N]: ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        return False


def ask_value(about: str, secret: bool) -> str | None:
    """What the user types for it, unseen where it is `secret`. None where nobody could type."""
    if not _can_ask():
        return None
    try:
        return (getpass if secret else input)(f"{printable(about)}: ").strip()
    except EOFError:
        return None


def _can_ask() -> bool:
    shell = _shell()
    if kernel_of(shell) is not None:
        on_main = threading.current_thread() is threading.main_thread()
        return on_main and bool(getattr(kernel_of(shell), "_allow_stdin", False))
    return sys.stdin is not None and sys.stdin.isatty()


def _shell() -> Any:
    """The running IPython, where there is one: a script need not load it to find out."""
    if "IPython" not in sys.modules:
        return None
    from IPython.core.getipython import get_ipython

    return get_ipython()
