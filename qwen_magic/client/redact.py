"""Keeps the key out of errors: whole, in pieces, and in what hangs on an exception.

Servers repeat the key that they refuse, or mask its middle; verbose tracebacks show the variables
of every frame, so the request's headers.
"""

from __future__ import annotations

import re

from qwen_magic.errors import QwenError, redact


def hush(error: QwenError, key: str) -> QwenError:
    """`error` without the key in any of its texts; in those of the server, without pieces of it.

    Without its frames and causes too: verbose tracebacks show their variables.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    error.args = tuple(redact(str(each), key) for each in error.args)
    for name, value in vars(error).items():
        if isinstance(value, str):
            clean = redact if name in ("message", "hint") else scrub
            setattr(error, name, clean(value, key))
    return error


def scrub(message: str, key: str) -> str:
    """`message` without the key, also where the server repeats a piece of it or masks its middle
    (`sk-ab****wxyz`)."""
    message = re.sub(r"\S*\*{3,}\S*", "[key]", message)
    message = re.sub(r"[\w\-]{6,}", lambda word: "[key]" if word[0] in key else word[0], message)
    return redact(message, key)
