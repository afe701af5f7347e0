"""Context windows of known models, as data, with the words for how full one is.

The service cuts what is longer than about 80 % of the window, without an error (Alibaba's
documentation of the Responses API, 2026): a long conversation loses its beginning silently.

A window belongs to a model *as Alibaba Cloud serves it*. The same name elsewhere (a vLLM or Ollama
of one's own) has whatever was configured there: ask `window_of` only for Alibaba's endpoints, or
with what the user says in `extra`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from qwen_magic.protocol.items import Usage

SHOWN_FROM: Final = 0.5  # of the window: from here on the footer tells
WARNED_FROM: Final = 0.7  # so that there is room for a turn before the cut
CUT_FROM: Final = 0.8  # about here the service begins to cut

_256K: Final = 262_144
_1M: Final = 1_000_000

# Read in November 2026. [A] pages of Alibaba Cloud Model Studio and Qwen Cloud as quoted by the
# models.dev catalogue, provider "alibaba"; [V] Vercel's AI Gateway, provider "alibaba"; [H] the
# open weights' own pages at Hugging Face ("262,144 natively"), the same in [A].
# Left out, since no sound source was found: qwen3.8-2.4t-a95b, qwen3.8-27b, qwen3.8-omni-flash,
# qwen3.5-ocr, deepseek-v4.1-flash, glm-5.3.
WINDOWS: Final[Mapping[str, int]] = {
    "qwen3-max": _256K,  # [A] [V]
    "qwen3.8-max": _1M,  # [A]; [V] gives 991,000, the longest input
    "qwen3.8-flash": _1M,  # [V]: "native 1M-token context window"
    "qwen3.7-max": _1M,  # [A]: input up to 991,808
    "qwen3.7-plus": _1M,  # [A]; refusals say "input length should be [1, 983616]"
    "qwen3.7-flash": _1M,  # [A]: input up to 991,000
    "qwen3.6-plus": _1M,  # [A] [V]
    "qwen3.6-flash": _1M,  # [A] lists a price above 256,000 tokens, as for qwen3.6-plus
    "qwen3.6-35b-a3b": _256K,  # [A] [H]
    "qwen3.5-plus": _1M,  # [A]
    "qwen3.5-flash": _1M,  # [A] [V]
    "qwen3.5-397b-a17b": _256K,  # [A] [H]
    "qwen3.5-122b-a10b": _256K,  # [A] [H]
    "qwen3.5-27b": _256K,  # [A] [H]
    "qwen3.5-35b-a3b": _256K,  # [A] [H]
    "qwen-plus": _1M,  # [A], since the snapshot 2025-07-28
    "qwen-plus-2025-01-25": 131_072,  # [A], and so the next two
    "qwen-plus-2025-04-28": 131_072,
    "qwen-plus-2025-07-14": 131_072,
    "qwen-flash": _1M,  # [A]
    "qwen3-coder-plus": _1M,  # [A]
    "qwen3-coder-flash": _1M,  # [A]
    "deepseek-v4-pro": _1M,  # [A]
    "deepseek-v4-flash": _1M,  # [A]
    "glm-5.2": _1M,  # [A]
    "kimi-k3": 1_048_576,  # [A]
}

# What a snapshot adds to its model's name. `-next` or `-character` make another model.
_SNAPSHOT: Final = re.compile(r"-(?:\d{4}-\d\d-\d\d|\d{4}|preview|latest|us)(?:-us)?$")
_NO_BREAK: Final = "\u00a0"


def window_of(model: str, extra: Mapping[str, int] | None = None) -> int | None:
    """The window in tokens; None where it is not known, and nothing should be shown.

    `extra` (what the user has set) comes first; a snapshot has its base name's window unless it is
    listed itself. A window that is not positive counts as unknown.
    """
    given = extra or {}
    base = _SNAPSHOT.sub("", model)
    for windows, name in ((given, model), (given, base), (WINDOWS, model), (WINDOWS, base)):
        if name in windows:
            return windows[name] if windows[name] > 0 else None
    return None


def fullness(usage: Usage | None, window: int | None) -> float | None:
    """The share of the window that the next turn begins with: what went in and the answer.

    Thinking is not carried over. None where either is unknown. It may be above 1.
    """
    if usage is None or not usage.known or not window:
        return None
    kept = usage.input_tokens + max(0, usage.output_tokens - usage.reasoning_tokens)
    return kept / window


def window_fact(full: float | None) -> str:
    """For the footer: "window 62 % full" once past half, else nothing."""
    if full is None or full < SHOWN_FROM:
        return ""
    return f"window{_NO_BREAK}{int(100 * full)}{_NO_BREAK}%{_NO_BREAK}full"


def window_warning(full: float | None) -> str:
    """A line to say before the service begins to cut, else nothing."""
    if full is None or full < WARNED_FROM:
        return ""
    if full < CUT_FROM:
        state = "above about 80 % the service drops the oldest turns without a word"
    else:
        state = "the service drops the oldest turns without a word"
    return (
        f"The context window is {int(100 * full)} % full: {state}. "
        "%qwen_fork NAME --compact goes on from a summary."
    )
