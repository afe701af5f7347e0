"""Talk to Qwen, or any model behind a Responses API, from a notebook.

    %load_ext qwen_magic

    %%qwen
    What is the variance of the first 1,000 primes?

The names below are the public ones; each is imported when it is first used, so that loading the
extension costs nothing that a cell would wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwen_magic.answer import Answer
    from qwen_magic.api import Chat, Qwen
    from qwen_magic.batch.scoring import judge, numeric
    from qwen_magic.errors import QwenError
    from qwen_magic.tools.definition import tool
    from qwen_magic.tools.policy import CallLimits

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "CallLimits",
    "Chat",
    "Qwen",
    "QwenError",
    "__version__",
    "judge",
    "numeric",
    "tool",
]

_HOMES = {
    "Answer": "qwen_magic.answer",
    "CallLimits": "qwen_magic.tools.policy",
    "Chat": "qwen_magic.api",
    "Qwen": "qwen_magic.api",
    "QwenError": "qwen_magic.errors",
    "judge": "qwen_magic.batch.scoring",
    "numeric": "qwen_magic.batch.scoring",
    "tool": "qwen_magic.tools.definition",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext qwen_magic`"""
    from qwen_magic.magics.extension import load

    load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext qwen_magic`"""
    from qwen_magic.magics.extension import unload

    unload(ipython)
