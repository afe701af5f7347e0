"""Masked columns, keys and fields: a model is told their names, and never their values."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import translate
from functools import lru_cache
from itertools import islice
from types import SimpleNamespace
from typing import Any, Final

from qwen_magic.context.description import is_report, own_words, report_content
from qwen_magic.context.time_limit import OutOfTimeError
from qwen_magic.masking import MASKED

_SCALARS: Final = (int, str, float, bool, type(None))
MOST_ITEMS: Final = 100_000  # of a container: no more than a few thousand can ever show


def is_masked(label: object, mask: Collection[str]) -> bool:
    """Whether `label` (or a part of a nested one) matches `mask`: names, or patterns with `*` or
    `?`.

    Case is ignored, to mask rather too much.
    """
    if isinstance(label, tuple):
        return any(is_masked(part, mask) for part in label)
    return bool(mask) and bool(masked_among([label], mask))


def masked_among(labels: Iterable[object], mask: Collection[str]) -> list[object]:
    """Those of `labels` that match `mask`; efficient for many labels."""
    every = list(labels)
    texts = [str(label).casefold() for label in every]
    together = "\n".join(texts)  # most names in a mask are in no label: told at a glance
    near = tuple(name for name, part in _parts(tuple(mask)) if part in together)
    if not near:
        return []
    match = _pattern(near).fullmatch
    return [label for label, text in zip(every, texts, strict=True) if match(text)]


@lru_cache(maxsize=16)
def _parts(mask: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Each name of a mask, with the longest text that all its matches contain."""
    names = [given.casefold() for given in mask]
    return tuple(
        (name, "" if "[" in name else max(re.split(r"[*?]", name), key=len)) for name in names
    )


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    """One regular expression for all names, for tables with many labels."""
    return re.compile("|".join([*map(re.escape, names), *map(translate, names)]))


def names_patterns(mask: Collection[str]) -> list[tuple[str, str]]:
    """What finds the names of a mask in a text: of each a regular expression of Python and of
    JavaScript, which takes no account of case; and before it a part that stands, in small letters,
    in all that it finds, by which a long text is soon looked through. Of a pattern they find what
    is around the stars: `*_email` where `work_email` stands."""
    found: list[tuple[str, str]] = []
    for name, (_, part) in zip(mask, _parts(tuple(mask)), strict=True):
        # What is not ASCII may have several forms in small letters.
        found.append((part if name.isascii() else "", _name_pattern(name)))
        if re.search(r"\[.+\]", name):
            found.append(("", _name_pattern(re.sub(r"\[!", "[^", name), "[^-]")))
    return found


def _name_pattern(name: str, kept: str = "") -> str:
    """`kept`: characters that mean in the name what they mean in a regular expression."""
    core = name.strip("*")
    means = {"*": r"\w*", "?": r"\w", **{char: char for char in kept}}
    parts = "".join(means.get(char, _escaped(char)) for char in core)
    left = "" if name.startswith("*") or not re.match(r"\w", core) else r"(?<!\w)"
    right = "" if name.endswith("*") or not re.search(r"\w\Z", core) else r"(?!\w)"
    return f"{left}{parts}{right}"


def _escaped(char: str) -> str:
    return f"\\{char}" if char in r"\^$.+()[]{}|/" else char


def without_masked(
    value: Any,
    mask: Collection[str],
    *,
    most: int = MOST_ITEMS,
    replaced: Callable[[Any], Any] = lambda part: part,
) -> Any:
    """`value` with `[masked]` in place of the values under masked names, at any depth.

    Masked are keys of dicts, fields of records and arrays, and named indexes. Records become dicts,
    except for objects that describe themselves. Other parts are passed through `replaced`. At most
    `most` parts are processed, the rest is left out. Raises `RecursionError` for a value that
    contains itself.
    """
    parts_left = most

    def walk(value: Any) -> Any:
        nonlocal parts_left
        parts_left -= 1
        if type(value) in _SCALARS:
            return value
        if is_report(value) and mask:
            content = _without_columns(report_content(value), mask)
            return json.dumps(walk(content), ensure_ascii=False)
        if isinstance(value, str | type) or own_words(value):
            return value
        try:
            fields = value if isinstance(value, Mapping) else record_fields(value) if mask else None
        except (OutOfTimeError, RecursionError):
            raise
        except Exception:  # of the record's own methods
            return f"a {type(value).__name__}"
        if fields is not None:
            found = dict(islice(fields.items(), max(parts_left, 0)))
            hidden = _masked_keys(found, mask) if mask else frozenset()
            return {key: MASKED if key in hidden else walk(item) for key, item in found.items()}
        if isinstance(value, list | tuple | deque):
            items = [walk(item) for item in islice(value, max(parts_left, 0))]
            return tuple(items) if type(value) is tuple else items
        return _array(replaced(value), mask)

    return walk(value)


def _masked_keys(found: Mapping[Any, Any], mask: Collection[str]) -> frozenset[Any]:
    """All at once: a dict may have very many."""
    plain = (key for key in found if not isinstance(key, tuple))
    nested = (key for key in found if isinstance(key, tuple) and is_masked(key, mask))
    return frozenset((*masked_among(plain, mask), *nested))


def _without_columns(content: Any, mask: Collection[str]) -> Any:
    """Remove masked columns from a report that lists columns by name."""
    listed = content.get("columns") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        return content
    kept = [
        {"name": each["name"], "values": MASKED} if is_masked(each.get("name"), mask) else each
        for each in listed
    ]
    return {**content, "columns": kept}


def record_fields(value: Any) -> Mapping[Any, Any] | None:
    """The fields of a dataclass, pydantic model, named tuple, attrs class or namespace; None for
    others.
    """
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if callable(getattr(kind, "model_dump", None)):
        dumped: Mapping[Any, Any] = value.model_dump(mode="json")
        return dumped
    if issubclass(kind, tuple) and hasattr(kind, "_asdict"):
        named: Mapping[Any, Any] = value._asdict()
        return named
    if names := getattr(kind, "__attrs_attrs__", None):
        return {one.name: getattr(value, one.name) for one in names}
    return vars(value) if issubclass(kind, SimpleNamespace) else None


def _array(value: Any, mask: Collection[str]) -> Any:
    """Arrays of numpy have fields, indexes of pandas a name."""
    if not mask or not hasattr(type(value), "dtype"):
        return value
    name = getattr(value, "name", None)
    if name is not None and is_masked(name, mask):
        return MASKED
    names = getattr(value.dtype, "names", None)
    if not names or not any(is_masked(one, mask) for one in names):
        return value
    kept = [one for one in names if not is_masked(one, mask)]
    return value[kept] if kept else MASKED
