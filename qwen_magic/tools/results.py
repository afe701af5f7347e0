"""What a function gave back, as text for the model."""

from __future__ import annotations

import base64
import csv
import dataclasses
import enum
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, KeysView, Mapping, MappingView
from collections.abc import Set as AbstractSet
from types import NoneType
from typing import Any, Final

from qwen_magic.context.dataframe import is_query, is_table, read_table
from qwen_magic.context.dataframe.describing import describe_value, visible_part
from qwen_magic.context.description import describe, json_text, own_words, rows_text
from qwen_magic.context.images import image_part
from qwen_magic.context.masked_names import is_masked, record_fields, without_masked
from qwen_magic.context.time_limit import OutOfTimeError
from qwen_magic.masking import MASKED
from qwen_magic.tools.definition import MAX_RESULT_BYTES

MOST_YIELDED: Final = 10_000  # items that are taken of an iterator
MOST_IMAGES: Final = 4  # of one result
_MOST_LOOKED_AT: Final = 20
_MOST_RUN: Final = 10_000  # rows of a query
_DEEPEST: Final = 50
_SCALARS: Final = (NoneType, bool, int, float, str)
_ITERABLES: Final = (Iterator, list, tuple, range, deque, MappingView, AbstractSet)
_WRITTEN: Final = (
    *("Decimal", "Fraction", "UUID", "timedelta", "complex", "ZoneInfo", "Period", "Interval"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Pictured:
    """A server's result: a value, and images (`data:` addresses)."""

    value: Any
    images: tuple[str, ...]


class Yielded(list[Any]):
    """The items of an iterator as JSON, with `notes` about those that are missing."""

    notes: tuple[str, ...] = ()


def result_text(
    value: object,
    limit: int = MAX_RESULT_BYTES,
    mask: Collection[str] = (),
    seconds: float = float("inf"),
) -> str:
    """`value` for a `function_call_output`, at most `limit` bytes and a note about the rest.

    Text as it is; an object with `__llm__` in its own words; tables as CSV, whole rows only; arrays
    with their type, shape and every number; figures in a sentence (`result_images` has them as
    images); what JSON can hold as JSON (dataclasses, models and named tuples as objects; dates,
    Decimal and paths as text; bytes as text or base64); others described. Generators and other
    iterators, and what has items and no words of its own, are run to their end: until they gave
    what `limit` has room for, `MOST_YIELDED` items, or for so many `seconds`; what came until then
    is sent, with a note. Columns and keys that `mask` names are kept back. Raises only what an
    iterator raises.
    """
    plain = PlainValues(limit, mask, seconds)
    value = value.value if isinstance(value, Pictured) else value
    made = plain.of(value)
    if isinstance(made, str):
        text = made
    else:
        head = f"{_kind_of_array(value)}\n" if isinstance(made, list) and _is_array(value) else ""
        text = head + json_text(made, limit, str)
    notes = [*plain.notes, *(value.notes if type(value) is Yielded else ())]
    return "\n".join([_cut(text, limit), *notes])


class PlainValues:
    """Converts values to JSON, until the text is certainly longer than `limit` bytes.

    `notes` say where it stopped for another reason.
    """

    def __init__(
        self, limit: int, mask: Collection[str] = (), seconds: float = float("inf")
    ) -> None:
        self.notes: list[str] = []
        self._left = limit
        self._mask = mask
        self._seconds = seconds
        self._ends_at = time.monotonic() + seconds

    def of(self, value: Any, depth: int = 0) -> Any:
        """`value` as JSON: of scalars, lists and dicts. Raises what an iterator raises."""
        try:
            opened = self._opened(value, depth) if depth < _DEEPEST else self._described(value)
        except OutOfTimeError:
            raise
        except Exception:  # what is looked at is the user's
            opened = self._described(value)
        if type(opened) in _SCALARS:
            self._left -= len(opened) + 2 if isinstance(opened, str) else 1
            return opened
        if isinstance(opened, Mapping):
            return self._members(opened, depth)
        return self._items(opened, depth)

    def has_room(self, taken: int) -> bool:
        """Whether to take another item from an iterator after `taken` ones; adds a note if not."""
        if time.monotonic() > self._ends_at:
            self.end_early(taken, str(OutOfTimeError(self._seconds)))
        elif taken >= MOST_YIELDED:
            self.end_early(taken, "ask for less at a time")
        else:
            return self._left >= 0
        return False

    def end_early(self, taken: int, why: str) -> None:
        self.notes.append(f"(ended after the first {taken:,} items: {why})")

    def _members(self, members: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        made = {}
        for key, item in members.items():
            name = key if isinstance(key, str) else str(key)
            hidden = bool(self._mask) and is_masked(name, self._mask)
            made[name] = MASKED if hidden else self.of(item, depth + 1)
            self._left -= len(name) + 4
            if self._left < 0:
                break
        return made

    def _items(self, items: Iterable[Any], depth: int) -> list[Any]:
        is_lazy = isinstance(items, Iterator)
        made: list[Any] = []
        try:
            for item in items:
                made.append(self.of(item, depth + 1))
                self._left -= 2
                if self._left < 0 or (is_lazy and not self.has_room(len(made))):
                    break
        except OutOfTimeError as error:
            if not is_lazy:
                raise
            self.end_early(len(made), str(error))
        finally:
            if is_lazy and callable(close := getattr(type(items), "close", None)):
                close(items)
        return made

    def _opened(self, value: Any, depth: int) -> Any:
        """`value` as a scalar, a mapping, or an iterable of items; what is inside is not converted
        yet.
        """
        kind = type(value)
        if kind in _SCALARS or issubclass(kind, Iterator):
            return value
        if issubclass(kind, enum.Enum):
            return value.value if type(value.value) in _SCALARS else value.name
        if issubclass(kind, str):
            return str.__str__(value)
        if own_words(value):
            return str(describe_value(value, mask=self._mask, whole=True))
        if figure := figure_of(value):
            return figure_words(figure)
        if is_rows(value) or is_table(value):
            return self._table(value)
        if self._mask and hasattr(kind, "dtype"):
            value = without_masked(value, self._mask)
        if _is_array(value):
            return self._numbers(value, depth)
        if (fields := record_fields(value)) is not None:
            return fields
        if issubclass(kind, AbstractSet) and not issubclass(kind, KeysView):
            return _sorted(value)
        if issubclass(kind, _ITERABLES) or isinstance(value, Mapping):
            return value
        if issubclass(kind, bytes | bytearray | memoryview):
            return _text_of(bytes(value[: self._left + 1]))
        if kind.__name__ in ("NAType", "NaTType"):  # pandas' missing values
            return None
        if hasattr(kind, "isoformat"):
            return value.isoformat()
        if hasattr(kind, "as_py"):  # a number of pyarrow's
            return value.as_py()
        if kind.__name__ in _WRITTEN or hasattr(kind, "__fspath__"):
            return str(value)
        if getattr(kind, "__repr__", None) is object.__repr__ and issubclass(
            kind, Iterable
        ):  # of one's own class
            return iter(value)
        return self._described(value)

    def _described(self, value: object) -> str:
        return str(describe_value(value, mask=self._mask) if self._mask else describe(value))

    def _table(self, value: Any) -> str:
        """As many complete rows as CSV as fit."""
        if self._mask:
            value = visible_part(value, self._mask)
            if isinstance(value, str):
                return value
        if is_query(value) or not is_rows(value):
            return self._of_query(value)
        return self._csv(value, value.shape[0])

    def _of_query(self, value: Any) -> str:
        """Run a query for as many rows as fit; describe one that returns no rows."""
        most = min(max(self._left, 0) // 2 + 1, _MOST_RUN)
        table = read_table(value, most)
        if table is None:
            return self._described(value)
        if table.rows is None:
            self.notes.append(f"(the query was run for its first {most:,} rows)")
        return self._csv(table.frame, table.rows or len(table.frame))

    def _csv(self, value: Any, count: int) -> str:
        columns = (*value.shape, 1)[1]
        if not columns:
            return f"an empty {type(value).__name__}, {count:,} rows × 0 columns"
        most = max(self._left, 0) // (2 * columns) + 1
        head = value.head(most) if hasattr(value, "head") else value.slice(0, most)
        text = rows_text(head)
        if len(text.encode("utf-8", "replace")) <= self._left:
            return text
        whole, rows = _whole_rows(_first_bytes(text, self._left))
        kept = max(rows - (_whole_rows(text)[1] - len(head)), 0)
        self.notes.append(f"(cut: the first {kept:,} of {count:,} rows; ask for less at a time)")
        return whole

    def _numbers(self, array: Any, depth: int) -> Any:
        """An array's items, by its first axis. Numbers of single precision as short as they are
        exact there; moments as text."""
        kind = getattr(array.dtype, "kind", "")
        if kind in ("m", "M") and hasattr(array, "astype"):
            array = array.astype(str)
        short = kind == "f" and getattr(array.dtype, "itemsize", 8) < 8
        if not array.shape:
            return self.of(float(str(array)) if short else array.tolist(), depth + 1)
        if len(array.shape) > 1:
            return list(array)
        items = array[: max(self._left, 0) + 1].tolist()
        return [float(str(item)) for item in array[: len(items)]] if short else items


def is_rows(value: object) -> bool:
    """True for tables and columns: of pandas, polars, pyarrow and others."""
    kind = type(value)
    return hasattr(kind, "shape") and any(
        hasattr(kind, name) for name in ("head", "to_pylist", "column_names")
    )


def _is_array(value: object) -> bool:
    kind = type(value)
    return hasattr(kind, "shape") and hasattr(kind, "dtype") and hasattr(kind, "tolist")


def _kind_of_array(value: Any) -> str:
    lengths = " × ".join(f"{length:,}" for length in value.shape)
    return f"{type(value).__name__}, {lengths}, {value.dtype}"


def _sorted(items: AbstractSet[Any]) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:
        return sorted(items, key=repr)


def _text_of(raw: bytes) -> str:
    """Bytes as the text that they are; else in base64."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" not in text:
        return text
    return f"{len(raw):,} bytes, in base64: {base64.b64encode(raw).decode('ascii')}"


def _whole_rows(text: str) -> tuple[str, int]:
    """`text` up to the end of its last complete row, and the number of rows.

    `text` is CSV, whose cells may contain line breaks, or JSON lines.
    """
    lines = [f"{line}\n" for line in text.split("\n")[:-1]]
    if lines and lines[0].startswith(("{", "[")):
        return "".join(lines).rstrip("\n"), len(lines)
    reader = csv.reader(lines, strict=True)
    rows = ended = 0
    try:
        for _ in reader:
            rows, ended = rows + 1, reader.line_num
    except csv.Error:  # inside of a cell
        pass
    return "".join(lines[:ended]).rstrip("\n"), rows


def _cut(text: str, limit: int) -> str:
    kept = _first_bytes(text, limit)
    if kept == text:
        return text
    return f"{kept}…\n(cut: the first {limit:,} bytes of more; ask for less at a time)"


def _first_bytes(text: str, limit: int) -> str:
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= limit else raw[: max(limit, 0)].decode("utf-8", "ignore")


# Figures -----------------------------------------------------------------------------------------


def figure_of(value: Any) -> Any | None:
    """The figure that `value` is or belongs to (axes, an array of axes); None for others."""
    kind = type(value)
    if hasattr(kind, "savefig") or hasattr(kind, "to_plotly_json"):
        return getattr(value, "figure", value) if hasattr(kind, "savefig") else value
    if hasattr(kind, "get_figure") and hasattr(kind, "get_title"):
        return value.get_figure()
    if all(hasattr(kind, name) for name in ("thumbnail", "getexif")):
        return value  # of Pillow
    if kind.__module__.startswith("altair.") and hasattr(kind, "to_dict") and hasattr(kind, "save"):
        return value
    if hasattr(kind, "flat") and str(getattr(value, "dtype", "")) == "object" and value.size:
        return figure_of(next(iter(value.flat)))
    return value if kind.__name__ == "Image" and hasattr(kind, "_repr_png_") else None


def result_images(value: Any) -> tuple[str, ...]:
    """The figures that `value` is or contains, as `data:` addresses; at most `MOST_IMAGES`.

    Figures that cannot be drawn are left out; the result's text mentions them.
    """
    if isinstance(value, Pictured):
        return value.images[:MOST_IMAGES]
    items = list(value.values()) if type(value) is dict else value
    found: dict[int, str] = {}
    for item in items[:_MOST_LOOKED_AT] if type(items) in (list, tuple) else [value]:
        try:
            figure = figure_of(item)
            if figure is not None and id(figure) not in found:
                found[id(figure)] = str(image_part("the figure", figure)["image_url"])
        except Exception:  # drawing runs what the user put into it
            continue
    return tuple(found.values())[:MOST_IMAGES]


def figure_words(figure: Any) -> str:
    """A sentence about a figure, for a model without vision."""
    if not hasattr(figure, "get_axes"):
        size = getattr(figure, "size", None)
        pixels = " of {} × {} pixels".format(*size) if isinstance(size, tuple) else ""
        return f"an image{pixels}, of type {type(figure).__name__}"
    told = []
    for axes in figure.get_axes():
        labels = {"title": axes.get_title(), "x": axes.get_xlabel(), "y": axes.get_ylabel()}
        named = ", ".join(f"{name}: {label}" for name, label in labels.items() if label)
        drawn = f"{len(axes.lines)} lines, {len(axes.patches)} patches, "
        told.append(f"({named or 'without labels'}; {drawn}{len(axes.collections)} collections)")
    return f"a figure with {len(told)} axes: {'; '.join(told)}" if told else "an empty figure"
