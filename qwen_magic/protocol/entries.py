"""The output items of a response, and which of them an event speaks of.

Servers name items by `item_id` and by `output_index`, and each fails somewhere: ids that change
with every event (GitHub Copilot), an index that differs between `added` and `done` and is then
another item's (DashScope), no id (Alibaba's samples), neither, or events that come before
their item's `added`. So: by id; else by index, among open items of the same type; else, where
the event gives no id, the newest open item of that type; else a new entry.

Calls of functions have a second name, `call_id`, which their outputs need, and which holds: one
`call_id` is one call, under whatever id and index. llama-server gives calls no id and no index, and
names them by `call_id` in deltas; an index that two calls share names neither.

    output_item.added   id "rs_1", output_index 0          a new entry, key "0"
    reasoning….delta    id "rs_1"                          by id: "0"
    output_item.added   id "ws_1", output_index 1          a new entry, key "1"
    output_item.done    id "rs_1", output_index 1          by id: "0"; its index is not taken
    output_text.delta   no id, no index                    no open message: a new entry, key "2"
    output_item.added   a message, id "msg_1"              "2", which waited for it
    output_item.added   a call, no id, call_id "call_1"    a new entry, key "3"
    function_call_arguments.delta   id "call_1"            by call_id: "3"
    output_item.done    a call, id "fc_1", call_id "call_1"     by call_id: "3"

The texts of messages come without the thinking that some of them begin with (`thinking.py`). That
becomes an entry of its own, a `Reasoning` directly before the message; so does the thinking in each
whole text that comes later, so that the sources of both are compared like any others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from qwen_magic.protocol.entry import Entry
from qwen_magic.protocol.items import (
    CustomToolCall,
    FunctionCall,
    Item,
    Message,
    Reasoning,
    item_type,
    parse_item,
)
from qwen_magic.protocol.thinking import Piece, ThinkSplitter, split_thinking


class Entries:
    """The output items of one response, in the order in which they were first mentioned."""

    def __init__(self, first_key: int = 0) -> None:
        """`first_key`: how many entries the turn had before this response."""
        self.all: list[Entry] = []
        self._first_key = first_key
        self._by_id: dict[str, Entry] = {}
        self._by_call: dict[str, Entry] = {}
        self._by_index: dict[int, Entry] = {}

    def streaming(self, kind: str, item_id: str, index: int | None, at: float) -> Entry:
        """The entry that a delta or progress event for an item of type `kind` belongs to.

        A new one is made if no item was added for it.
        """
        entry = self._by_id.get(item_id)
        if entry is not None and _fits(entry, kind):
            return entry
        entry = (
            self.call(item_id, kind)
            or self._same_id(kind, item_id)
            or self._open_at(kind, index)
            or self._only_call(kind, index)
        )
        if entry is None and not item_id:
            entry = self._newest_open(kind)
        if entry is None:
            item = parse_item({"type": kind, "id": item_id, "status": "in_progress"})
            entry = self._new(item, index, at, added=False)
        return entry

    def added(self, item: Item, index: int | None, at: float) -> Entry:
        """The entry of an added item: one that already streams, or a new one."""
        kind = item_type(item)
        entry = self._entry_named(item)
        is_same_call = entry is not None and bool(call_id_of(item)) and _is_call(entry, item)
        if entry is None:
            entry = self._waiting(kind, item.id, index)
        # done: an id that is used again
        if entry is None or (entry.added and entry.done and not is_same_call):
            return self._new(item, index, at, added=True)
        self._place(entry, item, index)
        return entry

    def done(self, item: Item, index: int | None, at: float) -> Entry:
        """The entry of a finished item; a new one if it was never added."""
        kind = item_type(item)
        entry = self._entry_named(item) or self._open_at(kind, index, item)
        if entry is None and (index is None or not item.id):
            entry = self._alike(self.all, item) if call_text(item) else self._newest_open(kind)
        if entry is not None:
            self._place(entry, item, None)
        # Its index is not taken: on DashScope it can be the next item's.
        return entry or self._new(item, None, at, added=True)

    def final(self, items: Iterable[Item], at: float) -> list[tuple[Entry, Item]]:
        """The items of the terminal response with their entries: by id, else by type in order, else
        new.

        A call that is listed twice counts once.
        """
        items, free = list(_without_repeats(items)), list(self.all)
        found: dict[int, Entry] = {}
        for same in (self._same_item, self._alike, _same_type):
            for number, item in enumerate(items):
                entry = None if number in found else same(free, item)
                if entry is not None:
                    free.remove(entry)
                    found[number] = entry
        return [
            (found.get(number) or self._new(item, None, at, added=True), item)
            for number, item in enumerate(items)
        ]

    def before(self, entry: Entry, item: Item, at: float) -> Entry:
        """A new entry, directly before `entry`."""
        new = Entry(str(self._first_key + len(self.all)), item, at)
        self.all.insert(self.all.index(entry), new)
        return new

    def call(self, call_id: str, kind: str = "") -> Entry | None:
        """The entry of the call with that `call_id` (and of type `kind`, if given)."""
        entry = self._by_call.get(call_id) if call_id else None
        return entry if entry is not None and (not kind or _fits(entry, kind)) else None

    def _entry_named(self, item: Item) -> Entry | None:
        """The entry that the item's `call_id`, or else its id, refers to."""
        kind = item_type(item)
        call_id = call_id_of(item)
        entry = (
            self.call(call_id, kind)
            or self._same_id(kind, item.id)
            or self._same_id(kind, call_id)  # deltas came before it, under that name
        )
        return entry if entry is not None and _is_call(entry, item) else None

    def _same_item(self, free: list[Entry], item: Item) -> Entry | None:
        kind = item_type(item)
        call = self.call(call_id_of(item), kind)
        if call is not None:
            return call if call in free else None
        now = (each for each in free if item.id and each.item.id == item.id and _fits(each, kind))
        once = self._same_id(kind, item.id)  # by an id that it had earlier
        entry = next(now, None) or (once if once in free else None)
        return entry if entry is not None and _is_call(entry, item) else None

    @staticmethod
    def _alike(among: list[Entry], item: Item) -> Entry | None:
        """The entry of a call that has only its function and arguments in common with `item`; else
        the first open one.
        """
        if not call_text(item):
            return None
        calls = [
            each
            for each in among
            if each.type == item_type(item) and _is_call(each, item) and not each.answered
        ]
        same = (each for each in calls if call_text(each.finished()) == call_text(item))
        return next(same, None) or next((each for each in calls if not each.done), None)

    def _same_id(self, kind: str, item_id: str) -> Entry | None:
        if not item_id:
            return None
        newest = self._by_id.get(item_id)
        if newest is None or _fits(newest, kind):
            return newest
        # One id for items of several types.
        same = (each for each in self.all if each.item.id == item_id and _fits(each, kind))
        return next(same, None)

    def _open_at(self, kind: str, index: int | None, item: Item | None = None) -> Entry | None:
        entry = None if index is None else self._by_index.get(index)
        if entry is None or not _is_open(entry, kind):
            return None
        return entry if item is None or _is_call(entry, item) else None

    def _only_call(self, kind: str, index: int | None) -> Entry | None:
        """The call that a delta with an unknown name must belong to."""
        if index is not None or kind not in _CALLS:
            return None
        calls = [each for each in self.all if each.added and _is_open(each, kind)]
        return calls[0] if len(calls) == 1 else None

    def _newest_open(self, kind: str) -> Entry | None:
        return next((each for each in reversed(self.all) if _is_open(each, kind)), None)

    def _waiting(self, kind: str, item_id: str, index: int | None) -> Entry | None:
        """An entry that was mentioned but not added yet, and may be this item."""
        entry = self._open_at(kind, index)
        if entry is not None and not entry.added:
            return entry
        entry = self._newest_open(kind)
        nameless = entry is not None and not entry.added and not (entry.item.id and item_id)
        return entry if nameless else None

    def _new(self, item: Item, index: int | None, at: float, *, added: bool) -> Entry:
        entry = Entry(str(self._first_key + len(self.all)), item, at, added=added)
        self.all.append(entry)
        self._place(entry, item, index)
        return entry

    def _place(self, entry: Entry, item: Item, index: int | None) -> None:
        if item.id:
            self._by_id[item.id] = entry
        if call_id_of(item):
            self._by_call[call_id_of(item)] = entry
        if index is not None:
            self._by_index[index] = entry


_CALLS: Final = ("function_call", "custom_tool_call")


def call_id_of(item: Item) -> str:
    """The `call_id` of a call that the caller has to answer; "" for other items."""
    return item.call_id if isinstance(item, FunctionCall | CustomToolCall) else ""


def call_text(item: Item) -> tuple[str, str] | None:
    """What a call that is the caller's to answer calls, and with what; None for other items."""
    match item:
        case FunctionCall(name=name, arguments=given) | CustomToolCall(name=name, input=given):
            return name, given
    return None


def _is_call(entry: Entry, item: Item) -> bool:
    """Whether `item` may be the same call as the entry's."""
    one, other = call_id_of(entry.item), call_id_of(item)
    return not (one and other) or one == other


def _without_repeats(items: Iterable[Item]) -> Iterable[Item]:
    """`items` without calls that are listed twice."""
    seen: set[tuple[str, str]] = set()
    for item in items:
        called = call_text(item)
        names = (call_id_of(item), called[0] if called else "")
        if not names[0] or names not in seen:
            seen.add(names)
            yield item


def _same_type(free: list[Entry], item: Item) -> Entry | None:
    kind = item_type(item)
    return next((each for each in free if each.type == kind and _is_call(each, item)), None)


def _is_open(entry: Entry, kind: str) -> bool:
    return not entry.done and entry.type == kind


def _fits(entry: Entry, kind: str) -> bool:
    """Whether the id's item may be of type `kind`: a call's arguments stream under the name of
    another call's on some servers, but text and thinking never do."""
    own = entry.type
    return own == kind or (own.endswith("_call") and kind.endswith("_call"))


class MessageTexts:
    """Collects the texts of messages, and separates thinking from them.

    `may_lack_start`: the server is known to omit the tag that begins the thinking.
    """

    def __init__(self, entries: Entries, *, may_lack_start: bool) -> None:
        self._entries = entries
        self._may_lack_start = may_lack_start

    def extend(self, entry: Entry, part: int, delta: str, at: float) -> None:
        """Append a delta to a message's text."""
        splitter = entry.splitter
        if splitter is None:
            splitter = ThinkSplitter(may_lack_start=self._may_lack_start)
            entry.splitter = splitter
        for piece in splitter.feed(delta):
            self._take(entry, part, piece, at)
        entry.is_plain = splitter.is_plain

    def offer(self, entry: Entry, part: int, text: str, source: int, at: float) -> None:
        """Set the complete text of a part, as a stream reports it."""
        self.flush(entry, at)
        thought, words = self._split(text)
        if thought and self._thinking_of(entry).growing.offer("reasoning_text", 0, thought, source):
            self._thinking_of(entry).version += 1
        if entry.growing.offer("output_text", part, words, source):
            entry.version += 1

    def without_thinking(
        self, entry: Entry, item: Item, source: int, at: float, *, is_last: bool = True
    ) -> Item:
        """A complete item without the thinking in its text. `is_last`: no more deltas follow."""
        if not isinstance(item, Message):
            return item
        if is_last:
            self.flush(entry, at)
        thought, words = self._split(item.text)
        if thought:
            thinking = self._thinking_of(entry)
            thinking.take(Reasoning(id="", text=thought), source, is_last=is_last)
        return replace(item, text=words) if words != item.text else item

    def flush(self, entry: Entry, at: float) -> None:
        """Release text that was held back, as the complete text or the end has come."""
        if entry.splitter is not None:
            for piece in entry.splitter.close():
                self._take(entry, 0, piece, at)

    def _take(self, entry: Entry, part: int, piece: Piece, at: float) -> None:
        kind, words = piece
        entry.version += 1
        if kind == "answer":
            if entry.thinking is not None:
                entry.thinking.finish("completed", at)
            entry.growing.extend("output_text", part, words)
            return
        if kind == "recall":
            words = (entry.text + words).strip()
            entry.growing.restart()
        if words:
            thinking = self._thinking_of(entry)
            thinking.version += 1
            thinking.growing.extend("reasoning_text", 0, words)

    def _thinking_of(self, entry: Entry) -> Entry:
        if entry.thinking is None:
            item = Reasoning(id="", status="in_progress")
            entry.thinking = self._entries.before(entry, item, entry.started_at)
        return entry.thinking

    def _split(self, words: str) -> tuple[str, str]:
        return split_thinking(words, may_lack_start=self._may_lack_start)
