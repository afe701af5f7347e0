"""The values of a schema's properties, found by name in the sources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

from qwen_magic.demo.schema.fitting import FORMATS, fits, resolve, types_of
from qwen_magic.demo.schema.reading import readings
from qwen_magic.demo.schema.sources import Source
from qwen_magic.demo.tasks.numbers import STATISTICS

JSON: TypeAlias = dict[str, Any]

_AFTER = (
    r"[\"'`*_]*(?:[ \t]*(?P<sign>[:=])(?![=/])[ \t]?"
    r"|[ \t]+(?P<is>is|are|was)[ \t]+|(?P<bare>[ \t]+)(?=[\d-]))"
)
# What may stand before a name: "file name: x" says nothing of a name.
_BEFORE = re.compile(
    r"(?:^|[^\w\s'’*_`\"-]|\w['’]s|\b(?:my|the|a|an|its|his|her|their|our|your|with|and|or"
    r"|where|by|for|of|is|has|whose|use|using|set|say|give|that|if|this))"
    r"[\s\"'`*_]*(?:[-*•] )?[\"'`*_]*$",
    re.IGNORECASE,
)
_AGE = re.compile(
    r"\b(\d{1,3})[- ]years?[- ]old\b|\b(?:I am|I['’]m|aged?) (\d{1,3})\b(?! ?[\w%$€-])",
    re.IGNORECASE,
)
MOST_READ = 50_000  # characters of prose
MOST_PLACES = 100  # of one name
LONGEST_VALUE = 20_000  # characters
_NOTHING = object()  # where None may be a value
_SMALL = frozenset(("of", "the", "by", "in", "a"))


@dataclass(frozen=True, slots=True)
class Found:
    """What was found. `value` fits the schema unless `missing` names what it still requires;
    `without` are the optional properties that were not found, `where` the sources that served."""

    value: Any = None
    where: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def find(schema: JSON, sources: Sequence[Source]) -> Found:
    """The value that the schema asks for, of nothing but what the sources hold."""
    for source in sources:
        for value in source.values:
            if fits(value, schema, schema) and _shares(value, resolve(schema, schema)):
                return Found(value, (source.where,))
    whole = resolve(schema, schema)
    if "array" in types_of(whole):
        listed = next(_listed(whole, sources), None)
        return listed or Found(missing=("the whole list",))
    options = whole.get("anyOf") or whole.get("oneOf") or [whole]
    found = [_object(resolve(each, schema), schema, sources) for each in options]
    return next((each for each in found if not each.missing), found[0])


def _listed(schema: JSON, sources: Sequence[Source]) -> Iterator[Found]:
    """The only list behind a colon."""
    for source in sources:
        lists = re.findall(r":([^\n:]+,[^\n:]+|\s*\n[ \t]*[-*•] .+)", source.text, re.DOTALL)
        values = [value for text in lists[:1] for value in readings(text, schema, schema)]
        fitting = [value for value in values if fits(value, schema, schema)]
        if len(lists) == 1 and fitting:
            yield Found(fitting[0], (source.where,))


def _shares(value: Any, schema: JSON) -> bool:
    """Whether it says something that the schema names, where that names anything."""
    names = schema.get("properties") or ()
    return not names or not isinstance(value, dict) or any(name in names for name in value)


def _object(schema: JSON, root: JSON, sources: Sequence[Source]) -> Found:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return Found(missing=(str(schema.get("title") or "the whole value"),))
    value: JSON = {}
    served: list[str] = []
    for name, wanted in properties.items():
        for source in sources:
            candidates = _candidates(name, wanted, root, source)
            fitting = (each for each in candidates if fits(each, wanted, root))
            if (found := next(fitting, _NOTHING)) is not _NOTHING:
                value[name] = found
                served.append(source.where)
                break
    required = schema.get("required", [])
    missing = [name for name in required if name not in value]
    if not missing and not fits(value, schema, root):
        missing = [name for name in properties if name not in value] or list(properties)
    without = [name for name in properties if name not in value and name not in missing]
    return Found(value, tuple(dict.fromkeys(served)), tuple(missing), tuple(without))


def _candidates(name: str, schema: Any, root: JSON, source: Source) -> Iterator[Any]:
    for label in _labels(name, source):
        for written in (value for other, value in source.pairs if other == label):
            yield written
            if isinstance(written, str):
                yield from readings(written, schema, root)
    prose = source.text[:MOST_READ]
    yield from _named(name, schema, root, prose)
    yield from _known_by_kind(name, resolve(schema, root), prose)


def _labels(name: str, source: Source) -> list[str]:
    """The source's names that mean this one: the same words, the same but for a note in
    parentheses, another word for the same statistic."""
    known = list(dict.fromkeys(label for label, _ in source.pairs))
    words = _spaced(name)
    kinds = [kind for pattern, kind in STATISTICS if re.fullmatch(pattern, words)]
    return [
        *(label for label in known if _key(label) == _key(name)),
        *(label for label in known if _key(re.sub(r"\s*\(.*?\)", "", label)) == _key(name)),
        *(label for label in known if label in kinds),
    ]


def _named(name: str, schema: Any, root: JSON, text: str) -> Iterator[Any]:
    """What prose says: `name: …`, `name = …`, "name is …"; a number may follow without that."""
    words = [re.escape(word) for word in _spaced(name).split()]
    if not words:
        return
    pattern = r"(?<![\w.])" + r"[\s_-]*".join(words) + _AFTER
    for match in islice(re.finditer(pattern, text, re.IGNORECASE), MOST_PLACES):
        after = text[match.end() : match.end() + LONGEST_VALUE]
        if match["sign"] != "=" and not _BEFORE.search(_before(text, match.start())):
            continue
        if match["is"] and re.match(r"[^.!\n]*\?", after):
            continue  # a question says nothing
        if match["bare"] is not None and len(name) < 3:
            continue
        if match["sign"]:
            yield from _line(_before(text, match.start()), after, resolve(schema, root))
        yield from readings(after, schema, root, said=bool(match["is"]))


def _before(text: str, place: int) -> str:
    """The nearest of what stands before it on its line; a mark for what stands before that."""
    near = text[max(0, place - 40) : place]
    line = near.rpartition("\n")[2]
    return line if "\n" in near or place <= 40 else f"…x{line}"


def _line(before: str, after: str, schema: JSON) -> Iterator[str]:
    """The whole line behind a name that begins it, as it may hold commas."""
    line = after.partition("\n")[0].strip(" *_`\"'").removesuffix(".")
    begins = re.fullmatch(r"[\s\"'`*_]*(?:[-*•] )?[\"'`*_]*", before)
    several = re.search(r"[:=;]|[.!?]\s|\b(?:is|are|am|was)\b|\d+ years", line)
    is_text = "string" in types_of(schema) and "format" not in schema
    if begins and is_text and not several and "," in line:
        yield line


def _known_by_kind(name: str, schema: JSON, text: str) -> Iterator[Any]:
    """An age, the only address or date: what is known without its name beside it."""
    words = set(_spaced(name).split())
    if name.lower() == "age":
        yield from (int(old or said) for old, said in _AGE.findall(text))
    for kind, signs in (("email", {"email", "mail"}), ("uri", {"url", "link", "website"}),
                        ("date", {"date"})):  # fmt: skip
        if words & signs or schema.get("format") == kind:
            only = set(re.findall(rf"(?<![\w.+-]){FORMATS[kind]}(?![\w-])", text))
            yield from only if len(only) == 1 else ()


def _spaced(name: str) -> str:
    """`orbitalPeriod`, `orbital_period` and `Orbital period` are all `orbital period`."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.findall(r"[^\W_]+", parted.lower()))


def _key(name: str) -> frozenset[str]:
    return frozenset(_spaced(name).split()) - _SMALL
