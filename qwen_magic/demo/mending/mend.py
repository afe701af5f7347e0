"""What a rule gives: the mended cell, and why it is so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mend:
    """`words`: what was changed, and on what ground. `source`: the mended cell."""

    words: str
    source: str
