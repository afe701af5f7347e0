"""One conversation as a chain of turns, each linked to its parent.

`Turn` is the one declaration of what is kept of a turn. The rows of the store, the JSON of an
exported conversation and the metadata of a notebook's output derive from its fields: a field's
annotation (`Id`, `Key | None`, `float`, …) says how it is kept and checked, in the tables of
`rows.py` and `archive/json_form.py`. A new field needs a default; its column is made where a
file has none (`migrations.add_columns`).

A chain only ever grows: a turn is appended once, when it has ended, and never changed. A `HeadMove`
records what a person decided since: that the head is another turn. Replaying turns and moves in
their order gives the same chain. What moves:

- the **head**, after which the next turn continues: the newest turn that may be one;
- for each cell, its **current** turn: the newest of its siblings that may be a head.

A turn may be a head when it completed, or was cut at the token limit, and has text or thinking (so
that "continue" works), or a call. Failed, stopped and empty ones are kept, and continued only by
naming them.

A fork shares the turns up to the one that it leaves from: they belong to both chains.

A cell that runs again makes a sibling of its earlier turn: its parent is the *current* turn of the
earlier parent's cell, so that after editing cell 1, running cell 2 follows the new answer. In which
conversation it runs again, `Conversations.places` says.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from os.path import commonprefix  # of any texts
from typing import Any, Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from qwen_magic.errors import ConversationError
from qwen_magic.protocol.fields import JSON, text
from qwen_magic.protocol.response import Usage

TurnStatus: TypeAlias = Literal["completed", "incomplete", "failed", "stopped"]
MoveKind: TypeAlias = Literal["head", "fork"]
Key: TypeAlias = str  # our own name of a turn, not empty
Name: TypeAlias = str  # of a conversation: can be typed on one line
Id: TypeAlias = str  # a short text that somebody else has chosen: a response id, a model, a host
HeldId: TypeAlias = tuple[Id, Id]  # a response id, and the host that gave it

# Calls that are the caller's to answer, and what answers each.
CALLS: Final = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
PROMPT_BEGINNING: Final = 560  # characters: enough for a line, however it is spaced
SHORTEST_ID: Final = 6  # characters of a response id that may name a turn


@dataclass(frozen=True, slots=True)
class CellKey:
    """The call that made a turn: the cell's id, and the number of calls before it in one
    execution.
    """

    cell_id: Id
    call: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with its answer, after it has ended.

    - `key`: our unique id; `response_id`: the server's, empty if none came;
    - `prompt`: as typed; `input`: as sent (a string, or message items);
    - `host`: where it was sent; `seconds`: how long it took; `created_at`: seconds since 1970;
    - `stored`: the server is assumed to keep it, so the conversation can continue after its id;
      otherwise it is sent as text;
    - `imported`: it comes from a file, so only its text is trusted, and its usage does not count;
    - `cached`: it was answered from the store (`--cache`), so it used nothing.
    """

    key: Key
    chat: Name
    status: TurnStatus
    parent: Key | None = None
    response_id: Id = ""
    previous_response_id: Id = ""
    cell: CellKey | None = None
    prompt: str = ""
    input: str | tuple[JSON, ...] = ""
    text: str = ""
    items: tuple[JSON, ...] = ()
    model: Id = ""
    host: Id = ""
    usage: Usage | None = None
    created_at: float = 0.0
    seconds: float = 0.0
    stored: bool = True
    imported: bool = False
    cached: bool = False
    raw: JSON = field(default_factory=dict, compare=False, repr=False)

    @property
    def may_be_head(self) -> bool:
        """Whether the conversation can continue after it: there is text, a call, or thinking."""
        if self.status not in ("completed", "incomplete"):
            return False
        if self.text or any(item.get("type") == "reasoning" for item in self.items):
            return self.status == "completed" or not self.open_calls
        return self.status == "completed" and any(is_call(item) for item in self.items)

    def may_continue(self, answered: Collection[str] = ()) -> bool:
        """Whether the server can continue after its id, with a question that has results for these
        calls.

        It cannot if a call has no result, which would be an error in this and all later turns.
        Thinking without an answer is sent as text too, so that "continue" makes sense.
        """
        is_whole = bool(self.text) or any(is_call(item) for item in self.items)
        is_answered = self.open_calls <= set(answered)
        return bool(self.response_id) and self.stored and is_whole and is_answered

    @property
    def tokens(self) -> int:
        """All tokens that this turn used here; 0 if unknown."""
        return self.usage.total_tokens if self.usage and not self.imported else 0

    @property
    def open_calls(self) -> frozenset[str]:
        """The `call_id` of each call without a result."""
        answered = {str(item.get("call_id")) for item in self.items if is_output(item)}
        return frozenset(
            str(item.get("call_id") or item.get("id"))
            for item in self.items
            if is_call(item) and str(item.get("call_id")) not in answered
        )


def is_call(item: JSON) -> bool:
    """Whether an item is a call. (What a file has there may be no text.)"""
    return text(item.get("type")) in CALLS


def is_output(item: JSON) -> bool:
    """Whether an input item is the result of a call."""
    return item.get("type") in CALLS.values()


class TurnSummary(NamedTuple):
    """The fields of a turn that a list needs, read without its texts.

    `prompt` is cut to `PROMPT_BEGINNING` characters. A tuple is faster to create than a dataclass:
    listing a conversation may create ten thousand.
    """

    key: Key
    chat: Name
    status: TurnStatus
    parent: Key | None
    response_id: Id
    cell: CellKey | None
    prompt: str
    model: Id
    tokens: int
    created_at: float
    may_be_head: bool
    host: Id = ""
    imported: bool = False


@dataclass(frozen=True, slots=True)
class HeadMove:
    """A decision of the user, stored among the turns.

    - `head`: the turn `key` becomes the head, and current in its cell; None: before the first turn;
    - `fork`: the conversation starts after the turn `key` of another one, or empty (None). It is
      the first record, and is repeated when the cell that started the fork runs again;
    - `at`: seconds since 1970; `cell`: the call that did it, if any.
    """

    chat: Name
    kind: MoveKind
    key: Key | None = None
    at: float = 0.0
    cell: CellKey | None = None


T = TypeVar("T", bound=Turn | TurnSummary)  # read whole, or as far as a line tells it
Record: TypeAlias = Turn | HeadMove


@dataclass(frozen=True)  # no slots: Python 3.11 cannot call `RecordedTurns[Turn]` with them
class RecordedTurns(Generic[T]):
    """A conversation as stored in a store or file: its records in the order of their creation.

    `base`: the turns that a fork shares with the conversation it leaves, first to last.
    """

    name: str
    records: tuple[T | HeadMove, ...]
    base: tuple[T, ...] = ()

    @property
    def turns(self) -> Iterator[T]:
        """All turns, starting with those of the base."""
        yield from self.base
        yield from (each for each in self.records if not isinstance(each, HeadMove))

    def check(self) -> None:
        """Raise `ValueError` if a turn occurs twice, or before its parent."""
        seen = {turn.key for turn in self.base}
        for each in self.records:
            if not isinstance(each, HeadMove):
                if each.key in seen or not (each.parent is None or each.parent in seen):
                    raise ValueError(f"the turn {each.key!r} stands twice, or before its parent")
                seen.add(each.key)

    def chain(self) -> TurnTree[T]:
        return TurnTree(self.name, self.records, base=self.base)

    def adopted(
        self: RecordedTurns[Turn],
        name: str,
        new_key: Callable[[], str],
        held: Collection[HeldId] = (),
    ) -> tuple[Record, ...]:
        """The records of a file as a new conversation `name`: with new keys, and marked as
        imported.

        `held`: the ids that servers really gave to this store. A file may name any id, and a server
        would continue after whatever it stands for; turns with other ids are sent as text.
        """
        keys = {turn.key: new_key() for turn in self.turns}
        own: list[Record] = []
        for record in (*self.base, *self.records):
            if not isinstance(record, HeadMove):
                parent = None if record.parent is None else keys[record.parent]
                changed: dict[str, Any] = {"chat": name, "key": keys[record.key], "parent": parent}
                stored = record.stored and (record.response_id, record.host) in held
                own.append(replace(record, **changed, stored=stored, imported=True))
            elif record.key is None or record.key in keys:
                # A fork's record says where it begins; of its own, a move of the head says that.
                key = None if record.key is None else keys[record.key]
                own.append(HeadMove(name, "head", key, record.at))
        return tuple(own)


class TurnTree(Generic[T]):
    """The turns of one conversation. Changed only by `append`, `move` and `share`."""

    def __init__(
        self, name: str, records: Sequence[T | HeadMove] = (), *, base: Sequence[T] = ()
    ) -> None:
        """`records`: in the order of their creation; `base`: the turns that a fork shares, first to
        last.
        """
        self.name = name
        self.tokens = 0  # of the turns of this conversation, not of those that a fork shares
        self._turns: dict[str, T] = {}
        self._head: str | None = None
        self._children: dict[str | None, list[str]] = {}
        self._made: dict[CellKey, list[str]] = {}
        self._ids: list[str] | None = None  # of the responses, sorted once they are asked for
        self._current: dict[CellKey, str] = {}
        for record in (*base, *records):
            if not isinstance(record, HeadMove):
                self.append(record)
            elif record.key is None or record.key in self._turns:
                self.move(record.key)

    def move(self, key: str | None) -> None:
        """Make another turn the head; None: continue before the first turn."""
        if key is None:
            self._head = None
            return
        turn = self._turns[key]
        self._head = key
        if turn.cell is not None:
            self._current[turn.cell] = key

    def append(self, turn: T) -> None:
        """Add a turn that has ended; it becomes the head if possible. Its parent must be in the
        tree.
        """
        if turn.key in self._turns:
            raise ValueError(f"turn {turn.key} is in {self.name} already")
        if turn.parent is not None and turn.parent not in self._turns:
            raise ValueError(f"the parent {turn.parent} is not in {self.name}")
        self._turns[turn.key] = turn
        self._children.setdefault(turn.parent, []).append(turn.key)
        self._ids = None
        if turn.chat == self.name:
            self.tokens += turn.tokens
        if turn.cell is not None:
            self._made.setdefault(turn.cell, []).append(turn.key)
        if turn.may_be_head:
            self._head = turn.key
            if turn.cell is not None:
                self._current[turn.cell] = turn.key

    def share(self, path: Sequence[T]) -> None:
        """Start again after the last turn of `path`, which belongs to another conversation too, or
        empty.

        Cells that were answered before then continue after that path.
        """
        for turn in path:
            if turn.key not in self._turns:
                self.append(turn)
        self.move(path[-1].key if path else None)

    @property
    def turns(self) -> Mapping[str, T]:
        """All turns by key, in the order in which they ended."""
        return self._turns

    @property
    def head(self) -> T | None:
        return self._turns[self._head] if self._head is not None else None

    def parent_for(self, cell: CellKey | None) -> T | None:
        """The turn that a call from `cell` continues after; None: it starts the conversation."""
        made = self._made.get(cell) if cell is not None else None
        if not made:
            return self.head
        parent = self._turns[made[-1]].parent
        return self.current_of(self._turns[parent]) if parent is not None else None

    def current_of(self, turn: T) -> T:
        """The current turn of this turn's cell; the turn itself if it has no cell."""
        if turn.cell is None or turn.cell not in self._current:
            return turn
        return self._turns[self._current[turn.cell]]

    def path(self, turn: T | None) -> list[T]:
        """The turns from the first of the conversation to `turn`."""
        path: list[T] = []
        while turn is not None:
            path.append(turn)
            turn = self._turns[turn.parent] if turn.parent is not None else None
        return path[::-1]

    def siblings(self, cell: CellKey | None) -> list[T]:
        """All turns of this cell, oldest first."""
        made = self._made.get(cell, ()) if cell is not None else ()
        return [self._turns[key] for key in made]

    def children(self, key: str | None) -> list[T]:
        """The turns after the turn `key`, oldest first; None: those that start the conversation."""
        return [self._turns[each] for each in self._children.get(key, ())]

    def place(self, turn: T) -> tuple[int, int]:
        """Its number among the turns of its cell, and their count; (1, 1) without a cell."""
        made = self._made[turn.cell] if turn.cell is not None else [turn.key]
        return made.index(turn.key) + 1, len(made)

    def is_current(self, turn: T) -> bool:
        """Whether it is the current turn of its cell."""
        return turn.cell is not None and self._current.get(turn.cell) == turn.key

    def short_id(self, id: str) -> str:
        """The shortest name for a turn by its response id: six characters, or more to be unique and
        not a number.
        """
        if not id:
            return ""
        if self._ids is None:
            self._ids = sorted(turn.response_id for turn in self._turns.values())
        first, after = bisect_left(self._ids, id), bisect_right(self._ids, id)
        beside = self._ids[max(0, first - 1) : first] + self._ids[after : after + 1]
        alike = [len(commonprefix([id, each])) for each in beside]  # noqa: RUF071 - no paths
        ours = len(id) - len(id.removeprefix("resp_"))  # may be left out
        end = max([ours + SHORTEST_ID, *(length + 1 for length in alike)])
        while id[ours:end].isdigit() and end < len(id):
            end += 1
        return id[ours:end]

    def find(self, ref: str) -> T:
        """The turn that `ref` names. Raises `ConversationError`.

        `ref` is its number on the path to the head, a negative number from its end, or at least six
        characters of a response id.
        """
        number = int(ref) if ref.lstrip("-").isdecimal() else None
        if number is not None and (len(ref) < SHORTEST_ID or abs(number) <= len(self._turns)):
            return self._by_number(number)  # an id may begin with digits only
        found = [
            turn
            for turn in self._turns.values()
            if turn.response_id == ref or (len(ref) >= SHORTEST_ID and _starts(turn, ref))
        ]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConversationError(
                f"{len(found)} turns of {self.name} have an id that begins with {ref}.",
                hint="Give more of the id.",
            )
        raise ConversationError(
            f"{self.name} has no turn {ref!r}.",
            hint="Name a turn by its number (3), from the end (-1) or by six or more characters "
            "of its response id.",
        )

    def _by_number(self, number: int) -> T:
        path = self.path(self.head)
        index = number - 1 if number > 0 else len(path) + number
        if number != 0 and 0 <= index < len(path):
            return path[index]
        where = f"after turn {len(path)}" if path else "before the first turn"
        raise ConversationError(
            f"{self.name} has no turn {number}: the next question continues {where}.",
            hint="%qwen_chat lists the conversations.",
        )


def _starts(turn: Turn | TurnSummary, ref: str) -> bool:
    return turn.response_id.startswith(ref) or turn.response_id.startswith("resp_" + ref)


Chain: TypeAlias = TurnTree[Turn]
Conversation: TypeAlias = RecordedTurns[Turn]
