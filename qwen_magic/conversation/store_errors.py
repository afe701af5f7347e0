"""What went wrong with the file of conversations, in a line that says what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from qwen_magic.conversation.database import primary_code
from qwen_magic.conversation.migrations import NewerStoreError
from qwen_magic.conversation.scope import HOME_VARIABLE
from qwen_magic.errors import redact

_CONSEQUENCE: Final = "Conversations are kept in memory only from here on, and end with this kernel"
_ELSEWHERE: Final = f"set {HOME_VARIABLE} to a folder that can be written"
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REFUSED: Final = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN)
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def explain(error: Exception, path: Path) -> str:
    """One line for the reader: the consequence, what happened, where, what to do."""
    what, advice = _cause(error, path)
    return redact(f"{_CONSEQUENCE}: {what}. {advice}")


def _cause(error: Exception, path: Path) -> tuple[str, str]:
    if isinstance(error, NewerStoreError):
        return (
            f"{path} was written by a newer qwen_magic (store version {error.version}; this one "
            f"knows {error.known})",
            f"Upgrade qwen_magic, or set {HOME_VARIABLE} to another folder.",
        )
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return f"{path} could not be made ({reason})", f"To keep them, {_ELSEWHERE}."
    return _sqlite_cause(error, path)


def _sqlite_cause(error: Exception, path: Path) -> tuple[str, str]:
    code = primary_code(error)
    if code in _DAMAGED or (code == 0 and isinstance(error, sqlite3.DatabaseError)):
        return (
            f"{path} is damaged or no store of conversations ({error})",
            "It was left as it is: move it away, and the next kernel begins a new one.",
        )
    if code in _REFUSED:
        return (
            f"{path} or its folder cannot be written ({error})",
            f"Make both writable, or {_ELSEWHERE}; then restart the kernel.",
        )
    if code == sqlite3.SQLITE_FULL:
        return f"the disk of {path} is full", "Make room, then restart the kernel."
    if code == sqlite3.SQLITE_IOERR:
        return (
            f"{path} could not be read or written ({error})",
            "The disk may be full, over quota or away: look after it, then restart the kernel.",
        )
    if code in _BUSY:
        return (
            f"another program keeps {path} locked",
            "End it (often a suspended kernel), then restart this kernel.",
        )
    return f"{path} failed ({error})", f"Restart the kernel, or {_ELSEWHERE}."
