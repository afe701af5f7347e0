"""The conversations of one session, by name, with the one that is current.

The first is `main`; unnamed new ones are `chat-2`, `chat-3`, …. Answers of the offline demo live in
`demo`, so that they never mix with a real conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qwen_magic.conversation.chain import Chain, Turn
from qwen_magic.conversation.store import ChainStore
from qwen_magic.errors import ConversationError

FIRST_CHAT: Final = "main"
DEMO_CHAT: Final = "demo"


class Book:
    """Chains by name over a store."""

    def __init__(self, store: ChainStore) -> None:
        self._store = store
        self._chains: dict[str, Chain] = {}
        self.current = FIRST_CHAT

    def chain(self, name: str) -> Chain:
        """The conversation of that name, created where it is new."""
        if name not in self._chains:
            self._chains[name] = Chain(name, self._store.records(name))
        return self._chains[name]

    def append(self, turn: Turn) -> None:
        self.chain(turn.chat).append(turn)
        self._store.append(turn)

    def names(self) -> Sequence[str]:
        """All conversations, the oldest first; the current one even while it is empty."""
        return list(dict.fromkeys([*self._store.chats(), *self._chains, self.current]))

    def switch(self, name: str) -> Chain:
        self.current = name
        return self.chain(name)

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

    def find(self, ref: str, chat: str) -> tuple[Chain, Turn]:
        """The turn that REF names, in `chat` unless REF says `other:3`."""
        name, colon, rest = ref.rpartition(":")
        if colon and name not in self.names():
            raise ConversationError(
                f"There is no conversation {name!r}.", hint="%qwen_chat lists them."
            )
        chain = self.chain(name if colon else chat)
        return chain, chain.find(rest)
