"""Rules for expressions that fail as they stand: divisions, sums, places in lists, syntax."""

from __future__ import annotations

import ast
import re

from qwen_magic.demo.mending.failure import Failure
from qwen_magic.demo.mending.mend import Mend
from qwen_magic.demo.mending.source import Edit, code_of, edited, running


def division(failure: Failure) -> Mend | None:
    edits = []
    for node in running(failure, ast.BinOp):
        if isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod):
            whole, divisor = code_of(failure, node), code_of(failure, node.right)
            constant = isinstance(node.right, ast.Constant)
            nan = 'float("nan")'
            edits.append(Edit(node, nan if constant else f"({whole} if {divisor} else {nan})"))
    words = "The divisor is 0 here: I let such a division give `nan`. Better ask why it is 0."
    return Mend(words, edited(failure, edits)) if edits else None


def sum_with_text(failure: Failure) -> Mend | None:
    text = re.search(
        r"can only concatenate str|unsupported operand type\(s\) for \+=?: "
        r"(?:'str' and|'\w+' and 'str')",
        failure.message,
    )
    if text is None:
        return None
    edits: list[Edit] = []
    for node in running(failure, ast.BinOp):
        operands = _summands(node) if isinstance(node.op, ast.Add) else []
        edits += [Edit(o, f"str({code_of(failure, o)})") for o in operands if not _is_text(o)]
    words = (
        "Text and a number cannot be added: I made text of both with `str`. If a sum was meant, "
        "make a number of the text with `int` or `float` instead."
    )
    return Mend(words, edited(failure, edits)) if edits else None


def index(failure: Failure) -> Mend | None:
    found = [
        node
        for node in running(failure, ast.Subscript)
        if isinstance(node.ctx, ast.Load) and not isinstance(node.slice, ast.Slice)
    ]
    lists = [n for n in found if _holds_items(failure.values.get(code_of(failure, n.value), ""))]
    if len(lists or found) != 1:
        return None
    (node,) = lists or found
    holder, place = code_of(failure, node.value), code_of(failure, node.slice)
    guarded = f"({holder}[{place}] if -len({holder}) <= {place} < len({holder}) else None)"
    words = f"`{holder}` has no place {place}: I let the cell go on with `None` there."
    return Mend(words, edited(failure, [Edit(node, guarded)]))


def syntax(failure: Failure) -> Mend | None:
    closing = {"(": ")", "[": "]", "{": "}"}
    unclosed = re.search(r"'([(\[{])' was never closed", failure.message)
    end = closing[unclosed[1]] if unclosed else ":" if "expected ':'" in failure.message else ""
    if not end or len(failure.marked) != 1:
        return None
    (number,) = failure.marked
    lines = list(failure.lines)
    if not 0 < number <= len(lines) or "#" in lines[number - 1]:
        return None
    lines[number - 1] = lines[number - 1].rstrip() + end
    words = f"A `{end}` is missing in line {number}: I put it at its end."
    return Mend(words, "\n".join(lines))


def _summands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_summands(node.left), node.right]
    return [node]


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str":
        return True
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _holds_items(told: str) -> bool:
    return told.startswith(("list", "tuple", "str"))
