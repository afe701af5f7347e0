"""How long the tests go on: those that draw their input, those of every form and pair, and those
that wait."""

import os

IS_HEAVY = bool(os.environ.get("QWEN_MAGIC_EVERY_PAIR"))  # as in `.ci/heavy`


def examples(count):
    """`count`, or as many times more as QWEN_MAGIC_FUZZ says (`.ci/heavy` sets it)."""
    return count * int(os.environ.get("QWEN_MAGIC_FUZZ", "1"))


def patience(seconds):
    """A bound for what takes less than `seconds` on an idle machine: as many times more as there
    are processes for each core."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
