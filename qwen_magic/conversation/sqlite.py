"""Conversations kept in an SQLite file.

Records replay in the order of `seq`. A turn takes its place when it has *ended*, not when it was
begun: the chain that lived appended it then, and of two answers that ran at once the one that ended
last is the head. So `append` takes a draft out and puts the turn at the end. One exception: where
another process has continued a draft meanwhile, or made it a head, the turn ends where the draft
stands, since a parent must precede its children.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from qwen_magic.conversation import reading, writing
from qwen_magic.conversation.chain import Record, Turn
from qwen_magic.conversation.chain_tree import ChainTree
from qwen_magic.conversation.database import Database, is_busy
from qwen_magic.conversation.outline import Outline, outline_of
from qwen_magic.conversation.recall import chain_of
from qwen_magic.conversation.stored_tree import stored_tree
from qwen_magic.conversation.summary import Recent, Summary
from qwen_magic.conversation.writing import Draft

CHECKPOINT_PATIENCE: Final = 0.1  # seconds that a checkpoint waits for another writer


class SqliteStore:
    """A `ChainStore` whose conversations outlive the process: those of one scope of a file.

    Safe to use from several threads, and by several processes at once.
    """

    def __init__(self, path: Path, scope: str) -> None:
        """`scope`: the notebook's path or the working folder that the conversations belong to.

        Raises `sqlite3.Error`, `NewerStoreError` and `OSError`, as every method may.
        """
        self.path = path
        self.scope = scope
        self._database = Database(path)
        self._drafts: dict[tuple[str, str], Draft] = {}  # by chat and key: what we are writing

    def append(self, record: Record) -> None:
        """Keep an ended turn, or a mark.

        A turn that was checkpointed is finished: all of it is there afterwards, or what the last
        checkpoint said. Raises `ValueError` where the conversation has this turn already.
        """
        with self._database.writing() as connection:
            chat = writing.chat_id(connection, self.scope, record.chat)
            if isinstance(record, Turn):
                writing.finish_turn(connection, chat, record)
            else:
                writing.insert_mark(connection, chat, record)
        if isinstance(record, Turn):
            self._drafts.pop((record.chat, record.key), None)

    def checkpoint(self, turn: Turn) -> None:
        """Keep a turn as far as it has come; its status says what to call it if nothing follows.

        Only what is new since the last checkpoint is written. Where another process writes for
        longer than a moment, this is left to the next checkpoint.
        """
        place = (turn.chat, turn.key)
        try:
            with self._database.writing(CHECKPOINT_PATIENCE) as connection:
                draft = self._drafts.get(place)
                if draft is None:
                    chat = writing.chat_id(connection, self.scope, turn.chat)
                    draft = writing.begin_draft(connection, chat, turn)
                else:
                    draft = writing.go_on(connection, draft, turn)
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        else:
            self._drafts[place] = draft

    def records(self, chat: str) -> Sequence[Record]:
        """The records of one conversation in their order.

        A turn that this store is still checkpointing is not one yet; one that a process left
        behind is, as far as it was kept.
        """
        running = {key for name, key in list(self._drafts) if name == chat}
        with self._database.reading() as connection:
            return tuple(reading.select_records(connection, self.scope, chat, running=running))

    def chats(self) -> Sequence[str]:
        """The names of the scope's conversations, in order of their first record."""
        with self._database.reading() as connection:
            return tuple(reading.select_chats(connection, self.scope))

    def summaries(self) -> Sequence[Summary]:
        """The scope's conversations in a line each, at a cost that does not grow with them."""
        with self._database.reading() as connection:
            return tuple(reading.select_summaries(connection, self.scope))

    def recent(self, most: int, also: str) -> Recent:
        """The `most` conversations used last, with `also` wherever it stands, in a line each."""
        with self._database.reading() as connection:
            return reading.select_recent(connection, self.scope, most, also)

    def has(self, chat: str) -> bool:
        """Whether the scope has a conversation of that name."""
        with self._database.reading() as connection:
            return reading.select_has(connection, self.scope, chat)

    def outline(self, chat: str) -> Outline:
        """What a page tells of a conversation, at a cost that does not grow with it; a fork is read
        whole, as is one that this store is writing a turn of."""
        if not any(name == chat for name, _ in list(self._drafts)):
            with self._database.reading() as connection:
                tree = stored_tree(connection, self.scope, chat)
                if tree is not None:
                    return outline_of(tree)
        return outline_of(ChainTree(chain_of(self, chat)))

    def turn(self, key: str) -> Turn | None:
        """The turn of that key in this scope, else anywhere in the file; None: there is none."""
        with self._database.reading() as connection:
            return reading.select_turn(connection, self.scope, key)

    def path_to(self, key: str) -> list[Turn]:
        """From the first turn of all to the one of that key, through the forks that lie between.

        Empty where this scope has no such turn.
        """
        with self._database.reading() as connection:
            return reading.select_path(connection, self.scope, key)

    def close(self) -> None:
        """Give the file back; using the store again opens it again."""
        self._database.close()
