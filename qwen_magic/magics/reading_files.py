"""Text files in and out, with errors that say what to do."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

from qwen_magic.errors import UsageError

LARGEST: Final = 256 * 1024 * 1024  # bytes; a notebook with many figures is large


def read_text(path: Path) -> str:
    """Raises `UsageError` where there is no such file, or it is no UTF-8 text."""
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} has more than {LARGEST // 1024**2} MiB.")
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text.") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path} cannot be read.", why=why) from error


def local_zone() -> tzinfo:
    """The computer's own time zone, as it is now."""
    return datetime.now().astimezone().tzinfo or UTC


def write_text(path: Path, text: str) -> None:
    """Raises `UsageError` where the file cannot be written."""
    try:
        path.write_text(text, "utf-8")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path} cannot be written.", why=why) from error
