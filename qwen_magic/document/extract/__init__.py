"""Out of an answer's Markdown into Python: code blocks, tables.

`code` and `tables` read the text; `cells` says what a column of cells holds (numbers with
separators and units, dates, truth values). pandas is imported only when a DataFrame is made.
"""

from __future__ import annotations

from qwen_magic.document.extract.code import CodeBlock, code_blocks
from qwen_magic.document.extract.tables import tables

__all__ = ["CodeBlock", "code_blocks", "tables"]
