"""Docstrings read: the summary, and what they say of each parameter (Google, numpy, reST)."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field
from typing import Final

# A heading of a section, of any of the styles, ends the description.
_SECTIONS: Final = (
    "args|arguments|parameters|params|other parameters|keyword args|keyword arguments|returns|"
    "return|yields|yield|raises|raise|warns|examples|example|notes|note|see also|references|"
    "attributes|warnings|warning|todo|receives"
)
_GOOGLE: Final = re.compile(rf"^({_SECTIONS}):\s*$", re.IGNORECASE)
_NUMPY: Final = re.compile(rf"^({_SECTIONS})\n-{{3,}}\s*$", re.IGNORECASE | re.MULTILINE)
_REST: Final = re.compile(
    r"^:(param|parameter|arg|argument|key|keyword)\s+(?:[^:]+\s)?\*{0,2}(\w+):"
)
_REST_FIELD: Final = re.compile(r"^:\w+[^:\n]*:")
_GOOGLE_ENTRY: Final = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY_ENTRY: Final = re.compile(r"^(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_OF_PARAMETERS: Final = re.compile(r"(?:other |keyword )?(?:arg|param|key)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Docstring:
    """`description` is what comes before the sections; `parameters` maps names to their words, each
    on one line."""

    description: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Docstring:
    """What `text` says. Never fails: what is of no known style is description."""
    lines = _NUMPY.sub(r"\1:\n\1---", inspect.cleandoc(text or "")).split("\n")
    description: list[str] = []
    parameters: dict[str, str] = {}
    section = ""
    block: list[str] = []
    for line in [*lines, "end:"]:
        heading = _GOOGLE.match(line)
        if heading or line == "end:":
            parameters |= _entries(block) if _OF_PARAMETERS.match(section) else {}
            section, block = (heading[1] if heading else ""), []
        elif section:
            block.append(line)
        else:
            description.append(line)
    told, rest = _rest(description)
    return Docstring("\n".join(told).strip(), parameters | rest)


def _entries(block: list[str]) -> dict[str, str]:
    """The parameters of one section, Google's (indented) or numpy's (below a rule)."""
    if block and block[0].endswith("---"):
        return _of_numpy(block[1:])
    lines = inspect.cleandoc("\n".join(["", *block])).split("\n")
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        entry = None if line.startswith((" ", "\t")) else _GOOGLE_ENTRY.match(line)
        if entry:
            name = entry[1]
            found[name] = [entry[2]]
        elif name:
            found[name].append(line)
    return {name: _joined(words) for name, words in found.items()}


def _of_numpy(block: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in block:
        entry = None if line.startswith((" ", "\t")) else _NUMPY_ENTRY.match(line)
        if entry:
            names = [name.strip().lstrip("*") for name in entry[1].split(",")]
            found |= {name: [] for name in names}
        for name in names if not entry else ():
            found[name].append(line)
    return {name: _joined(words) for name, words in found.items()}


def _rest(lines: list[str]) -> tuple[list[str], dict[str, str]]:
    """The lines without `:field:` lists, and the parameters that those name."""
    told: list[str] = []
    found: dict[str, list[str]] = {}
    name: str | None = None  # "" inside a field that is no parameter
    for line in lines:
        entry = _REST.match(line)
        if entry:
            name = entry[2]
            found[name] = [line[entry.end() :]]
        elif _REST_FIELD.match(line):
            name = ""
        elif name is not None and (line.startswith((" ", "\t")) or not line.strip()):
            if name:
                found[name].append(line)
        else:
            name = None
            told.append(line)
    return told, {name: _joined(words) for name, words in found.items()}


def _joined(words: list[str]) -> str:
    return " ".join(" ".join(words).split())
