"""Formulas as people write them, made into Python that computes nothing but numbers."""

from __future__ import annotations

import ast
import re

_TRIGONOMETRY = ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")
_OTHERS = ("exp", "log", "log2", "log10", "sqrt", "factorial", "floor", "ceil")
FUNCTIONS = (*_TRIGONOMETRY, *_OTHERS)
CONSTANTS = ("pi", "e", "tau")
_OTHER_NAMES = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "π": "pi"}
_ALLOWED = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Call,
    ast.Name,
    ast.Load,
    ast.Constant,
    ast.operator,
    ast.unaryop,
)


def to_python(formula: str, variables: tuple[str, ...] = ()) -> str | None:
    """The formula in Python; None when it is none."""
    text = formula.strip().strip("$`").strip().rstrip(".?!,;:")
    for other, name in _OTHER_NAMES.items():
        text = re.sub(rf"(?<![a-zA-Z]){other}(?![a-zA-Z])", name, text)
    text = text.replace("^", "**").replace("²", "**2").replace("³", "**3")
    text = text.replace("×", "*").replace("·", "*").replace("÷", "/").replace("−", "-")
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)\s*(?=[a-zA-Z(])(?!e[-+]?\d)", r"\1*", text)
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return text if _is_plain(tree, variables) else None


def _is_plain(tree: ast.Expression, variables: tuple[str, ...]) -> bool:
    names = {*FUNCTIONS, *CONSTANTS, "abs", "round", *variables}
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            return False
        if isinstance(node, ast.Constant) and not isinstance(node.value, int | float):
            return False
        if isinstance(node, ast.Name) and node.id not in names:
            return False
        if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name):
            return False
    return True


def names_in(formula: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(formula)) if isinstance(node, ast.Name)}


def imports(*formulas: str) -> str:
    """The import line that the formulas need; empty for none."""
    wanted = sorted({name for f in formulas for name in names_in(f)} & {*FUNCTIONS, *CONSTANTS})
    return f"from math import {', '.join(wanted)}\n" if wanted else ""
