"""Words that stand behind a name, as the JSON values that a schema allows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from qwen_magic.demo.schema.fitting import FORMATS, fits, resolve, types_of

JSON: TypeAlias = dict[str, Any]

_NUMBER = re.compile(
    r"[$€£]?\s*(?P<number>[-+−]?(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?)"
    r"(?!\w|[-/:.]\d)(?:\s+(?P<times>thousand|million|billion)\b)?"
)
_TIMES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_BOOLEAN = re.compile(r"(?:(true|yes|on)|false|no|off)\b", re.IGNORECASE)
_NULL = re.compile(r"(?:null|none)\b", re.IGNORECASE)
_QUOTED = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'(?!\w)|“([^”\n]*)”|`([^`\n]*)`")
_PAIR_NEXT = r"(?:[\w'’-]+[ \t]+){0,3}[\w'’-]+[ \t]*(?:[:=]|[ \t](?:is|am|are|was)\b)"
_ABBREVIATED = "".join(rf"(?<!\b{word})" for word in ("Mr", "Ms", "Mrs", "Dr", "St", "[A-Z]"))
_END = rf";|\n|{_ABBREVIATED}[.!?](?=\s|$)|\s(?:and|but)\s+(?={_PAIR_NEXT}|I\b|I['’]m\b)"
_CLAUSE_END = re.compile(rf"{_END}|,(?=\s|$)|$")
_LINE_END = re.compile(rf"{_END}|,\s*(?:and\s+)?(?={_PAIR_NEXT})|$")
_BULLETS = re.compile(r"\s*\n((?:[ \t]*[-*•] [^\n]+(?:\n|$))+)")
_CAPITALS = re.compile(
    r"[A-Z0-9][\w'’.-]*(?:\s+(?:(?:of|the|and|de|la|van|von|der)\s+)*[A-Z0-9][\w'’.-]*)*"
)
# What no value begins with that stands behind "is".
_VAGUE = re.compile(
    r"(?:an?|the|not?|missing|unknown|wh\w+|how|required|optional|given|needed|wanted|valid|in|on|of"
    r"|to|at|by|from|for|its?|th[aio][tse]\w*|there|my|your|his|her|our|their|very|so|too|still|also"
    r"|being|called|just|only)\b",
    re.IGNORECASE,
)


def readings(text: str, schema: Any, root: JSON, *, said: bool = False) -> Iterator[Any]:
    """What the beginning of `text` may be as a value of the schema, the likeliest first; not all
    of it fits. `said`: it stands behind "is", so that text ends with its first few words."""
    text = text.lstrip(" \t")
    schema = resolve(schema, root)
    yield from _json(text)
    for keyword in ("enum", "const"):
        if keyword in schema:
            yield from _options(text, schema[keyword])
    for keyword in ("anyOf", "oneOf", "allOf"):
        options = [resolve(each, root) for each in schema.get(keyword, ())]
        for each in sorted(options, key=lambda option: option.get("type") != "null"):
            yield from readings(text, each, root, said=said)
    names = types_of(schema) or ([] if "anyOf" in schema else ["number", "string"])
    for name in sorted(names, key=lambda name: name != "null"):  # "none" is also a text
        yield from _of_type(name, text, schema, root, said=said)


def _of_type(name: str, text: str, schema: JSON, root: JSON, *, said: bool) -> Iterator[Any]:
    match name:
        case "number" | "integer":
            yield from _numbers(text)
        case "boolean":
            if found := _BOOLEAN.match(text):
                yield bool(found[1])
        case "null":
            if _NULL.match(text):
                yield None
        case "string":
            yield from _strings(text, schema, said=said)
        case "array":
            yield from _arrays(text, schema, root)


def _json(text: str) -> Iterator[Any]:
    """An object, a list or a text in double quotes that begins here."""
    if text[:1] in ("{", "[", '"'):
        try:
            yield json.JSONDecoder().raw_decode(text)[0]
        except (ValueError, RecursionError):
            return


def _options(text: str, given: Any) -> Iterator[Any]:
    bare = text.lstrip("\"'“`").lower()
    for option in given if isinstance(given, list) else [given]:
        word = str(option).lower()
        if word and re.match(rf"{re.escape(word)}(?!\w)", bare):
            yield option


def _numbers(text: str) -> Iterator[int | float]:
    if found := _NUMBER.match(text):
        digits = found["number"].replace(",", "").replace("−", "-")
        number = float(digits) if re.search(r"[.eE]", digits) else int(digits)
        yield number * _TIMES[found["times"]] if found["times"] else number


def _strings(text: str, schema: JSON, *, said: bool) -> Iterator[str]:
    if shape := FORMATS.get(schema.get("format", "")):
        if found := re.match(rf"[\"'“`<]?({shape})", text):
            yield found[1]
        return
    if found := _QUOTED.match(text):
        yield next(group for group in found.groups() if group is not None)
        return
    clause = text[: _end(_CLAUSE_END, text)].strip(" *_`\"'")
    if not said:
        yield from [clause] if clause else []
    elif clause and not _VAGUE.match(clause):
        if capitals := _CAPITALS.match(clause):
            yield capitals[0].rstrip(".")
        elif len(clause.split()) <= 3:
            yield clause


def _arrays(text: str, schema: JSON, root: JSON) -> Iterator[list[Any]]:
    """The words between commas, or bullets below; every one has to fit."""
    if bullets := _BULLETS.match(text):
        parts = [line.strip().lstrip("-*• ") for line in bullets[1].strip().split("\n")]
    else:
        line = text[: _end(_LINE_END, text)].strip()
        if re.search(r"\bor\b", line):
            return  # a choice
        comma = r",\s+" if re.search(r",\s", line) else r","
        parts = re.split(rf"(?:{comma}(?:and\s+)?|\s+and\s+)", line)
    items = []
    for part in (part.strip() for part in parts):
        found = [v for v in readings(part, schema.get("items", {}), root)
                 if fits(v, schema.get("items", True), root)]  # fmt: skip
        if not found:
            return
        items.append(found[0])
    yield items


def _end(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return found.start() if found else len(text)
