"""The plot of one or more functions of x."""

from __future__ import annotations

import re

from qwen_magic.demo.tasks.expression import imports, to_python
from qwen_magic.demo.tasks.task import Task, drawing, imports_first

_ASKS = re.compile(
    r"\b(?:plot|draw|graph|sketch|chart|show)\b(?:\s+me)?(?:\s+(?:a|the))?"
    r"(?:\s+(?:plot|graph|curve|function)s?)?(?:\s+of)?\s+(.+)",
    re.IGNORECASE,
)
_RANGE = re.compile(
    r"\s*(?:,|\bfor\s+x\b|\bwith\s+x\b)?\s*\b(?:from|between|in|over|on)\b\s*[\[(]?\s*(\S+?)\s*"
    r"(?:\bto\b|\band\b|,|\.\.)\s*([^\s\])]+)",
    re.IGNORECASE,
)
_LEFT = re.compile(r"^\s*(?:the function\s+)?(?:y|f\(x\)|g\(x\))\s*=\s*", re.IGNORECASE)


def write(text: str) -> Task | None:
    for line in text.splitlines():
        if match := _ASKS.search(line):
            return _task(match[1])
    return None


def _task(asked: str) -> Task | None:
    found = _RANGE.search(asked)
    ends = (to_python(found[1]), to_python(found[2])) if found else ("-10", "10")
    formula_text = asked[: found.start()] if found else asked
    formulas = [_formula(part) for part in re.split(r"\s+and\s+|\s*;\s*", formula_text)]
    low, high = ends
    if not all(formulas) or low is None or high is None:
        return None
    named = [formula for formula in formulas if formula]
    plan = (
        f"I am to plot {' and '.join(named)} for x from {low} to {high}. I compute 801 points of "
        "each, leave out where it is not defined, and draw them."
    )
    code = _code(named, low, high)
    return Task(plan, " and ".join(f"`{formula}`" for formula in named), (imports_first(code),))


def _formula(text: str) -> str | None:
    formula = to_python(_LEFT.sub("", text), ("x",))
    return formula if formula and re.search(r"\bx\b", formula) else None


def _code(formulas: list[str], low: str, high: str) -> str:
    curves = "".join(f"    {formula!r}: lambda x: {formula},\n" for formula in formulas)
    draw = (
        "for name, curve in curves.items():\n"
        "    ax.plot(xs, [value(curve, x) for x in xs], label=name)\n"
        "ax.legend()"
    )
    title = " and ".join(formulas)
    first = f"[v for x in xs if (v := value(curves[{formulas[0]!r}], x)) == v]"
    return (
        f"{imports(*formulas, low, high)}"
        f"curves = {{\n{curves}}}\n"
        f"low, high = {low}, {high}\n"
        "xs = [low + (high - low) * n / 800 for n in range(801)]\n\n\n"
        "def value(curve, x):\n"
        "    try:\n"
        "        return float(curve(x))\n"
        "    except (ValueError, ZeroDivisionError, OverflowError, TypeError):\n"
        '        return float("nan")  # not defined here\n\n\n'
        "for name, curve in curves.items():\n"
        "    ys = [y for x in xs if (y := value(curve, x)) == y]\n"
        '    print(f"smallest value of {name} = {min(ys):,.6g}")\n'
        '    print(f"largest value of {name} = {max(ys):,.6g}")\n\n'
        + drawing(draw, title, "x", "y", first)
    )
