"""Tables of the notebook in a prompt: here as pandas has them, as far as they are looked at.

A table is pandas' own, or any that narwhals reads (polars, pyarrow, modin, duckdb …), or that has
the interchange protocol. No more of one is taken over than is looked at. A query that has not run
(polars' LazyFrame, a relation of duckdb, dask) is known by its schema: only rows that were asked
for make it run. A column that is kept back is named to the model, its values never are. Nothing
imports pandas until a table comes.

Read on in order: columns (schema and statistics), encoding and rebuilding (cells to text and back),
row_block (the block of Python that carries them), describing (the whole).
"""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

_UNKNOWN_CELLS: Final = 1_000_000  # of a table that can only be had whole
# What is looked at for statistics: more would keep the reader waiting.
_ROWS: Final = 200_000
_CELLS: Final = 600_000
_NESTED_ROWS: Final = 2_000  # where cells are lists, structs, objects
_BYTES: Final = 50_000_000
_FEWEST_ROWS: Final = 20
_MOST_COLUMNS: Final = 200
# What tables have, and nothing else is asked for to know one.
_SIGNS: Final = (
    *("__dataframe__", "__arrow_c_stream__", "__arrow_c_array__", "__dask_graph__"),
    *("collect_schema", "to_pandas", "_to_pandas"),  # the last is of modin's columns
)
_STYLED: Final = "Styler"  # of pandas: how a table is to look
NEEDS_NARWHALS: Final = 'Other tables than pandas\' need narwhals: pip install "qwen-magic[data]"'


@dataclass(frozen=True, slots=True)
class Table:
    """A table as far as it was looked at.

    `frame`: its first rows, as a DataFrame of pandas; `rows`: how many there are, None of a query
    that did not run to its end; `types`: of the columns, as its own library names them; `missing`:
    how many values the column at a place lacks in all, None where counting would take long;
    `changed`: columns whose values pandas cannot hold as they were; `left_out`: how many rows were
    taken out of `frame`, since their names are kept back.
    """

    frame: Any
    rows: int | None
    types: tuple[str, ...]
    missing: Callable[[int], int | None]
    changed: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def looked_at(self) -> int | None:
        """How many rows that is, where it is not all of them."""
        seen = len(self.frame) + self.left_out
        return seen if self.rows is None or seen < self.rows else None


def is_table(value: object) -> bool:
    """True for tables and single columns; nothing is imported to find out."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame | pandas.Series):
        return True
    kind = type(value)
    return not isinstance(value, type) and (
        any(hasattr(kind, sign) for sign in _SIGNS) or kind.__name__ == _STYLED
    )


def is_query(value: object) -> bool:
    """True for tables that have not been computed yet, whose shape would be a query: of dask,
    duckdb, polars' lazy ones."""
    kind = type(value)
    is_lazy = hasattr(kind, "limit") and not hasattr(kind, "to_pandas")
    return is_lazy or hasattr(kind, "__dask_graph__")


def is_column(value: Any) -> bool:
    """True for one column: a Series."""
    kind = type(value)
    if hasattr(kind, "columns") or hasattr(kind, "column_names"):
        return False
    return not hasattr(kind, "shape") or len(tuple(value.shape)) == 1


def read_table(value: Any, rows: int = 0) -> Table | None:
    """`value` as far as its statistics need it, and at least its first `rows`; None where it cannot
    be had, because pandas or narwhals is missing or none of the ways leads there."""
    try:
        import pandas  # type: ignore[import-untyped]
    except ImportError:
        return None
    value = value.data if type(value).__name__ == _STYLED else value
    if isinstance(value, pandas.DataFrame):
        return _of_pandas(value, rows)
    if isinstance(value, pandas.Series):
        return _of_pandas(value.to_frame(), rows)
    if hasattr(type(value), "__dask_graph__") and getattr(value, "ndim", 2) == 1:
        value = value.to_frame()
    # What tells no size, such as a reader of Arrow, may give its rows only once.
    gives_again = any(hasattr(type(value), sign) for sign in ("__len__", "shape", "__dataframe__"))
    others = (_by_arrow, _own_way, _interchange) if gives_again else ()
    for way in (_by_narwhals, *others):
        try:
            with warnings.catch_warnings():  # the interchange protocol is on its way out
                warnings.simplefilter("ignore")
                made: Table | None = way(value, rows)
        except Exception:  # a missing library, a type that it does not know
            continue
        if made is not None:
            return made
    return None


def has_narwhals() -> bool:
    try:
        import narwhals  # noqa: F401
    except ImportError:
        return False
    return True


def _many(rows: int, columns: int, size: int, nested: bool) -> int:
    """How many rows of a table with `rows` and `columns` are looked at; `size` is in bytes."""
    many = min(_NESTED_ROWS if nested else _ROWS, _CELLS // max(columns, 1))
    return max(_FEWEST_ROWS, min(many, _BYTES * rows // max(size, 1)))


def _of_pandas(table: Any, rows: int, convert: Callable[[Any], Any] = lambda head: head) -> Table:
    """pandas' own, and those of libraries with the same methods, which `convert` to it."""
    many = max(rows, _many(len(table), table.shape[1], 0, nested=False))
    head = convert(table.iloc[:many])

    def missing(place: int) -> int | None:
        column = table.iloc[:, place]
        slow = getattr(column.dtype, "kind", "O") == "O" and str(column.dtype) != "str"
        return None if slow and len(table) > many else int(column.isna().sum())

    types = tuple(getattr(dtype, "name", str(dtype)) for dtype in table.dtypes)
    return Table(head, len(table), types, missing)


def _by_narwhals(value: Any, rows: int) -> Table | None:
    import narwhals.stable.v2 as nw

    frame: Any = nw.from_native(value, allow_series=True)
    frame = frame.to_frame() if isinstance(frame, nw.Series) else frame
    native = frame.to_native()
    if frame.implementation.is_pandas_like():
        return _of_pandas(native, rows, lambda head: nw.from_native(head).to_pandas())
    types = _own_types(native)
    if isinstance(frame, nw.LazyFrame):
        schema = frame.collect_schema()
        if not rows:
            return Table(_empty(schema.names()), None, types, lambda place: None)
        ran = _by_narwhals(frame.head(rows).collect().to_native(), rows)
        if ran is None:
            return None
        whole = ran.rows if ran.rows is not None and ran.rows < rows else None
        return dataclasses.replace(ran, rows=whole, types=types)
    labels = list(native.column_names if hasattr(native, "column_names") else native.columns)
    if len(set(labels)) < len(labels):  # pyarrow's may be called alike
        frame = nw.from_native(native.rename_columns([str(n) for n in range(len(labels))]))
    columns = [frame.get_column(name) for name in frame.columns]
    nested = any(column.dtype.is_nested() or column.dtype == nw.Object for column in columns)
    size = int(frame.estimated_size())
    many = max(rows, _many(len(frame), len(columns), size, nested))
    taken = len(columns) if rows else _MOST_COLUMNS
    return _taken_over(labels, columns, many, len(frame), types, taken)


def _taken_over(
    labels: list[Any],
    columns: list[Any],
    many: int,
    rows: int,
    types: tuple[str, ...],
    taken: int,
) -> Table:
    """Values of the first `taken` columns only, where no more can show."""
    import pandas

    made = {n: as_series(column.head(many)) for n, column in enumerate(columns[:taken])}
    made |= dict.fromkeys(range(taken, len(columns)), "…")
    head = pandas.DataFrame(made, index=range(min(many, rows)))
    head.columns = labels
    changed = tuple(
        f"column {label!r} ({kind})"
        for label, kind, column in zip(labels[:taken], types, columns, strict=False)
        if "[us]" not in kind and _is_finer(column.head(many))
    )
    return Table(head, rows, types, lambda place: int(columns[place].null_count()), changed)


def levels_of(index: Any) -> list[Any]:
    """An index of pandas as a Series for each level. (`to_series` guesses the type of objects.)"""
    import pandas

    levels = [index.get_level_values(n) for n in range(index.nlevels)]
    return [pandas.Series(level.array, dtype=level.dtype, name=level.name) for level in levels]


def _own_types(native: Any) -> tuple[str, ...]:
    """polars tells a query's by `collect_schema`, pyarrow by `schema`, duckdb by `types`."""
    if hasattr(native, "collect_schema"):
        return tuple(map(str, native.collect_schema().dtypes()))
    if hasattr(native, "column_names"):
        return tuple(map(str, native.schema.types))
    found: Any = getattr(native, "types", None) or getattr(native, "dtypes", ())
    return tuple(map(str, found))


def _empty(names: list[str]) -> Any:
    import pandas

    made = pandas.DataFrame({n: pandas.Series(dtype=object) for n in range(len(names))})
    made.columns = names
    return made


def as_series(column: Any) -> Any:
    """A Series of narwhals as one of pandas, of the type that holds each value exactly: whole
    numbers stay whole beside missing ones. What has no type there is a column of objects."""
    import pandas

    try:
        made = _typed(column)
    except Exception:  # a type that its library casts to nothing
        made = None
    values = column.to_list() if made is None else made
    return pandas.Series(values, dtype=object if made is None else None)


def _typed(column: Any) -> Any:
    import narwhals.stable.v2 as nw
    import pandas

    kind, gone = column.dtype, column.is_null().to_numpy()
    some = bool(gone.any())
    if kind.is_integer() and kind not in (nw.Int128, nw.UInt128):
        values = column.fill_null(0).to_numpy()
        return pandas.arrays.IntegerArray(values.copy(), gone) if some else values
    if kind in (nw.Float32, nw.Float64):
        values = column.fill_null(0.0).to_numpy()
        return pandas.arrays.FloatingArray(values.copy(), gone) if some else values
    if kind == nw.Boolean:
        values = column.fill_null(False).to_numpy().astype(bool)
        return pandas.arrays.BooleanArray(values, gone) if some else values
    if kind == nw.String:
        return pandas.Series(column.to_list(), dtype="str" if pandas.__version__ >= "3" else object)
    if isinstance(kind, nw.Enum):
        return pandas.Categorical(column.to_list(), list(kind.categories), ordered=True)
    if kind == nw.Categorical:
        return pandas.Categorical(column.to_list())
    if isinstance(kind, nw.Datetime | nw.Duration):
        letter = "m" if isinstance(kind, nw.Duration) else "M"
        counts = column.cast(nw.Int64).fill_null(0).to_numpy().copy()
        counts[gone] = -(2**63)  # NaT
        made = pandas.Series(counts.view(f"{letter}8[{kind.time_unit}]"))
        zone = getattr(kind, "time_zone", None)
        return made.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else made
    return None


def _is_finer(column: Any) -> bool:
    """Times of day in nanoseconds, which Python does not count in."""
    import narwhals.stable.v2 as nw

    if column.dtype != nw.Time:
        return False
    try:
        return bool((column.drop_nulls().cast(nw.Int64) % 1000 != 0).any())
    except Exception:  # coarser ones, of four bytes
        return False


def _by_arrow(value: Any, rows: int) -> Table | None:
    """What offers its data to Arrow."""
    import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]

    if hasattr(type(value), "__arrow_c_stream__"):
        return _by_narwhals(pyarrow.table(value), rows)
    return _by_narwhals(pyarrow.chunked_array([pyarrow.array(value)]), rows)


def _own_way(value: Any, rows: int) -> Table | None:
    import pandas

    if value.shape[0] * value.shape[-1] > _UNKNOWN_CELLS:
        return None
    made = value.to_pandas()
    made = made.to_frame() if isinstance(made, pandas.Series) else made
    return _of_pandas(made, rows) if isinstance(made, pandas.DataFrame) else None


def _interchange(value: Any, rows: int) -> Table | None:
    from pandas.api.interchange import from_dataframe  # type: ignore[import-untyped]

    return _of_pandas(from_dataframe(value), rows)
