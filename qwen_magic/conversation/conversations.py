"""The conversations of one session, by name, with the one that is current.

The first is `main`; unnamed new ones are `chat-2`, `chat-3`, …. Answers of the offline demo live in
`demo`, so that they never mix with a real conversation.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from qwen_magic.conversation.chain import Chain, Conversation, HeadMove, Record, Turn, TurnSummary
from qwen_magic.conversation.outline import Outline, outline_of
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.conversation.store import ChatSummary, Fact, Store
from qwen_magic.errors import ConversationError

FIRST_CHAT: Final = "main"
DEMO_CHAT: Final = "demo"


class Conversations:
    """Chains by name over a store (None: in memory). `clock` gives seconds since 1970."""

    def __init__(
        self, store: Store | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store or SqliteStore()
        self._clock = clock
        self._chains: dict[str, Chain] = {}
        self._facts: dict[tuple[str, str], Any] = {}  # as far as they were asked for
        self._found: dict[str, int] = {}
        self.current = FIRST_CHAT

    def chain(self, name: str) -> Chain:
        """The conversation of that name, created where it is new."""
        if name not in self._chains:
            chain = self._chains[name] = self.conversation(name).chain()
            if chain.turns:
                self._found[name] = len(chain.path(chain.head))
        return self._chains[name]

    def found(self, name: str, *, keep: bool = False) -> int:
        """How many turns `name` went on with from an earlier session: told once, then 0, unless it
        is to be kept for the next time."""
        self.chain(name)
        return self._found.get(name, 0) if keep else self._found.pop(name, 0)

    def forget(self, name: str) -> None:
        """Let go of a conversation that was only looked at: it is loaded again, or begun anew."""
        self._chains.pop(name, None)

    def append(self, turn: Turn) -> None:
        """Keep an ended turn."""
        self.chain(turn.chat).append(turn)
        self._found.pop(turn.chat, None)
        self._store.append(turn)

    def checkpoint(self, turn: Turn) -> None:
        """Keep a running turn as far as it has come."""
        self._store.append(turn, running=True)

    def names(self) -> Sequence[str]:
        """All conversations, the oldest first; the current one even while it is empty."""
        stored = (each.chat for each in self.summaries())
        return list(dict.fromkeys([*stored, *self._chains, self.current]))

    def summaries(self) -> Sequence[ChatSummary]:
        """The conversations that have records, in a line each, without loading them."""
        return self._store.chats()

    def recent(self, most: int) -> Sequence[ChatSummary]:
        """The `most` conversations with records that were used last, and the current one where it
        has some, in order of their first record."""
        found = self.summaries()
        newest = {each.chat for each in sorted(found, key=lambda each: each.newest)[-most:]}
        return [each for each in found if each.chat in newest or each.chat == self.current]

    def empty(self) -> Sequence[str]:
        """The conversations that were begun here, or are the current one, and have no turns yet."""
        begun = dict.fromkeys([*self._chains, self.current])
        return [name for name in begun if not self._has_turns(name)]

    def outline(self, name: str) -> Outline:
        """What a page tells of `name`, without loading it. Raises `ConversationError` where there
        is no such conversation."""
        self._check_known(name)
        if name in self._chains:  # another kernel may have moved the head that the file has
            return outline_of(self._chains[name])
        with _without_collections():
            return outline_of(self._store.load(name, TurnSummary).chain())

    def switch(self, name: str) -> None:
        """Make `name` the current conversation, created where it is new; it is loaded once it is
        continued."""
        self.current = name
        if not self._is_stored(name):
            self.chain(name)

    def fresh_name(self) -> str:
        """The first of `chat-2`, `chat-3`, … that is not in use."""
        taken = set(self.names())
        number = 2
        while f"chat-{number}" in taken:
            number += 1
        return f"chat-{number}"

    def new(self, name: str = "") -> Chain:
        """Begin an empty conversation. Raises `ConversationError` where `name` has turns."""
        name = name or self.fresh_name()
        if self.chain(name).turns:
            raise ConversationError(
                f"The conversation {name} exists and has turns; nothing is ever deleted.",
                hint=f"Choose another name, or go on with it: %qwen_chat {name}",
            )
        return self.chain(name)

    def fork(self, name: str, source: Chain, turn: Turn) -> Chain:
        """Begin a conversation that continues after `turn` of `source`, and shares the turns up to
        it. Raises `ConversationError` where `name` has turns."""
        self.new(name)
        begin = HeadMove(name, "fork", turn.key, self._clock())
        self._store.append(begin)
        self._chains[name] = Chain(name, [begin], base=source.path(turn))
        return self._chains[name]

    def adopt(self, name: str, records: Sequence[Record]) -> Chain:
        """Keep records of elsewhere as the new conversation `name`."""
        self.new(name)
        for record in records:
            self._store.append(record)
        self._chains[name] = Chain(name, records)
        return self._chains[name]

    def undo(self, name: str, steps: int) -> Turn | None:
        """Step the head back; the new head, None where the conversation stands before its first
        turn. Raises `ConversationError` where it has fewer turns."""
        chain = self.chain(name)
        path = chain.path(chain.head)
        if steps > len(path):
            where = f"after turn {len(path)}" if path else "before the first turn"
            raise ConversationError(
                f"{name} cannot step back {steps}: the next question continues {where}.",
                hint="%qwen_history shows them.",
            )
        head = path[-steps - 1] if steps < len(path) else None
        self.pick(chain, head)
        return head

    def pick(self, chain: Chain, turn: Turn | None) -> None:
        """Make `turn` the head of `chain`, and the current one of its cell; None: the conversation
        stands before its first turn."""
        key = turn.key if turn is not None else None
        chain.move(key)
        self._store.append(HeadMove(chain.name, "head", key, self._clock()))

    def find(self, ref: str, chat: str) -> tuple[Chain, Turn]:
        """The turn that REF names, in `chat` unless REF says `other:3`."""
        name, colon, rest = ref.rpartition(":")
        chain = self.known(name) if colon else self.chain(chat)
        return chain, chain.find(rest)

    def known(self, name: str) -> Chain:
        """The conversation of that name. Raises `ConversationError` where there is none."""
        self._check_known(name)
        return self.chain(name)

    def turns(self) -> Iterator[Turn]:
        """All turns that are kept, of all conversations."""
        for name in self.names():
            records = self.conversation(name).records
            yield from (each for each in records if isinstance(each, Turn))

    def conversation(self, name: str) -> Conversation:
        """All that is kept of `name`, as it was stored."""
        return self._store.load(name, Turn)

    def fact(self, namespace: str, key: str) -> Any:
        """What was found out by this or another notebook, such as whether a host keeps ids
        (`"keeps_ids"`, the host); None where nothing was."""
        if (namespace, key) not in self._facts:
            self._facts[namespace, key] = self._store.fact(namespace, key)
        return self._facts[namespace, key]

    def learn(self, namespace: str, key: str, value: Any) -> None:
        """Keep a fact, in place of an earlier one. `value`: any JSON, never a secret."""
        self._store.append(Fact(namespace, key, value, self._clock()))
        self._facts[namespace, key] = value

    def close(self) -> None:
        self._store.close()

    def _has_turns(self, name: str) -> bool:
        return bool(self._chains[name].turns) if name in self._chains else self._is_stored(name)

    def _is_stored(self, name: str) -> bool:
        return any(each.chat == name for each in self.summaries())

    def _check_known(self, name: str) -> None:
        if name not in self._chains and name != self.current and not self._is_stored(name):
            raise ConversationError(
                f"There is no conversation {name!r}.", hint="%qwen_chat lists them."
            )


@contextmanager
def _without_collections() -> Iterator[None]:
    """Making thousands of small objects that are soon gone has Python look through the whole heap
    for cycles, again and again: in a notebook with its libraries that takes as long as the work."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
