"""Text that can always be encoded: halves of surrogate pairs are joined or replaced.

JSON may spell half of a UTF-16 pair (`"\\ud83d"`), and a server may put the halves of one emoji
into two deltas. Python keeps such a half as a code point that no encoder takes.
"""

from __future__ import annotations

from typing import Any

from qwen_magic.protocol.fields import JSON


def join_surrogates(text: str) -> str:
    """`text` with adjacent halves joined to their character, lone ones replaced by U+FFFD."""
    if text.isascii() or not has_surrogates(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def has_surrogates(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def split_half(text: str) -> tuple[str, str]:
    """`text` without a high surrogate at its end, and that surrogate (or nothing)."""
    if text and "\ud800" <= text[-1] <= "\udbff":
        return text[:-1], text[-1]
    return text, ""


def clean(payload: JSON) -> JSON:
    """`payload` with every string joined, but for a top-level `delta`, whose half may follow."""
    return {
        join_surrogates(key): value if key == "delta" and isinstance(value, str) else _clean(value)
        for key, value in payload.items()
    }


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return join_surrogates(value)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {join_surrogates(key): _clean(each) for key, each in value.items()}
    return value
