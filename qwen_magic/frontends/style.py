"""The part of the style sheet that goes with a saved answer."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

_SHEET: Final = Path(__file__).with_name("widget.css")
_LIVE_ONLY: Final = "/* === live only === */"


@lru_cache(maxsize=1)
def saved_style() -> str:
    """widget.css down to its mark "live only", without comments and needless space.

    All of it is nested in `.qm-turn.qm-turn`, so it touches nothing else on the page, and it
    outweighs the notebook's own rules for `pre`, `code` and `td`.
    """
    sheet = _SHEET.read_text("utf-8").partition(_LIVE_ONLY)[0]
    sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    sheet = re.sub(r"\s+", " ", sheet)
    sheet = re.sub(r" ?([{};,>]|!important) ?|(?<=:) ", lambda found: found[1] or "", sheet)
    return sheet.replace(";}", "}").strip()
