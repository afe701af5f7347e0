"""Values of the notebook in a prompt: `{name}`, `{name.attr}`, `{name[0]}`, `{name["k"]}`.

A reference is one of these forms or a chain of them, without spaces, directly between braces. It
expands where its first name is in the namespace. Everything else in braces stays as typed: JSON,
comprehensions, TypeScript, LaTeX, formats (`{x:.2f}`), calls, private attributes. Nothing is
evaluated, and what came out of a value is never looked at again.

Braces pair up around a reference from the inside: one pair expands, two pairs are one literal pair
(`{{name}}` gives `{name}`), three are a literal pair around the value. Where the counts differ, as
in `{"a": {name}}`, the rest is text. Doubled braces around anything that would not expand stay as
typed, so that pasted templates, nested dicts and sets keep every brace.

Nothing expands in fences, inline code or maths: see `verbatim`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from qwen_magic.context.description import describe as describe_value
from qwen_magic.context.verbatim import OPENERS, end_of_verbatim, fences, paragraph_end

_REFERENCE: Final = (
    r"(?P<root>[^\W\d]\w*)"
    r"(?P<path>(?:\.[^\W\d]\w*|\[-?\d{1,18}\]|\[\"[^\"\\\n]*\"\]|\['[^'\\\n]*'\])*)"
)
# The look-behind and the possessive quantifier keep a long run of braces linear.
_BRACED: Final = re.compile(r"(?<!\{)(?P<open>\{++)" + _REFERENCE + r"(?P<close>\}++)")
_SCAN: Final = re.compile(rf"{_BRACED.pattern}|(?P<opener>{OPENERS})")
_STEP: Final = re.compile(r"\.(?P<attribute>\w+)|\[(?P<index>-?\d+)\]|\[(?P<key>[\"'].*?[\"'])\]")
_ONLY: Final = re.compile(r"\s*\{" + _REFERENCE + r"\}\s*")


@dataclass(frozen=True, slots=True)
class Expansion:
    """One reference that was expanded. `name` is as typed, without braces; `chars` is the length of
    `value_text`; `count` says how often it stood in the text."""

    name: str
    value_text: str
    chars: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Interpolated:
    """The text to send; what was expanded; references that were left as typed."""

    text: str
    expanded: tuple[Expansion, ...] = ()
    unknown: tuple[str, ...] = ()


class _NoValueError(Exception):
    """A reference leads nowhere, or to what may not be shown."""


def interpolate(
    text: str,
    namespace: Mapping[str, object],
    *,
    describe: Callable[[object], str] = describe_value,
) -> Interpolated:
    """Expand the references of `text` out of `namespace`, with `describe` for their values.

    A reference whose first name is unknown, or whose lookup fails for any reason, stays as typed
    and is listed in `unknown`. Never raises, unless `describe` does.
    """
    values: dict[str, str] = {}
    counts: Counter[str] = Counter()
    unknown: dict[str, None] = {}

    def expand(reference: re.Match[str]) -> str:
        name = reference["root"] + reference["path"]
        opened, closed = len(reference["open"]), len(reference["close"])
        pairs = min(opened, closed)
        if reference["root"] not in namespace or _is_private(reference):
            if pairs % 2:
                unknown[name] = None
            return reference[0]
        left, right = "{" * (opened - pairs + pairs // 2), "}" * (closed - pairs + pairs // 2)
        if pairs % 2 == 0:
            return left + name + right
        if name not in values:
            try:
                values[name] = describe(_look_up(reference, namespace))
            except _NoValueError:
                unknown[name] = None
                return reference[0]
        counts[name] += 1
        return left + values[name] + right

    parts = [part if isinstance(part, str) else expand(part) for part in _parts(text)]
    expanded = tuple(
        Expansion(name, value, len(value), counts[name]) for name, value in values.items()
    )
    return Interpolated("".join(parts), expanded, tuple(unknown))


def single_reference(text: str, namespace: Mapping[str, object]) -> object | None:
    """The value where `text` is one `{reference}` alone, around it only white space; else None."""
    reference = _ONLY.fullmatch(text)
    if reference is None or reference["root"] not in namespace or _is_private(reference):
        return None
    try:
        return _look_up(reference, namespace)
    except _NoValueError:
        return None


def open_reference(text: str) -> str | None:
    """The letters typed so far of a reference that is open at the end of `text`, for completion.

    None where nothing is open there: no brace, doubled braces, code, maths.
    """
    found = re.search(r"(?<!\{)\{((?:[^\W\d]\w*)?)\Z", text)
    if found is None:
        return None
    # Closed by a name that stands for any, the stretch is a reference, or part of code.
    parts = [part for part in _parts(text[: found.start()] + "{x}") if part != ""]
    return None if isinstance(parts[-1], str) else found[1]


def _parts(text: str) -> Iterator[str | re.Match[str]]:
    """`text` in pieces: literal strings, and matches that have the shape of a reference."""
    position = 0
    for start, end in [*fences(text), (len(text), len(text))]:
        yield from _parts_outside_fences(text, position, start)
        yield text[start:end]
        position = end


def _parts_outside_fences(text: str, start: int, end: int) -> Iterator[str | re.Match[str]]:
    position, limit = start, start
    while found := _SCAN.search(text, position, end):
        if found["opener"] is None:
            yield text[start : found.start()]
            yield found
            start = position = found.end()
            continue
        if found.start() >= limit:
            limit = paragraph_end(text, found.start(), end)
        position = end_of_verbatim(text, found, limit)
    yield text[start:end]


def _is_private(reference: re.Match[str]) -> bool:
    """Dunder names and private attributes are nobody's data; `_` and `_3` are outputs."""
    return reference["root"].startswith("__") or any(
        (step["attribute"] or "").startswith("_") for step in _STEP.finditer(reference["path"])
    )


def _look_up(reference: re.Match[str], namespace: Mapping[str, object]) -> object:
    try:
        value = namespace[reference["root"]]
        for step in _STEP.finditer(reference["path"]):
            value = _follow(value, step)
    except Exception as error:  # properties and __getitem__ may raise anything
        raise _NoValueError from error
    return value


def _follow(value: object, step: re.Match[str]) -> object:
    if step["attribute"]:
        return getattr(value, step["attribute"])
    key: int | str = int(step["index"]) if step["index"] else step["key"][1:-1]
    if isinstance(value, dict):
        # Not value[key]: a defaultdict would grow by a lookup.
        return dict.__getitem__(value, key) if key in value else _no_such(key)
    return value[key]  # type: ignore[index]


def _no_such(key: int | str) -> object:
    raise KeyError(key)
