"""A store in memory that answers all that the durable one does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from qwen_magic.conversation.chain import Chain, HeadMove, Record, Turn
from qwen_magic.conversation.chain_tree import ChainTree
from qwen_magic.conversation.outline import Outline, outline_of
from qwen_magic.conversation.store import ChainStore, MemoryStore
from qwen_magic.conversation.summary import PREVIEW, Recent, Summary


class RecallStore(ChainStore, Protocol):
    """A `ChainStore` that also keeps running turns, and finds turns across conversations.

    `SqliteStore` says what each method means.
    """

    def checkpoint(self, turn: Turn) -> None: ...

    def turn(self, key: str) -> Turn | None: ...

    def path_to(self, key: str) -> list[Turn]: ...

    def summaries(self) -> Sequence[Summary]: ...

    def recent(self, most: int, also: str) -> Recent: ...

    def has(self, chat: str) -> bool: ...

    def outline(self, chat: str) -> Outline: ...

    def close(self) -> None: ...


def shared_turns(store: RecallStore, records: Sequence[Record]) -> Sequence[Turn]:
    """The turns that a fork of these records shares with the conversation it leaves."""
    first = records[0] if records else None
    if not isinstance(first, HeadMove) or first.kind != "fork" or first.key is None:
        return ()
    return store.path_to(first.key)


def chain_of(store: RecallStore, chat: str) -> Chain:
    """The whole conversation, with the turns that it shares."""
    records = store.records(chat)
    return Chain(chat, records, base=shared_turns(store, records))


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

    def recent(self, most: int, also: str) -> Recent:
        all_of_them = self.summaries()
        by_age = sorted(range(len(all_of_them)), key=lambda n: (all_of_them[n].newest, n))
        newest = set(by_age[-most:]) if most else set()
        found = tuple(
            each for n, each in enumerate(all_of_them) if n in newest or each.chat == also
        )
        return Recent(found, len(all_of_them) - len(found))

    def has(self, chat: str) -> bool:
        return chat in self.chats()

    def outline(self, chat: str) -> Outline:
        return outline_of(ChainTree(chain_of(self, chat)))

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
