"""A task: what is to be computed, and the code for it."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

_PLOT = re.compile(
    r"\b(?:plot|chart|graph|figure|histogram|diagram|draw|visuali[sz]e|sketch|picture)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Task:
    """`codes` are run one after the other, each from nothing; they print `name = value` lines.

    `plan` says what is done, for the reasoning. `subject` completes “… of”. `wanted` names the
    results that the answer begins with, `tables` those that are printed as a line `NAME:` with CSV
    under it. `note` is said at the end.
    """

    plan: str
    subject: str
    codes: tuple[str, ...]
    wanted: tuple[str, ...] = ()
    given: bool = False  # the code is the user's own
    tables: tuple[str, ...] = ()
    note: str = ""
    framed: bool = False  # about a frame of the notebook that the prompt rebuilds


@cache
def has(library: str) -> bool:
    """Whether the sandbox has it: it runs on this same interpreter."""
    return find_spec(library) is not None


def wants_plot(text: str) -> bool:
    return bool(_PLOT.search(text))


def imports_first(code: str) -> str:
    """The code as one would type it: its imports at the top, no more than two empty lines."""
    lines = code.splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    rest = "\n".join(line for line in lines if line not in imports).strip()
    own = sorted((line for line in imports if _is_third_party(line)), key=str.lower)
    standard = sorted(line for line in imports if line not in own)
    parts = ["\n".join(dict.fromkeys(group)) for group in (standard, own) if group]
    gap = "\n\n\n" if rest.startswith("def ") else "\n\n"
    head = "\n\n".join(parts)
    return re.sub(r"\n{4,}", "\n\n\n", f"{head}{gap if head else ''}{rest}\n")


def _is_third_party(line: str) -> bool:
    return line.split()[1].split(".")[0] not in sys.stdlib_module_names


def drawing(draw: str, title: str, x_label: str, y_label: str, sketch: str) -> str:
    """Code for a figure. `draw` is a line that draws on `ax`; `sketch` names the values that are
    drawn with characters where matplotlib is not installed."""
    if not has("matplotlib"):
        return (
            'print("matplotlib is not installed here: a sketch in characters instead")\n'
            f"values = list({sketch})\n"
            "values = values[:: max(1, len(values) // 24)]\n"
            "low, high = min(values), max(values)\n"
            "for value in values:\n"
            "    bar = round(40 * (value - low) / ((high - low) or 1))\n"
            '    print(f"{value:12.5g} |" + "#" * bar)\n'
        )
    return (
        "import matplotlib.pyplot as plt\n\n"
        "fig, ax = plt.subplots(figsize=(7, 4))\n"
        f"{draw}\n"
        f"ax.set_title({title!r})\n"
        f"ax.set_xlabel({x_label!r})\n"
        f"ax.set_ylabel({y_label!r})\n"
        "ax.grid(alpha=0.3)\n"
        "plt.show()\n"
    )
