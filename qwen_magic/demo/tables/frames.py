"""The DataFrames that a prompt describes, and the code in it that rebuilds them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_DESCRIBED = re.compile(
    r"^The variable `(?P<name>[^`\n]+)` \((?P<kind>(?!of type )[^\n]*)\) of my notebook\. "
    r"What stands [^\n]*\n\n(?P<fence>`{3,})\n(?P<schema>.*?)\n?(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)
_REBUILT = re.compile(
    r"^(?P<fence>`{3,})python\n(?P<code># rebuilds (?P<variable>\w+): .*?)^(?P=fence)`*$",
    re.DOTALL | re.MULTILINE,
)
_SAMPLE = re.compile(
    r"^The first [\d,]+ rows? \(long cells are cut\):\n\n(`{3,})csv\n.*?\n\1$",
    re.DOTALL | re.MULTILINE,
)
_AROUND = re.compile(
    r"^(?:`[^`\n]+` exists only in my notebook: |The Python block below holds )[^\n]*$",
    re.MULTILINE,
)
_NUMBER = re.compile(r"u?(?:int|float)\d*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """One column, or (`level`) a level of the index; `label` as Python has it."""

    label: object
    dtype: str
    level: bool = False

    @property
    def is_number(self) -> bool:
        return bool(_NUMBER.fullmatch(self.dtype))

    @property
    def words(self) -> str:
        parts = self.label if isinstance(self.label, tuple) else (self.label,)
        return " ".join(map(str, parts))


@dataclass(frozen=True, slots=True)
class Frame:
    """`preamble` is code that makes it as `variable`; empty where only the notebook has it."""

    name: str
    variable: str
    kind: str  # "pandas DataFrame, 3 rows, 2 columns"
    columns: tuple[Column, ...]
    preamble: str = ""


def read_frames(text: str) -> tuple[Frame, ...]:
    """The frames that the text describes or rebuilds, in its order."""
    found: list[Frame] = []
    places = [*_DESCRIBED.finditer(text), *_REBUILT.finditer(text)]
    for match in sorted(places, key=lambda each: each.start()):
        if match.re is _DESCRIBED:
            name, columns = match["name"], tuple(_described(match["schema"]))
            found.append(Frame(name, name, match["kind"], columns))
            continue
        rebuilt = _rebuilt(match["variable"], match["code"])
        if found and not found[-1].preamble and _variable(found[-1].name) == rebuilt.variable:
            rebuilt = replace(rebuilt, name=found[-1].name, kind=found.pop().kind)
        found.append(rebuilt)
    return tuple(found)


def without_frames(text: str) -> str:
    """The text without descriptions of tables, their samples and the code that rebuilds them."""
    for pattern in (_DESCRIBED, _REBUILT, _SAMPLE, _AROUND):
        text = pattern.sub("", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def preamble_of(frames: tuple[Frame, ...]) -> str:
    """The code that rebuilds them all; it goes before every run, since a run keeps nothing."""
    return "\n\n".join(frame.preamble.rstrip() for frame in frames if frame.preamble)


def _variable(name: str) -> str:
    variable = re.sub(r"\W+", "_", name).strip("_") or "data"
    return variable if variable.isidentifier() else f"data_{variable}"


def _described(schema: str) -> Iterator[Column]:
    """From lines such as `'mass': float64, 2 missing, min 1` or `index 'day': datetime64[ns]`."""
    for line in schema.splitlines():
        body = line.removeprefix("index ")
        for colon in re.finditer(": ", body):
            try:
                label = ast.literal_eval(body[: colon.start()])
            except (ValueError, SyntaxError):
                continue  # this colon stands in the name, or the name was cut
            dtype = body[colon.end() :].split(",")[0].strip()
            yield Column(label, dtype, body != line)
            break


def _rebuilt(variable: str, code: str) -> Frame:
    """A frame by the literals in its code; without columns where they cannot be read."""
    try:
        found = {
            target.id: ast.literal_eval(node.value)
            for node in ast.parse(code).body
            if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Name)
            if target.id in ("COLUMNS", "LAYOUT")
        }
    except (ValueError, SyntaxError, RecursionError):
        found = {}
    columns, layout = found.get("COLUMNS"), found.get("LAYOUT")
    levels = layout.get("index", 0) if isinstance(layout, dict) else 0
    specs = columns if isinstance(columns, list) else []
    read = tuple(
        Column(spec.get("name"), _dtype(spec), n < levels)
        for n, spec in enumerate(specs)
        if isinstance(spec, dict)
    )
    return Frame(variable, variable, "", read, code)


def _dtype(spec: dict[str, object]) -> str:
    return "category" if spec.get("as") == "categories" else str(spec.get("dtype", "str"))
