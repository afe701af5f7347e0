"""The conversations of one session, by name, with the one that is current.

The first is `main`; unnamed new ones are `chat-2`, `chat-3`, …. Answers of the offline demo live in
`demo`, so that they never mix with a real conversation.

A cell keeps its place, since a kernel cannot know the order of cells: it belongs to the
conversation in which it was first answered, until it is answered in another one because somebody
said so (`-c`, `--after`). That is the conversation of its newest answer, so that what the store has
of the cell is all that it takes (`places`). In the same way the cell of a `%qwen_new`, a
`%qwen_fork` or a `%qwen_chat NAME` finds the conversation that it began (`begun`), and `--new` the
one that the turn began (`begun_with`). A failed or stopped answer claims no cell, and one of the
demo none for another host.

What is set aside keeps everything but its name (`main` is then `main~1`) and its claims, so that
the same notebook begins afresh, with the same names.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from qwen_magic.conversation import uncollected
from qwen_magic.conversation.chain import (
    CellKey,
    Chain,
    Conversation,
    HeadMove,
    HeldId,
    Record,
    Turn,
    TurnSummary,
)
from qwen_magic.conversation.outline import Outline, outline_of
from qwen_magic.conversation.rows import ChatSummary, Fact, Kept
from qwen_magic.conversation.scope import from_home
from qwen_magic.conversation.sqlite import SqliteStore
from qwen_magic.errors import ConversationError

if TYPE_CHECKING:
    from qwen_magic.conversation.fallback_store import FallbackStore

FIRST_CHAT: Final = "main"
DEMO_CHAT: Final = "demo"
DEMO_HOST: Final = "demo"
_ASIDE: Final = re.compile(r"(.+)~\d+")  # what a conversation that was set aside is called
_CACHE: Final = "answers"  # the namespace of facts in which answers are cached
_CACHE_BYTES: Final = 50_000_000  # of the answers that were used last: hundreds, with their figures
_UNNAMED: Final = re.compile(r"chat-\d+")
_FileState: TypeAlias = tuple[tuple[int, int], ...]


class Conversations:
    """The conversations of a store (None: in memory), by name. `clock` returns seconds since
    1970.
    """

    def __init__(
        self,
        store: SqliteStore | FallbackStore | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store or SqliteStore()
        self._clock = clock
        self._chains: dict[str, Chain] = {}
        self._facts: dict[tuple[str, str], Any] = {}  # as far as they were asked for
        self._found: dict[str, int] = {}
        self._file = self._store.path
        self._seen: dict[str, _FileState] = {}  # by conversation, when it was last caught up
        self.current = FIRST_CHAT

    def chain(self, name: str) -> Chain:
        """The conversation of that name, created if needed."""
        if name not in self._chains:
            chain = self._chains[name] = self.conversation(name).chain()
            if chain.turns:
                self._found[name] = len(chain.path(chain.head))
        return self._chains[name]

    def found(self, name: str, *, keep: bool = False) -> int:
        """How many turns `name` had from an earlier session; 0 from the second call on, unless
        `keep`.
        """
        self.chain(name)
        return self._found.get(name, 0) if keep else self._found.pop(name, 0)

    def catch_up(self, name: str) -> int:
        """Load turns that another process has added to a conversation since it was loaded; return
        how many.

        Only if they follow the head known here. If both processes continued after the same turn,
        these are two branches, and each process keeps its own.
        """
        state = self._file_state()
        if not state or state == self._seen.get(name):  # in memory there is no other process
            return 0
        self._seen[name] = state
        chain = self._chains.get(name)
        head = next((each.head for each in self.summaries() if each.chat == name), None)
        if chain is None or head is None or head in chain.turns:
            return 0
        found = self.conversation(name).chain()
        path = [turn.key for turn in found.path(found.head)]
        if chain.turns and (chain.head is None or chain.head.key not in path):
            return 0
        if chain.turns.keys() - found.turns.keys():  # a thread here is about to write one
            del self._seen[name]
            return 0
        self._chains[name] = found
        return len(path) - (path.index(chain.head.key) + 1 if chain.head else 0)

    def _file_state(self) -> _FileState:
        """Times and sizes of the store's file and its write-ahead log; empty without a file."""
        if (path := self._file) is None:
            return ()
        return tuple(
            (found.st_mtime_ns, found.st_size)
            for file in (path, path.with_name(f"{path.name}-wal"))
            if (found := _stat(file)) is not None
        )

    def _keep(self, kept: Kept, *, running: bool = False) -> None:
        """Write to the store, without hiding what other processes wrote before from `catch_up`."""
        before = self._file_state()
        self._store.append(kept, running=running)
        self._file = self._store.path  # None, once that has failed
        after = self._file_state()
        for name, seen in list(self._seen.items()):
            if seen == before:
                self._seen[name] = after

    def forget(self, name: str) -> None:
        """Unload a conversation that was only looked at."""
        self._chains.pop(name, None)

    def append(self, turn: Turn) -> None:
        """Store a turn that has ended."""
        self.chain(turn.chat).append(turn)
        self._found.pop(turn.chat, None)
        self._keep(turn)

    def checkpoint(self, turn: Turn) -> None:
        """Keep a running turn as far as it has come."""
        self._keep(turn, running=True)

    def names(self) -> Sequence[str]:
        """All conversations, the oldest first; the current one even while it is empty."""
        stored = (each.chat for each in self.summaries())
        return list(dict.fromkeys([*stored, *self._chains, self.current]))

    def summaries(self) -> Sequence[ChatSummary]:
        """The conversations that have records, in a line each, without loading them."""
        return self._store.chats()

    def recent(self, most: int) -> Sequence[ChatSummary]:
        """The `most` conversations with records that were used last, and the current one where it
        has some, in order of their first record; none that was set aside."""
        found = [each for each in self.summaries() if not _ASIDE.fullmatch(each.chat)]
        newest = {each.chat for each in sorted(found, key=lambda each: each.newest)[-most:]}
        return [each for each in found if each.chat in newest or each.chat == self.current]

    def empty(self) -> Sequence[str]:
        """The conversations that were started here, or are current, and have no turns yet."""
        begun = dict.fromkeys([*self._chains, self.current])
        return [name for name in begun if not self._has_turns(name)]

    def outline(self, name: str) -> Outline:
        """The outline of `name` for a page, without loading it. Raises `ConversationError` if
        unknown.
        """
        self._check_known(name)
        if name in self._chains:  # another kernel may have moved the head that the file has
            return outline_of(self._chains[name])
        with uncollected():
            return outline_of(self._store.load(name, TurnSummary).chain())

    def switch(self, name: str) -> None:
        """Make `name` the current conversation; it is loaded or created when it is continued."""
        self.current = name
        if not self._is_stored(name):
            self.chain(name)

    def places(self, cell_id: str, host: str) -> dict[int, str]:
        """The conversation of each answered call of a cell, by the call's number.

        `host`: the question's. Answers of the demo count only for the demo, and others only for
        others.
        """
        newest: dict[int, TurnSummary] = {}
        for turn in self._turns_of(cell_id, host):
            if turn.cell is not None and turn.may_be_head:
                # What was answered here came later than what stands before it, whatever a clock
                # that was set back says; of what a file told, its time is all that is known.
                known = newest.setdefault(turn.cell.call, turn)
                if turn.created_at > known.created_at or not turn.imported:
                    newest[turn.cell.call] = turn
        return {call: turn.chat for call, turn in newest.items()}

    def begun_with(self, cell: CellKey | None, host: str) -> str:
        """The conversation that starts with a turn of this cell; empty if there is none."""
        turns = self._turns_of(cell.cell_id, host) if cell else ()
        begun = [turn.chat for turn in turns if turn.cell == cell and turn.parent is None]
        return begun[-1] if begun else ""

    def begun(self, cell: CellKey | None, name: str = "") -> HeadMove | None:
        """The record by which this cell started the conversation `name` (or an unnamed one); None
        if it did not.
        """
        for made in reversed(self._store.of_cell(cell.cell_id) if cell else ()):
            is_named = made.chat == name if name else _UNNAMED.fullmatch(made.chat)
            if isinstance(made, HeadMove) and made.cell == cell and is_named:
                return made
        return None

    def _turns_of(self, cell_id: str, host: str) -> Iterator[TurnSummary]:
        for made in self._store.of_cell(cell_id):
            if isinstance(made, HeadMove) or _ASIDE.fullmatch(made.chat):
                continue
            if (made.host == DEMO_HOST) == (host == DEMO_HOST):
                yield made

    def set_aside(self) -> Sequence[str]:
        """Rename all conversations, so that the notebook starts afresh; return their new names.

        No answer may be in progress.
        """
        names = [each.chat for each in self.summaries()]
        aside = [self._rename(name, "~", 1) for name in names if not _ASIDE.fullmatch(name)]
        self._chains.clear()
        self._found.clear()
        self.current = FIRST_CHAT
        return aside

    def enter(self, name: str, cell: CellKey | None = None) -> str:
        """Make `name` current, created if needed; return its name.

        A conversation that was set aside is restored, by its new or old name, with its old name if
        that is free. But if `cell` started it, it is started again. Raises `ConversationError` if
        no such conversation was set aside.
        """
        if _ASIDE.fullmatch(name):
            self._check_known(name)
            name = self._rename(name, "-", 2)
        elif not self._is_stored(name):
            aside = [each.chat for each in self.summaries() if plain_name(each.chat) == name]
            if aside and not any(self.begun(cell, each) for each in aside):
                name = self._rename(aside[-1], "-", 2)
            elif cell is not None:
                self.begin(name, (), cell)
        self.switch(name)
        return name

    def _rename(self, chat: str, mark: str, first: int) -> str:
        """Rename between `main` and `main~1`; back to `main-2` if `main` exists."""
        plain = plain_name(chat)
        if mark == "-" and not self._is_stored(plain):
            name = plain
        else:
            name = self._numbered(plain + mark, first)
        self._store.rename(chat, name)
        self._chains.pop(chat, None)
        self._chains.pop(name, None)
        return name

    def fresh_name(self) -> str:
        """The first unused name of `chat-2`, `chat-3`, …"""
        return self._numbered("chat-", 2)

    def _numbered(self, stem: str, number: int) -> str:
        taken = set(self.names())
        while f"{stem}{number}" in taken:
            number += 1
        return f"{stem}{number}"

    def new(self, name: str = "", cell: CellKey | None = None) -> Chain:
        """Start an empty conversation; if `cell` has started it before, start it again.

        Raises `ConversationError` if `name` has turns.
        """
        begun = self.begun(cell, name)
        if begun is None:
            name = name or self.fresh_name()
            if self.chain(name).turns:
                raise ConversationError(
                    f"The conversation {name} exists and has turns; nothing is ever deleted.",
                    hint=f"Choose another name, or go on with it: %qwen_chat {name}",
                )
        name = begun.chat if begun else name
        return self.begin(name, (), cell) if cell else self.chain(name)

    def fork(self, name: str, source: Chain, turn: Turn, cell: CellKey | None = None) -> Chain:
        """Start a conversation that continues after `turn` of `source`, and shares the turns up to
        it.

        If `cell` has started it before, start it again: its cells then follow `turn`. Raises
        `ConversationError` if `name` has turns, or `turn` comes after some of them.
        """
        path = source.path(turn)
        if self.begun(cell, name) is None:
            self.new(name)
        elif any(each.chat == name for each in path):
            raise ConversationError(
                f"{name} cannot begin after a turn that follows its own.",
                hint="Choose another name for the new conversation.",
            )
        return self.begin(name, path, cell)

    def begin(self, name: str, path: Sequence[Turn], cell: CellKey | None = None) -> Chain:
        """Let `name` continue after the last turn of `path` (or empty), as started by `cell`."""
        chain = self.chain(name)
        key = path[-1].key if path else None
        self._keep(HeadMove(name, "fork", key, self._clock(), cell))
        chain.share(path)
        return chain

    def left(self, name: str, cell: CellKey | None) -> tuple[Chain, Turn] | None:
        """The conversation that the fork `name` left, and the turn it continues after, if `cell`
        started it.

        The turn is the current one of its cell, which may have been answered again since.
        """
        begun = self.begun(cell, name)
        turn = self.chain(name).turns.get(begun.key) if begun and begun.key else None
        if turn is None:
            return None
        source = self.chain(turn.chat)
        return source, source.current_of(turn)

    def held_ids(self) -> Collection[HeldId]:
        """The response ids that servers gave to turns of any notebook, without those from files."""
        return self._store.held_ids()

    def adopt(self, name: str, records: Sequence[Record]) -> Chain:
        """Store imported records as the new conversation `name`."""
        self.new(name)
        for record in records:
            self._keep(record)
        self._chains[name] = Chain(name, records)
        return self._chains[name]

    def undo(self, name: str, steps: int) -> Turn | None:
        """Move the head back by `steps` turns; return it, None if before the first turn.

        Raises `ConversationError` if there are fewer turns.
        """
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
        """Make `turn` the head of `chain`, and current in its cell; None: before the first turn."""
        key = turn.key if turn is not None else None
        chain.move(key)
        self._keep(HeadMove(chain.name, "head", key, self._clock()))

    def find(self, ref: str, chat: str) -> tuple[Chain, Turn]:
        """The turn that `ref` names, in `chat` unless it says `other:3`. Raises
        `ConversationError`.
        """
        name, colon, rest = ref.rpartition(":")
        chain = self.known(name) if colon else self.chain(chat)
        return chain, chain.find(rest)

    def known(self, name: str) -> Chain:
        """The conversation of that name. Raises `ConversationError` if there is none."""
        self._check_known(name)
        return self.chain(name)

    def turns(self) -> Iterator[Turn]:
        """All stored turns of all conversations."""
        for name in self.names():
            records = self.conversation(name).records
            yield from (each for each in records if isinstance(each, Turn))

    def conversation(self, name: str) -> Conversation:
        """The stored records of `name`."""
        return self._store.load(name, Turn)

    def fact(self, namespace: str, key: str) -> Any:
        """A stored fact, such as whether a host keeps ids (`"keeps_ids"`, the host); None if
        unknown.
        """
        if (namespace, key) not in self._facts:
            self._facts[namespace, key] = self._store.fact(namespace, key)
        return self._facts[namespace, key]

    def learn(self, namespace: str, key: str, value: Any, *, lasting: bool = True) -> None:
        """Store a fact (any JSON, never a secret), replacing an earlier one.

        Unless `lasting` it is kept in memory only, until `unlearn`.
        """
        if lasting:
            self._keep(Fact(namespace, key, value, self._clock()))
        self._facts[namespace, key] = value

    def cached(self, key: str) -> Any:
        """The cached value under `key`, marked as just used; None if there is none."""
        kept = self._store.fact(_CACHE, key)
        if kept is not None:
            self.cache(key, kept)
        return kept

    def cache(self, key: str, value: Any) -> None:
        """Cache any JSON for all notebooks, until newer entries fill the cache."""
        self._keep(Fact(_CACHE, key, value, self._clock(), most=_CACHE_BYTES))

    def unlearn(self, key_end: str) -> None:
        """Forget all facts in memory whose key ends so."""
        self._facts = {k: fact for k, fact in self._facts.items() if not k[1].endswith(key_end)}

    @property
    def trouble(self) -> str:
        """Why turns are stored in memory only although they should be in a file; else empty."""
        return self._store.failure

    def whereabouts(self) -> str:
        """Where turns are stored, in a sentence."""
        if self.trouble:
            return self.trouble
        if self._store.path is None:
            return "Kept in memory only, for as long as this process runs."
        return f"Kept in {from_home(self._store.path)}."

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


def plain_name(name: str) -> str:
    """The name that a conversation had before it was set aside."""
    found = _ASIDE.fullmatch(name)
    return found[1] if found else name


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
