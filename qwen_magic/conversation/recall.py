"""A store in memory that answers all that the durable one does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from qwen_magic.conversation.chain import Record, Turn
from qwen_magic.conversation.store import ChainStore, MemoryStore
from qwen_magic.conversation.summary import PREVIEW, Summary


class RecallStore(ChainStore, Protocol):
    """A `ChainStore` that also keeps running turns, and finds turns across conversations.

    `SqliteStore` says what each method means.
    """

    def checkpoint(self, turn: Turn) -> None: ...

    def turn(self, key: str) -> Turn | None: ...

    def path_to(self, key: str) -> list[Turn]: ...

    def summaries(self) -> Sequence[Summary]: ...

    def close(self) -> None: ...


class MemoryRecall(MemoryStore):
    """Records for as long as the process lives.

    A running turn needs no checkpoint here: what would lose it would lose everything.
    """

    def checkpoint(self, turn: Turn) -> None:
        pass

    def turn(self, key: str) -> Turn | None:
        return next((turn for turn in self._turns() if turn.key == key), None)

    def path_to(self, key: str) -> list[Turn]:
        """Parents are looked for in the turn's own conversation first, as in the file."""
        by_key: dict[str, list[Turn]] = {}
        for turn in self._turns():
            by_key.setdefault(turn.key, []).append(turn)
        path = by_key.get(key, [])[:1]
        while path and path[-1].parent in by_key:
            found = by_key[path[-1].parent]
            path.append(next((each for each in found if each.chat == path[-1].chat), found[0]))
        return path[::-1]

    def summaries(self) -> Sequence[Summary]:
        return tuple(self._summary(chat) for chat in self.chats())

    def close(self) -> None:
        pass

    def _turns(self) -> Iterator[Turn]:
        for chat in self.chats():
            yield from (each for each in self.records(chat) if isinstance(each, Turn))

    def _summary(self, chat: str) -> Summary:
        records = self.records(chat)
        turns = [each for each in records if isinstance(each, Turn)]
        key = _head(records)
        head = self.turn(key) if key is not None else None
        return Summary(
            chat=chat,
            turns=len(turns),
            tokens=sum(turn.usage.total_tokens for turn in turns if turn.usage),
            newest=max(_made_at(each) for each in records),
            head=key,
            prompt=head.prompt[:PREVIEW] if head else "",
        )


def _head(records: Sequence[Record]) -> str | None:
    for each in reversed(records):
        if not isinstance(each, Turn) or each.may_be_head:
            return each.key
    return None


def _made_at(record: Record) -> float:
    return record.created_at + record.seconds if isinstance(record, Turn) else record.at
