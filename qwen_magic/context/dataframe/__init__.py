"""Data of the notebook in a prompt: what the model is told of a value, and its rows when asked.

Read in order: frames (any table as one of pandas, what of it is kept back), columns (schema and
statistics), encoding and rebuilding (cells to text and back), row_block (the block of Python that
carries them), describing (the whole). Nothing here imports pandas until a table comes.
"""

from __future__ import annotations

from typing import Any

from qwen_magic.context.dataframe.describing import (
    DataPart,
    describe_data,
    describe_value,
    estimate_tokens,
)

__all__ = ["DataPart", "describe_data", "describe_value", "estimate_tokens", "rebuild"]


def rebuild(text: str) -> Any:
    """The pandas DataFrame whose rows stand in `text`; see `row_block.rebuild`."""
    from qwen_magic.context.dataframe.row_block import rebuild as read

    return read(text)
