"""Which output item an event speaks of.

Servers name items by `item_id` and by `output_index`, and each fails somewhere: ids that change
with every event (GitHub Copilot), an index that differs between `added` and `done` and is then
another item's (DashScope), no id (Alibaba's samples), neither, or events that come before
their item's `added`. So: by id; else by index, among open items of the same type; else, where
the event gives no id, the newest open item of that type; else a new entry.
"""

from __future__ import annotations

from collections.abc import Iterable

from qwen_magic.protocol.entry import Entry
from qwen_magic.protocol.items import Item, item_type, parse_item


class Entries:
    """The output items of one response, in the order of first sight."""

    def __init__(self, first_key: int = 0) -> None:
        """`first_key`: how many entries the turn had before this response."""
        self.all: list[Entry] = []
        self._first_key = first_key
        self._by_id: dict[str, Entry] = {}
        self._by_index: dict[int, Entry] = {}

    def streaming(self, kind: str, item_id: str, index: int | None, at: float) -> Entry:
        """The entry that a delta or progress event of an item of type `kind` belongs to; one of
        its own where no item was added for it."""
        entry = self._by_id.get(item_id)
        if entry is not None and _fits(entry, kind):
            return entry
        entry = self._same_id(kind, item_id) or self._open_at(kind, index)
        if entry is None and not item_id:
            entry = self._newest_open(kind)
        if entry is None:
            item = parse_item({"type": kind, "id": item_id, "status": "in_progress"})
            entry = self._new(item, index, at, added=False)
        return entry

    def added(self, item: Item, index: int | None, at: float) -> Entry:
        """The entry of an added item: one that streamed before it, or a new one."""
        kind = item_type(item)
        entry = self._same_id(kind, item.id) or self._waiting(kind, item.id, index)
        if entry is None or (entry.added and entry.done):  # done: an id that is used again
            return self._new(item, index, at, added=True)
        self._place(entry, item.id, index)
        return entry

    def done(self, item: Item, index: int | None, at: float) -> Entry:
        """The entry of a finished item; a new one where it was never added."""
        kind = item_type(item)
        entry = self._same_id(kind, item.id) or self._open_at(kind, index)
        if entry is None and (index is None or not item.id):
            entry = self._newest_open(kind)
        # Its index is not taken: on DashScope it can be the next item's.
        return entry or self._new(item, None, at, added=True)

    def final(self, items: Iterable[Item], at: float) -> list[tuple[Entry, Item]]:
        """Each item of the terminal response with its entry: by id, else by type in order, else
        a new one at the end."""
        items, free = list(items), list(self.all)
        found: dict[int, Entry] = {}
        for same in (self._same_item, _same_type):
            for number, item in enumerate(items):
                entry = None if number in found else same(free, item)
                if entry is not None:
                    free.remove(entry)
                    found[number] = entry
        return [
            (found.get(number) or self._new(item, None, at, added=True), item)
            for number, item in enumerate(items)
        ]

    def _same_item(self, free: list[Entry], item: Item) -> Entry | None:
        kind = item_type(item)
        now = (each for each in free if item.id and each.item.id == item.id and _fits(each, kind))
        once = self._same_id(kind, item.id)  # by an id that it had earlier
        return next(now, None) or (once if once in free else None)

    def _same_id(self, kind: str, item_id: str) -> Entry | None:
        if not item_id:
            return None
        newest = self._by_id.get(item_id)
        if newest is None or _fits(newest, kind):
            return newest
        # One id for items of several types.
        same = (each for each in self.all if each.item.id == item_id and _fits(each, kind))
        return next(same, None)

    def _open_at(self, kind: str, index: int | None) -> Entry | None:
        entry = None if index is None else self._by_index.get(index)
        return entry if entry is not None and _is_open(entry, kind) else None

    def _newest_open(self, kind: str) -> Entry | None:
        return next((each for each in reversed(self.all) if _is_open(each, kind)), None)

    def _waiting(self, kind: str, item_id: str, index: int | None) -> Entry | None:
        """An entry that was spoken of, but not added yet, and may be this item."""
        entry = self._open_at(kind, index)
        if entry is not None and not entry.added:
            return entry
        entry = self._newest_open(kind)
        nameless = entry is not None and not entry.added and not (entry.item.id and item_id)
        return entry if nameless else None

    def _new(self, item: Item, index: int | None, at: float, *, added: bool) -> Entry:
        entry = Entry(str(self._first_key + len(self.all)), item, at, added=added)
        self.all.append(entry)
        self._place(entry, item.id, index)
        return entry

    def _place(self, entry: Entry, item_id: str, index: int | None) -> None:
        if item_id:
            self._by_id[item_id] = entry
        if index is not None:
            self._by_index[index] = entry


def _same_type(free: list[Entry], item: Item) -> Entry | None:
    kind = item_type(item)
    return next((each for each in free if item_type(each.item) == kind), None)


def _is_open(entry: Entry, kind: str) -> bool:
    return not entry.done and item_type(entry.item) == kind


def _fits(entry: Entry, kind: str) -> bool:
    """Whether the id's item may be of type `kind`: a call's arguments stream under the name of
    another call's on some servers, but text and thinking never do."""
    own = item_type(entry.item)
    return own == kind or (own.endswith("_call") and kind.endswith("_call"))
