"""JSON inside prose: in a fence, or standing free."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

_FENCE: Final = re.compile(
    r"^[ \t>]*(`{3,}|~{3,})[ \t]*(?P<language>[\w-]*)[^\n]*\n(?P<body>.*?)^[ \t>]*\1",
    re.DOTALL | re.M,
)
_START: Final = re.compile(r"[{\[]")
_MOST_STARTS: Final = 200


def candidates(text: str) -> Iterator[Any]:
    """The JSON values in `text`, the likeliest first: the whole, fences called json, other fences,
    then objects and lists in the prose."""
    yield from _loaded(text)
    fences = list(_FENCE.finditer(text))
    for fence in sorted(fences, key=lambda fence: not fence["language"].lower().startswith("json")):
        yield from _loaded(fence["body"])
    yield from _free(text)


def _loaded(text: str) -> Iterator[Any]:
    try:
        yield json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return


def _free(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder(parse_constant=_refuse)
    position, tries = 0, 0
    while (start := _START.search(text, position)) and tries < _MOST_STARTS:
        tries += 1
        try:
            value, position = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            position = start.end()
            continue
        yield value


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
