"""How long the tests that draw their input go on."""

import os


def examples(count):
    """`count`, or as many times more as QWEN_MAGIC_FUZZ says (`.ci/heavy` sets it)."""
    return count * int(os.environ.get("QWEN_MAGIC_FUZZ", "1"))
