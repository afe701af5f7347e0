"""One conversation as it travels between stores and files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from qwen_magic.conversation.chain import Chain, HeadMove, Record, Turn


@dataclass(frozen=True, slots=True)
class Conversation:
    """Records in the order in which they were appended; `base`: the turns that a fork shares with
    the conversation it leaves, first to last."""

    name: str
    records: tuple[Record, ...]
    base: tuple[Turn, ...] = ()

    @property
    def turns(self) -> Iterator[Turn]:
        """All turns, those of the base first."""
        yield from self.base
        yield from (record for record in self.records if isinstance(record, Turn))

    def chain(self) -> Chain:
        return Chain(self.name, self.records, base=self.base)

    def adopted(self, name: str, new_key: Callable[[], str]) -> tuple[Record, ...]:
        """The records as a conversation `name` of its own: every turn with a new key, those of the
        base included, so that nothing meets what a store already has."""
        keys = {turn.key: new_key() for turn in self.turns}
        own: list[Record] = []
        for record in (*self.base, *self.records):
            if isinstance(record, Turn):
                parent = None if record.parent is None else keys[record.parent]
                own.append(replace(record, chat=name, key=keys[record.key], parent=parent))
            elif record.key is None or record.key in keys:
                # A fork's mark says where it begins; of its own, the head says that.
                key = None if record.key is None else keys[record.key]
                own.append(HeadMove(name, "head", key, record.at))
        return tuple(own)
