"""What `--system` stands for: text, a file (`@./file.md`), values of the notebook (`{name}`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from qwen_magic.context.description import describe as describe_value
from qwen_magic.context.interpolation import Interpolated, interpolate
from qwen_magic.errors import UsageError

MAX_FILE_BYTES: Final = 1_000_000


def read_instructions(
    typed: str,
    namespace: Mapping[str, object],
    *,
    folder: Path = Path(),
    describe: Callable[[object], str] = describe_value,
) -> Interpolated:
    """The instructions that `typed` stands for.

    `@path` (relative to `folder`; `~` is home) is the UTF-8 text of that file to the letter;
    anything else is interpolated. Raises `UsageError` where the file cannot be read.
    """
    if not typed.startswith("@"):
        return interpolate(typed, namespace, describe=describe)
    path = folder / Path(typed[1:]).expanduser()
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(
                f"The file {typed[1:]} of --system has more than {MAX_FILE_BYTES:,} bytes."
            )
        return Interpolated(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"The file {typed[1:]} of --system is not UTF-8 text.") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"The file {typed[1:]} of --system cannot be read.",
            why=getattr(error, "strerror", None) or str(error),
            hint=f"It is looked for from {path.parent.absolute()}; begin with another character "
            "than @ for text.",
        ) from error
