"""Where conversations are kept, as a session sees it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from qwen_magic.conversation.chain import (
    HeadMove,
    HeldId,
    RecordedTurns,
    T,
    Turn,
    TurnSummary,
)

PREVIEW: Final = 200  # characters of a prompt


@dataclass(frozen=True, slots=True)
class ChatSummary:
    """A conversation in a line, told without loading it. `turns` counts all that were begun here
    (not those that a fork shares), `tokens` their total.

    `newest`: when the last record was made, in seconds since 1970. `head`: the key of the turn
    that it continues after, None before its first; `prompt`: how that turn's question begins, at
    most `PREVIEW` characters.
    """

    chat: str
    turns: int
    tokens: int
    newest: float
    head: str | None
    prompt: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something else that was found out and is worth keeping, for all notebooks: whether a host
    keeps response ids, a cached answer, a score. `value` is any JSON; `at` is in seconds since
    1970. `most`: so many bytes its namespace may take, whose oldest go; 0: any number."""

    namespace: str
    key: str
    value: Any
    at: float = 0.0
    most: int = 0


Kept: TypeAlias = Turn | HeadMove | Fact


class Store(Protocol):
    """Keeps the records of named conversations, and facts. No turn is ever deleted or changed."""

    @property
    def path(self) -> Path | None:
        """The file that what is appended now goes into; None: it ends with the process."""

    @property
    def failure(self) -> str:
        """Why that is no file, though it was to be one: a line for the reader; else empty."""

    def append(self, kept: Kept, *, running: bool = False) -> None:
        """Keep an ended turn or a move of the head under its conversation's name; or a fact, in
        place of the one of the same namespace and key.

        `running`: the turn is still being answered. It is kept as far as it has come, and its
        status says what to call it if nothing follows; only what is new is written, and where
        another process writes for longer than a moment, that is left to the next time. It is
        finished by appending it: all of it is there afterwards, or what was kept last. Raises
        `ValueError` where the conversation has the ended turn already.
        """

    def load(self, chat: str, kind: type[T]) -> RecordedTurns[T]:
        """The records of one conversation in the order in which they were appended, and the turns
        that it shares; read whole (`Turn`) or as far as a line tells them (`TurnSummary`).

        A turn that this store is still writing is not there yet; one that another process left
        behind is, as far as it was kept.
        """

    def chats(self) -> Sequence[ChatSummary]:
        """All conversations that have records, in order of their first one."""

    def of_cell(self, cell_id: str) -> Sequence[TurnSummary | HeadMove]:
        """The turns of a cell, in whichever conversation they ended, and the conversations that it
        began, in order; each with the name that its conversation has now."""

    def held_ids(self) -> Collection[HeldId]:
        """The ids that servers gave for turns of any notebook; none that only a file told."""

    def rename(self, chat: str, name: str) -> None:
        """Give a conversation a name that no other has; what is kept of it stays as it is."""

    def fact(self, namespace: str, key: str) -> Any:
        """The value of a fact that was kept, by any notebook; None where there is none."""

    def close(self) -> None:
        """Give the file back; using the store again opens it again."""
