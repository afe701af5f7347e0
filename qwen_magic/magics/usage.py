"""`%qwen_usage`: the table."""

from __future__ import annotations

from typing import Final

from qwen_magic.conversation.conversations import Conversations
from qwen_magic.conversation.usage import (
    UsageGroup,
    UsageRow,
    check_budget,
    local_day,
    usage_table,
)
from qwen_magic.errors import UsageError
from qwen_magic.frontends.table import show_table

_GROUPS: Final[dict[str, UsageGroup]] = {
    "": "model",
    "model": "model",
    "conversation": "conversation",
    "day": "day",
}


def show_usage(conversations: Conversations, group: str, budget: int) -> None:
    """Show what the turns used. Raises `UsageError` for a group that there is not."""
    if group not in _GROUPS:
        raise UsageError(f"%qwen_usage takes model, conversation or day, not {group!r}.")
    table = usage_table(conversations.turns(), _GROUPS[group], day_of=local_day())
    rows = [_row(row) for row in (*table.rows, table.total)]
    header = [table.group, "turns", "input", "cached", "output", "reasoning", "total", "tool calls"]
    notes = [table.total.note, _budget(table.total.total_tokens, budget)]
    show_table(header, rows, "; ".join(note for note in notes if note))


def _row(row: UsageRow) -> list[str]:
    numbers = (
        row.turns,
        row.input_tokens,
        row.cached_tokens,
        row.output_tokens,
        row.reasoning_tokens,
        row.total_tokens,
    )
    calls = ", ".join(f"{count} {name}" for name, count in row.tools.items())
    return [row.label, *(f"{number:,}" for number in numbers), calls]


def _budget(used: int, budget: int) -> str:
    state = check_budget(used, budget)
    if state.level == "ok" and state.budget:
        return f"{used:,} of the budget's {budget:,} tokens are used"
    return state.warning or (state.error.message if state.error else "")
