"""Rows of data as prompts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

from qwen_magic.errors import UsageError

Prompt: TypeAlias = str | Sequence[Mapping[str, Any]]

_BRACES: Final = re.compile(r"\{\{|\}\}|\{([^{}\n]*)\}")
_NAME: Final = re.compile(r"[^\W\d][\w .-]*")  # what looks as if it were meant for a column


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its `prompt`, the `values` of its columns (none where no template was given), and
    its `label` in the data (a DataFrame's index), else its number from 0."""

    prompt: Prompt
    values: Mapping[str, object]
    label: object


def read_rows(prompts: object, template: str | None = None) -> tuple[Row, ...]:
    """The rows of `prompts`: strings, lists of messages, or with a `template` a DataFrame (pandas,
    polars) or dicts.

    `{name}` in the template is the column of that name, as `str` gives its value; nothing is
    evaluated. `{{` and `}}` are literal braces. Braces around what cannot be a column's name stay.
    Raises `UsageError`, which names the row or the column.
    """
    given, labels = _given(prompts)
    if template is None:
        return tuple(
            Row(_prompt(number, row), {}, label)
            for number, (row, label) in enumerate(zip(given, labels, strict=True))
        )
    rows = []
    for number, (row, label) in enumerate(zip(given, labels, strict=True)):
        if not isinstance(row, Mapping):
            raise UsageError(
                f"Row {number} has no columns for the template: it is {_kind(row)}.",
                hint="Give a DataFrame or dicts, or leave the template out.",
            )
        values = {str(name): value for name, value in row.items()}
        rows.append(Row(fill(template, values), values, label))
    return tuple(rows)


def fill(template: str, values: Mapping[str, object]) -> str:
    """The template with the values in its braces. Raises `UsageError` for an unknown column."""

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return found[0][0]
        if name in values:
            return str(values[name])
        if not _NAME.fullmatch(name):
            return found[0]
        near = get_close_matches(name, values, n=1)
        columns = f"did you mean {near[0]!r}? " if near else f"there are: {', '.join(values)}. "
        raise UsageError(
            f"The template names {{{name}}}, which is no column.",
            hint=columns[0].upper() + columns[1:] + "{{ and }} are literal braces.",
        )

    return _BRACES.sub(replace, template)


def _given(prompts: object) -> tuple[list[object], Sequence[object]]:
    """The rows as they are, and a label for each."""
    as_dicts = getattr(prompts, "to_dicts", None)  # polars
    if callable(as_dicts):
        rows = list(as_dicts())
        return rows, range(len(rows))
    index = getattr(prompts, "index", None)
    as_dict = getattr(prompts, "to_dict", None)
    if callable(as_dict) and hasattr(prompts, "columns"):  # pandas
        return as_dict("records"), list(index) if isinstance(index, Iterable) else []
    if isinstance(prompts, str | bytes | Mapping) or not isinstance(prompts, Iterable):
        raise UsageError(
            f"map takes many prompts, not {_kind(prompts)}.",
            hint="Give a list of strings, or a DataFrame with a template; ask takes one prompt.",
        )
    rows = list(prompts)
    return rows, range(len(rows))


def _prompt(number: int, row: object) -> Prompt:
    if isinstance(row, str):
        return row
    if isinstance(row, Sequence) and all(isinstance(part, Mapping) for part in row) and row:
        return row
    if isinstance(row, Mapping):
        raise UsageError(
            f"Row {number} has columns: a template must say what to ask of them.",
            hint='Such as template="Translate {word}".',
        )
    raise UsageError(
        f"Row {number} is no prompt but {_kind(row)}.", hint="A prompt is text, or messages."
    )


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
