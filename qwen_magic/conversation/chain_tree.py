"""A conversation in memory, to be outlined."""

from __future__ import annotations

from collections.abc import Sequence

from qwen_magic.conversation.chain import Chain, Turn
from qwen_magic.conversation.outline import BEGINNING, TurnSummary


class ChainTree:
    """The `Tree` of a chain."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    @property
    def name(self) -> str:
        return self._chain.name

    @property
    def turns(self) -> int:
        return len(self._chain.turns)

    @property
    def tokens(self) -> int:
        return self._chain.tokens

    def way(self, first: int, last: int) -> Sequence[TurnSummary]:
        path = self._chain.path(self._chain.head)
        if len(path) > first + last:
            path = path[:first] + path[-last:]
        return [self._turn_summary(turn) for turn in path]

    def children(self, key: str | None, most: int) -> Sequence[TurnSummary]:
        return [self._turn_summary(turn) for turn in self._chain.children(key, most)]

    def place(self, glimpse: TurnSummary) -> tuple[int, int]:
        return self._chain.place(self._chain.turns[glimpse.key])

    def is_current(self, glimpse: TurnSummary) -> bool:
        return self._chain.is_current(self._chain.turns[glimpse.key])

    def beside_id(self, response_id: str) -> Sequence[str]:
        return self._chain.beside_id(response_id)

    def _turn_summary(self, turn: Turn) -> TurnSummary:
        return TurnSummary(
            key=turn.key,
            number=self._chain.number(turn) - 1,
            prompt=turn.prompt[:BEGINNING],
            status=turn.status,
            response_id=turn.response_id,
            model=turn.model,
            tokens=turn.usage.total_tokens if turn.usage else 0,
            created_at=turn.created_at,
            cell=turn.cell,
        )
