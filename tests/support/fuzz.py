"""How long the tests go on: those that draw their input, and those of every form and pair."""

import os

IS_HEAVY = bool(os.environ.get("QWEN_MAGIC_EVERY_PAIR"))  # as in `.ci/heavy`


def examples(count):
    """`count`, or as many times more as QWEN_MAGIC_FUZZ says (`.ci/heavy` sets it)."""
    return count * int(os.environ.get("QWEN_MAGIC_FUZZ", "1"))
